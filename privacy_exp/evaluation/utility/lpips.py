"""LPIPS: how different original and result look to a network trained on photographs."""

import pickle
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.functional.image.lpips import _LPIPS  # the public class can only download what we have on disk

from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.utility.pictures import mean_of_present, pictures
from privacy_exp.types import Images, Metric, UserError

BACKBONES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}
"""Networks, and torchvision's ImageNet weights of them as https://download.pytorch.org/models names the files."""


class LPIPS(Measure):
    """Learned perceptual distance of original and result: `utility/lpips`, 0 for equal images.

    The linear layers come with torchmetrics; the network's ImageNet weights do not: without them the figure is null.

    Args:
        net: "alex", "vgg" or "squeeze".
        weights: file of torchvision's weights of that network, or None.
        batch_size: photos at a time.

    Reference: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, 2018.
    """

    needs_data = False

    def __init__(self, net: str = "alex", weights: str | None = None, batch_size: int = 32) -> None:
        if net not in BACKBONES:
            raise UserError(f"`net` must be one of {', '.join(BACKBONES)}, but got {net!r}.")
        if weights is not None and not Path(weights).is_file():
            raise FileNotFoundError(
                f"`utility.lpips.weights` must be a file such as {BACKBONES[net]}, but {weights} is none."
            )
        self.net = net
        self.weights = weights
        self.batch_size = batch_size

    def measure(self, scene: Scene, name: str) -> Findings:
        """Compares every pair of a run; see `Measure`."""
        key = f"{name.partition('/')[0]}/lpips"
        if self.weights is None:
            reason = f"no weights: give utility.lpips.weights=FILE, torchvision's {BACKBONES[self.net]}"
            return Findings({key: Metric(None, None, None, len(scene.table), reason)})
        network = perceptual_network(self.net, self.weights).to(scene.device)
        batches = pictures(scene.folder, self.batch_size)
        parts = [
            perceptual_distance(network, b.originals.to(scene.device), b.results.to(scene.device)) for b in batches
        ]
        values = torch.cat(parts).double().cpu().numpy()
        people = scene.table["identity"].to_numpy(str)
        return Findings({key: mean_of_present(values, people, "no images")}, {key: values}, details={"net": self.net})


def perceptual_network(net: str, weights: str) -> nn.Module:
    """LPIPS with torchmetrics' linear layers over a torchvision network's own weights.

    Raises:
        UserError: the file holds other weights.
    """
    network = _LPIPS(net=net, pnet_rand=True)  # type: ignore[arg-type]
    backbone: nn.Module = network.net
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        # slices of torchvision's `features`, in which the layers keep their numbers
        backbone.load_state_dict(
            {key: state["features." + key.split(".", _depth(key))[-1]] for key in backbone.state_dict()}
        )
    except (KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"`utility.lpips.weights` must hold torchvision's {BACKBONES[net]}, but {weights} does not ({error})."
        ) from error
    return network.eval()


def _depth(key: str) -> int:
    """How many parts of a parameter's name belong to torchmetrics: "slice1.0.weight", but "slices.0.0.weight"."""
    return 2 if key.startswith("slices.") else 1


@torch.inference_mode()
def perceptual_distance(network: nn.Module, originals: Images, results: Images) -> Float[Tensor, " n"]:
    """LPIPS of each pair.

    Args:
        network: from `perceptual_network`.
        originals: RGB in [0, 1].
        results: RGB in [0, 1].
    """
    distance: Tensor = network(originals, results, normalize=True)
    return distance.reshape(len(originals))
