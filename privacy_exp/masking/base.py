"""A method ranks pixels; the base hides exactly the asked share, so methods compare at equal cost."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from privacy_exp.cache.configured import dotted
from privacy_exp.cache.sources import sources
from privacy_exp.data.seeds import generator
from privacy_exp.masking.budget import hide
from privacy_exp.masking.regions import face_region
from privacy_exp.types import Faces, Images, Labels, Masks, Scores, UserError


class Masker(ABC):
    """Decides which pixels of a face are hidden. A method implements `score`.

    Args:
        granularity: side of the square block that is hidden as one, in pixels of the data; 8 suits the latent grid of
            Stable Diffusion, 1 hides single pixels.
        region: "frame" hides anywhere; "face" only within the convex hull of the five landmarks widened by 0.6
            inter-ocular distances. The ratio stays relative to the frame.
    """

    has_budget: ClassVar[bool] = True
    """Whether `mask_ratio` decides how much is hidden. False for methods whose area is their own affair."""

    blind: ClassVar[bool] = False
    """Whether the method ignores the recogniser, so that it works without one."""

    draws: bool = True
    """Whether scores depend on the seed. A method that says False has its stored scores reused over seeds."""

    facts: Mapping[str, Sequence[Any]] = {}
    """What the last `mask` found out about its images, a value an image; columns of the table of images."""

    def __init__(self, granularity: int = 8, region: str = "frame") -> None:
        if granularity < 1:
            raise UserError(f"`granularity` must be at least 1 pixel, but got {granularity}.")
        if region not in ("frame", "face"):
            raise UserError(f"`region` must be 'frame' or 'face', but got {region!r}.")
        self.granularity = granularity
        self.region = region

    def fit(self, train: Iterable[Faces], recognizer: nn.Module | None) -> None:  # noqa: B027 - most learn nothing
        """Learn from the training split; most methods have nothing to learn.

        Args:
            train: the training photos in batches, iterated once.
            recognizer: the network that will be explained.
        """

    def frame(self, faces: Faces) -> Faces:
        """What is painted and saved, at the size of `mask`: the photos as they are, unless a study says otherwise."""
        return faces

    def finish(self, results: Images) -> Images:
        """What is saved of the painted pictures: they as they are, unless a study says otherwise."""
        return results

    @abstractmethod
    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Ranks the pixels of each face.

        Args:
            faces: photos; methods that need labels take the recogniser's own prediction where `labels` is None.
            recognizer: in evaluation mode; `forward` gives logits, `embed` unit embeddings.
            generators: one an image, for methods that draw.

        Returns:
            Scores on any scale, higher = hide first. An image's scores never depend on the rest of its batch.
        """

    def mask(
        self, faces: Faces, recognizer: nn.Module | None, mask_ratio: float, seed: int, scores: Scores | None = None
    ) -> Masks:
        """Hides exactly round(mask_ratio · h · w) pixels of each image, in the order of the scores.

        Args:
            faces: photos.
            recognizer: the network to explain, left exactly as it was; None is enough for blind methods.
            mask_ratio: hidden pixels / all pixels of the frame, in [0, 1].
            seed: decides random scores and the order of ties, together with the image's id.
            scores: what `rank` gives for the same arguments, where it is known already.

        Raises:
            UserError: `mask_ratio` outside [0, 1] or more than the region holds, or no recogniser for a guided method.
        """
        if not 0 <= mask_ratio <= 1:
            raise UserError(f"`mask_ratio` must lie in [0, 1], but got {mask_ratio}.")
        if scores is None:
            scores = self.rank(faces, recognizer, seed)
        return self.to_masks(faces, scores, [mask_ratio] * len(faces.ids), seed)

    def rank(self, faces: Faces, recognizer: nn.Module | None, seed: int) -> Scores:
        """`score` with each image's own generator.

        Args:
            faces: photos.
            recognizer: the network to explain; None is enough for blind methods.
            seed: decides random scores, together with the image's id.

        Raises:
            UserError: no recogniser for a guided method.
        """
        if recognizer is None and not self.blind:
            raise UserError(
                f"{type(self).__name__} explains a recogniser: give one with recognition.checkpoint=RUN_OR_FILE."
            )
        network = nn.Identity() if recognizer is None else recognizer
        return self.score(faces, network, [generator(seed, i, "score") for i in faces.ids])

    def to_masks(self, faces: Faces, scores: Scores, shares: Sequence[float], seed: int) -> Masks:
        """Hides a share of each image in the order of its scores; a larger share hides all that a smaller one does.

        Args:
            faces: photos.
            scores: higher = hide first.
            shares: of each image, relative to the frame.
            seed: decides the order of ties, together with the image's id.

        Raises:
            UserError: a share that is more than the region holds.
        """
        ties = [generator(seed, i, "ties") for i in faces.ids]
        rows = zip(scores[:, 0], shares, self._allowed(faces), ties, strict=True)
        masks = [hide(row, share, self.granularity, allowed, tie) for row, share, allowed, tie in rows]
        return torch.stack(masks)[:, None].to(faces.images.device)

    def capacity(self, faces: Faces) -> list[float]:
        """Share of each frame that the region holds: the largest that can be hidden."""
        return [1.0 if allowed is None else float(allowed.float().mean()) for allowed in self._allowed(faces)]

    def scoring_keys(self) -> dict[str, Any]:
        """All of the method that decides its scores, as plain values: what stored scores are filed under.

        These are the class, the code that it runs (an edited method must not meet scores of the old one) and its
        arguments, without the granularity and region that come after scoring.
        """
        keys = {k: _plain(v) for k, v in vars(self).items() if k not in ("granularity", "region", "facts")}
        return {
            "class": dotted(type(self)),
            "source": sources(type(self)),
            **keys,
        }

    def _allowed(self, faces: Faces) -> list[Bool[Tensor, "h w"] | None]:
        if self.region == "frame":
            return [None] * len(faces.ids)
        if faces.landmarks is None:
            raise UserError(
                "`region: face` needs the five landmarks, which this data lacks; use `masking.region=frame`."
            )
        height, width = faces.images.shape[-2:]
        return [face_region(points, height, width) for points in faces.landmarks]


def target_labels(faces: Faces, recognizer: nn.Module) -> Labels:
    """The identities to explain: the true ones where they are known, else those that the recogniser predicts."""
    if faces.labels is not None:
        return faces.labels
    with torch.no_grad():
        predicted: Labels = recognizer(faces.images).argmax(1)
    return predicted


def image_gradient(value: Float[Tensor, " n"], images: Images) -> Images:
    """Gradient of each image's value with respect to that image; parameters' `.grad` stays untouched."""
    (gradient,) = torch.autograd.grad(value.sum(), images)
    return gradient


def _plain(value: Any) -> Any:
    if isinstance(value, Masker):
        return value.scoring_keys()
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value
