"""First principal component of the feature map."""

from typing import Any

import numpy as np
from pytorch_grad_cam import EigenCAM as Library
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_with_sign_correction

from privacy_exp.masking.activation import ActivationMap


class _Signed(Library):
    """The library's own class takes the component's sign as the decomposition leaves it, which is arbitrary."""

    def get_cam_image(self, *args: Any, **kwargs: Any) -> np.ndarray:
        """The projection, strong where the map is strong."""
        activations = kwargs["activations"] if "activations" in kwargs else args[3]
        return np.asarray(get_2d_projection_with_sign_correction(activations))


class EigenCAM(ActivationMap):
    """Eigen-CAM: the map's first principal component; no identity and no gradient enters.

    See `ActivationMap` for the arguments.

    Example:
        >>> import torch
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> from privacy_exp.types import Faces
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(EigenCAM().mask(faces, net, mask_ratio=0.25).sum())
        256

    Reference: Muhammad and Yeasin, Eigen-CAM, 2020.
    """

    cam = _Signed
