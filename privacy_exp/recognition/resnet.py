"""A small residual network: another architecture than FaceNet, for a second opinion on any data."""

from collections.abc import Sequence
from typing import final

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.resnet import ResNet as TorchvisionResNet

from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.recognition.heads import CosineHead
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Images, UserError

FEATURES = 512
SMALLEST = 32


@final
class SmallResNet(Recognizer):
    """torchvision's residual network with basic blocks, a stem for small pictures and a cosine head.

    Args:
        image_size: side of the square the trunk sees, in pixels; at least 32.
        blocks: basic blocks in each of the four stages; [2, 2, 2, 2] is ResNet-18.
        scale: see `CosineHead`.
        freeze: see `Recognizer`.
        num_classes: see `Recognizer`.
        template: taken as every recogniser does and ignored: the network needs no alignment.

    Raises:
        UserError: a value out of range.

    Example:
        >>> import torch
        >>> SmallResNet(image_size=32).for_people(3)(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 3])

    Reference: He et al., Deep Residual Learning for Image Recognition, 2016.
    """

    recipe = FitRecipe(max_epochs=30, lr=2e-3, weight_decay=0.05, augment=True)

    def __init__(
        self,
        image_size: int = 64,
        blocks: Sequence[int] = (1, 1, 1, 1),
        scale: float = 16.0,
        freeze: str = "none",
        num_classes: int | None = None,
        template: Float[Tensor, "5 2"] | None = None,
    ) -> None:
        del template
        if image_size < SMALLEST:
            raise UserError(f"`image_size` must be at least {SMALLEST} pixels for SmallResNet, but got {image_size}.")
        if len(blocks) != 4 or min(blocks) < 1:
            raise UserError(f"`blocks` must be four numbers of at least 1, but got {list(blocks)}.")
        trunk = top = None
        if num_classes is not None:
            trunk = TorchvisionResNet(BasicBlock, list(blocks))
            trunk.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)  # 7×7 and a pool would leave 2×2 cells
            trunk.maxpool = nn.Identity()
            trunk.fc = nn.Identity()
            top = CosineHead(FEATURES, num_classes, scale)
        super().__init__(trunk, top, num_classes, image_size, freeze)

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Covers the square, then [-1, 1]."""
        return cover(images, self.image_size) * 2 - 1
