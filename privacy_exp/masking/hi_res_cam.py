"""Feature map times its gradient, cell by cell."""

from pytorch_grad_cam import HiResCAM as Library

from privacy_exp.masking.activation import ActivationMap


class HiResCAM(ActivationMap):
    """HiResCAM: each cell of the map times its gradient, no averaging.

    See `ActivationMap` for the arguments.

    Example:
        >>> import torch
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> from privacy_exp.types import Faces
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(HiResCAM().mask(faces, net, mask_ratio=0.25).sum())
        256

    Reference: Draelos and Carin, Use HiResCAM instead of Grad-CAM, 2020.
    """

    cam = Library
