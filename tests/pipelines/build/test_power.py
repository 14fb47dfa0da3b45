"""Power that goes at any moment: the same command again, and the dataset is that of an undisturbed run."""

import json
import random
import shutil

import pytest

from catalog import files, sums
from catalog.files import Disk
from pipelines.build.refresh import purge_removed, refresh, take_down
from pipelines.release.verify import problems
from tests.counts import rounds
from tests.pipelines.build.test_damage import built, recipe
from tests.pipelines.builds import dataset_hash
from tests.power import LosingDisk, PowerLost
from tests.training.small import parts, small_config
from training.train_nft import main

pytestmark = pytest.mark.slow

POINTS = 30


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A build, and how many steps on the disk it took."""
    out = tmp_path_factory.mktemp("power") / "demo"
    built(out)
    again = out.with_name("again")
    shutil.copytree(out / "corpus", again / "corpus")
    with LosingDisk(again, 10**9, chance=random.Random(0)) as disk, files.using(disk):
        built(again)
    assert dataset_hash(again) == dataset_hash(out)
    return out, disk.steps


def lose(out, last, work, seed=0, disk=LosingDisk):
    """Does `work` on a disk that loses power at step `last`; whether it did."""
    sums.forget()
    with disk(out, last, chance=random.Random(f"{seed} {last}")) as losing, files.using(losing):
        try:
            work()
        except PowerLost:
            lost = True
        else:
            lost = False
    losing.crash()
    sums.forget()
    return lost


def points(steps, count):
    """Evenly over all steps, each at a place of its own in its stretch."""
    chance = random.Random(20261127)
    return [int((n + chance.random()) * steps / count) for n in range(count)]


@pytest.mark.parametrize("point", range(rounds(POINTS)))
def test_a_build_that_loses_power_is_finished_by_the_same_command(undisturbed, tmp_path, point):
    whole, steps = undisturbed
    out = tmp_path / "demo"
    shutil.copytree(whole / "corpus", out / "corpus")
    last = points(steps, rounds(POINTS))[point]
    assert lose(out, last, lambda: built(out))
    built(out)
    assert dataset_hash(out) == dataset_hash(whole)
    assert problems(out) == []
    assert not list(out.rglob(".*.tmp"))


def test_a_disk_that_is_never_synced_would_lose_what_was_committed(tmp_path):
    """So that the tests above can fail."""

    class Careless(LosingDisk):
        def sync(self, path):
            self.step()

    out = tmp_path / "out"
    found = set()
    for seed in range(12):
        folder = out / str(seed)
        folder.mkdir(parents=True)

        def write(folder=folder):
            files.put(folder / "a", b"0123456789")
            files.put(folder / "b", b"0123456789")

        lose(folder, 4, write, seed, disk=Careless)
        found.add((folder / "a").read_bytes() if (folder / "a").exists() else None)
    assert found - {b"0123456789"}, "lost or halved at least once"


@pytest.mark.parametrize("last", range(0, 12))
def test_what_was_put_is_whole_or_as_it_was_wherever_the_power_goes(tmp_path, last):
    for seed in range(8):
        folder = tmp_path / str(seed)
        files.put(folder / "a", b"old")
        done = []

        def write(folder=folder, done=done):
            for content in (b"new", b"newer"):
                files.put(folder / "a", content)
                done.append(content)

        lose(folder, last, write, seed)
        found = (folder / "a").read_bytes()
        assert found in (b"old", b"new", b"newer")
        if done:
            assert found in (done[-1], b"newer"), "what a caller was told is written stays written"


@pytest.mark.parametrize("point", range(rounds(10, least=2)))
def test_a_refresh_that_loses_power_is_done_again(undisturbed, tmp_path, point):
    whole, _ = undisturbed

    def changed(name):
        out = tmp_path / name
        shutil.copytree(whole, out)
        manifest = out / "corpus" / "manifest.json"
        items = json.loads(manifest.read_text("utf-8"))
        manifest.write_text(json.dumps(items[3:]), "utf-8")
        return out

    once = changed("once")
    counting = LosingDisk(once, 10**9, chance=random.Random(0))
    with counting, files.using(counting):
        refresh(recipe(), out=once, everything=True)
    built(once)
    out = changed("lost")
    last = points(counting.steps, rounds(10, least=2))[point]
    assert lose(out, last, lambda: refresh(recipe(), out=out, everything=True))
    refresh(recipe(), out=out, everything=True)
    built(out)
    assert dataset_hash(out) == dataset_hash(once)
    assert problems(out) == []


@pytest.mark.parametrize("point", range(rounds(10, least=2)))
def test_a_purge_that_loses_power_is_done_again(undisturbed, tmp_path, point):
    whole, _ = undisturbed

    def taken_down(name):
        out = tmp_path / name
        shutil.copytree(whole, out)
        items = json.loads((out / "corpus" / "manifest.json").read_text("utf-8"))
        take_down(out, [f"File:{item['filename']}" for item in items[:6]])
        built(out)
        return out

    once = taken_down("once")
    counting = LosingDisk(once, 10**9, chance=random.Random(0))
    with counting, files.using(counting):
        purge_removed(once)
    out = taken_down("lost")
    last = points(counting.steps, rounds(10, least=2))[point]
    assert lose(out, last, lambda: purge_removed(out))
    purge_removed(out)
    objects = [
        {p.name for p in (o / "catalog" / "objects").rglob("*") if p.is_file()} for o in (once, out)
    ]
    assert objects[0] == objects[1]
    for o in (once, out):
        built(o)
    assert dataset_hash(out) == dataset_hash(once)
    assert problems(out) == []


@pytest.mark.parametrize("point", range(rounds(10, least=2)))
def test_a_training_that_loses_power_goes_on_from_its_last_checkpoint_to_the_same_weights(
    tmp_path, point
):
    def train(out):
        return main(small_config(out, epochs=4, checkpoint_every=1), **parts())

    counting = LosingDisk(tmp_path / "once", 10**9, chance=random.Random(0))
    with counting, files.using(counting):
        once = train(tmp_path / "once")
    out = tmp_path / "lost"
    last = points(counting.steps, rounds(10, least=2))[point]
    assert lose(out, last, lambda: train(out))
    again = train(out)
    assert once.ema.keys() == again.ema.keys()
    assert all(value.equal(again.ema[name]) for name, value in once.ema.items())


def test_the_layer_is_what_every_verb_goes_through(tmp_path):
    class Deaf(Disk):
        def sync(self, path):
            raise PowerLost

    with files.using(Deaf()), pytest.raises(PowerLost):
        files.put(tmp_path / "a", b"x")
    assert not (tmp_path / "a").exists()
