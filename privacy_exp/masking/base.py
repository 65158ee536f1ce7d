"""A method ranks pixels and the base hides exactly the asked share; or it chooses an area of its own."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from privacy_exp.cache.configured import Configured, description, dotted
from privacy_exp.cache.sources import sources
from privacy_exp.data.seeds import generator
from privacy_exp.masking.budget import hide
from privacy_exp.masking.regions import face_region, seen_region
from privacy_exp.types import Faces, Masks, Scores, UserError

REGIONS = ("frame", "face", "seen")


class BaseMasker(Configured, ABC):
    """What all methods have in common; inherit `Masker` or `OwnArea`."""

    blind: bool = False
    """Whether the method ignores the recogniser, so that it works without one."""

    draws: bool = True
    """Whether scores depend on the seed. A method that says False has its stored scores reused over seeds."""

    facts: Mapping[str, Sequence[Any]] = {}
    """What the last `mask` found out about its images, one value per image; columns of the table of images."""

    def fit(self, train: Iterable[Faces], recognizer: nn.Module | None) -> None:
        """Learn from the training split; most methods have nothing to learn.

        Args:
            train: the training photos in batches, iterated once.
            recognizer: the network that will be explained.
        """

    def keys(self) -> dict[str, Any]:
        """What decides its masks besides its arguments and code, as plain values for keys: the version of a tool."""
        return {}

    @abstractmethod
    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Ranks the pixels of each face.

        Args:
            faces: photos; methods that need labels take the recogniser's own prediction where `labels` is None.
            recognizer: in evaluation mode; `forward` gives logits, `embed` unit embeddings.
            generators: one per image, for methods that draw.

        Returns:
            Scores on any scale, higher = hide first. An image's scores never depend on the rest of its batch.
        """

    def rank(self, faces: Faces, recognizer: nn.Module | None, seed: int) -> Scores:
        """`score` with each image's own generator, checked.

        Args:
            faces: photos.
            recognizer: the network to explain; None is enough for blind methods.
            seed: decides random scores, together with the image's id.

        Raises:
            UserError: no recogniser for a guided method, or scores of another kind than `score` promises.
        """
        if recognizer is None and not self.blind:
            raise UserError(
                f"{type(self).__name__} explains a recogniser: give one with recognition.checkpoint=RUN_OR_FILE."
            )
        network = nn.Identity() if recognizer is None else recognizer
        return self.checked(self.score(faces, network, [generator(seed, i, "score") for i in faces.ids]), faces)

    def checked(self, scores: Any, faces: Faces) -> Scores:
        """The same scores, if they are what `score` promises.

        Raises:
            UserError: they are not; the message names the class.
        """
        wanted = (len(faces.ids), 1, *self.shape(faces))
        if not isinstance(scores, Tensor):
            got = type(scores).__name__
        elif scores.shape != wanted or not scores.is_floating_point():
            got = f"{scores.dtype} of shape {tuple(scores.shape)}"
        elif not scores.isfinite().all():
            got = "NaN or infinity; if the method is right, try trainer.precision=32"
        else:
            return scores
        raise UserError(
            f"`score` of {type(self).__name__} must give finite floating-point numbers of shape {wanted}, one per "
            f"pixel, but gave {got}."
        )

    def shape(self, faces: Faces) -> tuple[int, int]:
        """Height and width of the scores, in pixels: those of the photos."""
        return faces.images.shape[2], faces.images.shape[3]

    def scoring_keys(self) -> dict[str, Any]:
        """All of the method that decides its scores, as plain values: what stored scores are filed under.

        These are the class, the code that it runs (an edited method must not meet scores of the old one) and its
        arguments, without the granularity and region that come after scoring. A method that learns adds what it
        has learned.
        """
        arguments = {k: _scoring(v) for k, v in self.arguments.items() if k not in ("granularity", "region")}
        return {
            "class": dotted(type(self)),
            "source": sources(type(self)),
            **arguments,
        }


