"""The stages of train_inpainter, each of which picks up where it was killed."""

import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from privacy_exp.cache.files import write_text
from privacy_exp.data.base import FaceData
from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.loading import load_pipeline
from privacy_exp.inpainting.training.autoencoder import AutoencoderTraining, latent_scale
from privacy_exp.inpainting.training.checks import STAGES, check_recipe
from privacy_exp.inpainting.training.denoiser import DenoiserTraining
from privacy_exp.inpainting.training.faces import TrainingFaces, collect
from privacy_exp.inpainting.training.losses import Adversary, FaceLoss
from privacy_exp.inpainting.training.networks import (
    add_lora,
    build_autoencoder,
    build_pipeline,
    build_text,
    save_lora,
    save_pipeline,
    take_matching,
)
from privacy_exp.inpainting.training.steps import StepTraining, log_line
from privacy_exp.recognition.fit import determinism_restored
from privacy_exp.types import UserError

log = logging.getLogger(__name__)

RECIPE = (
    "seed",
    "parts",
    "max_photos",
    "mirror",
    "init_from",
    "fresh_text",
    "autoencoder_from",
    "lora_rank",
    "networks",
)
"""Keys that every stage's weights depend on, besides data, the trainer's precision and processes, and its own."""
OPTIONAL = ("held_out_people", "crop", "colour", "warm_start")
"""More of them, which a recipe leaves out where they do nothing: trainings from before they existed go on."""
OF_LOSS = (
    "embedding_model",
    "embedding_weight",
    "perceptual_weight",
    "adversarial_weight",
    "adversarial_from",
    "equivariance",
    "validate_every",
    "patience",
)
"""Keys of the autoencoder for which the same holds."""


