"""What holds for the five packages as a whole: who may import what, and that there is one way to write a file."""

from __future__ import annotations

import ast
import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.cases import every

HOME = Path(__file__).parents[1]
PACKAGES = ("catalog", "crawler", "filters", "pipelines", "training")
MODULES = sorted(path for name in PACKAGES for path in (HOME / name).rglob("*.py"))
OPEN_TO_ALL = {
    *("catalog.records", "catalog.errors", "catalog.files", "catalog.plugins"),
    "catalog.image_names",
}

ALLOWED = {
    "catalog/files.py": "the one way",
    "catalog/disk.py": "what the one way does it with",
    "training/rewards/servers/unipercept_server.py": "runs in an environment of its own; a scratch file for its model",
    "training/evaluation/methods.py:copyfile": "into a scratch folder for somebody else's command",
    "training/evaluation/methods.py:mkdir": "the same",
    "pipelines/prefect_care.py:save": "a block of the Prefect server, no file",
}
"""File, or file:name of what is called -> why it may."""

WRITES = {
    *(
        "write_text",
        "write_bytes",
        "rename",
        "unlink",
        "rmdir",
        "touch",
        "hardlink_to",
        "symlink_to",
    ),
    *("rmtree", "copyfile", "copytree", "copy2", "mkstemp", "NamedTemporaryFile", "OSFile"),
}
"""Called by whatever name, these change a disk; `replace` and `mkdir` are looked at more closely."""
LIBRARIES = {
    *("write_table", "ParquetWriter", "save_file", "savez", "savez_compressed", "savefig", "save"),
    *("save_pretrained", "to_parquet", "imwrite", "write_html", "dump"),
}
"""What a library writes to a path or a stream that it is given."""
IN_MEMORY = {"BytesIO", "BufferOutputStream", "StringIO"}
VERBS = {"writing", "stream", "text", "folder", "whole_folder", "growing"}


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def names_from(function: ast.AST, wanted: set[str]) -> set[str]:
    """Variables that hold what one of `wanted` gave, by `=` or by `with ... as`, or what was made of such a one."""
    found: set[str] = set()
    binding = [n for n in ast.walk(function) if isinstance(n, ast.Assign | ast.withitem)]
    # Once to find them, once more for what is made of what was found.
    for node in [*binding, *binding]:
        pairs: list[tuple[ast.expr, ast.expr | None]] = []
        if isinstance(node, ast.Assign):
            pairs = [(node.value, target) for target in node.targets]
        elif isinstance(node, ast.withitem):
            pairs = [(node.context_expr, node.optional_vars)]
        for value, target in pairs:
            if not isinstance(value, ast.Call) or target is None:
                continue
            if called(value) in wanted or (found and roots(value) & found):
                found.add(ast.unparse(target))
    return found


def roots(node: ast.Call) -> set[str]:
    """The variables in its arguments, and what it is called on."""
    parts = [*node.args, *(k.value for k in node.keywords)]
    if isinstance(node.func, ast.Attribute):
        parts.append(node.func.value)
    return {
        ast.unparse(n)
        for part in parts
        for n in ast.walk(part)
        if isinstance(n, ast.Name | ast.Attribute)
    }


def opens_to_write(node: ast.Call) -> bool:
    modes = [*node.args, *(k.value for k in node.keywords if k.arg == "mode")]
    return any(
        isinstance(a, ast.Constant)
        and isinstance(a.value, str)
        and set(a.value) & set("wax+")
        and set(a.value) <= set("rwaxbt+")
        for a in modes
    )