@dataclass(eq=False, kw_only=True)
class InBlocks(BaseMasker):
    """A method that hides whole blocks, in the order of its scores.

    Args:
        granularity: side of the square block that is hidden as one, in pixels of the data; 8 suits the latent grid of
            Stable Diffusion, 1 hides single pixels.
        region: "frame" hides anywhere; "face" only within the convex hull of the five landmarks widened by 0.6
            inter-ocular distances; "seen" only what the recogniser's crop shows it. The ratio stays relative to the
            frame.
    """

    granularity: int = 8
    region: str = "frame"

    def __post_init__(self) -> None:
        if self.granularity < 1:
            raise UserError(f"`granularity` must be at least 1 pixel, but got {self.granularity}.")
        if self.region not in REGIONS:
            raise UserError(f"`region` must be one of {', '.join(REGIONS)}, but got {self.region!r}.")

    def to_masks(
        self, faces: Faces, scores: Scores, shares: Sequence[float], seed: int, recognizer: nn.Module | None = None
    ) -> Masks:
        """Hides a share of each image in the order of its scores; a larger share hides all that a smaller one does.

        Args:
            faces: photos.
            scores: higher = hide first.
            shares: of each image, relative to the frame.
            seed: decides the order of ties, together with the image's id.
            recognizer: needed for `region: seen` alone.

        Raises:
            UserError: a share that is more than the region holds.
        """
        ties = [generator(seed, i, "ties") for i in faces.ids]
        rows = zip(scores[:, 0], shares, self.allowed(faces, recognizer), ties, strict=True)
        masks = [hide(row, share, self.granularity, allowed, tie) for row, share, allowed, tie in rows]
        return torch.stack(masks)[:, None].to(faces.images.device)

    def capacity(self, faces: Faces, recognizer: nn.Module | None = None) -> list[float]:
        """Share of each frame that the region holds: the largest that can be hidden."""
        return [1.0 if part is None else float(part.double().mean()) for part in self.allowed(faces, recognizer)]

    def allowed(self, faces: Faces, recognizer: nn.Module | None = None) -> list[Bool[Tensor, "h w"] | None]:
        """Where each face's pixels may be hidden; None allows the whole frame.

        Photos without landmarks are searched for the face; see `five_points`.

        Raises:
            UserError: the recogniser lacks where the region needs it.
        """
        height, width = faces.images.shape[-2:]
        if self.region == "frame":
            return [None] * len(faces.ids)
        if self.region == "seen":
            return [seen_region(recognizer, height, width)] * len(faces.ids)
        from privacy_exp.recognition.detection import five_points  # MTCNN takes a second to import

        return [face_region(points, height, width) for points in five_points(faces)]


class Masker(InBlocks):
    """Ranks the pixels of a face, and hides exactly the asked share of them. A method implements `score`.

    See `InBlocks` for the arguments.

    Example:
        >>> class Brightest(Masker):
        ...     blind, draws = True, False
        ...
        ...     def score(self, faces, recognizer, generators):
        ...         return faces.images.mean(1, keepdim=True)
        >>> masks = Brightest().mask(Faces(["a"], torch.rand(1, 3, 64, 64)), mask_ratio=0.25)
        >>> int(masks.sum())
        1024
    """

    def mask(
        self,
        faces: Faces,
        recognizer: nn.Module | None = None,
        *,
        mask_ratio: float,
        seed: int = 0,
        scores: Scores | None = None,
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
        if isinstance(mask_ratio, bool) or not 0 <= mask_ratio <= 1:
            raise UserError(f"`mask_ratio` must be a number in [0, 1], but got {mask_ratio}.")
        scores = self.rank(faces, recognizer, seed) if scores is None else self.checked(scores, faces)
        return self.to_masks(faces, scores, [mask_ratio] * len(faces.ids), seed, recognizer)


class OwnArea(BaseMasker):
    """Decides itself how much it hides: `score` gives 1 where a pixel is hidden and 0 elsewhere."""

    def mask(
        self, faces: Faces, recognizer: nn.Module | None = None, *, seed: int = 0, scores: Scores | None = None
    ) -> Masks:
        """Hides what the method chooses.

        Args:
            faces: photos.
            recognizer: the network to explain, left exactly as it was; None is enough for blind methods.
            seed: decides random choices, together with the image's id.
            scores: what `rank` gives for the same arguments, where it is known already.

        Raises:
            UserError: no recogniser for a guided method, or scores other than 0 and 1.
        """
        scores = self.rank(faces, recognizer, seed) if scores is None else self.checked(scores, faces)
        hidden = scores == 1
        if not (hidden | (scores == 0)).all():
            low, high = float(scores.min()), float(scores.max())
            raise UserError(
                f"`score` of {type(self).__name__} must give 1 where a pixel is hidden and 0 elsewhere, but gave "
                f"values from {low:.3g} to {high:.3g}. A method that ranks pixels inherits `Masker`."
            )
        return hidden


def _scoring(value: Any) -> Any:
    if isinstance(value, BaseMasker):
        return value.scoring_keys()
    return {k: _scoring(v) for k, v in value.items()} if isinstance(value, Mapping) else description(value)
