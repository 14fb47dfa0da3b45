"""The command line as a person uses it: results that can be opened, and errors that say what to do."""

import json
import shutil
import subprocess
import sys
import time

import duckdb
import pytest
import yaml

from catalog import link, views
from catalog.files import FolderGone
from catalog.release.export import verify_dataset
from catalog.store import Catalog
from pipelines.build.history import relink
from tests.pipelines.builds import ENVIRONMENT
from tests.pipelines.test_recipe import DEMO


def lucidlr(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        check=False,
        timeout=300,
    )


def test_a_crawl_of_a_real_wiki_without_contact_is_refused_before_anything_is_sent(tmp_path):
    recipe = DEMO.parent / "lucidlr_20k.yaml"
    done = lucidlr("build", recipe, "--out", tmp_path, LUCIDLR_CONTACT="")
    assert done.returncode == 1
    assert "Pass --contact" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_recipe_key_is_one_line_not_a_traceback(tmp_path):
    content = yaml.safe_load(DEMO.read_text())
    content["extra_mesures"] = []
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump(content))
    done = lucidlr("build", bad, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert (
        "unknown key 'extra_mesures' at extra_mesures; did you mean 'extra_measures'?"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_an_unknown_measure_names_the_nearest(tmp_path):
    content = yaml.safe_load(DEMO.read_text())
    content["extra_measures"] = ["edge_sigmas"]
    bad = tmp_path / "bad.yaml"
    bad.write_text(yaml.safe_dump(content))
    done = lucidlr("build", bad, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "did you mean 'edge_sigma'?" in done.stderr


@pytest.mark.parametrize("command", ["failures", "explain x", "relink", "verify"])
def test_commands_on_a_folder_without_a_build_say_so(tmp_path, command):
    done = lucidlr(*command.split(), "--out", tmp_path / "nothing")
    assert done.returncode == 1
    assert str(tmp_path / "nothing") in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy():
    heavy = ("torch", "prefect", "duckdb", "pyarrow", "cv2", "numba")
    code = f"import sys, pipelines.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
class TestAFinishedBuild:
    """Read-only looks at the small build that other tests share."""

    def test_failures_are_listed_by_kind_with_what_to_do(self, small_build):
        done = lucidlr("failures", "--out", small_build)
        rows = {
            line.split()[1]: line.split()[2:4]
            for line in done.stdout.splitlines()[1:]
            if line.startswith("download")
        }
        assert rows["gone"] == ["1", "no"]
        assert rows["corrupt"][1] == "no"
        assert rows["html_instead_of_image"] == ["1", "yes"]
        assert rows["sha1_mismatch"] == ["1", "yes"]
        assert rows["truncated"] == ["1", "yes"]
        assert "Retry the retryable ones with:" in done.stdout
        assert "--retry" in done.stdout

    def test_the_catalog_opens_with_plain_duckdb_from_another_folder(self, small_build, tmp_path):
        script = (
            "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
            "print(c.execute('select license, count(*) from samples group by 1 order by 1').fetchall()); "
            "[c.execute(f'select count(*) from {t}').fetchall() for t in sys.argv[2:]]"
        )
        names = [
            "samples",
            "decisions",
            "runs",
            "failures",
            "rules",
            "files",
            "hashes",
            "measures",
            "scores",
            "ledger",
        ]
        done = subprocess.run(
            [sys.executable, "-c", script, small_build / "lucidlr.duckdb", *names],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "CC-BY-SA-4.0" in done.stdout

    def test_every_candidate_and_rule_stands_in_the_ledger(self, small_build):
        with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as c:
            ((candidates,),) = c.execute("select count(*) from decisions").fetchall()
            ((rules,),) = c.execute("select count(*) from rules").fetchall()
            ((cells,),) = c.execute("select count(*) from ledger").fetchall()
            verdicts = {v for (v,) in c.execute("select distinct verdict from ledger").fetchall()}
        assert candidates == 120
        assert cells == candidates * rules
        assert verdicts == {"pass", "fail", "not_measured"}

    def test_explain_tells_the_way_of_a_loser_and_who_beat_it(self, small_build):
        with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as c:
            title, sha1, winner = c.execute(
                "select d.title, d.sha1, w.title from decisions d "
                "join decisions w on w.page_id = d.duplicate_of limit 1"
            ).fetchall()[0]
        by_title, by_sha1 = (
            lucidlr("explain", title, "--out", small_build),
            lucidlr("explain", sha1, "--out", small_build),
        )
        assert by_title.returncode == 0, by_title.stderr
        assert by_title.stdout == by_sha1.stdout
        assert "dropped: near_duplicate:copy" in by_title.stdout
        assert f"beaten by {winner}" in by_title.stdout
        assert "degraded" in by_title.stdout
        nobody = lucidlr("explain", "File:Nobody.jpg", "--out", small_build)
        assert nobody.returncode == 1
        assert "is no candidate" in nobody.stderr

    def test_images_load_with_datasets(self, small_build, tmp_path):
        script = (
            "import sys, datasets; d = datasets.load_dataset('parquet', data_files=sys.argv[1], split='train'); "
            "print(len(d), d[0]['image'].size, d[0]['attribution_line'])"
        )
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                script,
                str(small_build / "dataset" / "data" / "**" / "*.parquet"),
            ],
            env={**ENVIRONMENT, "HF_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "via Wikimedia Commons" in done.stdout

    def test_verify_finds_a_flipped_byte(self, small_build, tmp_path):
        copy = tmp_path / "copy"
        shutil.copytree(small_build / "dataset", copy / "dataset")
        assert lucidlr("verify", "--out", copy).returncode == 0
        shard = next((copy / "dataset").rglob("*.parquet"))
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        done = lucidlr("verify", "--out", copy)
        assert done.returncode == 1
        assert shard.name in done.stdout

    def test_a_moved_build_is_linked_anew(self, small_build, tmp_path):
        moved = tmp_path / "moved"
        shutil.copytree(small_build, moved)
        assert lucidlr("relink", "--out", moved).returncode == 0
        with duckdb.connect(str(moved / "lucidlr.duckdb"), read_only=True) as c:
            (sql,) = c.execute(
                "select sql from duckdb_views() where view_name = 'hashes'"
            ).fetchall()[0]
            ((rules,),) = c.execute("select count(*) from rules").fetchall()
        assert str(moved) in sql
        assert rules > 5

    def test_too_little_memory_for_the_database_costs_time_and_no_row(
        self, small_build, tmp_path, monkeypatch
    ):
        moved = tmp_path / "moved"
        shutil.copytree(small_build, moved)
        counted = "select (select count(*) from {0}), (select count(distinct page_id) from {0})"

        def rows():
            with duckdb.connect(str(moved / "lucidlr.duckdb"), read_only=True) as c:
                tables = ("decisions", "samples")
                return [c.execute(counted.format(table)).fetchone() for table in tables]

        relink(moved)
        before = rows()
        connections = []
        connect = link.connect

        def counting(*args, **kwargs):
            connections.append(args)
            return connect(*args, **kwargs)

        monkeypatch.setattr(link, "connect", counting)
        monkeypatch.setattr(link, "LINK_MB", 32)
        relink(moved)
        enough = len(connections)
        monkeypatch.setattr(link, "LINK_MB", 1)
        relink(moved)
        assert len(connections) > 2 * enough, "a megabyte must have been too little for some step"
        assert rows() == before
        assert before[0][0] == before[0][1] > before[1][0] > 0

    def test_no_run_dependent_value_stands_in_a_shard(self, small_build):
        with duckdb.connect() as c:
            shards = str(small_build / "dataset" / "data" / "*" / "*.parquet")
            names = {
                row[0]
                for row in c.execute(f"describe select * from read_parquet('{shards}')").fetchall()
            }
        assert not names & {
            "fetched_at",
            "api_version",
            "revision_id",
            "raw_json",
            "source",
            "recipe_hash",
        }
        assert verify_dataset(small_build / "dataset") == []

    def test_the_evidence_says_what_commons_said_and_when(self, small_build):
        with duckdb.connect() as c:
            rows = c.execute(
                f"select page_id, revision_id, fetched_at, api_version, raw_json from '{small_build}/evidence.parquet'"
            ).fetchall()
        assert len({row[0] for row in rows}) == 120
        page_id, revision_id, fetched_at, api_version, raw = rows[0]
        assert json.loads(raw)["pageid"] == page_id
        assert json.loads(raw)["lastrevid"] == revision_id
        assert api_version.startswith("MediaWiki")
        assert abs(fetched_at.timestamp() - time.time()) < 3600

    def test_the_request_log_keeps_to_the_limits(self, small_build):
        with duckdb.connect(str(small_build / "lucidlr.duckdb"), read_only=True) as c:
            rows = dict(
                c.execute("select kind, max(in_flight) from requests group by 1").fetchall()
            )
            ((strange,),) = c.execute(
                "select count(*) from requests where host not in ('commons.wikimedia.org', 'upload.wikimedia.org')"
            ).fetchall()
            ((thumbs,),) = c.execute(
                "select count(*) from requests where url like '%/thumb/%'"
            ).fetchall()
        assert rows["media"] <= 2
        assert rows["api"] <= 3
        assert (strange, thumbs) == (0, 0)


@pytest.mark.slow
def test_two_that_link_at_once_are_told_apart_and_both_leave_a_whole_database(
    small_build, tmp_path
):
    out = tmp_path / "demo"
    shutil.copytree(small_build, out)
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "relink", "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for _ in range(2)
    ]
    told = [(process.communicate(timeout=300)[1], process.returncode) for process in commands]
    assert all("Traceback" not in text for text, _ in told)
    assert all(code == 0 or "is being built by process" in text for text, code in told)
    with duckdb.connect(str(out / "lucidlr.duckdb"), read_only=True) as database:
        assert database.execute("SELECT count(*) FROM samples").fetchone()[0] > 0


def test_a_folder_that_is_removed_while_it_is_built_in_is_told(tmp_path):
    catalog = Catalog(tmp_path / "out" / "catalog")
    with pytest.raises(FolderGone, match="removed, moved or unmounted"), catalog.locked():
        shutil.rmtree(tmp_path / "out")
        catalog.plan("measure", ["a"], ["blur@1"], batch_size=1)
        with views.opened(catalog):
            pass


def test_the_database_has_the_storage_version_that_older_duckdb_reads(tmp_path):
    catalog = Catalog(tmp_path / "catalog")
    link.make_database(catalog, tmp_path / "a.duckdb", recipe_hash="", tables={})
    head = (tmp_path / "a.duckdb").read_bytes()[8:20]
    # DUCK, then the version of the storage: 65 is that of 1.2.0, 64 of all before.
    assert head[:4] == b"DUCK"
    assert int.from_bytes(head[4:12], "little") <= 65
