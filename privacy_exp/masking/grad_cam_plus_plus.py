"""Feature map weighted by positive gradients of higher order."""

from pytorch_grad_cam import GradCAMPlusPlus as Library

from privacy_exp.masking.activation import ActivationMap


class GradCAMPlusPlus(ActivationMap):
    """Grad-CAM++: each channel counts by its positive gradients, weighted so that several spots count alike.

    See `ActivationMap` for the arguments.

    Reference: Chattopadhay et al., Grad-CAM++, 2018.
    """

    cam = Library