class Progress(Callback):
    """Prints a line every so many steps.

    Args:
        every: steps.
        total: steps of the stage.
    """

    def __init__(self, every: int, total: int) -> None:
        self.every, self.total, self.since = every, total, time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Prints where the training stands.

        Args:
            trainer: knows the step and what was logged.
            pl_module: ignored.
            args: ignored.
        """
        del pl_module, args
        step = trainer.global_step
        if step % self.every == 0 and trainer.is_global_zero:
            now = time.perf_counter()
            values = {name: float(value) for name, value in trainer.callback_metrics.items()}
            log.info(log_line(step, self.total, (now - self.since) / self.every, values, sorted(values)))
            self.since = now


class InpainterTraining:
    """Trains an inpainting checkpoint in resumable stages.

    Args:
        data: after `setup()` when `run` is called; its photos and attributes are what is learnt.
        trainer: builds the Lightning trainer.
        config: conf/train_inpainter.yaml as plain values.

    Raises:
        UserError: for keys that do not go together, or a `work` folder of another recipe.
    """

    def __init__(self, data: FaceData, trainer: Callable[..., Trainer], config: Mapping[str, Any]) -> None:
        check_recipe(config)
        self.data, self.trainer, self.config = data, trainer, config
        self.work = Path(config["work"]).expanduser()
        self.dtype: torch.dtype = getattr(torch, config["export_dtype"])
        self._faces: TrainingFaces | None = None

    def run(self) -> Path:
        """Runs the stages that were asked for and returns the folder of the checkpoint."""
        with isolate_rng(), determinism_restored(), warnings.catch_warnings():
            # The loader only counts; workers would make it no faster.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            for stage in STAGES:
                if stage in self.config["stages"]:
                    getattr(self, f"_{stage}")()
        return Path(self.config["out"]).expanduser()

    def _autoencoder(self) -> None:
        if source := self.config["init_from"] or self.config["autoencoder_from"]:
            log.info("autoencoder: taken from %s", source)
            return
        self._fit(self._autoencoder_module())

    def _autoencoder_module(self, train: bool = True) -> AutoencoderTraining:
        """The autoencoder's training; without what only its steps need unless `train`."""
        self._seed("autoencoder")
        vae = build_autoencoder(self.config["networks"]["autoencoder"])
        if train and self.config["warm_start"]:
            self._warm(vae, "vae")
        faces, recipe = self._photos(vae.config.sample_size), self._recipe("autoencoder")
        model, *weights, start = (recipe.pop(key) for key in OF_LOSS[:5])
        face_loss, adversary = None, None
        if min(weights) < 0:
            raise UserError(f"The weights of `autoencoder` must not be negative, but got {weights}.")
        embedding, perceptual, adversarial = weights
        if (embedding or perceptual) and model is None:
            raise UserError(
                "`autoencoder.embedding_weight` and `perceptual_weight` compare faces by a recogniser, but "
                "`autoencoder.embedding_model` is null. Give the path of an ONNX file there."
            )
        if train and model is not None:
            face_loss = FaceLoss(model, self.data.template(), self.data.image_size, embedding, perceptual)
        if train and adversarial:
            adversary = Adversary(adversarial, start)
        return AutoencoderTraining(vae, faces, face_loss=face_loss, adversary=adversary, **recipe)

    def _unet(self) -> None:
        self._fit(self._unet_module())

    def _unet_module(self) -> DenoiserTraining:
        recipe, start, rank = self._recipe("unet"), self.config["init_from"], self.config["lora_rank"]
        train_text = recipe.pop("train_text")
        if start is not None:
            pipe: Any = load_pipeline(start, None, None, torch.float32)
            if not isinstance(pipe, StableDiffusionInpaintPipeline):
                raise UserError(f"`init_from` must hold a Stable Diffusion checkpoint, but {start} holds SDXL.")
            if self.config["fresh_text"]:
                self._seed("unet")
                words, encoder = build_text(self.config["networks"]["text"])
                pipe.register_modules(tokenizer=words, text_encoder=encoder)
                train_text = True
        else:
            vae = self._trained_autoencoder()
            self._seed("unet")
            pipe = build_pipeline(vae, self.config["networks"])
            if self.config["warm_start"]:
                self._warm(pipe.unet, "unet")
                self._warm(pipe.text_encoder, "text_encoder")
        if rank is not None:
            self._seed("unet")
            add_lora(pipe.unet, rank)
        self.pipe = pipe
        faces = self._photos(pipe.unet.config.sample_size * pipe.vae_scale_factor)
        return DenoiserTraining(pipe, faces, start is None if train_text is None else train_text, **recipe)

    def _trained_autoencoder(self) -> AutoencoderKL:
        if source := self.config["autoencoder_from"]:
            vae: Any = load_pipeline(source, None, None, torch.float32).vae
        else:
            module = self._autoencoder_module(train=False)
            self._load(module)
            vae = module.networks["vae"]
        vae.requires_grad_(False).eval()
        faces = self._photos(vae.config.sample_size)
        vae.register_to_config(scaling_factor=latent_scale(vae, faces, generator(self.config["seed"], "scale")))
        return vae

    def _export(self) -> None:
        if self._checkpoint("unet").is_file():
            self._same_recipe("unet")
        module, out = self._unet_module(), Path(self.config["out"]).expanduser()
        step = self._load(module)
        if self.config["lora_rank"] is None:
            save_pipeline(self.pipe, out, self.dtype)
        else:
            save_lora(self.pipe.unet, out)
        log.info("export: the average after %d steps is in %s", step, out)

    def _photos(self, size: int) -> TrainingFaces:
        if self._faces is None or self._faces.pixels.shape[-1] != size:
            keys = ("parts", "mirror", "max_photos", "seed")
            parts, mirror, limit, seed = (self.config[key] for key in keys)
            share, crop, colour = (self.config[key] for key in OPTIONAL[:3])
            faces = collect(self.data, parts, size, mirror, limit, seed, self.work, share)
            self._faces = faces._replace(crop=crop, colour=colour)
            log.info(
                "%d photos of %d px, mirror images included; %d held out", len(faces.pixels), size, len(faces.held_out)
            )
        return self._faces

    def _warm(self, network: nn.Module, part: str) -> None:
        source: Any = load_pipeline(self.config["warm_start"], None, None, torch.float32)
        taken = take_matching(network, getattr(source, part))
        log.info("%s: %.0f %% of its weights start from %s", part, 100 * taken, self.config["warm_start"])

    def _seed(self, stage: str) -> None:
        seed_everything(generator(self.config["seed"], stage, "weights").initial_seed() % 2**32, verbose=False)

    def _recipe(self, stage: str) -> dict[str, Any]:
        return {**self.config[stage], "seed": self.config["seed"]}

    def _checkpoint(self, stage: str) -> Path:
        return self.work / stage / "last.ckpt"

    def _fit(self, module: StepTraining) -> None:
        self._same_recipe(module.stage)
        file, every = self._checkpoint(module.stage), self.config["checkpoint_every"]
        if file.is_file() and _stopped(file):
            log.info("%s: ended early, by `patience`; there is nothing to go on with", module.stage)
            return
        keeper = ModelCheckpoint(
            file.parent, "last", every_n_train_steps=every, save_top_k=1, enable_version_counter=False
        )
        trainer = self.trainer(
            max_steps=module.schedule.steps,
            max_epochs=-1,
            logger=False,
            enable_checkpointing=True,
            enable_progress_bar=False,
            gradient_clip_val=1.0,
            callbacks=[keeper, Progress(self.config["log_every"], module.schedule.steps)],
        )
        trainer.fit(module, ckpt_path=file if file.is_file() else None, weights_only=True)
        if trainer.interrupted:
            raise KeyboardInterrupt
        trainer.save_checkpoint(file)

    def _load(self, module: StepTraining) -> int:
        """Puts a stage's averaged weights into its networks; returns the step they are of."""
        file = self._checkpoint(module.stage)
        if not file.is_file():
            raise UserError(f"`stages` needs {module.stage} first: there is no {file}.")
        state = torch.load(file, map_location="cpu", weights_only=True)
        module.load_state_dict(state["state_dict"], strict=False)
        module.take_average()
        return int(state["global_step"])

    def _same_recipe(self, stage: str) -> None:
        """Writes down what the stage's weights depend on, or refuses to go on with weights of another recipe."""
        earlier = STAGES[: STAGES.index(stage) + 1]
        recipe = {key: self.config[key] for key in (*RECIPE, *earlier)} | {"data": self.data.digest()}
        recipe["trainer"] = {key: self.config["trainer"].get(key) for key in ("precision", "devices", "strategy")}
        recipe |= {key: self.config[key] for key in OPTIONAL if self.config[key]}
        for part in earlier:
            recipe[part] = {k: v for k, v in recipe[part].items() if k != "compile" and (v or k not in OF_LOSS)}
        text, file = json.dumps(recipe, indent=1, sort_keys=True), self.work / stage / "recipe.json"
        if file.is_file() and file.read_text() != text:
            raise UserError(
                f"`work` holds a training of another recipe ({file}), which can't be resumed with this one. Give "
                "another folder, work=DIR, or remove it."
            )
        write_text(file, text)


def _stopped(file: Path) -> bool:
    """Whether the training of a checkpoint ended early, and for good."""
    state = torch.load(file, "cpu", weights_only=True, mmap=True)["state_dict"]
    return bool(state.get("best.stopped", False))


__all__ = ["STAGES", "InpainterTraining", "Progress"]
