"""SSIM and PSNR between original and result, inside and outside the hidden part apart."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.statistics.intervals import Array
from privacy_exp.evaluation.utility.pictures import mean_of_present, pictures
from privacy_exp.types import Images, Masks, Metric

PLACES = {"inside": "no image has a hidden pixel", "outside": "no image has a kept pixel"}
"""Where pixels are compared, and why there may be none."""


class Pixels(Measure):
    """How much the pixels changed: `utility/ssim_inside, ssim_outside, psnr_inside, psnr_outside`.

    Outside the mask a result equals its original up to the file format, which is what those two figures show. PSNR is
    that of the mean squared error over all images; null where they are equal, for it would be infinite.

    Args:
        batch_size: photos at a time.
    """

    needs_data = False

    def __init__(self, batch_size: int = 32) -> None:
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Compares every pair of a run; see `Measure`."""
        group = name.partition("/")[0]
        parts = [pixel_scores(*batch) for batch in pictures(scene.folder, self.batch_size)]
        columns = {key: torch.cat([part[key] for part in parts]).double().numpy() for key in parts[0]}
        people = scene.table["identity"].to_numpy(str)
        metrics = {}
        for place, empty in PLACES.items():
            metrics[f"{group}/ssim_{place}"] = mean_of_present(columns[f"ssim_{place}"], people, empty)
            metrics[f"{group}/psnr_{place}"] = psnr(columns[f"mse_{place}"], people, empty)
        return Findings(metrics, {f"{group}/{key}": values for key, values in columns.items()})


@torch.inference_mode()
def pixel_scores(originals: Images, results: Images, masks: Masks) -> dict[str, Float[Tensor, " n"]]:
    """SSIM and mean squared error of each image, inside and outside its mask; NaN where there is no such pixel.

    SSIM is the mean of its map (Gaussian window of 11 pixels, σ 1.5) over the pixels whose window is centred there: a
    window at the edge of the mask sees both sides.

    Args:
        originals: before.
        results: after.
        masks: True = hidden.

    Reference: Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.
    """
    found = structural_similarity_index_measure(results, originals, data_range=1.0, return_full_image=True)
    maps = {"ssim": found[1].mean(1), "mse": (results - originals).square().mean(1)}
    where = {"inside": masks[:, 0], "outside": ~masks[:, 0]}
    scores = {}
    for place, pixels in where.items():
        count = pixels.sum((1, 2))
        for key, values in maps.items():
            scores[f"{key}_{place}"] = (values * pixels).sum((1, 2)) / count.where(count > 0, torch.nan)
    return scores


def psnr(mse: Float[Array, " n"], people: Shaped[Array, " n"], empty: str = "no images") -> Metric:
    """-10 log10 of the mean squared error over all images, in dB, for pixels in [0, 1].

    Args:
        mse: of each image; NaN where there is none.
        people: identity of each image.
        empty: the reason to state where no image has one.
    """
    error = mean_of_present(mse, people, empty)
    if error.value is None or error.low is None or error.high is None:
        return error
    if error.value == 0:
        return Metric(None, None, None, error.n, "equal to the originals: infinite")
    return Metric(_decibel(error.value), _decibel(error.high), _decibel(error.low), error.n)


def _decibel(mse: float) -> float | None:
    return None if mse <= 0 else -10 * math.log10(mse)
