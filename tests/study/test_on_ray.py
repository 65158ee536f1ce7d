"""`engine=ray`: the pictures and notes of a run without it, whatever dies on the way."""

import os
import pickle
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from counting import CountingFill
from dying import DyingFill

from privacy_exp import DiffusionInpainter, DrawnFaces, MeanFill, Saliency, SmallResNet
from privacy_exp.cache.store import Store
from privacy_exp.recognition.checkpoint import save_checkpoint
from privacy_exp.runs.batches import finished_batches
from privacy_exp.runs.files import saved_pictures
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.on_ray import Masking, Painting, Writing, _of_user, anonymize_on_ray
from privacy_exp.study.sharding import Share
from privacy_exp.study.stages import anonymize
from privacy_exp.types import UserError

BATCH = 2
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Ten photos and a recogniser that was not fitted, in memory and in a file."""
    data = DrawnFaces(identities=2, photos_per_identity=10, split=[0.3, 0.2, 0.5])
    data.setup()
    assert len(data.photos["test"]) == 10
    torch.manual_seed(0)
    net = SmallResNet().for_people(2).eval()
    checkpoint = tmp_path_factory.mktemp("net") / "recognizer.ckpt"
    save_checkpoint(checkpoint, net, data.identities)
    return data, net, checkpoint


def local(world, out: Path, inpainter, layout: str = "folders", photos: int = 10) -> RunFolder:
    data, net, _ = world
    folder = RunFolder(out / "run", "png", layout)
    some = data.photos["test"][:photos]
    batches = (data.faces(some[start : start + BATCH]) for start in range(0, photos, BATCH))
    anonymize(batches, photos, net, Saliency(), inpainter, 0.3, 0, folder, store=Store(out / "store"))
    return folder


def share_of(world, out: Path, inpainter, layout: str = "folders") -> Share:
    data, _, checkpoint = world
    return Share(data, checkpoint, "auto", Saliency(), inpainter, 0.3, 0, RunFolder(out / "run", "png", layout))


def contents(folder: RunFolder) -> dict[str, bytes]:
    return {name: picture.read_bytes() for name, picture in saved_pictures(folder.path).items()}


def rows(folder: RunFolder) -> pd.DataFrame:
    batches = finished_batches(folder.path)
    return pd.concat([batch.rows for batch in batches], ignore_index=True).sort_values("image_id", ignore_index=True)


def assert_equal(one: RunFolder, other: RunFolder) -> None:
    assert contents(one) == contents(other)
    assert len(contents(one)) >= 4 * 10
    pd.testing.assert_frame_equal(rows(one), rows(other))


def sent(thing):
    """What arrives at another process: Ray pickles all that goes between its actors, and so must this test."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  written by the line itself, read from nowhere


@pytest.mark.parametrize("layout", ["folders", pytest.param("packed", marks=pytest.mark.slow)])
def test_the_stages_make_what_a_run_without_them_makes(world, tmp_path, layout):
    """One behind the other, what they hand on sent through pickle; the second time, with what the store has."""
    painter = partial(DiffusionInpainter.from_pretrained, "tiny", num_inference_steps=1, device="cpu", num_draws=2)
    expected = local(world, tmp_path / "local", painter(), layout)
    ids = [photo.id for photo in world[0].photos["test"]]
    for attempt in ("first", "second"):
        out = tmp_path / attempt
        share = sent(share_of(world, out, painter, layout))
        cache = str(tmp_path / "ray store")
        stages = Masking(share, cache), Painting(share, cache, "cpu"), Writing(share)
        for start in range(0, 10, BATCH):
            row = {"batch": [ids[start : start + BATCH]]}
            for work in stages:
                row = sent(work(row))
            assert row["images"].tolist() == [BATCH]
        assert_equal(share.folder, expected)


@pytest.fixture(scope="module", params=[2, 3])
def workers(request):
    """A Ray cluster of several nodes on this machine, a CPU each."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{TESTS}:{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("RAY_worker_niceness", "0")  # else a busy machine never gets to them
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(request.param - 1):
            cluster.add_node(num_cpus=1)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield request.param
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_worker_costs_its_batch(world, workers, tmp_path):
    expected = local(world, tmp_path / "local", MeanFill())
    log, victim = tmp_path / "painted.txt", world[0].photos["test"][4].id
    share = share_of(world, tmp_path / "ray", partial(DyingFill, str(log), victim))
    found = anonymize_on_ray(share, BATCH, "cpu", str(tmp_path / "ray" / "store"), MeanFill())
    assert len(found.shares) == 10
    assert Path(f"{log}.died").is_file()
    assert_equal(share.folder, expected)
    times = Counter(line.split()[1] for line in log.read_text().splitlines())
    assert len(times) == 10
    assert times[victim] == 2
    assert sum(times.values()) <= 10 + 2 * BATCH, "its batch, and at most the one that it had been handed next"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_is_painted_is_not_painted_again(world, workers, tmp_path):
    """Begun without Ray, finished by the cluster, in shards."""
    expected = local(world, tmp_path / "local", MeanFill(), "packed")
    local(world, tmp_path / "ray", MeanFill(), "packed", photos=6)
    log = tmp_path / "painted.txt"
    share = share_of(world, tmp_path / "ray", partial(CountingFill, str(log)), "packed")
    for _ in range(2):
        anonymize_on_ray(share, BATCH, "cpu", str(tmp_path / "ray" / "store"), MeanFill())
        assert len(log.read_text().splitlines()) == 4
        assert_equal(share.folder, expected)


def test_an_actors_error_is_told_as_the_users_own():
    told = ValueError("wrapped")
    told.__cause__ = RuntimeError("wrapped twice")
    assert _of_user(told) is None
    told.__cause__.cause = UserError("`prompt` is empty")
    assert str(_of_user(told)) == "`prompt` is empty"
