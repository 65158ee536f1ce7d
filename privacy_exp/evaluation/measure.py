"""What judges, attackers and utility measures share: a finished run to look at, and findings to hand back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped

from privacy_exp.cache.configured import Configured
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.statistics.intervals import interval_of_maximum, resampled_sums
from privacy_exp.masking.target import Embeds
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import Faces, Images, Metric

Array = np.ndarray

NOTHING = 1e-9
"""Above chance by less is at chance: the mean of many thirds may pass a third by rounding, the share be anything."""


@dataclass(frozen=True)
class Scene:
    """A finished run as a measure sees it.

    Attributes:
        folder: the run's pictures; everything is scored from these files.
        table: one row per image, sorted by `image_id`, with `identity, label, pred, pred_anonymized`; see
            `score_folder`.
        identities: label to the data's own name.
        recognizer: the target, fitted, in evaluation mode.
        store: what has been computed already.
        seed: the run's.
        device: what networks run on.
        data: after `setup()`; None for a folder made elsewhere.
        config: the run's configuration as plain values; empty for a folder made elsewhere.
        template: where a face lies on the run's pictures, five points in pixels, where its masking method cuts frames
            of its own; None where they are the data's frames.
        frame: cuts photos of the data as the masking method does; None where it leaves them as they are.
        anonymize: masks and repaints all photos of "train" or "val" as the run did the test photos, with a seed of the
            caller's, and returns their folder (kept in the store); None for a folder made elsewhere.
        fit: a recogniser fitted as the target was, from the same initial weights with the same budget, to other
            pictures (kept in the store); a second argument other than None replaces the net's `freeze`, a third and a
            fourth are another network and its recipe. None for a folder made elsewhere.
        judges: the run's judges by their full names, through which attackers may look as well.
        asks_target: whether masks or painter follow the target; True where nobody knows.
    """

    folder: RunFolder
    table: pd.DataFrame
    identities: list[str]
    recognizer: Recognizer
    store: Store
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data: FaceData | None = None
    config: dict[str, Any] = field(default_factory=dict)
    template: Float[torch.Tensor, "5 2"] | None = None
    frame: Callable[[Faces], Faces] | None = None
    anonymize: Callable[[str, int], RunFolder] | None = None
    fit: Callable[..., Recognizer] | None = None
    judges: Mapping[str, Embeds] = field(default_factory=dict)
    asks_target: bool = True

    @property
    def has_target(self) -> bool:
        """Whether a recogniser of the run's people looked at the pictures; nobody did at a folder made elsewhere."""
        return "pred" in self.table

    @property
    def gate(self) -> float:
        """Lowest clean accuracy with which an observer takes part in `strongest_observer`."""
        return float(self.config.get("evaluation", {}).get("gate", 0.8))


@dataclass(frozen=True)
class Outcome:
    """What one observer recognised: what `strongest_observer` compares.

    Attributes:
        name: `target`, `judge/onnx`, `attacker/parrot`, ...
        identity: who is on each of its probes; the clusters of the interval.
        clean: right at rank 1 on each original, in [0, 1]: ties count as their expectation.
        anonymized: the same on the anonymised picture.
        chance: rank-1 rate of a guess.
        excluded: why it takes no part ("below_gate", "steered"), or None.
        rows: of the scene's table, one a probe, where it was asked about some photos only; None: where the probes are
            the table's photos, all of them in order.
    """

    name: str
    identity: Shaped[Array, " n"]
    clean: Float[Array, " n"]
    anonymized: Float[Array, " n"]
    chance: float
    excluded: str | None = None
    rows: Int[Array, " n"] | None = None


@dataclass
class Findings:
    """What a measure found.

    Attributes:
        metrics: figures by their full names, such as `judge/onnx/tar_cross_1e-2`.
        columns: a value for each row of the scene's table; they go into `images.parquet`.
        outcomes: for `strongest_observer`.
        warnings: what a reader of the figures must know.
        details: facts that are not metrics, such as thresholds.
        strip: kinds of pictures of the same photos, which the run keeps beside each other as one picture.
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    columns: dict[str, Shaped[Array, " n"]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    strip: list[Images] = field(default_factory=list)


@dataclass(frozen=True)
class Fits:
    """Trainings of one kind.

    Attributes:
        count: how many, each over all training photos; one over half of them counts one half.
        freeze: what replaces the target's own; None leaves it.
        net: another network than the target, without people; None takes the target.
        recipe: how `net` is trained; None takes the target's.
    """

    count: float
    freeze: str | None = None
    net: Recognizer | None = None
    recipe: FitRecipe | None = None


Training = Callable[[Recognizer, Images], float]
"""Seconds that trainings of no recogniser take, from a few steps on these photos, beside a target without people."""


@dataclass(frozen=True)
class Cost:
    """What a measure asks of a run besides looking at it, where it is not in the store yet.

    Attributes:
        fits: trainings.
        pictures: (part, seed) of photos that are masked and repainted; measures that name the same share them.
        trainings: of what is no recogniser, each with how often.
    """

    fits: tuple[Fits, ...] = ()
    pictures: frozenset[tuple[str, int]] = frozenset()
    trainings: tuple[tuple[int, Training], ...] = ()


class Measure(Configured, ABC):
    """A judge, an attacker or a utility measure."""

    needs_data: ClassVar[bool] = True
    """Whether it asks for the run's data; False where the saved pictures are enough."""

    needs_target: ClassVar[bool] = True
    """Whether it asks a recogniser of the run's people; False where judges are enough."""

    def check(self, data: FaceData) -> None:
        """Refuses data that it cannot work with, before anything expensive starts.

        Args:
            data: after `setup()`.

        Raises:
            UserError: names what is missing and the way out.
        """

    def cost(self, data: FaceData, recognizer_frozen: bool, seed: int) -> Cost:
        """What a run pays for it; nothing unless it trains or wants more pictures.

        Args:
            data: after `setup()`.
            recognizer_frozen: whether the target's trunk is frozen.
            seed: the run's.
        """
        del data, recognizer_frozen, seed
        return Cost()

    @abstractmethod
    def measure(self, scene: Scene, name: str) -> Findings:
        """Looks at a finished run.

        Args:
            scene: the run.
            name: prefix of what it finds: the config group and the chosen name, such as "judge/onnx".
        """


