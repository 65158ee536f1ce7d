"""A judge for data that no published embedder knows: another architecture and seed, fitted on the clean split."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, final

from jaxtyping import Float
from pytorch_lightning import Trainer
from torch import Tensor

from privacy_exp.cache.keys import content_key
from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.judges.embedder import Embedder
from privacy_exp.evaluation.measure import Scene
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.fit import CHECKPOINT, fit_key, fit_recognizer, load_checkpoint, save_checkpoint
from privacy_exp.recognition.recipe import TRAINER, FitRecipe
from privacy_exp.recognition.resnet import SmallResNet
from privacy_exp.types import Images, Landmarks, UserError


@final
class IndependentEmbedder(Embedder):
    """A recogniser of its own, fitted to the run's clean training photos and kept in the store.

    It sees frames as they are, without alignment. It does not look at the validation photos either: they serve as
    impostors.

    Args:
        net: the recogniser, without people; None takes a small ResNet that sees 64 pixels.
        module: how it is trained; None takes 30 epochs of AdamW with mirrors and shifts.
        trainer: builds the Lightning trainer; None takes one CPU, the same seed giving the same weights.
        seed: of weights, order and augmentation.
    """

    parts_seen: ClassVar[tuple[str, ...]] = ("train",)
    aligns: ClassVar[bool] = False

    def __init__(
        self,
        net: Recognizer | None = None,
        module: FitRecipe | None = None,
        trainer: Callable[..., Trainer] | None = None,
        seed: int = 1000,
    ) -> None:
        self.net = SmallResNet(image_size=64, blocks=(1, 1, 1, 1), scale=8.0) if net is None else net
        self.module = SmallResNet.recipe if module is None else module
        self.trainer = partial(Trainer, **TRAINER) if trainer is None else trainer
        self.seed = seed
        self._key: dict[str, Any] = {}
        self._recognizer: Recognizer | None = None

    @property
    def recognizer(self) -> Recognizer:
        """The fitted recogniser.

        Raises:
            RuntimeError: before `fit`.
        """
        if self._recognizer is None:
            raise RuntimeError("`fit` comes before the first picture.")
        return self._recognizer

    def fit(self, scene: Scene) -> None:
        """Fits the recogniser, or takes it from the store.

        Raises:
            UserError: a folder made elsewhere has no training photos.
        """
        if scene.data is None or not scene.data.photos["train"]:
            raise UserError(
                "`judge=independent` is fitted to the run's training photos, but there are none here; take a judge "
                "that comes trained, such as judge=[onnx]."
            )
        super().fit(scene)
        data = _without_validation(scene.data)
        self._key = fit_key(data, self.net, self.module, _description(self.trainer), self.seed)

        def compute(folder: Path) -> None:
            place = 1 if scene.device.type == "cpu" else [scene.device.index or 0]
            trainer = partial(self.trainer, strategy="auto", devices=place)  # one device, as the target's own fit takes
            fitted = fit_recognizer(data, self.net, self.module, trainer, self.seed, folder)
            save_checkpoint(folder / CHECKPOINT, fitted.recognizer, data.identities)

        folder, _ = scene.store.fetch("recognizer", self._key, compute)
        self._recognizer = load_checkpoint(folder / CHECKPOINT).to(scene.device)

    def fields(self) -> dict[str, Any]:
        """The key of the fit."""
        return {"fit": content_key(self._key)}

    def prepare(self, images: Images, landmarks: Landmarks) -> Float[Tensor, "n 3 s s"]:
        """The recogniser's own preparation."""
        del landmarks
        return self.recognizer.prepare(images)

    def features(self, crops: Tensor) -> Float[Tensor, "n d"]:
        """The trunk's features."""
        return self.recognizer.trunk(crops)


def _without_validation(data: FaceData) -> FaceData:
    """The same data with nothing to choose an epoch by."""
    view = copy.copy(data)
    view.photos = {**data.photos, "val": []}
    return view


def _description(part: Any) -> Mapping[str, Any]:
    """What a partial of the configuration calls, and with what, as plain values."""
    return {"_target_": f"{part.func.__module__}.{part.func.__qualname__}", **part.keywords}
