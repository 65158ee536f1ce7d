"""Feature map weighted by positive gradients of higher order."""

from pytorch_grad_cam import GradCAMPlusPlus as Library

from privacy_exp.masking.activation import ActivationMap


class GradCAMPlusPlus(ActivationMap):
    """Grad-CAM++: each channel counts by its positive gradients, weighted so that several spots count alike.

    See `ActivationMap` for the arguments.

    Example:
        >>> import torch
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> from privacy_exp.types import Faces
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(GradCAMPlusPlus().mask(faces, net, mask_ratio=0.25).sum())
        256

    Reference: Chattopadhay et al., Grad-CAM++, 2018.
    """

    cam = Library
