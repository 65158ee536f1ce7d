"""Feature map weighted by the mean gradient of each channel."""

from pytorch_grad_cam import GradCAM as Library

from privacy_exp.masking.activation import ActivationMap


class GradCAM(ActivationMap):
    """Grad-CAM: each channel counts by the mean of its gradient.

    See `ActivationMap` for the arguments.

    Reference: Selvaraju et al., Grad-CAM, 2017.
    """

    cam = Library
