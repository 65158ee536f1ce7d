"""Feature map weighted by the mean gradient of each channel."""

from pytorch_grad_cam import GradCAM as Library

from privacy_exp.masking.activation import ActivationMap


class GradCAM(ActivationMap):
    """Grad-CAM: each channel counts by the mean of its gradient.

    See `ActivationMap` for the arguments.

    Example:
        >>> import torch
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> from privacy_exp.types import Faces
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(GradCAM().mask(faces, net, mask_ratio=0.25).sum())
        256

    Reference: Selvaraju et al., Grad-CAM, 2017.
    """

    cam = Library
