"""One cell of a study: a configuration, the parts built from it, and what its stages find."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from privacy_exp.cache.files import write_text
from privacy_exp.cache.keys import content_key, file_digest, scientific
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.data.manifest import write_manifest
from privacy_exp.evaluation.evaluate import evaluate
from privacy_exp.evaluation.measure import Cost, Measure, Scene
from privacy_exp.evaluation.score import score_folder
from privacy_exp.inpainting.compiling import share_compiled
from privacy_exp.inpainting.precision import device_named, dtype_named
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import checkpoint_file
from privacy_exp.recognition.fit import WITHOUT_EFFECT, fit_key
from privacy_exp.report.grid import write_grid
from privacy_exp.report.table import result_table
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import SCHEMA, Record, installed_versions, write_images
from privacy_exp.study.resume import TRACKED, Claim, claimed
from privacy_exp.study.stages import Anonymized, Fitted, anonymize, fit, keep_checkpoint
from privacy_exp.sweep.axes import refuse_inert_axis, swept_keys
from privacy_exp.sweep.configuration import MEASURES, check_keys, plain_config
from privacy_exp.sweep.entry import PACKAGE
from privacy_exp.types import Faces, UserError

log = logging.getLogger(__name__)

FIGURES = 3
"""Version of what a cell's stages compute; it is part of every key. Raise it with a change that alters figures."""


