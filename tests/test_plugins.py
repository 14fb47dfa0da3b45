"""Every plug-in folder, file by file: the protocol, and the docstrings that make a plug-in readable by itself."""

import ast
import dataclasses
import inspect
import sys
from pathlib import Path

import pytest

from catalog.plugins import Plugins, nearest
from crawler.loopback.lists import LISTS
from crawler.walkers import WALKERS, load_walker, source_kinds
from filters.measures import MEASURES
from filters.metrics import METRICS
from training.backbones import BACKBONES
from training.consistency import ENCODERS
from training.rewards import REWARDS

ROOT = Path(__file__).parents[1]
NEEDED = {
    # Folder -> its plug-ins, and the functions of each with the parameters they are called by.
    "sources": (
        WALKERS,
        {
            "walk": ["commons", "source", "cursor", "key", "base"],
            "count": ["commons", "source", "base"],
            "label": ["source"],
        },
    ),
    "measures": (MEASURES, {"measure": ["photo"]}),
    "metrics": (METRICS, {"load": ["scoring"]}),
    "rewards": (REWARDS, {"load": None}),
    "backbones": (BACKBONES, {"load": None}),
    "encoders": (ENCODERS, {"load": None}),
}
FILES = [(folder, name) for folder, (plugins, _) in NEEDED.items() for name in plugins.names()]


def tree_of(module):
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("folder", "name"), FILES, ids=[f"{f}-{n}" for f, n in FILES])
def test_a_plugin_keeps_the_protocol_of_its_folder_and_says_what_it_is(folder, name):
    plugins, functions = NEEDED[folder]
    module = plugins.load(name)
    assert len(ast.get_docstring(tree_of(module)) or "") >= 40
    for function, parameters in functions.items():
        found = getattr(module, function)
        assert (inspect.getdoc(found) or "").strip(), f"{function} needs a docstring"
        if parameters is not None:
            assert list(inspect.signature(found).parameters) == parameters


@pytest.mark.parametrize("kind", source_kinds())
def test_a_config_of_a_source_is_frozen_typed_and_each_field_says_what_it_is(kind):
    config = load_walker(kind).config
    assert (config.__doc__ or "").strip()
    assert config.__dataclass_params__.frozen
    assert config.__pydantic_config__ == {"extra": "forbid"}, "unknown keys are errors"
    fields = {field.name: field for field in dataclasses.fields(config)}
    assert all(field.kw_only for field in fields.values())
    assert fields["kind"].default == kind and fields["max_files"].default is None
    (body,) = (
        node.body
        for node in tree_of(sys.modules[config.__module__]).body
        if isinstance(node, ast.ClassDef) and node.name == config.__name__
    )
    for line, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign) and line.target.id in fields.keys() - {"kind"}:
            said = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            assert said, f"{line.target.id} needs a docstring under it"


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_list_of_the_embedded_commons_declares_every_parameter_that_it_reads(name):
    listing = LISTS[name].listing
    module = sys.modules[listing.__module__]
    assert module.__doc__ and listing.__doc__
    read = {
        node.values[1].value
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.JoinedStr)
        and len(node.values) == 2
        and isinstance(node.values[0], ast.FormattedValue)
        and getattr(node.values[0].value, "id", "") == "code"
        and isinstance(node.values[1], ast.Constant)
    }
    assert read and read <= set(LISTS[name].keys)


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    folder = tmp_path / "rooms_of_a_test"
    folder.mkdir()
    for name in ("__init__", "kitchen", "hall", "_shared", "stairs"):
        (folder / f"{name}.py").write_text(f"raise_if_imported = {name!r}\n")
    (folder / "cellar").mkdir()
    (folder / "cellar" / "__init__.py").write_text("")
    (folder / "weights").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return Plugins(
        package="rooms_of_a_test", what="room", error=LookupError, beside=frozenset({"stairs"})
    )


def test_names_are_those_of_files_and_packages_and_nothing_is_imported_for_them(rooms):
    assert rooms.names() == ["cellar", "hall", "kitchen"]
    assert "rooms_of_a_test.hall" not in sys.modules
    assert rooms.load("hall").raise_if_imported == "hall"


def test_an_unknown_name_is_the_folders_own_error_with_the_nearest(rooms):
    with pytest.raises(LookupError, match=r"There is no room 'Kitchn'; did you mean 'kitchen'\?"):
        rooms.load("Kitchn")
    with pytest.raises(LookupError, match="did you mean 'garden'"):
        rooms.load("gardens", "garden")
    with pytest.raises(LookupError):
        rooms.load("_shared")
    assert nearest("x", []) is None


def test_the_guide_for_contributors_tells_how_to_add_one_of_each():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for what in ("source", "measure", "metric", "reward", "backbone"):
        assert f"a {what}" in guide, f"CONTRIBUTING.md says nothing about adding a {what}"
    for folder in (
        "crawler/walkers/",
        "crawler/loopback/lists/",
        "filters/measures/",
        "filters/metrics/",
        "training/rewards/",
        "training/backbones/",
        "training/consistency/encoders/",
    ):
        assert folder in guide
        assert (ROOT / folder).is_dir()
