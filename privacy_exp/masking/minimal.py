"""As little as makes the recogniser lose the identity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from privacy_exp.masking.base import InBlocks, Masker, OwnArea
from privacy_exp.masking.explaining import evaluating
from privacy_exp.masking.filling import mean_filled
from privacy_exp.masking.iterative import check_ranks
from privacy_exp.masking.saliency import Saliency
from privacy_exp.masking.target import target_labels
from privacy_exp.types import Faces, Labels, Masks, Scores, UserError


@dataclass(eq=False, kw_only=True)
class Minimal(OwnArea, InBlocks):
    """The smallest share, per image, at which hiding in a base method's order makes the recogniser lose the identity.

    What is hidden is filled with the mean colour of the rest. A few evenly spaced shares are tried first; the first
    at which the identity is lost is narrowed down by bisection. An image that the recogniser does not know needs
    nothing hidden; one that it still knows at `cap` gets `cap`.

    Facts of each image, for the table of images: `minimal_recognised` (known when nothing is hidden), `minimal_lost`
    (lost at some share up to `cap`), `minimal_monotone` (never known again at a larger one of the shares tried first).

    Args:
        base: any method that ranks; its own granularity and region are not used.
        cap: largest share that is tried, relative to the frame, in (0, 1].
        trials: how many evenly spaced shares are tried first.
        steps: bisections; the share is found within cap / trials / 2^steps, or a block.

    Example:
        >>> from privacy_exp.masking.center import Center
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> method = Minimal(base=Center(), trials=2, steps=0)
        >>> method.mask(Faces(["a"], torch.rand(1, 3, 32, 32)), net).shape
        torch.Size([1, 1, 32, 32])
        >>> method.facts["minimal_recognised"]
        [True]
    """

    base: Masker = Saliency()  # noqa: RUF009 - scoring leaves a method as it is
    cap: float = 0.9
    trials: int = 9
    steps: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranks(self.base)
        if not 0 < self.cap <= 1:
            raise UserError(f"`cap` must lie in (0, 1], but got {self.cap}.")
        for name, value, least in (("trials", self.trials, 1), ("steps", self.steps, 0)):
            if value < least:
                raise UserError(f"`{name}` must be at least {least}, but got {value}.")
        self.draws = self.base.draws

    def fit(self, train: Iterable[Faces], recognizer: nn.Module | None) -> None:
        """Lets the base method learn."""
        self.base.fit(train, recognizer)

    def scoring_keys(self) -> dict[str, Any]:
        """The base method's, whose scores these are."""
        return self.base.scoring_keys()

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """The base method's scores."""
        return self.base.score(faces, recognizer, generators)

    def mask(
        self, faces: Faces, recognizer: nn.Module | None = None, *, seed: int = 0, scores: Scores | None = None
    ) -> Masks:
        """The smallest masks that were found; see `OwnArea`. The scores are those of the base method."""
        if recognizer is None or scores is None:
            scores = self.rank(faces, recognizer, seed)
        assert recognizer is not None  # noqa: S101  `rank` has refused
        labels, scores = target_labels(faces, recognizer), self.checked(scores, faces)

        def known(shares: Sequence[float]) -> list[bool]:
            masks = self.to_masks(faces, scores, shares, seed, recognizer)
            return recognises(recognizer, faces._replace(images=mean_filled(faces.images, masks)), labels).tolist()

        caps = [min(self.cap, room) for room in self.capacity(faces, recognizer)]  # a face region may hold less
        first = [known([cap * step / self.trials for cap in caps]) for step in range(self.trials + 1)]
        rows = [list(row) for row in zip(*first, strict=True)]  # one per image, from nothing hidden to `cap`
        lost = [row.index(False) if False in row else self.trials for row in rows]
        high = [cap * step / self.trials for cap, step in zip(caps, lost, strict=True)]
        low = [max(0.0, h - cap / self.trials) for h, cap in zip(high, caps, strict=True)]
        narrow = [False in row and row[0] for row in rows]
        for _ in range(self.steps):
            middle = [(a + b) / 2 if n else b for a, b, n in zip(low, high, narrow, strict=True)]
            still = known(middle)
            low = [m if s and n else a for a, m, s, n in zip(low, middle, still, narrow, strict=True)]
            high = [m if not s and n else b for b, m, s, n in zip(high, middle, still, narrow, strict=True)]
        self.facts = {
            "minimal_recognised": [row[0] for row in rows],
            "minimal_lost": [False in row for row in rows],
            "minimal_monotone": [row == sorted(row, reverse=True) for row in rows],
        }
        return self.to_masks(faces, scores, high, seed, recognizer)


@torch.no_grad()
def recognises(recognizer: nn.Module, faces: Faces, labels: Labels) -> Bool[Tensor, " n"]:
    """Whether the recogniser's first guess is the given identity.

    Args:
        recognizer: used in evaluation mode.
        faces: photos.
        labels: the identities.
    """
    with evaluating(recognizer):
        return recognizer(faces.images).argmax(1) == labels
