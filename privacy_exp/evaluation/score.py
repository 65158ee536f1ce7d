"""From the pictures that a run saved to one row per image."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.runs.folder import Listing, RunFolder
from privacy_exp.tracking.stages import stage
from privacy_exp.types import Images, Labels, Logits, UserError


@torch.inference_mode()
def score_folder(
    folder: RunFolder,
    recognizer: nn.Module,
    identities: Sequence[str],
    batch_size: int = 32,
    classes: Mapping[int, int] | None = None,
) -> pd.DataFrame:
    """Recognises every original, result and control of a run folder.

    Args:
        folder: pictures as a run leaves them; `control` may be absent, then the original stands in for it, and `masks`,
            then the whole frame counts as hidden.
        recognizer: gives logits for RGB in [0, 1]; used in evaluation mode.
        identities: label to the data's own name.
        batch_size: pictures at a time.
        classes: class id in the file names to label; None takes the class ids as labels.

    Returns:
        `image_id, identity, label, pred, pred_anonymized, pred_control, rank, prob, prob_anonymized, share_hidden`,
        sorted by image id. `prob` is that of the true identity; `rank` is the true identity's on the result, ties
        counting as their expectation under random order. Further pictures of each face add `pred_draw_1` and so on.

    Raises:
        FileNotFoundError: a sub-folder without pictures.
        UserError: pictures that do not pair, or a class id that the recogniser does not know.
    """
    originals, results = (folder.list(kind) for kind in ("original", "results"))
    masks = folder.list("masks") if folder.has("masks") else {}
    draws = further_draws(folder)
    controls = folder.list("control") if folder.has("control") else originals
    known = {label: label for label in range(len(identities))} if classes is None else classes
    listings = {f"draws/{draw}/results": listing for draw, listing in draws.items()}
    _check_pairs(originals, {"results": results, "masks": masks or originals, "control": controls, **listings}, known)
    device = next(recognizer.parameters()).device
    recognizer.eval()
    rows = []
    with stage("scoring", len(originals)) as advance:
        for ids in _batched(originals, batch_size):

            def read(listing: Listing, ids: tuple[str, ...] = ids) -> Images:
                return folder.read([listing[i][0] for i in ids]).to(device)

            labels = torch.tensor([known[_class_of(originals, i)] for i in ids])
            logits = _finite(recognizer(read(originals)), ids)
            logits_anonymized = _finite(recognizer(read(results)), ids)
            logits_control = logits if controls is originals else _finite(recognizer(read(controls)), ids)
            hidden = torch.ones(len(ids))
            if masks:
                hidden = folder.read_masks([masks[i][0] for i in ids]).float().mean((1, 2, 3))
            rows.append(
                {
                    "image_id": list(ids),
                    "identity": [identities[int(label)] for label in labels],
                    "label": labels.numpy(),
                    "pred": logits.argmax(1).numpy(),
                    "pred_anonymized": logits_anonymized.argmax(1).numpy(),
                    "pred_control": logits_control.argmax(1).numpy(),
                    "rank": true_rank(logits_anonymized, labels).numpy(),
                    "prob": _true_probability(logits, labels),
                    "prob_anonymized": _true_probability(logits_anonymized, labels),
                    "share_hidden": hidden.double().numpy(),
                }
                | {
                    f"pred_draw_{draw}": _finite(recognizer(read(listing)), ids).argmax(1).numpy()
                    for draw, listing in draws.items()
                }
            )
            advance(len(ids))
    return pd.concat([pd.DataFrame(row) for row in rows], ignore_index=True)


def further_draws(folder: RunFolder) -> dict[int, Listing]:
    """Draw number to results, for the pictures that a run painted besides the first of each face."""
    return {number: folder.draw(number).list("results") for number in folder.draws()}


def true_rank(logits: Logits, labels: Labels) -> Float[Tensor, " n"]:
    """Rank of the true identity, 1 = first; an identity tied with it counts one half."""
    true = logits.gather(1, labels[:, None])
    return 1 + (logits > true).sum(1) + ((logits == true).sum(1) - 1) / 2


def _true_probability(logits: Logits, labels: Labels) -> np.ndarray:
    probabilities: np.ndarray = logits.softmax(1).gather(1, labels[:, None])[:, 0].double().numpy()
    return probabilities


def _finite(logits: Logits, ids: Sequence[str]) -> Logits:
    bad = [i for i, row in zip(ids, logits, strict=True) if not row.isfinite().all()]
    if bad:
        raise UserError(
            f"the recogniser gives NaN or infinite logits for {bad[0]} and {len(bad) - 1} more of its batch."
        )
    return logits.float().cpu()


def _batched(ids: Listing, size: int) -> Iterator[tuple[str, ...]]:
    remaining = iter(ids)
    while batch := tuple(islice(remaining, size)):
        yield batch


def _class_of(listing: Listing, image_id: str) -> int:
    path, class_id = listing[image_id]
    if class_id is None:
        raise UserError(f"{path} has no class id: without identities nothing can be scored.")
    return class_id


def _check_pairs(
    originals: Listing,
    others: dict[str, Listing],
    known: Mapping[int, int],
) -> None:
    for kind, listing in others.items():
        odd = sorted(originals.keys() ^ listing.keys())
        if odd:
            raise UserError(
                f"original and {kind} do not pair: {len(odd)} image ids stand in one only, such as {odd[0]!r}."
            )
        for image_id, (path, class_id) in listing.items():
            if class_id != originals[image_id][1]:
                raise UserError(f"{path} says class {class_id}, but its original says {originals[image_id][1]}.")
    for image_id in originals:
        class_id = _class_of(originals, image_id)
        if class_id not in known:
            raise UserError(
                f"{originals[image_id][0]} has class {class_id}, which stands for no identity: the recogniser knows "
                f"{len(known)}, from {min(known)} to {max(known)}; give `label_map` if the folder counts otherwise."
            )
