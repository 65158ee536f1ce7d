"""Feature map weighted cell by cell with positive gradients."""

from pytorch_grad_cam import LayerCAM as Library

from privacy_exp.masking.activation import ActivationMap


class LayerCAM(ActivationMap):
    """LayerCAM: each cell of the map counts by its own positive gradient.

    See `ActivationMap` for the arguments.

    Example:
        >>> import torch
        >>> from privacy_exp.recognition.resnet import SmallResNet
        >>> net = SmallResNet(image_size=32).for_people(3).eval()
        >>> from privacy_exp.types import Faces
        >>> faces = Faces(["a"], torch.rand(1, 3, 32, 32))
        >>> int(LayerCAM().mask(faces, net, mask_ratio=0.25).sum())
        256

    Reference: Jiang et al., LayerCAM, 2021.
    """

    cam = Library
