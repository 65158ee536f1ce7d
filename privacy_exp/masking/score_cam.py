"""Feature map weighted by what each channel, used as a mask, leaves of the identity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn

from privacy_exp.masking.activation import ActivationMap
from privacy_exp.types import UserError


@dataclass(eq=False, kw_only=True)
class ScoreCAM(ActivationMap):
    """Score-CAM: each channel counts by the identity's output when the input is seen through that channel alone.

    No gradient enters. The channels of largest variance take part: the others are nearly flat, cost a forward pass each
    and hardly change the map.

    Args:
        channels: how many take part; at least as many as the layer has is the published method.
        batch_size: inputs at a time.
        target: see `ActivationMap`.

    Example:
        >>> from privacy_exp.types import Faces
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(ScoreCAM(channels=2).mask(faces, net, mask_ratio=0.25).sum())
        256

    Reference: Wang et al., Score-CAM, 2020.
    """

    channels: int = 32
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("channels", self.channels), ("batch_size", self.batch_size)):
            if value < 1:
                raise UserError(f"`{name}` must be at least 1, but got {value}.")

    def library(self, network: nn.Module, layer: nn.Module) -> BaseCAM:
        """pytorch-grad-cam with this weighting; its own holds the inputs of all channels of a batch at once."""
        return _FewChannels(network, layer, self.channels, self.batch_size)


class _FewChannels(BaseCAM):
    def __init__(self, network: nn.Module, layer: nn.Module, channels: int, batch_size: int) -> None:
        super().__init__(network, [layer], uses_gradients=False)
        self.channels, self.batch_size = channels, batch_size

    @torch.no_grad()
    def get_cam_weights(
        self,
        input_tensor: Tensor,
        target_layer: nn.Module,
        targets: Sequence[Callable[[Tensor], Tensor]],
        activations: np.ndarray,
        grads: None,
    ) -> np.ndarray:
        """Softmax over the chosen channels' outputs, 0 for the others."""
        del target_layer, grads
        weights = torch.zeros(activations.shape[:2])
        for i, (image, target) in enumerate(zip(input_tensor, targets, strict=True)):
            maps = torch.from_numpy(activations[i]).to(image)
            chosen = maps.flatten(1).var(1).topk(min(self.channels, len(maps))).indices
            seen = F.interpolate(maps[chosen, None], image.shape[1:], mode="bilinear", align_corners=True)
            low, high = seen.amin((2, 3), keepdim=True), seen.amax((2, 3), keepdim=True)
            parts = ((seen - low) / (high - low + 1e-8)).split(self.batch_size)
            outputs = torch.cat([torch.stack([target(o) for o in self.model(image * part)]) for part in parts])
            weights[i, chosen.cpu()] = outputs.float().softmax(0).cpu()
        return weights.numpy()
