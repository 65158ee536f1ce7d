"""What turns features into one score per identity."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.types import Logits


class CosineHead(nn.Module):
    """Scaled cosine similarity to one learnt direction per identity.

    Args:
        features: length of the embedding.
        num_classes: the number of identities.
        scale: logits lie in [-scale, scale].

    Reference: Wang et al., NormFace, 2017.
    """

    def __init__(self, features: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, features) / math.sqrt(features))
        self.scale = scale

    def forward(self, features: Float[Tensor, "n d"]) -> Logits:
        """Logits of features of any length."""
        return self.scale * F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).mT