def direct_writes(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every call that changes the disk otherwise than by the verbs of catalog.files."""
    tree = ast.parse(source)
    functions = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    inside: dict[ast.AST, set[str]] = {}
    for function in functions:
        held = names_from(function, VERBS | IN_MEMORY)
        for node in ast.walk(function) if held else ():
            inside[node] = inside.get(node, set()) | held
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, held = called(node), inside.get(node, set())
        ours = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "files"
        if ours or (held and roots(node) & held):
            continue
        if (
            name in WRITES
            or (
                name == "replace"
                and isinstance(node.func, ast.Attribute)
                and len(node.args) == 1
                and not node.keywords
            )
            or (
                name in {"replace", "move", "copy"}
                and ast.unparse(node.func) in {"os.replace", "shutil.move", "shutil.copy"}
            )
            or (name in {"mkdir", "makedirs"})
            or (name in {"open", "fdopen"} and opens_to_write(node))
            or (name in LIBRARIES and (node.args or node.keywords))
        ):
            yield node.lineno, name


LONGEST, FULLEST = 350, 25
"""Lines of a module, modules of a folder: more is hard to keep in mind."""
LONG = {
    "catalog/records.py": "every record type, one after the other: nothing to follow",
    "tests/crawler/test_contract.py": "one contract, each walker held to it",
    "tests/crawler/test_hostile_kinds.py": "a table of hostile answers",
    "tests/crawler/test_faults.py": "a table of faults",
    "tests/crawler/test_politeness.py": "one fixture, a server with a clock, for all of it",
    "tests/crawler/test_category_resolver.py": "a table of category trees",
    "tests/catalog/release/test_export.py": "one release, looked at from all sides",
    "tests/filters/test_license.py": "a table of pages",
    "tests/training/test_train_nft.py": "one tiny training, taken apart",
    "tests/training/evaluation/test_gallery.py": "one gallery, looked at from all sides",
    "tests/training/rewards/test_remote.py": "one server, asked in many ways",
    "tests/pipelines/release/test_push.py": "one stand-in of the Hub for all of it",
}
"""File -> why it may be longer than LONGEST."""
PLUG_INS = {"filters/measures"}
"""Folders where each file is one of a kind, found by its name; as full as there are kinds."""


def test_a_module_can_be_kept_in_mind_and_a_folder_overlooked():
    places = [HOME / name for name in (*PACKAGES, "benchmarks", "scripts", "tests")]
    lengths = {
        path.relative_to(HOME).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for place in places
        for path in place.rglob("*.py")
    }
    long = {place for place, lines in lengths.items() if lines > LONGEST}
    assert not long - set(LONG), "split them, or say in LONG why they stay whole"
    assert not set(LONG) - long, "these are short now: take them out of LONG"
    folders = Counter(
        str(Path(place).parent) for place in lengths if Path(place).name != "__init__.py"
    )
    full = {folder for folder, modules in folders.items() if modules > FULLEST}
    assert not {folder for folder in full - PLUG_INS if not folder.startswith("tests")}


@every("module", MODULES)
def test_nobody_writes_to_the_disk_but_by_catalog_files(module):
    place = module.relative_to(HOME).as_posix()
    found = [
        f"{place}:{line} calls {name}"
        for line, name in direct_writes(module.read_text(encoding="utf-8"))
        if place not in ALLOWED and f"{place}:{name}" not in ALLOWED
    ]
    assert not found, f"{found}: use a verb of catalog/files.py"


@every(
    "source, name",
    [
        ("def f(p):\n    p.write_text('x')", "write_text"),
        ("def f(p, q):\n    p.replace(q)", "replace"),
        ("import os\ndef f(p, q):\n    os.replace(p, q)", "replace"),
        ("def f(p):\n    with p.open('w', newline='') as sink:\n        sink.write('x')", "open"),
        ("def f(p):\n    with open(p, mode='ab') as sink:\n        sink.write(b'x')", "open"),
        ("def f(t, p):\n    pq.write_table(t, p)", "write_table"),
        ("def f(t, p):\n    torch.save(t, p / 'x.pt')", "save"),
        ("def f(p):\n    shutil.rmtree(p)", "rmtree"),
        ("def f(p):\n    figure.savefig(p)", "savefig"),
        ("p.write_bytes(b'x')", "write_bytes"),
    ],
)
def test_a_write_past_the_verbs_is_seen(source, name):
    assert [n for _, n in direct_writes(source)] == [name]


@every(
    "source",
    [
        "def f(p):\n    files.put(p, 'x')",
        "def f(p, t):\n    with files.writing(p) as temporary:\n        torch.save(t, temporary)",
        "def f(p, t):\n    with files.stream(p) as sink:\n        pq.write_table(t, sink)",
        "def f(t):\n    sink = io.BytesIO()\n    image.save(sink, 'PNG')",
        "def f(text):\n    return text.replace('a', 'b')",
        "def f(p):\n    return p.open('rb').read()",
    ],
)
def test_what_goes_through_the_verbs_or_stays_in_memory_is_not_taken_for_a_write(source):
    assert not list(direct_writes(source))


def test_every_module_of_catalog_is_protected_or_open_to_all():
    config = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    (contract,) = [c for c in contracts if c["type"] == "protected"]
    there = {f"catalog.{path.stem}" for path in (HOME / "catalog").glob("*.py")} - {
        "catalog.__init__"
    }
    there |= {f"catalog.{path.parent.name}" for path in (HOME / "catalog").glob("*/__init__.py")}
    assert there - OPEN_TO_ALL == set(contract["protected_modules"])


def test_no_folder_of_tests_is_passed_over_by_pytest(request):
    """A folder named like one of `norecursedirs` is not looked into; pytest's own list has `build`."""
    tests = HOME / "tests"
    folders = {p for file in tests.rglob("test_*.py") for p in file.relative_to(tests).parts[:-1]}
    passed_over = [
        (folder, pattern)
        for folder in sorted(folders)
        for pattern in request.config.getini("norecursedirs")
        if fnmatch(folder, pattern)
    ]
    assert passed_over == []


def test_one_set_of_image_suffixes():
    telling = [
        module.relative_to(HOME).as_posix()
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Tuple | ast.Set | ast.List)
        and {".jpg", ".png"} <= {e.value for e in node.elts if isinstance(e, ast.Constant)}
    ]
    assert telling == ["catalog/image_names.py"]


