from __future__ import annotations

import json

import pytest
import torch

from training.checkpoint import (
    META,
    WEIGHTS,
    CheckpointError,
    TrainState,
    checkpoints,
    exported,
    load_checkpoint,
    save_checkpoint,
)

CONFIG = {"seed": 0, "betas": (0.9, 0.999)}


def state_of(seed: int, *, steps: int = 0) -> TrainState:
    chance = torch.Generator().manual_seed(seed)
    parameters = {n: torch.nn.Parameter(torch.randn(3, generator=chance)) for n in ("a.w", "b")}
    optimizer = torch.optim.AdamW(list(parameters.values()), lr=0.1)
    for _ in range(steps):
        for value in parameters.values():
            value.grad = torch.randn(3, generator=chance)
        optimizer.step()
    old = {n: torch.randn(3, generator=chance) for n in parameters}
    ema = {n: torch.randn(3, generator=chance) for n in parameters}
    return TrainState(parameters=parameters, old=old, ema=ema, optimizer=optimizer, step=steps)


def save(folder, state, **changes):
    options = {"config": CONFIG, "weights_sha256": "x", "keep": 2, **changes}
    return save_checkpoint(folder, state, **options)


def test_everything_comes_back_bit_for_bit(tmp_path):
    state = state_of(0, steps=3)
    state.epoch, state.start, state.best = 4, {"r/mean": 0.5}, {"epoch": 2.0, "gain": 1.5}
    torch.manual_seed(5)
    path = save(tmp_path, state)
    drawn = torch.rand(3)
    fresh = state_of(1)
    load_checkpoint(path, fresh, config=CONFIG, weights_sha256="x")
    assert drawn.equal(torch.rand(3))
    for name in state.parameters:
        assert fresh.parameters[name].equal(state.parameters[name])
        assert fresh.old[name].equal(state.old[name])
        assert fresh.ema[name].equal(state.ema[name])
    assert (fresh.epoch, fresh.step) == (4, 3)
    assert (fresh.start, fresh.best) == (state.start, state.best)
    # The optimiser's memory came along: the next step is the same.
    for one in (state, fresh):
        for value in one.parameters.values():
            value.grad = torch.ones(3)
        one.optimizer.step()
    assert all(fresh.parameters[n].equal(state.parameters[n]) for n in state.parameters)


def test_the_average_and_the_raw_weights_lie_side_by_side(tmp_path):
    state = state_of(0)
    path = save(tmp_path, state)
    assert exported(path)["a.w"].equal(state.ema["a.w"])
    assert exported(path, "default")["a.w"].equal(state.parameters["a.w"])
    with pytest.raises(CheckpointError, match="'other'"):
        exported(path, "other")


def test_the_newest_and_the_best_stay(tmp_path):
    state = state_of(0)
    for epoch in range(1, 6):
        state.epoch = epoch
        if epoch == 2:
            state.best = {"epoch": 2.0, "gain": 1.0}
        save(tmp_path, state)
    assert [path.name for path in checkpoints(tmp_path)] == [
        "epoch-000002",
        "epoch-000004",
        "epoch-000005",
    ]


def test_an_unfinished_checkpoint_is_not_one(tmp_path, monkeypatch):
    state = state_of(0)
    state.epoch = 1
    save(tmp_path, state)

    def full(*_):
        raise OSError("No space left on device")

    state.epoch = 2
    monkeypatch.setattr("catalog.disk.os.fsync", full)
    with pytest.raises(OSError):
        save(tmp_path, state)
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch-000001"]
    monkeypatch.undo()
    save(tmp_path, state)
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch-000001", "epoch-000002"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = save(tmp_path, state_of(0))
    fresh = state_of(1)
    before = {n: p.detach().clone() for n, p in fresh.parameters.items()}
    with pytest.raises(CheckpointError, match="another seed"):
        load_checkpoint(path, fresh, config={**CONFIG, "seed": 1}, weights_sha256="x")
    with pytest.raises(CheckpointError, match="base weights"):
        load_checkpoint(path, fresh, config=CONFIG, weights_sha256="y")
    fresh.parameters = {**fresh.parameters, "new": torch.nn.Parameter(torch.zeros(1))}
    with pytest.raises(CheckpointError, match="lacks default/new"):
        load_checkpoint(path, fresh, config=CONFIG, weights_sha256="x")
    assert all(fresh.parameters[n].equal(before[n]) for n in before)


def test_a_damaged_checkpoint_says_what_to_do(tmp_path):
    path = save(tmp_path, state_of(0))
    whole = (path / WEIGHTS).read_bytes()
    (path / WEIGHTS).write_bytes(whole[:-50])
    with pytest.raises(CheckpointError, match="remove it"):
        load_checkpoint(path, state_of(1), config=CONFIG, weights_sha256="x")
    with pytest.raises(CheckpointError, match="cannot be read"):
        exported(path)
    (path / WEIGHTS).write_bytes(whole)
    (path / META).write_text("{")
    with pytest.raises(CheckpointError, match="remove it"):
        load_checkpoint(path, state_of(1), config=CONFIG, weights_sha256="x")


def test_there_are_tensors_and_json_only(tmp_path):
    path = save(tmp_path, state_of(0, steps=1))
    assert sorted(file.name for file in path.iterdir()) == [META, WEIGHTS]
    assert json.loads((path / META).read_text())["config"] == {"seed": 0, "betas": [0.9, 0.999]}
