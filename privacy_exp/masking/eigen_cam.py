"""First principal component of the feature map."""

from pytorch_grad_cam import EigenCAM as Library

from privacy_exp.masking.activation import ActivationMap


class EigenCAM(ActivationMap):
    """Eigen-CAM: the map's first principal component; no identity and no gradient enters.

    See `ActivationMap` for the arguments.

    Reference: Muhammad and Yeasin, Eigen-CAM, 2020.
    """

    cam = Library
