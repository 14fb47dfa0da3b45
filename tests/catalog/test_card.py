"""The dataset card: valid front matter, numbers that come from the tables, foreign text that stays text."""

from __future__ import annotations

import re

import markdown_it
import pyarrow as pa
import pytest

from catalog.card import label_mix, markdown_text, render_card, size_category
from catalog.export import export_dataset
from tests.catalog.release_samples import HOSTILE, reader, release

FUNNEL = [("listed", 96), ("licence <b>|accepted|</b>", 48), ("chosen", 24)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    samples, store = release()
    out = tmp_path_factory.mktemp("card") / "dataset"
    cards = []

    def write(folder, manifest):
        cards.append(
            render_card(
                manifest, samples=samples, funnel=FUNNEL, target_mix={"blur": 0.4, "noise": 0.1}
            )
        )
        (folder / "README.md").write_text(cards[0], encoding="utf-8")

    manifest = export_dataset(
        samples,
        read_bytes=reader(store),
        out=out,
        recipe={"name": "tiny", "rules": [{"min": 1}]},
        recipe_hash="abc",
        name="lucidlr-tiny",
        write_extra=write,
    )
    return samples, manifest, out, cards[0]


def test_huggingface_reads_the_front_matter_and_finds_nothing_to_correct(made):
    from huggingface_hub import DatasetCard

    *_, text = made
    card = DatasetCard(text)
    assert card.data.license == "other"
    assert card.data.task_categories == ["image-to-image"]
    assert card.data.size_categories == ["n<1K"]
    # What the hub refuses at upload: a value of the wrong type, or an unparsable block.
    assert DatasetCard(str(card)).data.to_dict() == card.data.to_dict()
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == [
        "all",
        "pd_cc0",
        "cc_by",
        "cc_by_sa",
    ]


def test_every_configuration_loads_from_the_folder(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    _, manifest, out, _ = made
    for config, rows in {"all": 24, "pd_cc0": 8, "cc_by": 8, "cc_by_sa": 8}.items():
        loaded = datasets.load_dataset(str(out), config, cache_dir=str(tmp_path))
        assert sum(loaded.num_rows.values()) == rows
        assert set(loaded) == {"train", "test"}
        assert loaded["train"][0]["image"].size == (140, 140)
    streamed = datasets.load_dataset(str(out), split="train", streaming=True)
    assert len(list(streamed)) == manifest.counts["split"]["train"] == 21


def test_only_families_that_exist_are_configurations(made, tmp_path):
    samples, *_ = made
    _, store = release()
    one = samples.filter(pa.array([family == "cc_by" for family in samples["family"].to_pylist()]))
    manifest = export_dataset(
        one, read_bytes=reader(store), out=tmp_path / "d", recipe={}, recipe_hash="x", name="one"
    )
    text = render_card(manifest, samples=one, funnel=[("chosen", 8)], notice="A demo | not Commons")
    assert re.findall(r"config_name: (\w+)", text) == ["all", "cc_by"]
    assert "> **A demo \\| not Commons**" in text


def test_the_numbers_are_those_of_the_tables(made):
    samples, manifest, _, text = made
    assert "24 naturally degraded photographs" in text
    for license in manifest.counts["license"]:
        assert re.search(rf"^\| `{license}` \|.*\| 8 \| 33\.3 % \|$", text, re.MULTILINE)
    blurred = manifest.counts["label"]["blur"]
    assert f"| blur | {blurred} | {100 * blurred / 24:.1f} % | 40.0 % |" in text
    assert "| noise | 0 | 0.0 % | 10.0 % |" in text
    assert manifest.dataset_hash in text
    assert "| chosen | 24 | 25.0 % |" in text
    with pytest.raises(ValueError, match="pass the exported one"):
        render_card(manifest, samples=samples.slice(1), funnel=FUNNEL)


def test_the_card_says_what_the_dataset_is_and_is_not(made):
    *_, text = made
    assert "open re-creation of the LucidLR described in the LucidNFT paper" in text
    assert "The images are not theirs" in text
    for heading in (
        "Licences",
        "Degradation mix",
        "How it was made",
        "Columns",
        "Limits",
        "Takedown",
        "Citation",
    ):
        assert f"\n## {heading}\n" in text


def test_tables_are_tables_and_no_html_of_others_survives(made):
    *_, text = made
    body = text.split("---\n", 2)[2]
    page = markdown_it.MarkdownIt("commonmark").enable("table").render(body)
    assert page.count("<table>") == 6
    assert "licence &lt;b&gt;|accepted|&lt;/b&gt;" in page.replace("&amp;lt;", "&lt;")
    assert set(re.findall(r"<([a-z0-9]+)", page)) <= {
        *("a", "code", "details", "h1", "h2", "li", "p", "pre", "strong", "summary", "ul"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }


def test_markdown_text_renders_back_to_the_text_itself():
    rendered = (
        markdown_it.MarkdownIt("commonmark")
        .enable("table")
        .render(f"| a |\n|---|\n| {markdown_text(HOSTILE)} |")
    )
    assert "<script" not in rendered
    assert "<a " not in rendered
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in rendered
    assert "*_`[x](http://x)`" in rendered
    assert rendered.count("<td") == 1


@pytest.mark.parametrize(
    ("rows", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (20_000, "10K<n<100K"), (10**8, "n>10M")]
)
def test_the_size_category_follows_from_the_rows(rows, name):
    assert size_category(rows) == name


def test_the_label_mix_counts_a_row_once_per_label_and_the_unlabelled_apart():
    severities = pa.array([{"blur": 0.2}, {"blur": 0.6}, {"blur": 0.0}])
    table = pa.table({"labels": [["blur"], ["blur", "jpeg"], []], "severities": severities})
    mix = {row["label"]: (row["count"], row["severity"]) for row in label_mix(table)}
    # Median of 0.2 and 0.6 for blur; jpeg has a label but no severity.
    assert mix == {"blur": (2, pytest.approx(0.4)), "jpeg": (1, None), "(none)": (1, None)}
