"""What looks after runs on a Prefect server when a worker, the server or both were killed.

    python -m pipelines.prefect_care automations [--notify URL]   # once per server; again to change it
    python -m pipelines.prefect_care after-crash                  # nothing runs, but Prefect says that something does

Prefect marks a run whose process was killed as Running until somebody says otherwise. A run sends heartbeats
(PREFECT_FLOWS_HEARTBEAT_FREQUENCY, in seconds, in the worker's environment); the first automation marks a run Crashed
that sent none for a while, and the second tells a URL of failed and crashed runs. `after-crash` does it at once.
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from typing import Any

HEARTBEAT_S = 30
"""What docs/prefect.md and compose.yaml set."""
SILENT_S = 90
"""Three heartbeats missed: a run is dead."""
POOL = "lucidlr"
ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
SILENT, TOLD = "lucidlr: a run without heartbeat has crashed", "lucidlr: tell of failed runs"


def silent_runs() -> Any:
    """The automation that marks silent runs as crashed."""
    from prefect.automations import AutomationCore
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    heartbeat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name=SILENT,
        description=f"No heartbeat for {SILENT_S} s: the process was killed.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            after={heartbeat},
            expect={heartbeat, *(f"prefect.flow-run.{state}" for state in ENDED)},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_S),
        ),
        actions=[
            ChangeFlowRunState(
                name="Crashed",
                state=StateType.CRASHED,
                message=f"No heartbeat for {SILENT_S} s: run it again.",
                force=True,
            )
        ],
    )


def told_runs(block_id: Any) -> Any:
    """The automation that tells of failed and crashed runs."""
    from prefect.automations import AutomationCore
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import EventTrigger, Posture

    return AutomationCore(
        name=TOLD,
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            SendNotification(
                block_document_id=block_id,
                subject="LucidLR: {{ flow_run.name }} {{ flow_run.state.name }}",
                body="{{ flow.name }}: {{ flow_run.state.message }} Run it again: it resumes where it was.",
            )
        ],
    )


def make_automations(notify: str | None) -> list[str]:
    """Makes the automations, or makes them again; their names."""
    from prefect import get_client
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    wanted = [silent_runs()]
    if notify:
        block: Any = CustomWebhookNotificationBlock(
            name="lucidlr",
            url=notify,
            headers=None,
            cookies=None,
            json_data={"title": "{{subject}}", "text": "{{body}}"},
        )
        wanted.append(told_runs(block.save("lucidlr-notify", overwrite=True)))
    with get_client(sync_client=True) as client:
        for automation in wanted:
            for old in client.read_automations_by_name(automation.name):
                client.delete_automation(old.id)
            client.create_automation(automation)
    return [automation.name for automation in wanted]


def crash_running() -> list[str]:
    """Marks as crashed every run of the pool that is not at its end and not still to come; their names."""
    from prefect import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    stuck = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=stuck))
            ),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        )
        for run in runs:
            state = Crashed(message="Its process was gone: marked by `after-crash`.")
            client.set_flow_run_state(run.id, state, force=True)
    return [run.name for run in runs]


def main(given: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Looks after runs on a Prefect server.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("automations", help="Make the automations on the server.")
    making.add_argument("--notify", help="URL that gets a JSON of title and text of failed runs.")
    commands.add_parser(
        "after-crash", help="Mark runs as crashed that Prefect thinks are running. None may be."
    )
    args = parser.parse_args(given)
    if args.command == "automations":
        done, said = make_automations(args.notify), "made"
    else:
        done, said = crash_running(), "marked as crashed"
    sys.stdout.write("\n".join(f"{said}: {name}" for name in done) + "\n" if done else "nothing\n")


if __name__ == "__main__":
    main()
