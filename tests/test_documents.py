"""The documents and the code: every key, every command, and what the documents tell people to type."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
import yaml

from pipelines import recipe_doc, reference
from tests.cases import every
from tests.pipelines.builds import ENVIRONMENT
from tests.pipelines.test_recipe import DEMO, RECIPES

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ("recipe.md", "recipe.schema.json", "commands.md")


@pytest.fixture(scope="module")
def documents():
    return reference.documents()


# -- written from the code ---------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_document_is_what_the_code_says(documents, name):
    held = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert held == documents[name], "run `make docs` and commit what it writes"


def test_every_command_has_a_panel_and_a_help_line():
    assert reference.unplaced() == [], "name them in pipelines/commands/panels.py"
    for name, command in reference.commands().items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name}: {parameter.name} has no help"


def test_a_key_without_a_docstring_fails():
    @dataclass(frozen=True, kw_only=True)
    class Told:
        """A section."""

        known: int = 1
        """What it is."""
        unknown: int = 2

    assert recipe_doc.docstrings(Told) == {"known": "What it is."}
    with pytest.raises(recipe_doc.Undocumented, match="unknown"):
        recipe_doc.sections(Told)


def test_every_key_of_every_section_stands_in_the_page_with_its_default(documents):
    page = documents["recipe.md"]
    for section in recipe_doc.sections():
        assert f"## {section.title}" in page
        assert section.about
        for key in section.keys:
            assert f"| `{key.name}` |" in page
            assert len(key.about) > 5, f"{section.title} {key.name}"
    assert "| `api_per_minute` | number, a minute | `100.0` |" in page
    assert "| `sources` | list of section | required |" in page


@every("path", RECIPES)
def test_our_recipes_hold_by_the_schema(path):
    schema = json.loads((ROOT / "docs" / "recipe.schema.json").read_text())
    content = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
    jsonschema.validate(content, schema)


@pytest.mark.parametrize(
    "change",
    [
        {"extra_mesures": []},
        {"seed": "many"},
        {"gate": [{"name": "x", "value": "state", "minimum": 3, "why": "y"}]},
        {"sources": [{"kind": "category", "root": "Category:X", "dept": 3}]},
        {"version": "1"},
    ],
)
def test_the_schema_refuses_what_the_recipe_refuses(change):
    schema = json.loads((ROOT / "docs" / "recipe.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(DEMO.read_text()), **change}, schema)


def test_the_schema_describes_each_key():
    schema = json.loads((ROOT / "docs" / "recipe.schema.json").read_text())
    assert all("description" in part for part in schema["properties"].values())


# -- what people type --------------------------------------------------------------------------


def typed():
    """(document, words) of every `lucidlr ...` line of a block of code."""
    found = []
    for document in DOCS:
        if document.name in GENERATED:
            continue
        for block in re.findall(r"^```(?:bash|sh|)\n(.*?)^```", document.read_text(), re.M | re.S):
            lines = block.replace("\\\n", " ").splitlines()
            for line in lines:
                line = re.sub(r"^\s*(\$ |[A-Z_]+=\S+ )*", "", line)
                if line.startswith("lucidlr "):
                    words = shlex.split(line, comments=True)[1:]
                    found.append((document.name, [w for w in words if w not in ("|", ">")]))
    return found


TYPED = typed()


def test_there_is_something_to_look_at():
    assert len(TYPED) > 30


@pytest.fixture(scope="module")
def commands():
    return reference.commands()


@every("document, words", TYPED)
def test_a_command_in_a_document_is_one_that_can_be_typed(commands, document, words):
    name, *rest = words
    assert name in commands, f"{document}: there is no lucidlr {name}"
    # Parses and checks as the command line does, and calls nothing.
    with commands[name].make_context(name, rest, help_option_names=["-h", "--help"]):
        pass


def test_commands_named_in_running_text_exist():
    commands = {*reference.commands(), *reference.known_commands()}
    for document in DOCS:
        for name in re.findall(r"`lucidlr ([a-z][a-z-]+)", document.read_text()):
            assert name in commands, f"{document.name} names lucidlr {name}"


def test_links_between_documents_lead_somewhere():
    for document in DOCS:
        for target in re.findall(
            r"\]\((?!https?:|#)([^)#\s]+)", re.sub(r"`[^`\n]*`", "", document.read_text())
        ):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


OFFLINE = (
    "explain",
    "whatif",
    "failures",
    "politeness",
    "verify",
    "refilter",
    "relink",
    "export",
    "licenses",
)
"""Commands of documents that are run for real on a build."""
ASKING = ("build", "plan", "refresh", "push")
"""Commands that are run up to their first request."""


@pytest.fixture(scope="module")
def desk(small_build, tmp_path_factory):
    """A working directory as the documents suppose it: builds under out/, a recipe, a list of removals."""
    import shutil

    desk = tmp_path_factory.mktemp("desk")
    for name in ("demo", "lucidlr_20k"):
        shutil.copytree(small_build, desk / "out" / name)
    shutil.copytree(small_build / "dataset", desk / "releases" / "0.1.0")
    recipe = yaml.safe_load(DEMO.read_text())
    recipe["corpus"] |= {"files": 120, "seed": 7}
    (desk / "my_recipe.yaml").write_text(yaml.safe_dump({**recipe, "name": "mine"}))
    (desk / "removals.txt").write_text("File:Nobody.jpg\n")
    return desk


def once(names):
    return sorted(
        {" ".join(shlex.quote(w) for w in words) for _, words in TYPED if words[0] in names}
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", once(OFFLINE))
def test_an_offline_command_of_the_documents_runs(desk, command):
    done = run(desk, command)
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    # The build here is smaller than the demo's: a file that a document names may not be in it.
    missing = "is no candidate of the build" in done.stderr or "candidates have" in done.stderr
    assert done.returncode == 0 or missing, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("command", once(ASKING))
def test_a_command_that_asks_gets_as_far_as_its_first_request(desk, command):
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *shlex.split(command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=desk,
        env=environment(desk),
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if "next attempt" in line:
            process.kill()
            break
    process.wait(timeout=300)
    told = "".join(said)
    assert "Traceback" not in told, told[-2000:]
    reached = (
        "no connection",
        "127.0.0.1:9",
        "The connection to the Hub failed",
        "nothing to purge",
        "answers at",  # no cluster
    )
    assert any(words in told for words in reached) or command.startswith("build demo"), told


def run(desk, command):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *shlex.split(command)],
        capture_output=True,
        text=True,
        cwd=desk,
        env=environment(desk),
        check=False,
        timeout=600,
    )


def environment(desk):
    """Nothing outside can be reached: every way out ends at a port where nobody listens."""
    nobody = "http://127.0.0.1:9"
    return {
        **ENVIRONMENT,
        "PYTHONPATH": str(ROOT),
        "LUCIDLR_LAST_BUILD": str(desk / ".lucidlr.json"),
        "LUCIDLR_CONTACT": "me@example.org",
        "HF_ENDPOINT": nobody,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "none",
        "HTTPS_PROXY": nobody,
        "HTTP_PROXY": nobody,
    }


# -- README and notebook ------------------------------------------------------------------------


def test_the_readme_has_at_most_a_thousand_words():
    assert len((ROOT / "README.md").read_text().split()) <= 1000


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    for document in DOCS:
        cells = None
        for line in document.read_text().splitlines():
            if not line.startswith("|"):
                cells = None
                continue
            count = len(re.findall(r"(?<!\\)\|", line))
            assert cells in (None, count), f"{document.name}: {line[:80]}"
            cells = count


@pytest.mark.slow
def test_the_dataset_loads_as_the_readme_says_and_validation_stays_apart(small_build, tmp_path):
    code = next(
        block
        for block in re.findall(
            r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S
        )
        if "load_dataset" in block
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "demo").symlink_to(small_build)
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(len(lr), set(lr['split']))"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**ENVIRONMENT, "HF_HOME": str(tmp_path / "hf")},
        check=False,
    )
    manifest = json.loads((small_build / "dataset" / "manifest.json").read_text())
    rows = sum(shard["rows"] for shard in manifest["shards"] if shard["split"] == "train")
    assert 0 < rows < sum(shard["rows"] for shard in manifest["shards"])
    assert done.stdout.split(maxsplit=1) == [str(rows), "{'train'}\n"], done.stderr[-2000:]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    cells = json.loads((ROOT / "docs" / "python.ipynb").read_text())["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "notebook.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf")},
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Did you mean 'lucidlr_20k'?" in done.stdout


def test_the_notebook_uses_every_public_name_of_the_light_core():
    cells = json.loads((ROOT / "docs" / "python.ipynb").read_text())["cells"]
    code = "".join("".join(cell["source"]) for cell in cells)
    table = (ROOT / "docs" / "python.md").read_text().partition("With the extra")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.M):
        for name in re.findall(r"`[\w.]*?(\w+)(?:\(|`)", row):
            assert name in code, f"docs/python.ipynb does not use {name}"