def strongest_observer(outcomes: Sequence[Outcome], draws: int = 2000, seed: int = 0) -> tuple[Metric, list[str]]:
    """What the strongest observer still recognises: max of (top-1 on anonymised - chance) / (clean top-1 - chance).

    1: somebody recognises people as well as ever; 0: everybody guesses. Identities are drawn with replacement; see
    `interval_of_maximum`.

    A maximum leans upwards: one of several equally good observers is ahead by luck. The error is on the safe side. In a
    simulation (40 people, 3 photos each, docs/results/coverage.md) it is 0.01 to 0.02 with two equally good observers
    and 0.04 to 0.05 with eight, less the more they agree, and nothing where one is clearly ahead. The interval's upper
    end leans with it; its lower end is corrected for the choice.

    Args:
        outcomes: one an observer; those that are excluded, or at chance on the originals, take no part.
        draws: resamples.
        seed: of the draws.

    Returns:
        The metric, and who took part, the strongest first.
    """
    able = [s for s in outcomes if s.excluded is None and np.isfinite(kept_share(_columns(s).sum(axis=1), s.chance))]
    if not able:
        excluded = sorted({s.excluded for s in outcomes if s.excluded})
        end = "no observer is left" if "steered" in excluded else "no observer passed its gate"
        reason = f"{', '.join(excluded) or 'at chance on the originals'}: {end}"
        if not outcomes:
            reason = "no observer was asked: choose a judge, and give at least two photos of a person"
        return Metric(None, None, None, max((len(s.clean) for s in outcomes), default=0), reason), []
    values = [float(kept_share(_columns(s).sum(axis=1), s.chance)) for s in able]
    people = np.unique(np.concatenate([s.identity for s in able]))
    sums = [row for s in able for row in _of_people(s, people)]
    drawn = np.stack(resampled_sums(people, sums, draws, seed)).reshape(len(able), 3, draws)
    low, high = interval_of_maximum(np.stack([kept_share(own, s.chance) for own, s in zip(drawn, able, strict=True)]))
    order = np.argsort(values, kind="stable")[::-1]
    strongest = able[int(order[0])]
    value = values[int(order[0])]
    metric = Metric(value, min(low, value), max(high, value), len(strongest.clean))
    return metric, [able[int(i)].name for i in order]


def recovered_share(*outcomes: Outcome) -> Metric:
    """(top-1 on anonymised - chance) / (clean top-1 - chance) of one observer, or of the best of an observer's tries.

    The interval is over identities, as in `strongest_observer`. An observer excluded there still has its figure here,
    with the reason of the exclusion beside it.

    Args:
        outcomes: the observer's own, one a try.
    """
    metric, _ = strongest_observer([replace(outcome, excluded=None) for outcome in outcomes])
    return replace(metric, reason=metric.reason or outcomes[0].excluded)


def kept_share(sums: Float[Array, "3 *draws"], chance: float) -> Float[Array, "*draws"]:
    """(top-1 on anonymised - chance) / (clean top-1 - chance); NaN without probes, or at chance on the originals.

    Args:
        sums: how many probes, how many of them are recognised on the original, and how many on the anonymised picture.
        chance: rank-1 rate of a guess.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        able = sums[1] / sums[0] - chance
        share = (sums[2] / sums[0] - chance) / able
    return np.where(able > NOTHING, share, np.nan)


def _columns(outcome: Outcome) -> Float[Array, "3 n"]:
    return np.stack([np.ones(len(outcome.clean)), outcome.clean, outcome.anonymized])


def _of_people(outcome: Outcome, people: Shaped[Array, " p"]) -> Float[Array, "3 p"]:
    """Probes, and what is recognised of each of these people; 0 for those whom the observer does not know."""
    index = np.searchsorted(people, outcome.identity)
    return np.stack([np.bincount(index, weights=column, minlength=len(people)) for column in _columns(outcome)])
