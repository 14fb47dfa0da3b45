"""Refresh, purge, precompute and training, killed hard at any step on the disk: the same command again ends the same.

Builds have a file of their own (test_resume.py), pushes too (../release/test_push.py).
"""

import json
import os
import shutil

import pytest
import torch

import training.precompute
from catalog import sums
from pipelines.build.refresh import purge_removed, refresh, take_down
from pipelines.release.verify import problems
from tests.counts import rounds
from tests.kills import imported_first, killed_at, steps_of
from tests.pipelines.build.test_damage import built, recipe
from tests.pipelines.build.test_power import points
from tests.pipelines.builds import dataset_hash
from tests.training.small import SmallBackbone, parts, photographs, small_config
from training.precompute import Store, crops_of_training, makers, precompute
from training.rewards import load_reward
from training.train_nft import main

pytestmark = pytest.mark.slow

KILLS = 10
imported_first(__name__, "pipelines.build.driver", "crawler.loopback", "pipelines.build.stages")


class Refresh:
    """Three files are gone from the wiki since the build."""

    @staticmethod
    def begin(whole, out):
        shutil.copytree(whole, out)
        manifest = out / "corpus" / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text("utf-8"))[3:]), "utf-8")

    @staticmethod
    def work(out):
        refresh(recipe(), out=out, everything=True)

    @staticmethod
    def outcome(out):
        built(out)
        return dataset_hash(out), problems(out)


class Purge:
    """Six files were taken down."""

    @staticmethod
    def begin(whole, out):
        shutil.copytree(whole, out)
        items = json.loads((out / "corpus" / "manifest.json").read_text("utf-8"))
        take_down(out, [f"File:{item['filename']}" for item in items[:6]])
        built(out)

    @staticmethod
    def work(out):
        purge_removed(out)

    @staticmethod
    def outcome(out):
        objects = {p.name for p in (out / "catalog" / "objects").rglob("*") if p.is_file()}
        built(out)
        return objects, dataset_hash(out), problems(out)


class Train:
    """Four epochs, each with a checkpoint."""

    @staticmethod
    def begin(whole, out):
        pass

    @staticmethod
    def work(out):
        torch.set_num_threads(1)
        main(small_config(out, epochs=4, checkpoint_every=1), **parts())

    @staticmethod
    def outcome(out):
        done = main(small_config(out, epochs=4, checkpoint_every=1), **parts())
        weights = {name: value.numpy().tobytes() for name, value in done.ema.items()}
        return weights, done.rows, (out / "log.csv").read_text("utf-8")


class Precompute:
    """Embeddings, conditioning and the LR's own scores, two crops a part."""

    @staticmethod
    def begin(whole, out):
        pass

    @staticmethod
    def made(out):
        source, backbone = photographs(), SmallBackbone()
        rewards = [load_reward("lucid_consistency", size_px=32), load_reward("lr_faithfulness")]
        crops = crops_of_training(source, seed=0, epochs=3, groups=2)
        report = precompute(out, source, crops, makers(rewards, backbone))
        return report, crops, Store(out, rewards=rewards, backbone=backbone)

    @staticmethod
    def work(out):
        torch.set_num_threads(1)
        training.precompute.PART_CROPS = 2
        Precompute.made(out)

    @staticmethod
    def outcome(out):
        report, crops, store = Precompute.made(out)
        assert all(made.made == 0 for made in report), "all was there"
        held = {
            **store.shared("lucid_consistency", crops),
            **store.conditioning(crops),
            "own": store.baseline("lr_faithfulness", crops),
        }
        names = sorted(file.relative_to(out).as_posix() for file in out.rglob("*.parquet"))
        return {name: value.numpy().tobytes() for name, value in held.items()}, names


WORKS = {"refresh": Refresh, "purge": Purge, "train": Train, "precompute": Precompute}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A build that nothing disturbed."""
    out = tmp_path_factory.mktemp("kills") / "demo"
    built(out)
    return out


@pytest.fixture(scope="module")
def undisturbed(whole, tmp_path_factory):
    """Name of a work -> how many steps it took, and what came of it."""
    found = {}

    def of(name):
        if name not in found:
            out = tmp_path_factory.mktemp(name) / "out"
            WORKS[name].begin(whole, out)
            steps = steps_of(WORKS[name].work, out)
            found[name] = steps, WORKS[name].outcome(out)
        return found[name]

    return of


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("kill", range(rounds(KILLS, least=1)))
def test_what_is_killed_at_any_step_and_done_again_ends_as_if_nothing_had_been(
    whole, undisturbed, tmp_path, monkeypatch, name, kill
):
    monkeypatch.setattr(training.precompute, "PART_CROPS", 2)
    steps, outcome = undisturbed(name)
    work, out = WORKS[name], tmp_path / "out"
    work.begin(whole, out)
    step = points(steps, rounds(KILLS, least=1))[kill]
    assert killed_at(step, work.work, out)
    # A second kill in what should have mended the first.
    again = points(steps, 7)[kill % 7]
    killed_at(again, work.work, out)
    sums.forget()
    for left in out.rglob(".*.tmp"):
        # Where several may write at once, only what nobody has touched for a while is cleared away.
        os.utime(left, (1, 1))
    work.work(out)
    assert work.outcome(out) == outcome
    assert not list(out.rglob(".*.tmp"))
