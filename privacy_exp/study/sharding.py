"""One large run over several devices: each paints its share of the images, and every image is painted once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from privacy_exp.data.base import FaceData
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import load_checkpoint
from privacy_exp.runs.batches import finished_batches
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.stages import Anonymized, summary
from privacy_exp.study.treatment import Treatment
from privacy_exp.types import Faces


@dataclass
class Share:
    """What one process needs to paint its share; it travels there, and builds the large networks on arrival.

    Attributes:
        data: after `setup()`.
        checkpoint: of the recogniser.
        target_layer: that attribution looks at.
        masker: decides what to hide.
        inpainter: builds what repaints it.
        mask_ratio: share of the frame to hide.
        seed: of masks and noise.
        folder: takes the pictures.
    """

    data: FaceData
    checkpoint: Path
    target_layer: str
    masker: Masker | OwnArea
    inpainter: Callable[[], Inpainter]
    mask_ratio: float
    seed: int
    folder: RunFolder

    def recognizer(self, device: torch.device) -> Recognizer:
        """The recogniser on this device."""
        recognizer = load_checkpoint(self.checkpoint)
        recognizer.choose_target_layer(self.target_layer)
        return recognizer.to(device)

    def treatment(self, device: torch.device) -> Treatment:
        """What masks, paints and keeps a batch on this device."""
        if device.type == "cuda":
            torch.cuda.set_device(device)  # what `device: auto` of an inpainter means here
        inpainter = self.inpainter()
        inpainter.fit(self.data.batches("train"))
        return Treatment(self.recognizer(device), self.masker, inpainter, self.mask_ratio, self.seed, self.folder)


class Painting(LightningModule):
    """Lightning's view of a share: its predict loop hands each process other images, none twice."""

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def on_predict_start(self) -> None:
        """Builds the networks on this process's device."""
        self.paint = self.share.treatment(self.device)

    def predict_step(self, batch: Faces, batch_idx: int) -> None:
        """Paints one batch; its pictures are on disk afterwards, so that nothing travels back."""
        del batch_idx
        self.paint(batch)


def anonymize_sharded(
    share: Share, trainer: Callable[..., Trainer], batch_size: int, counting: Inpainter
) -> Anonymized:
    """As `stages.anonymize`, over all devices of a trainer.

    Args:
        share: what every process needs.
        trainer: builds the Lightning trainer: its accelerator, devices and strategy.
        batch_size: images of a process at a time.
        counting: this process's inpainter, which judges the results' sanity at the end.

    Raises:
        SanityError: more than 1 % of the results are black or flat.
    """
    done = {image_id for batch in finished_batches(share.folder.path) for image_id in batch.rows["image_id"]}
    photos: Any = [photo for photo in share.data.photos["test"] if photo.id not in done]
    processes = 1
    if photos:
        loader = DataLoader(photos, batch_size, collate_fn=share.data.faces)
        shared = trainer(logger=False)
        if len(photos) < shared.world_size:  # Lightning wants one for every process
            shared = trainer(logger=False, strategy="auto", devices=1)
        shared.predict(Painting(share), loader, return_predictions=False)
        processes = shared.world_size
    return replace(summary(share.folder, counting), processes=processes)
