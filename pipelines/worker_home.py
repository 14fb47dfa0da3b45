"""Pull step of the deployments: goes to the checkout that LUCIDLR_HOME names, where and when a run starts.

Prefect's own `set_working_directory` step would write the folder of the machine that deploys into the deployment,
because it fills in environment variables at that time.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.memory import modest_memory


def enter() -> dict[str, str]:
    """Changes to LUCIDLR_HOME and names it to Prefect as the flow's directory.

    Raises:
        RuntimeError: LUCIDLR_HOME is not set in the worker's environment, or is no checkout.
    """
    home = os.environ.get("LUCIDLR_HOME")
    if not home or not (Path(home) / "pipelines" / "build_lucidlr.py").is_file():
        raise RuntimeError(
            f"LUCIDLR_HOME is {home!r}: set it to the checkout in the environment of the worker, then run again."
        )
    os.chdir(home)
    modest_memory()
    return {"directory": home}
