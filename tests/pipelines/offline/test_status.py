"""`status`, `failures` and `explain` while a build runs, and `clean` after several recipes."""

import pytest

from catalog.explain import explain_lines, failure_lines
from catalog.store import Catalog, CatalogLocked
from crawler.names import read_name
from pipelines.build import driver
from pipelines.build.driver import build
from pipelines.build.runners import pool_runner
from pipelines.offline.clean import clean, clean_lines, old_decisions
from pipelines.offline.refilter import refilter
from pipelines.offline.status import status, status_lines
from tests.pipelines.build.test_clusters import small

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A build, and what was answered in the middle of it, when measuring began."""
    out = tmp_path_factory.mktemp("status") / "demo"
    answers = {}
    compute = driver._compute

    def look_first(run, stage, keys, versions):
        if stage == "measure":
            answers["status"] = status(out)
            answers["failures"] = failure_lines(out)
            title = next(iter(listed(out)))
            answers["explain"] = explain_lines(out, title, named=read_name)
            answers["title"] = title
        return compute(run, stage, keys, versions)

    with pool_runner("threads", 2) as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_compute", look_first)
        result = build(small(64), out=out, runner=runner)
    return out, result, answers


def listed(out):
    from catalog.views import opened

    with opened(Catalog(out / "catalog"), "listing") as connection:
        query = "SELECT title FROM listing WHERE page_id IS NOT NULL ORDER BY page_id"
        return [title for (title,) in connection.sql(query).fetchall()]


def test_a_running_build_is_told_from_committed_parts(seen):
    _, result, answers = seen
    during = answers["status"]
    assert during.holder is not None
    assert sum(one.listed for one in during.sources) >= dict(result.funnel)["listed"]
    stages = {one.stage: one for one in during.stages}
    assert stages["download"].done == stages["download"].planned == during.passed > 40
    assert stages["hash"].done == stages["hash"].planned
    assert "measure" not in stages
    assert during.media_bytes > 10_000
    assert all(one.kept == 0 for one in during.sources)
    text = "\n".join(status_lines(during))
    assert "passed the gate" in text
    assert "category LucidLR demo (depth 2)" in text


def test_failures_and_explain_answer_before_the_first_build_is_at_its_end(seen):
    _, _, answers = seen
    assert any("sha1_mismatch" in line for line in answers["failures"])
    assert answers["title"] in answers["explain"][0]
    assert "not decided yet" in answers["explain"][0]


def test_a_finished_build_is_held_by_nobody_and_knows_what_it_kept(seen):
    out, result, _ = seen
    after = status(out)
    assert after.holder is None
    assert sum(one.kept for one in after.sources) >= result.funnel[-1][1]
    assert all(one.eta_s == 0.0 for one in after.stages)


def test_clean_tells_first_and_leaves_facts_and_what_is_in_use(seen):
    out, result, _ = seen
    other = small(64).model_copy(update={"seed": 5})
    refilter(other, out=out)
    back = refilter(small(64), out=out).result
    assert back.dataset_hash == result.dataset_hash
    found = old_decisions(out)
    assert len(found) == 1
    assert "Nothing was changed" in clean_lines(found, done=False)[-1]
    assert old_decisions(out, keep=[found[0].recipe_hash]) == []
    facts = sorted(
        p for p in (out / "catalog/parts").rglob("*.parquet") if "decision" not in str(p)
    )
    with Catalog(out / "catalog").locked(), pytest.raises(CatalogLocked):
        clean(out)
    assert clean(out) == found
    assert not any(path.exists() for path in found[0].paths)
    assert old_decisions(out) == []
    # The database forgot them, too.
    assert explain_lines(out, listed(out)[0])
    gone = set(facts) - set((out / "catalog/parts").rglob("*.parquet"))
    assert all("ledger" in str(path) for path in gone)
    # What was cleaned can be decided again, and gives what it gave.
    assert refilter(small(64), out=out).result.dataset_hash == result.dataset_hash
