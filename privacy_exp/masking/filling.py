"""The plainest filling, which tells nothing of what was hidden."""

import torch
from jaxtyping import Float
from torch import Tensor

from privacy_exp.types import Images, Masks


def mean_of_kept(images: Images, masks: Masks) -> Float[Tensor, "n 3 1 1"]:
    """Mean colour of each image's kept pixels; mid-grey where nothing is kept.

    Args:
        images: RGB in [0, 1].
        masks: True = hidden, does not count.
    """
    kept = (~masks).to(images)
    count = kept.sum(dim=(2, 3), keepdim=True)
    mean = (images * kept).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
    return torch.where(count > 0, mean, 0.5)


def mean_filled(images: Images, masks: Masks) -> Images:
    """The images with their hidden pixels in the mean colour of the kept ones.

    Args:
        images: RGB in [0, 1].
        masks: True = hidden.
    """
    return torch.where(masks, mean_of_kept(images, masks), images)
