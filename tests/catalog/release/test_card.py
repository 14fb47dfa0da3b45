"""The dataset card: valid front matter, numbers that come from the tables, foreign text that stays text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import markdown_it
import pyarrow as pa
import pytest

from catalog.release.card import balance, label_mix, markdown_text, name_repository, render_card
from catalog.release.export import export_dataset
from catalog.release.front_matter import size_category
from catalog.release.manifest import load_manifest, verify_dataset
from catalog.release.tombstones import TOMBSTONES, no_tombstones, write_tombstones
from tests.catalog.release.release_samples import HOSTILE, reader, release

FUNNEL = [("listed", 96), ("license <b>|accepted|</b>", 48), ("chosen", 24)]


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
    configs = {"all": 24, "pd_cc0": 8, "cc_by": 8, "cc_by_sa": 8}
    assert set(datasets.get_dataset_config_names(str(out))) == set(configs)
    for config, rows in configs.items():
        loaded = datasets.load_dataset(str(out), config, cache_dir=str(tmp_path))
        assert sum(loaded.num_rows.values()) == rows
        assert set(loaded) == {"train", "test"}
        assert loaded["train"][0]["image"].size == (140, 140)
        streamed = datasets.load_dataset(str(out), config, streaming=True)
        read = {split: [row["page_id"] for row in part] for split, part in streamed.items()}
        assert read == {split: loaded[split]["page_id"] for split in loaded}
        if config != "all":
            assert {row["family"] for row in streamed["train"]} == {config}
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
    assert sorted(set(re.findall(r"config_name: (\w+)", text))) == ["all", "cc_by"]
    assert "> **A demo \\| not Commons**" in text
    assert "No photograph of this release belongs to `pd_cc0`, `cc_by_sa`:" in text


def test_the_numbers_are_those_of_the_tables(made):
    samples, manifest, _, text = made
    assert "24 naturally degraded photographs" in text
    for license in manifest.counts["license"]:
        assert re.search(rf"^\| `{license}` \|.*\| 8 \| 33\.3 % \|$", text, re.MULTILINE)
    blurred = manifest.counts["label"]["blur"]
    # The target is about the main degradation: blur is it where its severity is not below that of jpeg.
    mainly = sum(
        "blur" in labels and levels["blur"] >= levels["jpeg"]
        for labels, levels in zip(
            samples["labels"].to_pylist(), samples["severities"].to_pylist(), strict=True
        )
    )
    assert 0 < mainly < blurred
    shares = f"{100 * blurred / 24:.1f} % | {100 * mainly / 24:.1f} % | 40.0 %"
    assert f"| blur | {blurred} | {shares} |" in text
    assert "| noise | 0 | 0.0 % | 0.0 % | 10.0 % |" in text
    assert manifest.dataset_hash in text
    assert "| chosen | 24 | 25.0 % |" in text
    with pytest.raises(ValueError, match="pass the exported one"):
        render_card(manifest, samples=samples.slice(1), funnel=FUNNEL)


def test_the_numbers_of_the_card_follow_the_data(made, tmp_path):
    samples, *_ = made
    _, store = release()
    # A third of the rows, all under another license, half as many with a label, and other sizes.
    less = samples.slice(0, 8)
    values = {
        "license": pa.array(["CC-BY-SA-2.0"] * 8),
        "family": pa.array(["cc_by_sa"] * 8),
        "labels": pa.array([["blur"]] * 3 + [[]] * 5),
        "width": pa.array([300] * 8, pa.int64()),
        "uploaded_at": pa.array([datetime(1999, 1, 1, tzinfo=UTC)] * 8, pa.timestamp("s", "UTC")),
    }
    for name, column in values.items():
        less = less.set_column(less.column_names.index(name), name, column)
    less = less.set_column(
        less.column_names.index("artist"), "artist", pa.array(["Somebody"] * 8, pa.string())
    )
    graves = no_tombstones()
    manifest = export_dataset(
        less,
        read_bytes=reader(store),
        out=tmp_path / "d",
        recipe={},
        recipe_hash="other",
        name="less",
        version="0.3.0",
        previous="a" * 64,
        tombstones=graves,
    )
    text = render_card(manifest, samples=less, funnel=[("chosen", 8)], tombstones=graves)
    assert "\n8 naturally degraded photographs" in text
    assert re.search(r"^\| `CC-BY-SA-2.0` \|.*\| 8 \| 100\.0 % \|$", text, re.MULTILINE)
    assert "`CC-BY-4.0`" not in text
    assert "| blur | 3 | 37.5 % |" in text
    assert "| (none) | 5 | 62.5 % |" in text
    assert "Size: median 300 x 140 pixels" in text
    assert "Uploaded 1999 to 1999" in text
    assert f"- version `0.3.0`, follows the release with dataset hash `{'a' * 64}`" in text
    assert manifest.dataset_hash in text
    assert "what may be in no release, 0 entries:" in text


def test_the_card_counts_the_tombstones_and_its_snippet_takes_the_rows_out(made, tmp_path):
    samples, manifest, out, plain = made
    assert "tombstones.parquet" not in plain, "a release without the file does not speak of it"
    # One page, and one version of another; rows stand in the order of page ids, 1000 + 7 n.
    gone = {1000, 1007}
    rows = [
        (1000, None, "requested", "page"),
        (5, samples["sha1"][1].as_py(), "overwritten", "version"),
        (6, None, "requested", "page"),
    ]
    graves = pa.Table.from_pylist(
        [
            {"page_id": page, "sha1": sha1, "date": date(2026, 1, 1), "reason": why, "kind": kind}
            for page, sha1, why, kind in rows
        ],
        TOMBSTONES,
    )
    text = render_card(manifest, samples=samples, funnel=FUNNEL, tombstones=graves)
    assert "3 entries (requested 2, overwritten 1)" in text
    (snippet,) = re.findall(r"```python\n(import pyarrow.*?)```", text, re.DOTALL)
    import datasets

    write_tombstones(graves, tmp_path)
    names = {
        "dataset": datasets.load_dataset(
            str(out), "all", split="train+test", cache_dir=str(tmp_path / "cache")
        )
    }
    exec(snippet.replace('"tombstones.parquet"', repr(str(tmp_path / "tombstones.parquet"))), names)
    assert set(names["dataset"]["page_id"]) == set(samples["page_id"].to_pylist()) - gone


def test_the_card_says_what_the_dataset_is_and_is_not(made):
    *_, text = made
    assert "open re-creation of the LucidLR described in the LucidNFT paper" in text
    assert "The images are not theirs" in text
    for heading in (
        "Licenses",
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
    assert page.count("<table>") == 7
    assert "license &lt;b&gt;|accepted|&lt;/b&gt;" in page.replace("&amp;lt;", "&lt;")
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


def test_the_main_degradation_is_the_one_with_the_largest_severity_and_its_shares_add_up():
    rows = [
        {"labels": ["blur", "jpeg"], "severities": {"blur": 0.6, "jpeg": 0.9}},
        {"labels": ["blur", "jpeg"], "severities": {"blur": 0.7, "jpeg": 0.7}},
        {"labels": ["blur"], "severities": {"blur": 0.5, "jpeg": 0.4}},
        {"labels": [], "severities": {"blur": 0.1, "jpeg": 0.0}},
    ]
    target = {"blur": 0.5, "noise": 0.2, "none": 0.3}
    mix = {row["label"]: row for row in label_mix(pa.Table.from_pylist(rows), target)}
    assert {label: (row["main"], row["target"]) for label, row in mix.items()} == {
        "blur": (0.5, 0.5),
        "jpeg": (0.25, None),
        "(none)": (0.25, 0.3),
        "noise": (0.0, 0.2),
    }
    assert mix["blur"]["share"] == 0.75


def test_the_header_tells_the_columns_as_datasets_reads_them(made):
    import datasets
    import yaml

    _, manifest, out, text = made
    header = yaml.safe_load(text.split("---")[1])
    assert header["license_link"] == "LICENSES.md"
    info = {entry["config_name"]: entry for entry in header["dataset_info"]}
    shards = str(out / "data" / "*" / "*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=shards, split="train", streaming=True)
    assert datasets.Features._from_yaml_list(info["all"]["features"]) == loaded.features
    # Every row stands in `all` and in its family's configuration.
    rows = {n: sum(s["num_examples"] for s in e["splits"]) for n, e in info.items()}
    assert rows["all"] == manifest.rows == sum(n for name, n in rows.items() if name != "all")
    assert info["all"]["dataset_size"] == sum(shard.bytes for shard in manifest.shards)
    # The whole header as `datasets` takes it from a repository.
    datasets.info.DatasetInfosDict.from_dataset_card_data(datasets_card(text))


def datasets_card(text):
    from huggingface_hub import DatasetCard

    return DatasetCard(text).data


def test_a_push_writes_its_repository_into_the_card_and_the_release_stays_whole(made, tmp_path):
    import shutil

    out = tmp_path / "dataset"
    shutil.copytree(made[2], out)
    before = load_manifest(out)
    assert name_repository(out, "lab/set")
    assert 'load_dataset("lab/set", "all", split="train")' in (out / "README.md").read_text()
    assert "<this repository>" not in (out / "README.md").read_text()
    assert verify_dataset(out) == []
    assert load_manifest(out).dataset_hash == before.dataset_hash
    assert not name_repository(out, "lab/set"), "it is there already"
    assert name_repository(out, "lab/other")
    # A card that somebody changed by hand is theirs; verify tells of it.
    (out / "README.md").write_text("mine")
    assert not name_repository(out, "lab/set")
    assert verify_dataset(out) != []


def test_the_balance_counts_what_is_known_and_names_what_is_not_measured(made):
    samples, *_, text = made
    by_name = {row["name"]: row for row in balance(samples)}
    uploaders = [name for name in samples.column("uploader").to_pylist() if name is not None]
    row = by_name["uploader"]
    most = max(uploaders.count(name) for name in set(uploaders))
    assert row["different"] == len(set(uploaders))
    assert row["largest"] == most / len(uploaders)
    assert row["missing"] == samples.num_rows - len(uploaders)
    assert by_name["license"]["missing"] == 0
    for name in ("scenes", "faces", "text in the picture"):
        assert f"| {name} | not measured |" in text
