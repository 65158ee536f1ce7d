"""How many results show nothing where something was: they would pass for privacy."""

import numpy as np

from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.evaluation.utility.pictures import pictures
from privacy_exp.inpainting.sanity import black_and_flat


class Sanity(Measure):
    """Share of results that are black or flat under the mask though their original was not.

    `utility/black_share, utility/flat_share`. Controls that paint one colour are flat by design.

    Args:
        batch_size: photos at a time.
    """

    needs_data = False

    def __init__(self, batch_size: int = 32) -> None:
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Looks at every result of a run; see `Measure`."""
        group = name.partition("/")[0]
        parts = [black_and_flat(p.originals, p.masks, p.results) for p in pictures(scene.folder, self.batch_size)]
        people = scene.table["identity"].to_numpy(str)
        columns = {
            f"{group}/{word}": np.concatenate([part[i].numpy() for part in parts])
            for i, word in enumerate(("black", "flat"))
        }
        metrics = {f"{column}_share": clustered_rate(hits, people) for column, hits in columns.items()}
        return Findings(metrics, columns)
