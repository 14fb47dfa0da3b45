"""Runs the tests of golden values as other processors would compute them: same results wanted, whoever made the CPU.

    make test-cpus                                      # every emulation, one after the other
    python scripts/test_cpus.py --list
    python scripts/test_cpus.py --only old intel -- tests/filters -m "not slow"     # other tests, some emulations

Six libraries choose their code by the processor, each by an environment variable of its own: MKL inside of torch
(sums, exponentials), ATen (vectorised functions, random numbers), oneDNN (convolutions), OpenCV, NumPy, and OpenBLAS
under NumPy and SciPy. MKL also asks who made the CPU and takes other code on Intel's; `intel` and `amd` answer for it
by a library of two lines that is compiled here (needs cc). What a processor lacks cannot be emulated: without AVX-512
that code stays untried. The first line of each run tells what was in force: digests of exponentials and of a product of
matrices, and what the libraries say.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ("-m", "golden and not slow", "-q", "-p", "no:cacheprovider")
MARK = "mark.golden"

# Functions of MKL that torch exports; the first that the loader finds answers.
MAKER = "int mkl_serv_intel_cpu_true(void) {{ return {0}; }}\nint mkl_serv_intel_cpu(void) {{ return {0}; }}\n"
OPENCV = "SSE4.1,SSE4.2,AVX,FP16,FMA3,AVX2,AVX512-SKX"
OLD = {
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENCV_CPU_DISABLE": OPENCV,
    "NPY_DISABLE_CPU_FEATURES": "all",
    "OPENBLAS_CORETYPE": "Prescott",
}
EMULATIONS: dict[str, Mapping[str, str]] = {
    "this machine": {},
    **{f"mkl {mode}": {"MKL_CBWR": mode} for mode in ("COMPATIBLE", "SSE4_2", "AVX2", "AVX512")},
    "intel": {"maker": "1"},
    "intel, mkl AVX": {"maker": "1", "MKL_CBWR": "AVX"},
    "amd": {"maker": "0"},
    **{f"aten {kind}": {"ATEN_CPU_CAPABILITY": kind} for kind in ("default", "avx2")},
    **{f"onednn {isa}": {"ONEDNN_MAX_CPU_ISA": isa} for isa in ("SSE41", "AVX2")},
    "opencv sse3": {"OPENCV_CPU_DISABLE": OPENCV},
    "opencv avx": {"OPENCV_CPU_DISABLE": "FP16,FMA3,AVX2,AVX512-SKX"},
    "numpy baseline": {"NPY_DISABLE_CPU_FEATURES": "all"},
    **{
        f"openblas {core}": {"OPENBLAS_CORETYPE": core}
        for core in ("Prescott", "Sandybridge", "Haswell")
    },
    "old": OLD,
    "old intel": {**OLD, "maker": "1", "MKL_CBWR": "SSE4_2", "OPENBLAS_CORETYPE": "Sandybridge"},
}
"""Name -> variables. `maker` is whether MKL shall think that Intel made this CPU; `all` stands for NumPy's groups of
features that this machine has."""

# What is in force, asked of the libraries themselves.
PROBE = """
import hashlib
import cv2, numpy, torch, threadpoolctl
line = "".join(word.strip("*") + " " for word in cv2.getCPUFeaturesLine().split() if not word.endswith("?"))
simd = numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", ["baseline"])[-1]
numpy.ones((2, 2)) @ numpy.ones((2, 2))
blas = {i.get("architecture") for i in threadpoolctl.threadpool_info() if i["internal_api"] == "openblas"}
exponents = -9.210340371976184 * torch.arange(128, dtype=torch.float32) / 128
exp = hashlib.sha1(torch.exp(exponents).numpy().tobytes()).hexdigest()[:4]
matrix = torch.sin(torch.arange(4096, dtype=torch.float64)).float().view(64, 64)
product = hashlib.sha1((matrix @ matrix).numpy().tobytes()).hexdigest()[:4]
print("exp", exp, "| product", product, "| aten", torch.backends.cpu.get_cpu_capability(),
      "| opencv", line.split()[-1], "| numpy", simd, "| openblas", *sorted(map(str, blas)))
"""


class NoCompiler(RuntimeError):
    """There is no cc to compile the library by which MKL is told who made the CPU."""


def environment(variables: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """That of a test run.

    Raises:
        NoCompiler: `maker` is asked for and there is no cc.
    """
    # One thread: two share sums in another way.
    made = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    if made.get("NPY_DISABLE_CPU_FEATURES") == "all":
        made["NPY_DISABLE_CPU_FEATURES"] = " ".join(numpy_features())
    maker = made.pop("maker", None)
    if maker is not None:
        if shutil.which("cc") is None:
            raise NoCompiler("needs cc, which is not here")
        library = scratch / f"maker{maker}.so"
        if not library.exists():
            (scratch / "maker.c").write_text(MAKER.format(maker), encoding="utf-8")
            command = ["cc", "-shared", "-fPIC", "-o", str(library), str(scratch / "maker.c")]
            subprocess.run(command, check=True)
        made["LD_PRELOAD"] = str(library)
    return made


def numpy_features() -> list[str]:
    """Groups of features beyond the baseline that NumPy was built for and this CPU has."""
    import numpy as np

    return list(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


def golden_tests() -> list[str]:
    """Arguments of pytest; only files with such tests are named: to collect all takes longer than to run these."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [*GOLDEN, *(str(file) for file in files if MARK in file.read_text("utf-8"))]


def main() -> None:
    """Command line of this script."""
    parser = argparse.ArgumentParser(description="Test golden values as other CPUs compute.")
    parser.add_argument(
        "--list", action="store_true", help="list the emulations and what each puts in force"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some emulations")
    parser.add_argument(
        "pytest", nargs="*", help="after --: arguments of pytest in the place of the golden tests"
    )
    options = parser.parse_args()
    names = options.only or list(EMULATIONS)
    unknown = [name for name in names if name not in EMULATIONS]
    if unknown:
        parser.error(f"no emulation {unknown[0]!r}; there are {', '.join(EMULATIONS)}")
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            try:
                variables = environment(EMULATIONS[name], Path(scratch))
            except NoCompiler as error:
                say(f"{name:<18} not run: {error}")
                continue
            say(f"{name:<18} {output([sys.executable, '-c', PROBE], variables)[1]}")
            if options.list:
                continue
            started = time.monotonic()
            command = [sys.executable, "-m", "pytest", *(options.pytest or golden_tests())]
            code, told = output(command, variables)
            say(f"{'':<18} {told.splitlines()[-1]} ({time.monotonic() - started:.0f} s)")
            if code:
                failed.append(name)
                say(told)
    if failed:
        say(f"failed under: {', '.join(failed)}")
        sys.exit(1)


def output(command: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Exit code and standard output; what a library has to say about its variables (OpenCV) is left out."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def say(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
