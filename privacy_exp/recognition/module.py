"""How a recogniser is trained: loss, optimiser, schedule, augmentation, early stopping, curves."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from privacy_exp.data.seeds import generator
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Faces, Images, Logits, UserError


class RecognitionModule(LightningModule):
    """Fits a recogniser to labelled faces with cross-entropy and a one-cycle learning rate, or with milestones.

    Logs `train/loss, train/accuracy, val/loss, val/accuracy` once an epoch. After the fit the recogniser holds the
    weights of its best epoch by validation accuracy (the later of equals), unless the recipe says otherwise.

    Args:
        recognizer: what to fit, in place; with people.
        recipe: how.
        seed: of what is drawn for each photo and epoch.
    """

    def __init__(self, recognizer: Recognizer, recipe: FitRecipe, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.recognizer = recognizer
        self.recipe = recipe
        self.patience = recipe.patience
        self.train_accuracy = MulticlassAccuracy(recognizer.num_classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(recognizer.num_classes, average="micro")
        self.keep_best = KeepBest(restore=recipe.keep == "best")
        self._features: dict[str, Tensor] = {}

    def training_step(self, faces: Faces, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch."""
        del batch_idx
        return self._step(faces, "train", self.train_accuracy)

    def validation_step(self, faces: Faces, batch_idx: int) -> None:
        """Logs loss and accuracy of one batch."""
        del batch_idx
        self._step(faces, "val", self.val_accuracy)

    def _step(self, faces: Faces, part: str, accuracy: MulticlassAccuracy) -> Tensor:
        if faces.labels is None:
            raise UserError("`data` must know who is on each photo to fit a recogniser, but a batch has no labels.")
        labels = faces.labels
        if part == "train" and len(labels) == 1 and self.recognizer.freeze != "trunk":
            # BatchNorm needs two values: the last photo of an epoch is taken twice, shifted differently.
            faces = Faces([*faces.ids, f"{faces.ids[0]} again"], faces.images.repeat(2, 1, 1, 1))
            labels = labels.repeat(2)
        logits = self.logits(faces, part).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        accuracy(logits, labels)
        self.log(f"{part}/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        self.log(f"{part}/accuracy", accuracy, on_step=False, on_epoch=True, batch_size=len(labels), prog_bar=True)
        return loss

    def logits(self, faces: Faces, part: str) -> Logits:
        """Logits of one batch as a fit computes them: in "train" mirrored and shifted where the recipe says so."""
        if part == "train" and self.recipe.augment:
            return self.recognizer(shift_and_mirror(faces, self.seed, self.current_epoch))
        return self.recognizer.head(self.features(faces))

    def features(self, faces: Faces) -> Float[Tensor, "n d"]:
        """The recogniser's features of photos as they are; a frozen trunk runs once a photo, by its id."""
        if self.recognizer.freeze != "trunk":
            return self.recognizer.features(faces.images)
        new = [i for i, name in enumerate(faces.ids) if name not in self._features]
        if new:
            with torch.no_grad():
                found = self.recognizer.features(faces.images[new]).float()
            self._features.update(zip([faces.ids[i] for i in new], found, strict=True))
        return torch.stack([self._features[name].to(faces.images.device) for name in faces.ids])

    def configure_optimizers(self) -> Any:
        """The optimiser, and a one-cycle schedule over all steps or milestones in epochs."""
        weights = [p for p in self.recognizer.parameters() if p.requires_grad and p.ndim > 1]
        rest = [p for p in self.recognizer.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": self.recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        optimizer: torch.optim.Optimizer
        fused = not self.trainer.gradient_clip_val  # Lightning cannot clip for a fused one in mixed precision
        if self.recipe.optimizer == "adamw":
            optimizer = torch.optim.AdamW(groups, lr=self.recipe.lr, fused=fused)
        elif self.recipe.optimizer == "adam":
            optimizer = torch.optim.Adam(groups, lr=self.recipe.lr, fused=fused)
        else:
            optimizer = torch.optim.SGD(groups, lr=self.recipe.lr, momentum=0.9, nesterov=True)
        if self.recipe.milestones is not None:
            return [optimizer], [torch.optim.lr_scheduler.MultiStepLR(optimizer, list(self.recipe.milestones))]
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.recipe.lr, total_steps=max(steps, 1))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_callbacks(self) -> list[Callback]:
        """Keeping the best epoch, and early stopping where `patience` is given."""
        callbacks: list[Callback] = [self.keep_best]
        if self.patience is not None:
            callbacks.append(EarlyStopping("val/accuracy", mode="max", patience=self.patience))
        return callbacks


class KeepBest(Callback):
    """Puts the weights of the best epoch back at the end of the fit, in memory: no file of Lightning's own format.

    Args:
        restore: false notes the best accuracy, but leaves the last weights.

    Attributes:
        best: the highest validation accuracy, or None before the first.
    """

    def __init__(self, restore: bool = True) -> None:
        self.restore = restore
        self.best: float | None = None
        self._state: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Any, pl_module: LightningModule) -> None:
        """Copies the weights where the validation accuracy is at least the best so far."""
        accuracy = trainer.callback_metrics.get("val/accuracy")
        if trainer.sanity_checking or accuracy is None or (self.best is not None and float(accuracy) < self.best):
            return
        self.best = float(accuracy)
        if not self.restore:
            return
        recognizer = cast(nn.Module, pl_module.recognizer)
        self._state = {name: value.detach().clone() for name, value in recognizer.state_dict().items()}

    def on_train_end(self, trainer: Any, pl_module: LightningModule) -> None:
        """Loads the copy."""
        del trainer
        if self._state:
            cast(nn.Module, pl_module.recognizer).load_state_dict(self._state)
            self._state = {}


def shift_and_mirror(faces: Faces, seed: int, epoch: int) -> Images:
    """Each image mirrored with probability a half and shifted by up to an eighth of its side; edges are repeated.

    What happens to an image depends on `seed`, `epoch` and its id alone, not on its neighbours in the batch.
    """
    n, _, height, width = faces.images.shape
    reach = max(height, width) // 8
    padded = F.pad(faces.images, (reach,) * 4, mode="replicate")
    moved = []
    for image, name in zip(padded, faces.ids, strict=True):
        random = generator(seed, "augment", str(epoch), name)
        y, x = torch.randint(0, 2 * reach + 1, (2,), generator=random).tolist()
        mirrored = bool(torch.rand(1, generator=random) < 0.5)
        image = image[:, y : y + height, x : x + width]
        moved.append(image.flip(2) if mirrored else image)
    return torch.stack(moved) if n else faces.images
