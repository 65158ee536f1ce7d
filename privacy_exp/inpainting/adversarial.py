"""Adversarial noise: small changes by which a known recogniser no longer finds the person."""

import copy
from typing import final

import torch
from torch import Generator, Tensor, nn

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, Images, Masks, UserError, number


@final
class Adversarial(Inpainter):
    """Moves hidden pixels by at most `eps` so that the target's embedding turns away from the original's.

    A white-box control: it fools the recogniser whose gradient it follows, and says little of any other. Steps of
    projected gradient descent on the cosine similarity to the original, from a random start, for at the original itself
    the gradient vanishes. It changes what the mask hides; masking=everything changes the whole frame. The loop is our
    own: libraries of attacks, such as torchattacks, lower a classifier's score of a label, know no mask, and draw from
    the global generator.

    Args:
        eps: largest change of a colour value, in [0, 1]; 8 / 255 is what most papers take.
        steps: of the descent.
        momentum: 0 is PGD; 1 adds up the gradients of all steps.

    References: Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, 2018 (PGD); Dong et al.,
        Boosting Adversarial Attacks with Momentum, 2018.

    Example:
        >>> from privacy_exp import SmallResNet
        >>> noise = Adversarial(eps=0.1, steps=2)
        >>> noise.meet(SmallResNet(num_classes=3))
        >>> faces = Faces(["a"], torch.full((1, 3, 64, 64), 0.5))
        >>> changed = noise(faces, torch.ones(1, 1, 64, 64, dtype=torch.bool)) - faces.images
        >>> bool(changed.abs().max() <= 0.1 + 1e-6)
        True
    """

    reads_hidden = True
    asks_recognizer = True

    def __init__(self, eps: float = 0.03137, steps: int = 20, momentum: float = 0.0) -> None:
        if not 0 < number("eps", eps) <= 1:
            raise UserError(f"`eps` is a change of colour values in (0, 1], but got {eps}.")
        if number("steps", steps) < 1 or steps != int(steps):
            raise UserError(f"`steps` must be a whole number of at least 1, but got {steps}.")
        if not 0 <= number("momentum", momentum) <= 1:
            raise UserError(f"`momentum` must lie in [0, 1], but got {momentum}.")
        self.eps, self.steps, self.momentum = float(eps), int(steps), float(momentum)
        self.recognizer: Recognizer | None = None

    def meet(self, recognizer: nn.Module) -> None:
        """Takes a copy: masks are made beside with the recogniser itself."""
        self.recognizer = copy.deepcopy(recognizer).eval().requires_grad_(False)  # type: ignore[assignment]

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        """The faces with their noise, each by itself: a sign must not depend on the rest of a batch."""
        if self.recognizer is None:
            raise UserError("`inpainting=adversarial` needs a recogniser: give one with recognition.checkpoint=RUN.")
        moved = [self._one(image, mask, g) for image, mask, g in zip(faces.images, masks, generators, strict=True)]
        return torch.stack(moved) if moved else faces.images

    @torch.enable_grad()
    def _one(self, image: Tensor, mask: Tensor, generator: Generator) -> Tensor:
        network = self.recognizer
        assert network is not None  # noqa: S101  `repaint` has refused it
        known = network.embed(image[None]).detach()
        start = torch.rand(image.shape, generator=generator).to(image)
        change = (2 * start - 1) * self.eps * mask
        total, stride = torch.zeros_like(image), 2.5 * self.eps / self.steps
        for _ in range(self.steps):
            change.requires_grad_(True)
            alike = (network.embed((image + change).clamp(0, 1)[None]) * known).sum()
            (gradient,) = torch.autograd.grad(alike, change)
            total = self.momentum * total + gradient / gradient.abs().mean().clamp(min=1e-12)
            change = (change.detach() - stride * total.sign()).clamp(-self.eps, self.eps) * mask
        return (image + change.detach()).clamp(0, 1)