class Cell:
    """Builds every part before anything expensive starts, so that bad input fails at once.

    Args:
        config: composed from conf/train.yaml.
        slot: of the machine's pool, where several cells share it.

    Raises:
        UserError: a key outside its range.
    """

    def __init__(self, config: DictConfig, slot: int | None = None) -> None:
        check_keys(config)
        self.started, self.slot = time.time(), slot
        hydra = HydraConfig.get()
        self.config = config
        self.plain = plain_config(config)
        self.folder = Path(hydra.runtime.output_dir)
        self.choices = {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/") and v is not None}
        multirun = hydra.mode == RunMode.MULTIRUN
        self.group = Path(hydra.sweep.dir).name if multirun else self.folder.name
        self.name = f"{self.group}-{hydra.job.num}" if multirun else self.folder.name
        self.warnings: list[str] = []
        self.masker = instantiate(config.masking)
        share_compiled(config.store.root)
        with self._noting():
            self.inpainter = instantiate(config.inpainting)
        refuse_inert_axis(self.inpainter, config.force_inert)
        self.tracking = instantiate(config.tracking)
        self.net = {name: instantiate(config.recognition[name]) for name in ("net", "module")}
        self.trainer = instantiate(config.trainer, **self._one_device())
        self.data = instantiate(config.data)
        self.data.setup()
        self.measures: dict[str, Measure] = {}
        for group in MEASURES:
            self.measures |= {f"{group}/{name}": instantiate(part) for name, part in config[group].items()}
            self.choices[group] = list(config[group])
        if not self.data.identities:
            raise UserError(
                "`data.labelled=false` gives photos of nobody by name: there is nothing to recognise. Use "
                "`python -m privacy_exp.anonymize` for such photos."
            )
        for measure in self.measures.values():
            measure.check(self.data)
        self._tell_skipped()
        if not self.masker.has_budget and "mask_ratio" in swept_keys():
            raise UserError(
                f"`mask_ratio` cannot be swept with masking={self.choices['masking']}, which decides itself how much "
                "it hides: all cells would be one. Sweep it without that method, and run the method once beside."
            )
        if not self.masker.has_budget:
            self._warn(f"`mask_ratio` is ignored: masking={self.choices['masking']} decides itself how much it hides.")

    @property
    def mask_ratio(self) -> float | None:
        """The share asked for, or None where the method has no budget."""
        return float(self.config.mask_ratio) if self.masker.has_budget else None

    @property
    def device(self) -> torch.device:
        """What the networks run on: the trainer's accelerator."""
        on_gpu = self.plain["trainer"]["accelerator"] in ("gpu", "cuda")
        return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    @property
    def sharded(self) -> bool:
        """Whether generation is shared by several processes (trainer=ddp)."""
        return "strategy" in self.plain["trainer"]

    def _one_device(self) -> dict[str, Any]:
        """What the fit's trainer differs in from the configured one: it takes one device, this cell's own."""
        own: dict[str, Any] = {"strategy": "auto", "devices": 1} if self.sharded else {}
        return own | ({"devices": [torch.cuda.current_device()]} if self.device.type == "cuda" else {})

    def key(self) -> str:
        """Content key of all that decides figures: no paths, launcher, tracking, devices or batch sizes."""
        fields = self._fields("masking", "inpainting", "image_format", "evaluation", *MEASURES)
        return content_key(fields | {"seed": self.config.seed})

    def _fields(self, *names: str) -> dict[str, Any]:
        """What these parts of the configuration, the data and the recogniser contribute to a key."""
        recognition, seed = self.plain["recognition"], int(self.config.seed)
        trainer = self.plain["trainer"]
        start, checkpoint = recognition["init_from"], recognition["checkpoint"]
        recognizer = {
            "fit": fit_key(self.data, self.net["net"], self.net["module"], trainer, seed, start),
            "checkpoint": None if checkpoint is None else file_digest(checkpoint_file(checkpoint)),
        }
        parts = {name: scientific(self.plain[name]) for name in names}
        for judge in parts.get("judge", {}).values():
            if own := judge.get("embedder", {}).get("trainer"):
                judge["embedder"]["trainer"] = {k: v for k, v in own.items() if k not in WITHOUT_EFFECT}
        if parts["inpainting"].get("dtype") == "auto":
            device = device_named(self.plain["inpainting"].get("device", "auto"))
            parts["inpainting"]["dtype"] = str(dtype_named("auto", device))
        known = {"schema": SCHEMA, "figures": FIGURES, "data": self.data.digest(), "recognizer": recognizer}
        return known | {"target_layer": recognition["target_layer"], "mask_ratio": self.mask_ratio} | parts

    def claim(self) -> AbstractContextManager[Claim]:
        """Holds this cell and its run folder; see `privacy_exp.study.resume`."""
        images = len(self.data.photos["test"])
        return claimed(Store(self.config.store.root), self.key(), self.folder, images, self.config.rerun)

    def take(self, claim: Claim) -> Record:
        """The record of this cell that was computed before; the trackers of this run learn of it."""
        assert claim.record is not None  # noqa: S101  the caller has looked
        log.info("finished before: taken from %s; rerun=true computes it again", claim.source)
        made = claim.record.versions
        for name, version in installed_versions().items():
            if made.get(name, version) != version:
                log.warning("it was computed with %s %s, now it is %s", name, made[name], version)
        if not claim.tracked:
            self.start_tracking(manifest=False)  # it came with the cell
            self._track(claim.record)
        return claim.record

    def cost(self) -> Cost:
        """What judges, attackers and utility measures train and want painted besides the test photos."""
        frozen = self.plain["recognition"]["net"].get("freeze") == "trunk"
        costs = [measure.cost(self.data, frozen, int(self.config.seed)) for measure in self.measures.values()]
        pictures: frozenset[tuple[str, int]] = frozenset().union(*(cost.pictures for cost in costs))
        return Cost(sum(cost.fits for cost in costs), pictures)

    def start_tracking(self, manifest: bool = True) -> None:
        """Opens the trackers and writes the manifest of the split."""
        self.tracking.start(self.folder, self.name, self.group, self.plain | {"choices": self.choices})
        if manifest:
            write_manifest(self.folder / "manifest.csv", self.data.photos, self.data.identities)

    def fit(self) -> Fitted:
        """Fits or reuses the recogniser, moves it to the device and keeps its checkpoint in the run folder."""
        parts = {**self.net, "trainer": self.trainer}
        store = Store(self.config.store.root)
        fitted = fit(self.data, parts, self.plain, int(self.config.seed), store, self.tracking.loggers)
        fitted.recognizer.choose_target_layer(self.config.recognition.target_layer)
        fitted.recognizer.to(self.device)
        keep_checkpoint(fitted, self.folder)
        log.info("recogniser: %s", "reused a fitted one" if fitted.reused else f"fitted in {fitted.seconds:.0f} s")
        return fitted

    def anonymize(self, fitted: Fitted) -> Anonymized:
        """Masks and repaints the test photos into the run folder, on all devices of the trainer."""
        self.inpainter.fit(self.data.batches("train"))
        self.masker.fit(self.data.batches("train"), fitted.recognizer)
        if self.sharded:
            return self._anonymize_sharded(fitted)
        with self._noting():
            return anonymize(
                self.data.batches("test", self.config.batch_size),
                len(self.data.photos["test"]),
                fitted.recognizer,
                self.masker,
                self.inpainter,
                self.mask_ratio or 0.0,
                int(self.config.seed),
                RunFolder(self.folder, self.config.image_format),
                store=Store(self.config.store.root),
            )

    def _anonymize_sharded(self, fitted: Fitted) -> Anonymized:
        from privacy_exp.study.sharding import Share, anonymize_sharded

        share = Share(
            self.data,
            fitted.checkpoint,
            self.config.recognition.target_layer,
            self.masker,
            partial(instantiate, self.config.inpainting),
            self.mask_ratio or 0.0,
            int(self.config.seed),
            RunFolder(self.folder, self.config.image_format),
        )
        return anonymize_sharded(share, instantiate(self.config.trainer), self.config.batch_size, self.inpainter)

    def score(self, fitted: Fitted, anonymized: Anonymized) -> Record:
        """Scores the saved files, writes `images.parquet`, `record.json` and `grid.png`, and tells the trackers."""
        started = time.perf_counter()
        evaluation = self.config.evaluation
        folder = RunFolder(self.folder)
        table = score_folder(folder, fitted.recognizer, self.data.identities, evaluation.batch_size)
        table = table.merge(anonymized.shares, on="image_id", how="left", validate="one_to_one")
        found = evaluate(self.scene(table, fitted), self.measures, evaluation.floor)
        for message in found.warnings:
            self._warn(message)
        seconds = time.perf_counter() - started
        write_images(self.folder, found.table)
        record = Record(
            key=self.key(),
            choices=self.choices,
            config=self.plain,
            mask_ratio=self.mask_ratio,
            seed=int(self.config.seed),
            n=len(table),
            metrics=found.metrics,
            observers=found.observers,
            timing={
                "fit_s": fitted.seconds,
                "fit_reused": fitted.reused,
                "mask_s": anonymized.mask_s,
                "inpaint_s": anonymized.inpaint_s,
                "evaluate_s": seconds,
                "slot": self.slot,
                "started": self.started,
                "ended": time.time(),
                "images_per_s": len(table) / (anonymized.mask_s + anonymized.inpaint_s),
            },
            details={
                "guidance": self.inpainter.guidance,
                "data": self.data.summary(),
                "skipped": self.data.skipped,
                "data_digest": self.data.digest(),
                **found.details,
            },
            warnings=self.warnings,
            device=str(self.device),
        )
        write_grid(folder, self.folder / "grid.png")
        record.write(self.folder)  # last: a folder with a record is complete
        self._track(record)
        return record

    def _track(self, record: Record) -> None:
        images = pd.read_parquet(self.folder / "images.parquet")
        self.tracking.log_record(record, images, self.folder / "grid.png")

    def finish(self, failed: bool) -> None:
        """Closes the trackers, and remembers that they have this folder's cell."""
        self.tracking.finish(failed)
        if not failed:
            write_text(self.folder / TRACKED, "")

    def scene(self, table: pd.DataFrame, fitted: Fitted) -> Scene:
        """The finished run as measures see it.

        Args:
            table: see `score_folder`.
            fitted: the recogniser.
        """
        template = self._template()
        return Scene(
            folder=RunFolder(self.folder),
            table=table,
            identities=self.data.identities,
            recognizer=fitted.recognizer,
            store=Store(self.config.store.root),
            seed=int(self.config.seed),
            device=self.device,
            data=self.data,
            config=self.plain,
            template=template,
            frame=None if template is None else self.masker.frame,
            anonymize=lambda part, seed: self._anonymize_part(fitted, part, seed),
            fit=self._fit_again,
        )

    def _template(self) -> Float[Tensor, "5 2"] | None:
        """Where faces lie on the frames that the masking method cuts; None where it leaves the data's frames."""
        one = torch.zeros(1, 3, *self.data.image_size)
        frame = self.masker.frame(Faces([""], one, None, self.data.template()[None]))
        return None if frame.images is one or frame.landmarks is None else frame.landmarks[0]

    def _fit_again(self, data: FaceData, freeze: str | None) -> Recognizer:
        """Another recogniser, fitted to other pictures as this cell's own was to the originals; see `Scene.fit`."""
        recognition = self.plain["recognition"] | {"checkpoint": None}
        parts = {**self.net, "trainer": self.trainer}
        if freeze is not None:
            parts["net"] = type(self.net["net"])(**{**self.net["net"].arguments, "freeze": freeze})
        config = self.plain | {"recognition": recognition}
        fitted = fit(data, parts, config, int(self.config.seed), Store(self.config.store.root))
        return fitted.recognizer.to(self.device)

    def _anonymize_part(self, fitted: Fitted, part: str, seed: int) -> RunFolder:
        """Photos of another part, anonymised as the test photos are; kept in the store, as attackers share them."""
        fields = self._fields("masking", "inpainting", "image_format") | {"part": part, "seed": seed}

        def compute(folder: Path) -> None:
            anonymize(
                self.data.batches(part, self.config.batch_size),
                len(self.data.photos[part]),
                fitted.recognizer,
                self.masker,
                self.inpainter,
                self.mask_ratio or 0.0,
                seed,
                RunFolder(folder, self.config.image_format),
                control=False,
                store=Store(self.config.store.root),
            )

        return RunFolder(Store(self.config.store.root).fetch("anonymized", fields, compute, resumable=True)[0])

    def clean_accuracy(self, fitted: Fitted) -> float:
        """Accuracy on the test photos as they are, printed with the checkpoint's path; for `fit_only`."""
        from privacy_exp.recognition.fit import clean_accuracy

        accuracy = clean_accuracy(fitted.recognizer, self.data.batches("test"))
        write_text(self.folder / "clean_accuracy.txt", f"{accuracy:.6f}\n")
        print(f"clean test accuracy {accuracy:.4f} over {len(self.data.photos['test'])} photos")
        print(f"checkpoint {self.folder / 'recognizer.ckpt'}")
        return accuracy

    def show(self, record: Record) -> None:
        """Prints the result table and where the files are."""
        print(result_table(record, self.folder))

    def objective(self, record: Record) -> float | tuple[float, ...]:
        """The metrics named in `objective`.

        Raises:
            UserError: one of them has no value here.
        """
        values = []
        for name in self.config.objective:
            if name not in record.metrics:
                known = ", ".join(sorted(record.metrics))
                raise UserError(f"`objective` takes names of this run's metrics, {known}, but got {name}.")
            metric = record.metrics[name]
            if metric.value is None:
                raise UserError(f"`objective` {name} has no value in this run: {metric.reason}.")
            values.append(metric.value)
        return values[0] if len(values) == 1 else tuple(values)

    def _tell_skipped(self) -> None:
        """How many photos and people take part, and what was left out; the record lists all of it."""
        log.info("%s", self.data.summary())
        self.warnings += self.data.doubts  # the data has logged them

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Warnings of this package go into the record; all others go on."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            if Path(warning.filename).is_relative_to(PACKAGE):
                self._warn(str(warning.message))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

    def _warn(self, message: str) -> None:
        log.warning(message)
        self.warnings.append(message)
