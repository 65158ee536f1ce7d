"""Feature map weighted cell by cell with positive gradients."""

from pytorch_grad_cam import LayerCAM as Library

from privacy_exp.masking.activation import ActivationMap


class LayerCAM(ActivationMap):
    """LayerCAM: each cell of the map counts by its own positive gradient.

    See `ActivationMap` for the arguments.

    Reference: Jiang et al., LayerCAM, 2021.
    """

    cam = Library
