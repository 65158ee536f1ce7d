"""What judging costs: the judge's embedding against the bare network, and judging against a default cell.

usage: python scripts/judging.py      needs FACE_ONNX, or measures the drawn world's own judge alone
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from timing import Line, duration, in_turns, ratio

from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.attackers.effort import EFFORTS
from privacy_exp.evaluation.attackers.link_head import Vectors
from privacy_exp.evaluation.attackers.link_search import sides
from privacy_exp.evaluation.attackers.linkage import STEPS
from privacy_exp.evaluation.judges.embedder import embed_batches
from privacy_exp.evaluation.judges.onnx import OnnxEmbedder
from privacy_exp.evaluation.statistics.intervals import bootstrap_mean
from privacy_exp.recognition.detection import detect_faces
from privacy_exp.runs.record import read_record

PHOTOS = 64


def embedding(rounds: int) -> list[Line]:
    """The ONNX judge's whole path without detection against its session alone, and detection apart."""
    path = os.environ.get("FACE_ONNX")
    if not path:
        return []
    images = torch.rand(PHOTOS, 3, 218, 178, generator=torch.Generator().manual_seed(0))
    embedder = OnnxEmbedder(path)
    points = celeba_template(218, 178)
    embedder.face_points = {(218, 178): points}
    crops = embedder.prepare(images, points.expand(PHOTOS, 5, 2)).numpy()
    times = in_turns(
        {
            "bare": lambda: [
                embedder.graph.session.run(None, {embedder.graph.input.name: part}) for part in np.split(crops, 2)
            ],
            "judge": lambda: embed_batches(embedder, images.split(32), detect=False),
            "detection": lambda: detect_faces(images[:8]),
        },
        rounds,
    )
    return [
        ratio("judge embedding / bare network", times["judge"], times["bare"], bar="≤ 1.2", note="without detection"),
        ratio("detection / bare network, a face", times["detection"], times["bare"], PHOTOS / 8, note="MTCNN, batched"),
    ]


def share_of_a_cell() -> float:
    """Seconds of judging and statistics over seconds of a whole default cell whose fits are in the store."""
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        common = [sys.executable, "-m", "privacy_exp.train", f"cache.root={root / 'store'}", "tracking=csv"]
        environment = {**os.environ, "WANDB_MODE": "offline"}
        judge = "judge=[independent]"
        # The first run fits both networks; the second, another cell, reuses them as the cells of a sweep do.
        for out, mask_ratio in (("first", 0.25), ("second", 0.3)):
            started = time.perf_counter()
            command = [*common, judge, f"mask_ratio={mask_ratio}", f"hydra.run.dir={root / out}"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            seconds = time.perf_counter() - started
        return float(read_record(root / "second")["timing"]["evaluate_s"]) / seconds


def lines(rounds: int = 5) -> list[Line]:
    """Lines for `benchmarks/run.py`."""
    share = share_of_a_cell()
    what = "judging and statistics / a default cell with its fit in the store"
    judged = Line(what, share, None, None, "", 1, "≤ 0.15", "judge=[independent]")
    return [*embedding(rounds), judged, bootstrap(rounds), *linkage(rounds)]


def linkage(rounds: int) -> list[Line]:
    """Heads for both halves of 40 people from 600 + 600 stored embeddings, at the default effort."""
    random = np.random.default_rng(0)
    people = np.repeat([f"p{i:02}" for i in range(40)], 15)
    rows = np.repeat(random.normal(size=(40, 128)), 15, axis=0) + random.normal(size=(600, 128))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    groups = np.array([f"photo/{i}" for i in range(600)])
    turned = np.linalg.qr(random.normal(size=(128, 128)))[0].astype(np.float32)
    probes, originals = Vectors(unit @ turned, people, groups), Vectors(unit, people, groups)
    names = sorted(set(people))
    steps = STEPS * EFFORTS["default"]
    times = in_turns({"fit": lambda: sides(probes, originals, (names[::2], names[1::2]), 1, steps)}, rounds, False)
    return [duration("linkage, 600 + 600 stored embeddings", times["fit"], bar="≤ 20", note="both halves")]


def bootstrap(rounds: int) -> Line:
    """2,000 draws over 10,000 people with a photo each: the hardest case."""
    values, people = np.random.default_rng(0).random(10_000), np.arange(10_000)
    seconds = in_turns({"draws": lambda: bootstrap_mean(values, people, draws=2000)}, rounds)["draws"]
    return duration("2,000 bootstrap draws over 10,000 images", seconds, bar="≤ 2")


if __name__ == "__main__":
    for line in lines():
        print(line)
