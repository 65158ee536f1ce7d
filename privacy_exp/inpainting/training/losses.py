"""What an autoencoder's loss can know besides pixels: a frozen face recogniser, and a discriminator of patches."""

from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from jaxtyping import Float
from onnx2torch.node_converters.reshape import OnnxReshape
from torch import Tensor, nn
from torch.nn import functional

from privacy_exp.recognition.alignment import ARCFACE_SIZE, arcface_points, sampling_grid, similarity
from privacy_exp.recognition.onnx import IMAGENET_MEAN, IMAGENET_STD
from privacy_exp.recognition.onnx_graph import convert
from privacy_exp.types import Images, UserError


class FaceLoss(nn.Module):
    """How far a picture is from the original to a frozen recogniser: by its embedding and by its features.

    The perceptual part compares intermediate features of the recogniser itself, at each of its resolutions. It is not
    VGG's, as LPIPS has it: it sees faces only, and what a recogniser ignores (hair, background) it hardly counts.
    Whatever has learnt from this loss must be judged by another recogniser.

    Args:
        model: path of an ArcFace-style .onnx file whose input is normalised with ImageNet's statistics.
        points: five points of the data's frames, in pixels of the frame.
        frame: (height, width) of the data's frames; pictures are compared at these proportions, however squashed.
        embedding_weight: weight of 1 - cosine similarity of the embeddings.
        perceptual_weight: weight of the mean absolute difference of the features, over their mean size.

    Raises:
        UserError: no such file, or one that cannot be converted.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        points: Float[Tensor, "5 2"],
        frame: tuple[int, int],
        embedding_weight: float = 0.0,
        perceptual_weight: float = 0.0,
    ) -> None:
        super().__init__()
        file = Path(model).expanduser()
        if not file.is_file():
            raise UserError(f"`autoencoder.embedding_model` must be the path of an ONNX file, but got {model!r}.")
        graph = file.read_bytes()
        self.side = _input_side(graph)
        self.trunk, _ = convert(graph, self.side)
        self.trunk.requires_grad_(False)
        _keep_shapes_on_cpu(self.trunk)
        self.embedding_weight, self.perceptual_weight = embedding_weight, perceptual_weight
        self.points, self.frame = points, frame
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self._grid = torch.empty(0)
        self._features: list[Tensor] = []
        if perceptual_weight:
            for layer in self._last_of_each_size():
                layer.register_forward_hook(self._keep)
        self.to(memory_format=torch.channels_last)

    def forward(self, rebuilt: Images, originals: Images) -> tuple[Tensor, Tensor]:
        """The weighted loss and the mean cosine similarity (detached), both in float32.

        Args:
            rebuilt: may leave [0, 1]; gradients pass through it.
            originals: RGB in [0, 1].
        """
        with torch.autocast(rebuilt.device.type, enabled=False):
            with torch.no_grad():
                target, wanted = self._run(originals.float())
            found, features = self._run(rebuilt.float())
            cosine = (found * target).sum(1).mean()
            loss = self.embedding_weight * (1 - cosine)
            for here, there in zip(features, wanted, strict=True):
                size = there.abs().mean().clamp(min=1e-6)
                loss = loss + self.perceptual_weight / len(wanted) * functional.l1_loss(here, there) / size
        return loss, cosine.detach()

    @torch.no_grad()
    def embed(self, images: Images) -> Float[Tensor, "n d"]:
        """Embeddings of unit length.

        Args:
            images: RGB in [0, 1].
        """
        return self._run(images)[0]

    def _run(self, images: Images) -> tuple[Tensor, list[Tensor]]:
        self._features = []
        embedding = functional.normalize(self.trunk(self._prepare(images)))
        features, self._features = self._features, []
        return embedding, features

    def _prepare(self, images: Images) -> Tensor:
        """Aligned by the data's mean points and normalised; the grid is made once, so that no step waits for it."""
        height, width = images.shape[2:]
        if self._grid.device != images.device or not len(self._grid):
            matrix = similarity(self.points[None].float(), arcface_points(self.side)[None])
            # pixel p of the squashed picture is pixel (p + 0.5) * ratio - 0.5 of the frame
            ratio = torch.tensor([self.frame[1] / width, self.frame[0] / height])
            shift = matrix[:, :, 2:] + matrix[:, :, :2] @ ((ratio - 1) / 2).reshape(2, 1)
            matrix = torch.cat([matrix[:, :, :2] * ratio, shift], 2)
            self._grid = sampling_grid(matrix, (height, width), (self.side, self.side)).to(images)
        grid = self._grid.expand(len(images), -1, -1, -1)
        aligned = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        return ((aligned - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _last_of_each_size(self) -> list[nn.Module]:
        """The last layer that gives a picture of each size above one pixel."""
        last: dict[int, nn.Module] = {}

        def note(layer: nn.Module, _: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[0] == 2 and output.shape[-1] > 1:
                last[output.shape[-1]] = layer

        hooks = [layer.register_forward_hook(note) for layer in self.trunk.modules() if layer is not self.trunk]
        with torch.no_grad():
            self.trunk(torch.zeros(2, 3, self.side, self.side))
        for hook in hooks:
            hook.remove()
        if not last:
            raise UserError(
                "`autoencoder.perceptual_weight` needs a convolutional recogniser, but this one has no maps."
            )
        return list(last.values())

    def _keep(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        del layer, inputs
        self._features.append(output)


def _input_side(graph: bytes) -> int:
    """Side of an embedder's square input, in pixels; ArcFace's where the graph leaves it open."""
    try:
        model = onnx.load_model_from_string(graph)
    except DecodeError:
        return ARCFACE_SIZE  # `convert` says what is wrong
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    sides = [dim.dim_value for value in inputs for dim in value.type.tensor_type.shape.dim]
    return (sides and sides[-1]) or ARCFACE_SIZE


def _keep_shapes_on_cpu(trunk: nn.Module) -> None:
    """Makes the shapes that a converted graph reshapes to plain attributes: read from a GPU, each stops the step."""
    for node in trunk.graph.nodes:  # type: ignore[union-attr]
        if node.op != "call_module" or not isinstance(trunk.get_submodule(node.target), OnnxReshape):
            continue
        source = node.args[1]
        path = {"call_module": f"{source.target}.value", "get_attr": str(source.target)}.get(source.op, "")
        owner = trunk.get_submodule(path.rpartition(".")[0])
        name = path.rpartition(".")[2]
        if name in owner._buffers:
            shape = owner._buffers.pop(name)
            setattr(owner, name, shape)


class Adversary(nn.Module):
    """A small PatchGAN with a hinge loss and an optimiser of its own (Isola et al., 2017; Lim and Ye, 2017).

    It learns inside the step of what it judges. Its weights and its optimiser's state belong into the checkpoint.

    Args:
        weight: of the term in the autoencoder's loss.
        start: first step at which it learns and counts.
        lr: learning rate.
        width: channels of the first layer.
    """

    def __init__(self, weight: float, start: int = 0, lr: float = 2e-4, width: int = 32) -> None:
        super().__init__()
        self.weight, self.start = weight, start
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.GroupNorm(8, 2 * width), nn.LeakyReLU(0.2)]
            width *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, 1, 1)).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.layers.parameters(), lr=lr, betas=(0.5, 0.9))

    def forward(self, rebuilt: Tensor, originals: Tensor) -> tuple[Tensor, Tensor]:
        """One step of its own, then the weighted loss of what it judges; both losses in float32.

        Args:
            rebuilt: in about [-1, 1]; gradients pass through it.
            originals: in [-1, 1].

        Returns:
            The term of the autoencoder's loss, and the adversary's own loss, detached.
        """
        with torch.autocast(rebuilt.device.type, enabled=False):
            rebuilt, originals = rebuilt.float(), originals.float()
            self.layers.requires_grad_(True)
            own = functional.relu(1 - self.layers(originals)).mean()
            own = own + functional.relu(1 + self.layers(rebuilt.detach())).mean()
            self.optimizer.zero_grad(set_to_none=True)
            own.backward()
            self.optimizer.step()
            self.layers.requires_grad_(False)  # the step of the autoencoder needs no gradients here
            return -self.weight * self.layers(rebuilt).mean(), own.detach()
