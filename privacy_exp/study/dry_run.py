"""What a cell would cost, measured on a few images instead of guessed."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from privacy_exp.cache.keys import content_key
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.measure import Cost
from privacy_exp.recognition.fit import CHECKPOINT, fit_key
from privacy_exp.study.fit_cost import fit_seconds, fits_of, trainings_of
from privacy_exp.study.job import Job
from privacy_exp.study.pace import conditions, masking, once, painting, rest_of

log = logging.getLogger(__name__)

_cells: list[tuple[int, float, float]] = []  # images, seconds and bytes of the cells that this process has estimated
_fits_counted: set[Path] = set()
_in_fits: list[tuple[float, float]] = []  # how many, and the seconds of one
_finished: list[str] = []  # keys of the cells that the cache has
_paid: set[str] = set()  # what a cell before leaves in the cache for all others
_ended: list[float] = []  # when the last cell was estimated


def estimate(job: Job, begun: float | None = None, saved: float = 0.0) -> str:
    """What all runs so far will take, in one sentence: photos, time and disk, attackers included.

    Each distinct cost is measured once: a method's masks, a painter's batch, everything else by whole runs over a few
    photos, and a batch of each kind of fit. How long a run takes to begin is what it took here. What the cache has is
    taken off, and so is what a run leaves in it for those to come: scores and round trips.

    Args:
        job: built, nothing run.
        begun: when this run began, by `time.perf_counter`; the first one's beginning, others begin as one ends.
        saved: seconds that were saved by parts of runs before, which this run would have to build anew.
    """
    start = time.perf_counter() - (_ended[-1] if _ended else begun or time.perf_counter()) + saved
    told = _told(job, start)
    _ended[:] = [time.perf_counter()]
    return told


def _told(job: Job, start: float) -> str:
    total, cost = len(job.data.photos["test"]), job.cost()
    found = None if job.place.rerun else job.store.folder("cell", {"key": job.key()})
    if found is not None and found.is_dir():
        _finished.append(job.key())
        files = [path for path in found.rglob("*") if path.is_file() and path.name != CHECKPOINT]
        _cells.append((total, start, sum(path.stat().st_size for path in files) + _apart(job) * _checkpoint_size(job)))
        return _sentence(job, 0)
    (mask, again), (paint, trip, size), rest = masking(job), painting(job), rest_of(job)
    further = _further_pictures(job, cost, job.store)
    fits = fits_of(job, cost.fits)
    own = _own_fit(job)
    fits += [(1.0, fit_seconds(job, job.study.recognizer, job.study.recipe))] if own is not None else []
    checkpoints = (sum(count for count, _ in fits) + _apart(job)) * _checkpoint_size(job)
    fits += trainings_of(job, cost.trainings)
    in_fits = sum(count * seconds for count, seconds in fits)
    _in_fits.extend(fits)
    first = rest.first if _first("rest", {"fixed": rest.fixed}) else 0.0
    masker, drawn = job.masker, job.seed if job.masker.draws else None
    scores = {"method": masker.scoring_keys(), "seed": drawn, **conditions(job)}
    own_mask = mask if masker.blind or _first("scores", scores) else again
    fields = job.inpainter.round_trip_fields()
    known = fields is not None and job.store.folder("round_trip", fields).is_dir()
    own_trip = trip if fields is None or (not known and _first("trip", {"fields": fields})) else 0.0
    seconds = start + first + rest.fixed + total * (own_mask + paint + own_trip + rest.photo)
    seconds += further * (mask + paint) + in_fits
    _cells.append((total, seconds, (total + further) * size + checkpoints))
    return _sentence(job, further)


def _first(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether no cell before has paid for this."""
    key = content_key({"name": name, **fields})
    new = key not in _paid
    _paid.add(key)
    return new


def _sentence(job: Job, further: int) -> str:
    images, seconds, space = (sum(column) for column in zip(*_cells, strict=True))
    notes = [f"{_count(len(_finished), 'run')} of them finished before"] if _finished else []
    if _in_fits:
        together = sum(count * each for count, each in _in_fits)
        notes.append(f"{_count(sum(count for count, _ in _in_fits), 'fit')} of {duration(together)} in all")
    elif job.study.checkpoint is None and not _fits_counted:
        notes.append("the recogniser is in the cache")
    notes += [f"{further} further pictures for attackers"] if further else []
    told = f": {'; '.join(notes)}" if notes else ""
    return f"{_count(len(_cells), 'run')}, {images} photos: about {duration(seconds)} and {space / 1e9:.2f} GB{told}"


def duration(seconds: float) -> str:
    """In minutes, or in hours where there are many."""
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _own_fit(job: Job) -> Path | None:
    """Where the recogniser of this run will lie, where it still has to be fitted and no run before fits it."""
    study = job.study
    if study.checkpoint is not None:
        return None
    keywords = study.trainer_keywords
    fields = fit_key(job.data, study.recognizer, study.recipe, keywords, job.seed, study.init_from)
    folder = job.store.folder("recognizer", fields)
    if folder.is_dir() or folder in _fits_counted:
        return None
    _fits_counted.add(folder)
    return folder


def _checkpoint_size(job: Job) -> int:
    """Bytes of a fitted recogniser's weights."""
    found: int = once("weights", conditions(job), lambda: _weights(job))
    return found


def _weights(job: Job) -> int:
    """Bytes of a fitted recogniser's weights."""
    network = job.study.recognizer.for_people(len(job.data.identities), job.data.template())
    given = [value for value in network.fitted.values() if isinstance(value, torch.Tensor)]
    return sum(value.numel() * value.element_size() for value in (*network.state_dict().values(), *given))


def _apart(job: Job) -> bool:
    """Whether run folder and cache lie on two file systems, so that a checkpoint cannot be one file in both."""
    return _device(job.folder) != _device(job.store.root)


def _device(path: Path) -> int:
    """The file system that a path lies on, or will."""
    there = next(place for place in (path, *path.resolve().parents) if place.exists())
    return there.stat().st_dev


def tell_cost(job: Job) -> None:
    """Says what a run's attackers cost, where they cost anything."""
    if (line := attack_cost(job)) is not None:
        log.info("%s", line)


def attack_cost(job: Job) -> str | None:
    """One line on what the chosen attackers cost, measured before anything starts; None where they cost nothing.

    Args:
        job: built, nothing run.
    """
    cost = job.cost()
    further = _further_pictures(job, cost)
    if not further and not cost.fits and not cost.trainings:
        return None
    pace, _, size = painting(job) if further else (0.0, 0.0, 0.0)
    pace += masking(job)[0] if further else 0.0
    fits = fits_of(job, cost.fits) + trainings_of(job, cost.trainings)
    names = ", ".join(name.rpartition("/")[2] for name in job.measures if name.startswith("attacker/"))
    minutes = (sum(count * seconds for count, seconds in fits) + further * pace) / 60
    trained = ", ".join(f"{_count(count, 'fit')} of about {seconds:.0f} s" for count, seconds in fits)
    return (
        f"attackers {names}: {trained or 'no fit'} and {further} further pictures at "
        f"{pace:.2f} s: about {minutes:.1f} minutes and {further * size / 1e6:.1f} MB, less what the store has"
    )


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _further_pictures(job: Job, cost: Cost, store: Store | None = None) -> int:
    """Pictures that attackers want besides the test photos, less those that the store has."""
    parts = [(part, seed) for part, seed in cost.pictures if store is None or not job.has_part(part, seed)]
    return sum(len(job.data.photos[part]) for part, _ in parts)