KNOWS_LUCIDFLUX = {
    "training/backbones/lucidflux/": "the model itself",
    "pipelines/commands/lucidflux.py": "its commands",
    "pipelines/cli.py": "where its commands are gathered, and",
    "pipelines/commands/panels.py": "where its commands stand in the help",
    "training/gpu_check/": "`lucidlr gpu-check`, a command of its own: it checks a machine for this model",
    "pipelines/recipes/nft/lucidflux.yaml": "its training",
    "pipelines/recipes/evaluate_paper.yaml": "a method of the paper's table",
    "training/evaluation/methods.py": "the same",
    "training/evaluation/tables.py": "the same",
    "training/evaluation/published/": "the same",
}
"""Place (a folder ends in /) -> why the word may stand there."""


def test_lucidflux_is_known_to_its_own_rooms_only():
    found = {
        str(path.relative_to(HOME))
        for name in PACKAGES
        for path in (HOME / name).rglob("*")
        if path.suffix in {".py", ".yaml", ".yml", ".json", ".csv", ".html", ".j2", ".sql"}
        and "lucidflux" in path.read_text(encoding="utf-8").lower()
    }
    allowed = {name for name in found if name.startswith(tuple(KNOWS_LUCIDFLUX))}
    assert found - allowed == set()
    # A reason that nothing needs any more is taken off the list.
    idle = [place for place in KNOWS_LUCIDFLUX if not any(n.startswith(place) for n in found)]
    assert idle == []


def test_a_file_of_tests_stays_with_one_process(request):
    """A fixture of a module is made once only if the groups of conftest.py reach the names that processes share out."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process runs all tests: use -n 2 --dist loadgroup")
    assert request.node.nodeid.endswith("@4 tests/test_house.py")
