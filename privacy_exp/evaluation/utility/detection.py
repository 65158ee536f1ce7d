"""Whether a result still shows a face, and how far its parts moved."""

from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.evaluation.utility.pictures import mean_of_present, pictures
from privacy_exp.recognition.detection import Detections, StoredDetections, detect_faces
from privacy_exp.runs.picture import picture_digest


class Detection(Measure):
    """Face detection and landmarks by MTCNN at twice the size; it takes no part in masking.

    - `utility/detection_rate`: results in which it finds a face; `detection_rate_original`: the same of the originals;
    - `utility/landmark_error`: mean distance of its five points on the result from its points on the original, over the
      inter-ocular distance there, for photos in both of which it finds a face.

    Args:
        batch_size: photos at a time.
    """

    needs_data = False

    def __init__(self, batch_size: int = 32) -> None:
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Looks for a face in every original and result of a run; see `Measure`."""
        group = name.partition("/")[0]
        before, after, errors = [], [], []
        known = StoredDetections(scene.store)
        names = (picture_digest(path) for path, _ in scene.folder.list("original").values())
        for batch in pictures(scene.folder, self.batch_size):
            original = known(list(islice(names, len(batch.originals))), batch.originals, scene.device)
            result = detect_faces(batch.results, scene.device)
            before.append(original.found)
            after.append(result.found)
            errors.append(landmark_error(original, result))
        found_before, found_after, error = (torch.cat(parts).numpy() for parts in (before, after, errors))
        people = scene.table["identity"].to_numpy(str)
        empty = "no photo with a face found in both original and result"
        return Findings(
            metrics={
                f"{group}/detection_rate": clustered_rate(found_after, people),
                f"{group}/detection_rate_original": clustered_rate(found_before, people),
                f"{group}/landmark_error": mean_of_present(error.astype(np.float64), people, empty),
            },
            columns={
                f"{group}/detected": found_after,
                f"{group}/landmark_error": error.astype(np.float64),
            },
        )


def landmark_error(original: Detections, result: Detections) -> Float[Tensor, " n"]:
    """Mean distance of five points over the original's inter-ocular distance; NaN where either has no face."""
    distance = (result.landmarks - original.landmarks).norm(dim=2).mean(1)
    eyes = (original.landmarks[:, 1] - original.landmarks[:, 0]).norm(dim=1)
    both = original.found & result.found & (eyes > 0)
    return torch.where(both, distance / eyes.where(both, 1), torch.nan)
