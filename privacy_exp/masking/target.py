"""What a guided method explains: the identity's logit, the similarity to the identity, or the loss."""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from privacy_exp.masking.explaining import evaluating
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Embeddings, Faces, Images, Labels, UserError


@runtime_checkable
class Embeds(Protocol):
    """A black box that gives embeddings: a recogniser, or a judge."""

    def embed(self, images: Images) -> Embeddings:
        """Unit embeddings of RGB in [0, 1]."""


TARGETS = ("logit", "similarity", "loss")


def check_target(target: str, allowed: tuple[str, ...] = TARGETS) -> str:
    """The same name, if it is one of `allowed`.

    Raises:
        UserError: it is not.
    """
    if target not in allowed:
        raise UserError(f"`target` must be one of {', '.join(allowed)}, but got {target!r}.")
    return target


def target_labels(faces: Faces, recognizer: nn.Module) -> Labels:
    """The identities to explain: the true ones where they are known, else those that the recogniser predicts.

    Args:
        faces: photos.
        recognizer: asked in evaluation mode, and left in the mode that it came in.
    """
    if faces.labels is not None:
        return faces.labels
    with evaluating(recognizer), torch.no_grad():
        predicted: Labels = recognizer(faces.images).argmax(1)
    return predicted


def image_gradient(value: Float[Tensor, " n"], images: Images) -> Images:
    """Gradient of each image's value with respect to that image; parameters' `.grad` stays untouched."""
    (gradient,) = torch.autograd.grad(value.sum(), images)
    return gradient


def identity_score(recognizer: nn.Module, images: Images, labels: Labels, target: str) -> Float[Tensor, " n"]:
    """How much each image looks like its identity: higher = more, for every target.

    Args:
        recognizer: the network to explain.
        images: RGB in [0, 1].
        labels: the identities.
        target: "logit" of the identity; "similarity": cosine to the identity's mean embedding; "loss": minus the
            cross-entropy.
    """
    if target == "similarity":
        if not isinstance(recognizer, Recognizer):
            raise TypeError(
                f"`recognizer` must be a Recognizer with identity means, but got {type(recognizer).__name__}."
            )
        return (recognizer.embed(images) * recognizer.identity_means()[labels]).sum(1)
    logits = recognizer(images).float()
    if target == "loss":
        return -F.cross_entropy(logits, labels, reduction="none")
    chosen: Float[Tensor, " n"] = logits.gather(1, labels[:, None])[:, 0]
    return chosen


@torch.no_grad()
def embedding_change(
    recognizer: nn.Module, images: Images, hidden: Bool[Tensor, "n m h w"], batch_size: int
) -> Float[Tensor, "n m"]:
    """1 - cosine similarity between the embedding of each image and of the same image with some pixels greyed.

    Args:
        recognizer: has `embed`; no gradient is asked of it.
        images: RGB in [0, 1].
        hidden: m masks an image, True = greyed with the image's own mean colour.
        batch_size: masked images at a time.
    """
    if not isinstance(recognizer, Embeds):
        raise TypeError(f"`recognizer` must give embeddings by `embed`, but {type(recognizer).__name__} has none.")
    with evaluating(recognizer):
        rows = []
        for image, masks in zip(images, hidden, strict=True):  # image by image: nothing depends on the rest of a batch
            clean = recognizer.embed(image[None])
            grey = image.mean((1, 2), keepdim=True)
            similarities = [
                recognizer.embed(torch.where(part[:, None], grey, image)) @ clean[0] for part in masks.split(batch_size)
            ]
            rows.append(1 - torch.cat(similarities))
        return torch.stack(rows)
