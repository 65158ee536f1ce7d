"""Feature map times its gradient, cell by cell."""

from pytorch_grad_cam import HiResCAM as Library

from privacy_exp.masking.activation import ActivationMap


class HiResCAM(ActivationMap):
    """HiResCAM: each cell of the map times its gradient, no averaging.

    See `ActivationMap` for the arguments.

    Reference: Draelos and Carin, Use HiResCAM instead of Grad-CAM, 2020.
    """

    cam = Library
