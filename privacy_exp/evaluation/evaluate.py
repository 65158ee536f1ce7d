"""All figures of a finished run: the oblivious recogniser, then every measure, then what needs them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from privacy_exp.evaluation.aligned import unaligned
from privacy_exp.evaluation.by_attribute import ATTRIBUTE, rates_by_attribute
from privacy_exp.evaluation.measure import Measure, Outcome, Scene, strongest_observer
from privacy_exp.evaluation.minimal import minimal_metrics
from privacy_exp.evaluation.privacy import outcome, privacy_metrics
from privacy_exp.masking.target import Embeds
from privacy_exp.tracking.stages import begin
from privacy_exp.types import Images, Metric

RECOGNISED, RECOGNISED_CLEAN = "recognised/", "recognised_clean/"
"""Prefixes of the columns that say what each observer named rightly, on the result and on the original."""


@dataclass
class Evaluation:
    """What a run's pictures say.

    Attributes:
        table: the scene's, with a column or more from each measure, what each observer recognised, and attributes.
        metrics: figures by name.
        observers: who took part in `strongest_observer`, the strongest first.
        details: facts that are not metrics, by the measure's name; under "observers" each one's chance.
        warnings: what a reader of the figures must know.
        strips: kinds of pictures of the same photos, by the name of the measure that shows them.
    """

    table: pd.DataFrame
    metrics: dict[str, Metric]
    observers: list[str]
    details: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    strips: dict[str, list[Images]] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float | None]:
        """Metric names to values."""
        return {name: metric.value for name, metric in self.metrics.items()}


def evaluate(scene: Scene, measures: Mapping[str, Measure], gate: float) -> Evaluation:
    """Looks at a finished run with everything that was asked for.

    Args:
        scene: the run; where its table has no `pred` there is no target, and its figures are left out.
        measures: by group and name, such as "judge/onnx".
        gate: clean accuracy of the target below which every privacy figure is flagged.
    """
    named = "pred" in scene.table
    judges = {n: m for n, m in measures.items() if n.startswith("judge/") and isinstance(m, Embeds)}
    scene = replace(scene, table=with_attributes(scene), judges=judges)
    metrics: dict[str, Metric] = {}
    if named:
        metrics = privacy_metrics(scene.table, gate)
        flag = metrics["fool_rate"].reason
        metrics |= {n: replace(m, reason=m.reason or flag) for n, m in minimal_metrics(scene.table).items()}
    found = Evaluation(scene.table, metrics, [])
    outcomes = [outcome(scene.table, len(scene.identities), gate)] if named else []
    for name, measure in measures.items():
        begin(name)
        findings = measure.measure(scene, name)
        found.metrics |= findings.metrics
        found.table = found.table.assign(**findings.columns)
        found.details |= {name: findings.details} if findings.details else {}
        found.warnings += findings.warnings
        found.strips |= {name: findings.strip} if findings.strip else {}
        outcomes += findings.outcomes
    found.metrics["strongest_observer"], found.observers = strongest_observer(outcomes)
    found.details["observers"] = {s.name: {"chance": s.chance, "excluded": s.excluded} for s in outcomes}
    found.table = found.table.assign(**observer_columns(outcomes, scene.table))
    strongest = next((s for s in outcomes if found.observers and s.name == found.observers[0]), None)
    if named and scene.data is not None and found.metrics["fool_rate"].reason == "below_gate":
        found.warnings += [note for note in [unaligned(scene.data)] if note]
    flags = {s.name: s.excluded for s in outcomes if s.excluded is not None}
    found.metrics |= rates_by_attribute(found.table, strongest, gate, flags)
    return found


def with_attributes(scene: Scene) -> pd.DataFrame:
    """The scene's table with a column of booleans an attribute, where the data has attributes; else as it is."""
    if scene.data is None:
        return scene.table
    rows = {photo.id: photo.attributes for photo in scene.data.photos["test"]}
    flags = [rows.get(image_id) for image_id in scene.table["image_id"]]
    known = [row for row in flags if row is not None]
    if not known or len(known) < len(flags):
        return scene.table
    return scene.table.assign(**{ATTRIBUTE + name: [bool(row[name]) for row in known] for name in sorted(known[0])})


def observer_columns(outcomes: Sequence[Outcome], table: pd.DataFrame) -> dict[str, np.ndarray]:
    """What each observer recognised, image by image; NaN for photos that it was not asked about.

    Observers whose probes are other photos than the table's are left out.
    """
    people = table["identity"].to_numpy(str)
    columns = {}
    for seen in outcomes:
        rows = np.arange(len(table)) if seen.rows is None else seen.rows
        if np.array_equal(seen.identity.astype(str), people[rows]):
            for prefix, hits in ((RECOGNISED, seen.anonymized), (RECOGNISED_CLEAN, seen.clean)):
                columns[prefix + seen.name] = np.full(len(table), np.nan)
                columns[prefix + seen.name][rows] = hits
    return columns
