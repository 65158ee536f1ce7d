"""A U-Net that learns to undo an anonymisation, from pairs of results and originals."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from jaxtyping import UInt8
from torch import Tensor, nn

from privacy_exp.data.seeds import generator
from privacy_exp.evaluation.attackers.picture_pairs import Pairs
from privacy_exp.types import Embeddings, Images, Masks

log = logging.getLogger(__name__)

EVERY, BATCH, RATE, TONE_RATE = 50, 16, 1e-3, 3e-2
"""Steps between looks at the people held back, pictures a step, learning rates of the U-Net and of colours."""

FEATURES = 0.1
"""Weight of 1 - cosine similarity beside the mean absolute error."""

DEEP = 4
"""Sides are padded to multiples of this."""


@dataclass(frozen=True)
class Budget:
    """What a training may spend.

    Attributes:
        steps: at most.
        minutes: at most; None for as long as the steps take. What a limit in minutes cuts off depends on the machine.
        seed: of batches.
    """

    steps: int
    minutes: float | None = None
    seed: int = 0


class Restorer(nn.Module):
    """Adds to a picture's mixed colours what a U-Net (diffusers' UNet2DModel) makes of it; untrained it adds nothing.

    The mixture (a 3 × 3 matrix and an offset) stands apart because the U-Net's normalisation takes levels away.

    Args:
        width: channels of the first level, a multiple of 8.
        knows_mask: whether it is given masks.
        seed: of its weights; nobody else's draws move.
        size: the U-Net looks at a copy of as many pixels as a square of this side has, and what it adds is enlarged;
            None, and pictures of no more pixels, go in as they are.
    """

    def __init__(self, width: int = 32, knows_mask: bool = False, seed: int = 0, size: int | None = None) -> None:
        super().__init__()
        self.size = size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = UNet2DModel(
                in_channels=3 + knows_mask,
                out_channels=3,
                layers_per_block=1,
                block_out_channels=(width, 2 * width, 2 * width),
                down_block_types=("DownBlock2D",) * 3,
                up_block_types=("UpBlock2D",) * 3,
                norm_num_groups=8,
                add_attention=True,
            )
            self.tone = nn.Conv2d(3, 3, 1)
        self.tone.load_state_dict({"weight": torch.eye(3)[:, :, None, None], "bias": torch.zeros(3)})
        nn.init.zeros_(self.net.conv_out.weight)
        nn.init.zeros_(self.net.conv_out.bias)

    def forward(self, pictures: Images, masks: Masks | None = None) -> Images:
        """Restored pictures, not cut to [0, 1]."""
        whole = pictures if masks is None else torch.cat([pictures, masks.to(pictures)], dim=1)
        area = pictures.shape[2] * pictures.shape[3]
        if self.size is not None and area > self.size**2:
            whole = F.interpolate(whole, scale_factor=self.size / area**0.5, mode="bilinear", antialias=True)
        height, width = whole.shape[2:]
        padded = F.pad(2 * whole - 1, (0, -width % DEEP, 0, -height % DEEP), mode="replicate")
        added: Tensor = self.net(padded, 0).sample[:, :, :height, :width]
        if added.shape[2:] != pictures.shape[2:]:
            added = F.interpolate(added, pictures.shape[2:], mode="bilinear")
        mixed: Tensor = self.tone(pictures)
        return mixed + added


def train(
    net: Restorer,
    known: Pairs,
    held: Pairs,
    budget: Budget,
    embed: Callable[[Images], Embeddings] | None,
    folder: Path,
    device: torch.device,
) -> Restorer:
    """Adam on the mean absolute error and, where an embedder is given, the turn of its embedding; the best look counts.

    Goes on where an earlier call that was killed has left off in `folder`: every draw is a function of seed and step.

    Args:
        net: untrained.
        known: to learn from.
        held: of other people, by whom the number of steps is chosen; none is one of the choices.
        budget: steps and minutes, and the seed of batches.
        embed: differentiable; None leaves the second part out.
        folder: takes the state of the training.
        device: what computes; on a GPU in bfloat16.
    """
    net = net.to(device)
    if embed is not None:
        known, held = (_with_features(pairs, embed, device) for pairs in (known, held))
    groups = [{"params": net.net.parameters()}, {"params": net.tone.parameters(), "lr": TONE_RATE}]
    optimizer = torch.optim.Adam(groups, lr=RATE)
    path, first, spent = folder / "training.pt", 0, 0.0
    best, best_loss = {k: v.clone() for k, v in net.state_dict().items()}, _loss_of(net, held, embed, device)
    if path.is_file():
        kept = torch.load(path, map_location=device, weights_only=True)
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        best, best_loss, first, spent = kept["best"], kept["best_loss"], kept["step"], kept["spent"]
        log.info("reconstruction goes on after step %d", first)
    started = time.monotonic() - spent
    for step in range(first, budget.steps):
        over = budget.minutes is not None and time.monotonic() - started > 60 * budget.minutes
        if not over:
            rows = torch.randint(
                len(known.results), (BATCH,), generator=generator(budget.seed, str(step), "reconstruction")
            )
            loss = _loss(net.train(), known[rows], embed, device)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if over or (step + 1) % EVERY == 0 or step + 1 == budget.steps:
            seen = _loss_of(net, held, embed, device)
            if seen < best_loss:
                best, best_loss = {k: v.clone() for k, v in net.state_dict().items()}, seen
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "best": best}
            spent = time.monotonic() - started
            torch.save(state | {"best_loss": best_loss, "step": step + 1, "spent": spent}, path)
        if over:
            log.info("reconstruction stops after %g minutes, at step %d of %d", budget.minutes, step, budget.steps)
            break
    net.load_state_dict(best)
    path.unlink(missing_ok=True)
    return net.eval()


def step_seconds(
    net: Restorer, some: Pairs, embed: Callable[[Images], Embeddings] | None, device: torch.device
) -> float:
    """How long a step of `train` takes where all is warm, whatever the number of these pictures.

    Args:
        net: see there; its weights stay as they are.
        some: at least one.
        embed: see there.
        device: see there.
    """
    batch, started = some[torch.arange(BATCH) % len(some.results)], 0.0
    if embed is not None:
        batch = _with_features(batch, embed, device)
    for _ in range(2):
        started = time.perf_counter()
        loss = _loss(net.train(), batch, embed, device)
        loss.backward()
        loss.item()  # waits for a GPU
    return time.perf_counter() - started


@torch.inference_mode()
def restored(net: Restorer, pairs: Pairs, device: torch.device) -> Images:
    """What a trained network makes of results, in [0, 1].

    Args:
        net: trained on other people.
        pairs: whose results are restored.
        device: of the network.
    """
    found = []
    for rows in torch.arange(len(pairs.results)).split(BATCH):
        some = pairs[rows]
        masks = None if some.masks is None else some.masks.to(device)
        found.append(net(_floats(some.results, device), masks).clamp(0, 1).cpu())
    return torch.cat(found)


def _floats(pictures: UInt8[Tensor, "n 3 h w"], device: torch.device) -> Images:
    return pictures.to(device).float() / 255


def _loss(net: Restorer, some: Pairs, embed: Callable[[Images], Embeddings] | None, device: torch.device) -> Tensor:
    masks = None if some.masks is None else some.masks.to(device)
    wanted = _floats(some.originals, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        made = net(_floats(some.results, device), masks)
    made = made.float()
    loss = F.l1_loss(made, wanted)
    if embed is not None:
        assert some.features is not None  # noqa: S101  `train` has put them there
        loss = loss + FEATURES * (1 - (embed(made.clamp(0, 1)) * some.features.to(device)).sum(1)).mean()
    return loss


@torch.no_grad()
def _with_features(pairs: Pairs, embed: Callable[[Images], Embeddings], device: torch.device) -> Pairs:
    """The pairs with the embeddings of their originals, which no step changes."""
    seen = [embed(_floats(some, device)).cpu() for some in pairs.originals.split(BATCH)]
    return replace(pairs, features=torch.cat(seen))


@torch.no_grad()
def _loss_of(net: Restorer, held: Pairs, embed: Callable[[Images], Embeddings] | None, device: torch.device) -> float:
    net.eval()
    parts = torch.arange(len(held.results)).split(BATCH)
    return sum(len(rows) * float(_loss(net, held[rows], embed, device)) for rows in parts) / len(held.results)
