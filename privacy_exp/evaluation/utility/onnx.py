"""Any ONNX classifier or regressor (age, expression, gaze, quality): what it says before and after."""

import os
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from privacy_exp.evaluation.judges.onnx_graph import OnnxGraph
from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.evaluation.utility.pictures import mean_of_present, pictures
from privacy_exp.recognition.base import cover
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD
from privacy_exp.types import Images, UserError

TASKS = ("classification", "regression")


@final
class OnnxUtility(Measure):
    """Asks a model about original and result: how often, or by how much, its answer changes.

    - classification: `agreement`, share of photos whose highest of k ≥ 2 numbers is the same on both; higher is better;
    - regression: `error`, mean absolute difference of its numbers on both, in their unit; lower is better.

    The model sees the whole frame, scaled until it covers the model's square and cut to its centre.

    Args:
        model: path of the .onnx file.
        task: "classification" or "regression".
        image_size: side of its input, in pixels.
        mean: of its normalisation, RGB in [0, 1].
        std: of its normalisation, RGB in [0, 1].
        channels: order it expects, "rgb" or "bgr".
        provider: "cpu" or "cuda" (onnxruntime-gpu).
        output: name of the output that counts; needed where there are several.
        licence: of the model, for the record; None: nobody said.
        batch_size: photos at a time.

    Example:
        >>> OnnxUtility("age.onnx", task="regression", licence="MIT")  # doctest: +SKIP
    """

    needs_data = False

    def __init__(
        self,
        model: str | os.PathLike[str],
        task: str = "classification",
        image_size: int = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        channels: str = "rgb",
        provider: str = "cpu",
        output: str | None = None,
        licence: str | None = None,
        batch_size: int = 32,
    ) -> None:
        if task not in TASKS:
            raise UserError(f"`task` must be one of {', '.join(TASKS)}, but got {task!r}.")
        self.task, self.licence, self.batch_size = task, licence, batch_size
        self.graph = OnnxGraph(os.fspath(model), image_size, mean, std, channels, provider, "utility.onnx")
        found = self.graph.try_out()
        self.output = self.graph.chosen(found, output, "the answer", "utility.onnx.output")
        shape = tuple(found[self.output].shape)
        if task == "classification" and (len(shape) != 2 or shape[1] < 2):
            raise UserError(
                f"{self.graph.path} gives {shape} for two grey pictures, but a classifier gives a number for each of "
                "two or more classes. Set task=regression, or name another `output`."
            )

    def measure(self, scene: Scene, name: str) -> Findings:
        """Asks about every pair of a run; see `Measure`."""
        before, after = [], []
        for batch in pictures(scene.folder, self.batch_size):
            before.append(self._ask(batch.originals))
            after.append(self._ask(batch.results))
        one, other = torch.cat(before), torch.cat(after)
        people = scene.table["identity"].to_numpy(str)
        details = {"task": self.task, "output": self.output, "licence": self.licence, **self.graph.fields()}
        if self.task == "classification":
            same = (one.argmax(1) == other.argmax(1)).numpy()
            return Findings(
                {f"{name}/agreement": clustered_rate(same, people)}, {f"{name}/same": same}, details=details
            )
        error = (one - other).flatten(1).abs().mean(1).double().numpy()
        metric = mean_of_present(error, people, "the model gives no number")
        return Findings({f"{name}/error": metric}, {f"{name}/error": error}, details=details)

    def _ask(self, images: Images) -> Tensor:
        rows = self.graph(self.graph.normalized(cover(images, self.graph.image_size)), self.output)
        if not rows.isfinite().all():
            raise UserError(f"{self.graph.path} gives NaN or infinite numbers: check `mean` and `std`.")
        return rows[:, None] if rows.ndim == 1 else rows
