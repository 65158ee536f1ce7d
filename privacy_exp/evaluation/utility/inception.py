"""Distances between the distributions of originals and results in Inception's features."""

import pickle
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.utility.pictures import pictures
from privacy_exp.types import Images, Metric, UserError

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""The weights that published figures use, as torch-fidelity's releases have them."""

FEWEST_IMAGES = 5000
"""Below it the Fréchet distance is biased by the number of images more than by their look: use KID."""

REFERENCE = "the same photos before anything was hidden"


class KID(Measure):
    """Kernel Inception distance of results from originals: `utility/kid`, unbiased at any number of images.

    Squared MMD with the kernel (x·y / d + 1)³ over `subset_size` images, mean over `subsets` draws; of all images at
    once where there are no more. It has no interval: people cannot be drawn again without drawing pairs of equals.

    Args:
        weights: file of Inception's weights, or None: then the figure is null.
        subset_size: images at most in one estimate.
        subsets: estimates.
        batch_size: photos at a time.

    Reference: Bińkowski et al., Demystifying MMD GANs, 2018.
    """

    needs_data = False

    def __init__(
        self, weights: str | None = None, subset_size: int = 1000, subsets: int = 100, batch_size: int = 32
    ) -> None:
        if subset_size < 2 or subsets < 1:
            raise UserError(
                f"`subset_size` must be at least 2 and `subsets` at least 1, but got {subset_size} and {subsets}."
            )
        self.weights = checked(weights, "kid")
        self.subset_size = subset_size
        self.subsets = subsets
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Compares the pictures of a run as two sets; see `Measure`."""
        key, n = f"{name.partition('/')[0]}/kid", len(scene.table)
        reason = "one image has no distribution" if n < 2 else missing(self.weights, "kid")
        if reason is not None or self.weights is None:
            return Findings({key: Metric(None, None, None, n, reason)})
        size = min(self.subset_size, n)
        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
            torch.manual_seed(scene.seed)
            metric = KernelInceptionDistance(
                inception_network(self.weights), subsets=self.subsets if size < n else 1, subset_size=size
            ).to(scene.device)
            feed(metric, scene, self.batch_size)
            value, spread = metric.compute()
        details = {"n": n, "reference": REFERENCE, "subset_size": size, "standard_deviation": float(spread)}
        return Findings({key: Metric(float(value), None, None, n)}, details=details)


class FID(Measure):
    """Fréchet Inception distance of results from originals: `utility/fid`; null under 5,000 images.

    Args:
        weights: file of Inception's weights, or None: then the figure is null.
        fewest_images: below it there is no figure.
        batch_size: photos at a time.

    Reference: Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017.
    """

    needs_data = False

    def __init__(self, weights: str | None = None, fewest_images: int = FEWEST_IMAGES, batch_size: int = 32) -> None:
        if fewest_images < 2:
            raise UserError(f"`fewest_images` must be at least 2, but got {fewest_images}.")
        self.weights = checked(weights, "fid")
        self.fewest_images = fewest_images
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Compares the pictures of a run as two sets; see `Measure`."""
        key, n = f"{name.partition('/')[0]}/fid", len(scene.table)
        reason = missing(self.weights, "fid")
        if n < self.fewest_images:
            reason = f"{n} images, {self.fewest_images} needed: biased below that, use utility=kid"
        if reason is not None or self.weights is None:
            return Findings({key: Metric(None, None, None, n, reason)})
        metric = FrechetInceptionDistance(inception_network(self.weights)).to(scene.device)
        feed(metric, scene, self.batch_size)
        return Findings({key: Metric(float(metric.compute()), None, None, n)}, details={"n": n, "reference": REFERENCE})


def checked(weights: str | None, measure: str) -> str | None:
    """The path, if there is a file.

    Raises:
        FileNotFoundError: there is none.
    """
    if weights is not None and not Path(weights).is_file():
        raise FileNotFoundError(f"`utility.{measure}.weights` must be a file such as {WEIGHTS}, but {weights} is none.")
    return weights


def missing(weights: str | None, measure: str) -> str | None:
    """Why Inception cannot be asked, or None."""
    if weights is None:
        return f"no weights: give utility.{measure}.weights=FILE, torch-fidelity's {WEIGHTS}"
    if find_spec("torch_fidelity") is None:
        return "torch-fidelity is not installed: pip install 'privacy-exp[fidelity]'"
    return None


def inception_network(weights: str) -> nn.Module:
    """Inception with these weights: 8-bit RGB of any size to 2,048 features.

    Raises:
        UserError: the file holds anything but these weights.
    """
    from torchmetrics.image.fid import NoTrainInceptionV3

    try:
        # torch-fidelity's own loading may run whatever code such a file carries
        torch.load(weights, map_location="cpu", weights_only=True)
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], weights)
    except (RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"the weights must be torch-fidelity's {WEIGHTS}, but {weights} is not ({error}).") from error


@torch.inference_mode()
def feed(metric: KernelInceptionDistance | FrechetInceptionDistance, scene: Scene, batch_size: int) -> None:
    """Shows all originals and results of a run to a metric."""
    for batch in pictures(scene.folder, batch_size):
        metric.update(eight_bit(batch.originals).to(scene.device), real=True)
        metric.update(eight_bit(batch.results).to(scene.device), real=False)


def eight_bit(images: Images) -> torch.Tensor:
    """Pixels as 0 … 255, which they were in the files."""
    return (images * 255).round().clamp(0, 255).byte()
