"""Batches with a device go to the workers that have it. No device is used here: a worker says that it has one."""

from dataclasses import replace

import pytest

from catalog.errors import Expected
from catalog.plans import BatchRef
from filters.duplicates.embedding import EmbeddingPolicy
from filters.metrics import DeviceMissing, Scoring
from pipelines.build.encoder import ON_CUDA, on_device
from pipelines.build.runners import BatchResult
from pipelines.build.runners.clusters import dask_runner, has_gpu, wants_gpu
from pipelines.build.stages import _of_seen, _of_values, embed_versions
from pipelines.recipe import load_recipe
from tests.pipelines.build.test_clusters import needs
from tests.pipelines.test_recipe import DEMO


def batch(stage, version):
    return BatchRef(root="", stage=stage, config="c", batch="b", versions=(version,), size=1)


def test_a_batch_says_which_device_it_computes_on():

    on_gpu = Scoring(device="cuda", precision="float16").suffix
    assert wants_gpu(batch("score", f"pyiqa:musiq@1.0{on_gpu}{_of_values()}"))
    assert wants_gpu(batch("score", f"pyiqa:musiq@1.0{on_gpu}"))
    assert not wants_gpu(batch("score", f"pyiqa:musiq@1.0{_of_values()}"))
    assert wants_gpu(batch("embed", f"efficientnet_lite0@1-2-abcd{ON_CUDA}{_of_seen()}"))
    assert not wants_gpu(batch("embed", f"efficientnet_lite0@1-2-abcd{_of_seen()}"))
    assert not wants_gpu(batch("score", "cudalike@1"))
    assert not wants_gpu(batch("hash", "1"))


def where(ref):
    """The resources of the worker that a batch came to."""
    import distributed

    held = distributed.get_worker().state.total_resources
    return BatchResult(stage=ref.stage, batch=str(dict(held)), done=1, failed=0, seconds=0.0)


@needs("dask", "distributed")
def test_batches_with_a_device_go_to_the_dask_workers_that_have_it():
    """Two workers in this process, one of which says that it has a GPU; nothing is computed on one here."""
    import distributed

    refs = [batch("embed", f"e@1.cuda{_of_seen()}"), batch("measure", "blur@1")] * 6
    spec = {
        "cpu": {"cls": distributed.Worker, "options": {"nthreads": 1}},
        "gpu": {"cls": distributed.Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}}},
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False, "port": 0}}
    with (
        distributed.SpecCluster(workers=spec, scheduler=scheduler) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=30)
        done = list(dask_runner(client).map(where, refs))
    placed = {stage: {r.batch for r in done if r.stage == stage} for stage in ("embed", "measure")}
    assert placed["embed"] == {"{'GPU': 1}"}
    assert "{}" in placed["measure"]


@needs("dask", "distributed")
def test_where_no_worker_names_a_device_a_batch_does_not_wait_for_one():
    import distributed

    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert not has_gpu(client)

        (done,) = dask_runner(client).map(where, [batch("embed", f"e@1.cuda{_of_seen()}")])
    assert done.batch == "{}"


def test_a_recipe_for_workers_with_a_gpu_is_built_from_a_machine_without(monkeypatch):
    """The versions are those that the workers will write; without workers elsewhere it is refused at once."""

    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    dedupe = load_recipe(DEMO).dedupe

    wanted = replace(dedupe, embedding=EmbeddingPolicy(device="cuda"))
    try:
        plain = embed_versions(replace(dedupe, embedding=EmbeddingPolicy()))
    except Expected as error:
        pytest.skip(str(error))
    with pytest.raises(DeviceMissing, match="sees no GPU here"):
        embed_versions(wanted)
    (version,) = embed_versions(wanted, elsewhere=True)
    assert on_device(version) == "cuda"
    assert version.replace(".cuda", "") == plain[0]
