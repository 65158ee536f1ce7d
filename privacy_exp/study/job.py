"""One run of a study: what is asked, the folder it goes to, and its stages from mask to record."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from privacy_exp.cache.keys import PACKAGE, content_key, file_digest, scientific
from privacy_exp.cache.sources import sources
from privacy_exp.data.manifest import ALIKE, write_alike, write_manifest
from privacy_exp.evaluation.evaluate import evaluate
from privacy_exp.evaluation.measure import Cost, Measure
from privacy_exp.evaluation.score import score_folder
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.domain import check_domain
from privacy_exp.inpainting.precision import device_named, dtype_named
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.recognition.checkpoint import checkpoint_file
from privacy_exp.recognition.fit import fit_key
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.grid import write_grid, write_tiles
from privacy_exp.runs.record import SCHEMA, Record, write_images
from privacy_exp.study.implied import share_changed
from privacy_exp.study.place import MEASURES, Place, Sharded
from privacy_exp.study.resume import Claim, claimed
from privacy_exp.study.scene import scene_of
from privacy_exp.study.stages import Anonymized, Fitted, anonymize, keep_checkpoint
from privacy_exp.study.study import Study
from privacy_exp.types import UserError

log = logging.getLogger(__name__)


class Job:
    """A run that was asked for: every part is built and checked before anything expensive starts.

    Args:
        study: data and recogniser.
        masker: decides what to hide.
        inpainter: repaints it.
        measures: judges, attackers and utility measures by group and name, such as "judge/onnx".
        config: everything that was asked, as plain values; see `record.json`.
        place: where it goes.
        sharded: for a run that several processes share; None for all others.

    Raises:
        UserError: parts that do not go together.
    """

    def __init__(
        self,
        study: Study,
        masker: Masker | OwnArea,
        inpainter: Inpainter,
        measures: Mapping[str, Measure],
        config: Mapping[str, Any],
        place: Place,
        sharded: Sharded | None = None,
    ) -> None:
        self.started = time.time()
        self.study, self.data, self.store, self.seed = study, study.data, study.store, study.seed
        self.masker, self.inpainter, self.measures = masker, inpainter, dict(measures)
        self.config, self.place, self.folder, self.tracking = dict(config), place, place.folder, place.tracking
        self.sharded, self.warnings = sharded, list[str]()
        check_domain(inpainter, self.data.domain)
        if not self.data.identities:
            raise UserError("`data.labelled=false` leaves nobody to recognise: use `privacy-exp anonymize`.")
        for measure in self.measures.values():
            measure.check(self.data)
        if isinstance(masker, OwnArea):
            self.warn(f"`mask_ratio` is ignored: {type(masker).__name__} decides itself how much it hides.")

    @property
    def mask_ratio(self) -> float | None:
        """The share asked for, or None where the method chooses its own area."""
        return None if isinstance(self.masker, OwnArea) else float(self.config["mask_ratio"])

    @property
    def layout(self) -> str:
        """How pictures are kept; records of runs before there was a choice do not say."""
        return str(self.config.get("layout", "folders"))

    def compute(self, before: Callable[["Job"], None] | None = None) -> Record:
        """Computes the run, or takes it as it was computed before.

        Args:
            before: called first where the run is computed now.
        """
        with self.claim() as claim:
            failed = True
            try:
                if claim.record is not None:
                    record = self.take(claim)
                else:
                    if before is not None:
                        before(self)
                    self.start_tracking()
                    fitted = self.fit()
                    record = self.score(fitted, self.anonymize(fitted))
                claim.keep()
                failed = False
            finally:
                self.tracking.finish(failed)
        return record

    def key(self) -> str:
        """Content key of all that decides figures: no paths, launcher, tracking, devices or batch sizes."""
        fields = self._fields("masking", "inpainting", "image_format", "evaluation", *MEASURES)
        return content_key(fields | {"seed": self.seed})

    def _fields(self, *names: str) -> dict[str, Any]:
        """What these parts of the configuration, the data and the recogniser contribute to a key."""
        study = self.study
        recognizer = {
            "fit": fit_key(
                self.data, study.recognizer, study.recipe, study.trainer_keywords, self.seed, study.init_from
            ),
            "checkpoint": None if study.checkpoint is None else file_digest(checkpoint_file(study.checkpoint)),
        }
        parts = {name: scientific(self.config[name]) for name in names}
        parts["masking"] |= self.masker.keys()
        parts["inpainting"] |= self.inpainter.keys()
        if parts["inpainting"].get("dtype") == "auto":
            device = device_named(self.config["inpainting"].get("device", "auto"))
            parts["inpainting"]["dtype"] = str(dtype_named("auto", device))
        code = {"code": sources(__name__), "reader": sources(type(self.data))}
        known = {"schema": SCHEMA, "data": self.data.digest(), "recognizer": recognizer}
        return code | known | {"target_layer": study.target_layer, "mask_ratio": self.mask_ratio} | parts

    def claim(self) -> AbstractContextManager[Claim]:
        """Holds this run and its folder; see `privacy_exp.study.resume`."""
        return claimed(
            self.store, self.key(), self.folder, len(self.data.photos["test"]), self.place.rerun, self.layout
        )

    def take(self, claim: Claim) -> Record:
        """The record of this run that was computed before; the trackers of this run learn of it."""
        log.info("finished before: taken from %s; rerun=true computes it again", claim.source)
        record = claim.taken(self.config, dict(self.place.choices))
        if not claim.tracked:
            self.start_tracking(manifest=False)  # it came with the run
            self.track(record)
        return record

    def cost(self) -> Cost:
        """What judges, attackers and utility measures train and want painted besides the test photos."""
        frozen = self.study.recognizer.arguments.get("freeze") == "trunk"
        costs = [m.cost(self.data, frozen, self.seed) for m in self.measures.values()]
        pictures: frozenset[tuple[str, int]] = frozenset().union(*(cost.pictures for cost in costs))
        fits = tuple(one for cost in costs for one in cost.fits)
        return Cost(fits, pictures, tuple(one for cost in costs for one in cost.trainings))

    def start_tracking(self, manifest: bool = True) -> None:
        """Opens the trackers and writes the split's manifest, and which photos look alike across it."""
        config = self.config | {"choices": dict(self.place.choices)}
        self.tracking.start(self.folder, self.place.name, self.place.group, config)
        if manifest:
            write_manifest(self.folder / "manifest.csv", self.data.photos, self.data.identities)
            write_alike(self.folder / ALIKE, self.data.alike, self.data.photos)

    def fit(self) -> Fitted:
        """The study's recogniser, with its checkpoint in the run folder."""
        fitted = self.study.fit(self.tracking.loggers)
        keep_checkpoint(fitted, self.folder)
        log.info("recogniser: %s", "reused a fitted one" if fitted.reused else f"fitted in {fitted.seconds:.0f} s")
        return fitted

    def anonymize(self, fitted: Fitted) -> Anonymized:
        """Masks and repaints the test photos into the run folder, on all devices of the trainer."""
        self.inpainter.fit(self.data.batches("train"))
        self.masker.fit(self.data.batches("train"), fitted.recognizer)
        if self.sharded is not None:
            return self._anonymize_sharded(fitted, self.sharded)
        with self.noting():
            return self._paint(fitted, "test", self.seed, self.folder)

    def _paint(self, fitted: Fitted, part: str, seed: int, folder: Path, control: bool = True) -> Anonymized:
        return anonymize(
            self.data.batches(part, int(self.config["batch_size"])),
            len(self.data.photos[part]),
            fitted.recognizer,
            self.masker,
            self.inpainter,
            self.mask_ratio or 0.0,
            seed,
            self._pictures(folder),
            control=control,
            store=self.store,
        )

    def _pictures(self, folder: Path) -> RunFolder:
        return RunFolder(folder, self.config["image_format"], self.layout)

    def _anonymize_sharded(self, fitted: Fitted, sharded: Sharded) -> Anonymized:
        from privacy_exp.study.on_ray import anonymize_on_ray
        from privacy_exp.study.sharding import Share, anonymize_sharded

        layer, ratio, pictures = self.study.target_layer, self.mask_ratio or 0.0, self._pictures(self.folder)
        share = Share(self.data, fitted.checkpoint, layer, self.masker, sharded.inpainter, ratio, self.seed, pictures)
        size = int(self.config["batch_size"])
        if sharded.trainer is None:
            cache = str(self.store.root.absolute())
            return anonymize_on_ray(share, size, self.study.device.type, cache, self.inpainter)
        return anonymize_sharded(share, sharded.trainer, size, self.inpainter)

    def score(self, fitted: Fitted, anonymized: Anonymized) -> Record:
        """Scores the saved files, writes `images.parquet`, `record.json` and `grid.png`, and tells the trackers."""
        started = time.perf_counter()
        evaluation = self.config["evaluation"]
        folder = RunFolder(self.folder)
        table = score_folder(folder, fitted.recognizer, self.data.identities, int(evaluation["batch_size"]))
        table = table.merge(anonymized.shares, on="image_id", how="left", validate="one_to_one")
        found = evaluate(scene_of(self, table, fitted), self.measures, float(evaluation["gate"]))
        for message in found.warnings:
            self.warn(message)
        seconds = time.perf_counter() - started
        write_images(self.folder, found.table)
        record = Record(
            key=self.key(),
            choices=dict(self.place.choices),
            config=self.config,
            mask_ratio=self.mask_ratio,
            seed=self.seed,
            n=len(table),
            metrics=found.metrics | share_changed(table, self.inpainter),
            observers=found.observers,
            timing={
                "fit_s": fitted.seconds,
                "fit_reused": fitted.reused,
                "mask_s": anonymized.mask_s,
                "inpaint_s": anonymized.inpaint_s,
                "evaluate_s": seconds,
                "slot": self.place.slot,
                "started": self.started,
                "ended": time.time(),
                "images_per_s": len(table) * anonymized.processes / (anonymized.mask_s + anonymized.inpaint_s),
            },
            details={
                "guidance": self.inpainter.guidance,
                "data": self.data.summary(),
                "skipped": self.data.skipped,
                "data_digest": self.data.digest(),
                "people": int(table["label"].nunique()),
                **found.details,
            },
            warnings=[*self.data.doubts, *self.warnings, *self.store.notes],
            device=str(self.study.device),
        )
        write_grid(folder, self.folder / "grid.png")
        for name, kinds in found.strips.items():
            write_tiles(kinds, self.folder / f"{name.rpartition('/')[2]}.png")
        record.write(self.folder)  # last: a folder with a record is complete
        self.track(record)
        return record

    def track(self, record: Record) -> None:
        """Mirrors a record to the trackers."""
        images = pd.read_parquet(self.folder / "images.parquet")
        self.tracking.log_record(record, images, self.folder / "grid.png")

    def _part_fields(self, part: str, seed: int) -> dict[str, Any]:
        return self._fields("masking", "inpainting", "image_format") | {"part": part, "seed": seed}

    def has_part(self, part: str, seed: int) -> bool:
        """Whether the store has the anonymised photos of another part."""
        return self.store.folder("anonymized", self._part_fields(part, seed)).is_dir()

    def anonymize_part(self, fitted: Fitted, part: str, seed: int) -> RunFolder:
        """Photos of another part, anonymised as the test photos are; kept in the store, as attackers share them."""
        fields = self._part_fields(part, seed)

        def compute(folder: Path) -> None:
            self._paint(fitted, part, seed, folder, control=False)

        return RunFolder(self.store.fetch("anonymized", fields, compute, resumable=True)[0])

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Warnings of this package go into the record; all others go on."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            if Path(warning.filename).is_relative_to(PACKAGE):
                self.warn(str(warning.message))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

    def warn(self, message: str) -> None:
        """A warning that stands on the terminal and in the record."""
        log.warning(message)
        self.warnings.append(message)
