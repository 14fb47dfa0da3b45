"""Facts to decisions, on a small table by hand."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.facts import VERDICT
from catalog.records import FileRecord, ListingRow, to_table
from catalog.store import LISTING, Catalog
from filters.degradation import DegradationPolicy, LabelCurve
from filters.duplicates.hashing import VERSION
from filters.duplicates.leakage import INDEX, LeakagePolicy
from filters.policy import Rule
from filters.sampling import SamplingPolicy
from pipelines.build.decide import decide
from pipelines.build.gate import passes_gate, verdicts_of, with_geometry, with_hints
from pipelines.build.publish import samples_of
from pipelines.recipe import load_recipe
from tests.pipelines.test_recipe import DEMO

CURVE = LabelCurve(
    label="blur", measure="edge_sigma", mild=1.0, moderate=2.0, severe=4.0, why="test"
)
RECIPE = load_recipe(DEMO).model_copy(
    update={
        "scores": (),
        "extra_measures": (),
        "degradation": DegradationPolicy(classifier=None, curves=(CURVE,)),
        "sampling": SamplingPolicy(),
    }
)


def file(page_id, **changes):
    free = {
        "page_id": page_id,
        "title": f"File:{page_id}.jpg",
        "sha1": f"{page_id:040x}",
        "mime": "image/jpeg",
        "width": 128,
        "height": 128,
        "size_bytes": 9000,
        "license_code": "cc-by-4.0",
        "license_url": "https://creativecommons.org/licenses/by/4.0",
        "artist": "A",
        "uploaded_at": datetime(2010, 1, 1, tzinfo=UTC),
    }
    return FileRecord(**{**free, **changes})


def candidates(rows):
    """(FileRecord, object, phash, edge_sigma) as the catalog joins them."""
    table = to_table([row[0] for row in rows], FileRecord)
    hashes = [row[2] for row in rows]
    spread = [None if h is None else 50.0 for h in hashes]
    size = [None if h is None else 128 for h in hashes]
    mirror = [None if h is None else (1 << 63) | (i << 30) | 0x5A5A5A for i, h in enumerate(hashes)]
    columns = {
        "source": pa.array(["s"] * len(rows)),
        "removed": pa.array(["none"] * len(rows)),
        "at_source": pa.array(["s"] * len(rows)),
        "at_part": pa.array([0] * len(rows)),
        "at_row": pa.array(range(len(rows)), pa.int64()),
        "object": pa.array([row[1] for row in rows], pa.string()),
        "phash": pa.array(hashes, pa.uint64()),
        "dhash": pa.array(hashes, pa.uint64()),
        "phash_mirror": pa.array(mirror, pa.uint64()),
        "dhash_mirror": pa.array(mirror, pa.uint64()),
        "spread": pa.array(spread, pa.float64()),
        "decoded_width": pa.array(size, pa.int64()),
        "decoded_height": pa.array(size, pa.int64()),
        "measure.edge_sigma": pa.array([row[3] for row in rows], pa.float64()),
        "measure.textured_share": pa.array([row[3] and 1.0 for row in rows], pa.float64()),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    verdicts = verdicts_of(table)
    for name in VERDICT:
        table = table.append_column(name, verdicts.column(name))
    return with_hints(with_geometry(table), RECIPE)


FAR = [0x0, 0xFFFFFFFF, 0xFFFFFFFF00000000, 0xFFFF0000FFFF0000, 0x00FF00FF00FF00FF]
ROWS = [
    (file(1), "present", FAR[0], 3.0),
    (file(2, width=100), "present", FAR[0] ^ 1, 3.0),
    (file(3), "present", FAR[1], 0.5),
    (file(4, license_code="cc-by-nc-4.0"), None, None, None),
    (file(5), "corrupt", None, None),
    (file(6, width=40), None, None, None),
    (file(7), "present", FAR[2], None),
    (file(8), "present", FAR[3], 2.0),
]


@pytest.fixture(scope="module")
def outcome():
    return decide(candidates(ROWS), RECIPE, recipe_hash="abc")


def test_every_candidate_has_a_decision_with_a_reason(outcome):
    reasons = dict(
        zip(
            outcome.decisions.column("page_id").to_pylist(),
            outcome.decisions.column("reason").to_pylist(),
            strict=True,
        )
    )
    assert reasons == {
        1: "kept",
        2: "near_duplicate:copy",
        3: "degraded",
        4: "license:license_not_allowed:cc-by-nc-4.0",
        5: "object:corrupt",
        6: "short_side",
        7: "degraded:not_measured",
        8: "kept",
    }


def test_the_loser_of_a_cluster_knows_who_beat_it(outcome):
    rows = {row["page_id"]: row for row in outcome.decisions.to_pylist()}
    assert (rows[2]["duplicate_of"], rows[2]["cluster_id"]) == (1, 1)
    assert rows[1]["duplicate_of"] is None
    assert rows[4]["cluster_id"] is None


def test_rules_are_evaluated_for_everybody_also_behind_a_failure(outcome):
    rows = {row["page_id"]: row["failed_rules"] for row in outcome.decisions.to_pylist()}
    assert rows[6] == ["short_side", "object", "near_duplicate", "degraded"]
    verdicts = outcome.ledger.wide.column("license:verdict").to_pylist()
    assert verdicts == ["pass", "pass", "pass", "fail", "pass", "pass", "pass", "pass"]


def test_the_funnel_counts_what_each_rule_leaves(outcome):
    assert outcome.funnel == [
        ("listed", 8),
        ("removed", 8),
        ("file", 8),
        ("license", 7),
        ("mime", 7),
        ("short_side", 6),
        ("bytes_per_pixel", 6),
        ("object", 5),
        ("near_duplicate", 4),
        ("degraded", 2),
    ]


def test_samples_carry_labels_severities_and_measures(outcome, tmp_path):
    catalog = Catalog(tmp_path)
    seen = ListingRow(
        source="s",
        source_path="",
        fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        api_version="",
        raw_json="{}",
    )
    listed = to_table([row[0] for row in ROWS], FileRecord)
    evidence = to_table([seen] * len(ROWS), ListingRow)
    listing = pa.Table.from_arrays([*listed.columns, *evidence.columns], schema=LISTING)
    catalog.append_listing("s", listing, None)
    row = samples_of(outcome, RECIPE, catalog).to_pylist()[0]
    assert row["artist"] == "A"
    assert (row["page_id"], row["license"], row["family"], row["split"]) == (
        1,
        "CC-BY-4.0",
        "cc_by",
        "train",
    )
    assert row["labels"] == ["blur"]
    assert row["severities"]["blur"] == 0.75  # halfway between moderate (2, 0.5) and severe (4, 1)
    assert row["measures"] == {"edge_sigma": 3.0, "textured_share": 1.0}


def test_the_gate_asks_metadata_only_and_lets_through_what_may_be_fetched():
    assert passes_gate(candidates(ROWS), RECIPE).tolist() == [
        True,
        True,
        True,
        False,
        True,
        False,
        True,
        True,
    ]


def test_a_cap_draws_some_of_the_accepted_and_says_so_of_the_others():
    recipe = RECIPE.model_copy(update={"sampling": SamplingPolicy(max_samples=1)})
    found = decide(candidates(ROWS), recipe, recipe_hash="abc")
    assert sorted(found.decisions.column("reason").to_pylist()).count("not_drawn") == 1
    assert found.funnel[-1] == ("drawn", 1)


def test_a_file_that_fails_the_gate_is_nobodys_twin():
    rows = [
        (file(1, license_code="cc-by-nc-4.0"), "present", FAR[0], 3.0),
        (file(2), "present", FAR[0], 3.0),
    ]
    found = decide(candidates(rows), RECIPE, recipe_hash="abc")
    assert found.decisions.column("keep").to_pylist() == [False, True]


def test_no_candidates_give_no_decisions():
    found = decide(candidates([]), RECIPE, recipe_hash="abc")
    assert found.decisions.num_rows == 0
    assert found.kept.to_pylist() == []


def test_a_degraded_copy_of_a_clean_photograph_says_so():
    rows = [
        (file(1, width=200, height=200), "present", FAR[0], 0.5),
        (file(2), "present", FAR[0] ^ 1, 3.0),
        (file(3), "present", FAR[1], 3.0),
        (file(4, width=90, height=90), "present", FAR[1] ^ 1, 3.0),
    ]
    table = candidates(rows)
    # The decoded size decides which copy is the better one.
    size = pa.array([200, 128, 128, 90], pa.int64())
    for name in ("decoded_width", "decoded_height"):
        table = table.set_column(table.column_names.index(name), name, size)
    found = decide(table, RECIPE, recipe_hash="abc")
    assert found.decisions.column("reason").to_pylist() == [
        "degraded",
        "near_duplicate:copy_of_clean",
        "kept",
        "near_duplicate:copy",
    ]


def test_benchmark_images_are_kept_out_by_a_rule_on_their_fingerprints(tmp_path):
    index = tmp_path / "benchmarks.parquet"
    row = {"benchmark": "RealSR", "name": "1.png", "phash": FAR[1] ^ 7, "dhash": FAR[1]}
    row |= {"spread": 50.0, "version": VERSION}
    pq.write_table(pa.Table.from_pylist([row], schema=INDEX), index)
    rule = Rule(name="benchmark", value="leak_distance", min=13, if_missing="pass", why="test")
    recipe = RECIPE.model_copy(
        update={"leakage": LeakagePolicy(index=str(index)), "rules": (*RECIPE.rules, rule)}
    )
    rows = [(file(n), "present", FAR[n], 3.0) for n in (0, 1, 2)]
    rows = [(file(n + 1), state, phash, value) for n, (_, state, phash, value) in enumerate(rows)]
    found = decide(candidates(rows), recipe, recipe_hash="abc")
    assert found.decisions.column("reason").to_pylist() == ["kept", "benchmark", "kept"]
    assert found.facts.column("leak_of").to_pylist()[1] == "RealSR: 1.png"
    assert recipe.hash([]) != RECIPE.hash([])
    moved = tmp_path / "elsewhere.parquet"
    index.rename(moved)
    again = recipe.model_copy(update={"leakage": LeakagePolicy(index=str(moved))})
    pq.write_table(pq.read_table(moved), index)
    assert again.hash([]) == recipe.hash([])


def held_out(table, *pages):
    """The table with these pages in the frozen test split."""
    held = ["test" if page in pages else None for page in table.column("page_id").to_pylist()]
    return table.append_column("held_out", pa.array(held, pa.string()))


def by_page(outcome):
    rows = outcome.decisions.select(["page_id", "split", "reason"]).to_pylist()
    return {row["page_id"]: (row["split"], row["reason"]) for row in rows}


def test_the_frozen_split_is_test_whatever_is_drawn_and_no_twin_of_it_is_in_another():
    # 1 and 2 are twins of which 1 would stay; 6 is a twin of 5 and of 7, which are none of each other.
    step = FAR[4] ^ 0xFFF
    rows = [
        *ROWS[:2],
        (file(5, width=100), "present", FAR[4], 3.0),
        (file(6, uploader="Z"), "present", step, 3.0),
        (file(7), "present", step ^ 0xFFF000, 3.0),
        (file(8, uploader="Z"), "present", FAR[1], 3.0),
        (file(9), "present", FAR[3], 3.0),
    ]
    table = candidates(rows)
    plain = by_page(decide(table, RECIPE, recipe_hash="h"))
    assert plain[1] == ("train", "kept")
    assert plain[2] == (None, "near_duplicate:copy")
    sampling = SamplingPolicy(max_samples=3, together=("cluster", "uploader"))
    recipe = RECIPE.model_copy(update={"sampling": sampling})
    found = by_page(decide(held_out(table, 2, 5), recipe, recipe_hash="h"))
    # The frozen copy stays, though the other one has more pixels.
    assert found[2] == ("test", "kept")
    assert found[1] == (None, "near_duplicate:copy")
    assert found[5] == ("test", "kept")
    assert found[6] == (None, "near_duplicate:copy")
    # A twin of a twin passes the rule on twins, and is in no split all the same.
    assert found[7] == (None, "like_test")
    # Two of three are the test split: one is drawn.
    assert sorted(found[page][1] for page in (8, 9)) == ["kept", "not_drawn"]
    assert {split for split, reason in found.values() if reason == "kept"} == {"test", "train"}


def test_new_bytes_under_the_page_of_a_test_picture_are_not_trained_on():
    table = candidates(ROWS[:1]).append_column("held_out", pa.array(["replaced"]))
    assert by_page(decide(table, RECIPE, recipe_hash="h"))[1] == (None, "like_test")


def test_a_frozen_picture_that_a_rule_on_rights_stops_is_in_no_split():
    table = held_out(candidates(ROWS), 4)
    assert by_page(decide(table, RECIPE, recipe_hash="h"))[4][0] is None
