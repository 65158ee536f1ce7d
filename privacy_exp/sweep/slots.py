"""Several cells on one machine: each holds a slot, that is a GPU of its own or its share of the cores.

A slot is a locked file, so that it is free again when its process ends, however it ends.
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from privacy_exp import UserError

log = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two looks at the pool


def slots_of(asked: int | str | None, accelerator: str | None = None) -> int | None:
    """How many slots a cell's machine has.

    Args:
        asked: the key `slots`: a number, None for none, or "auto": as many as joblib starts processes, but not more
            than GPUs; one a GPU, or one, under submitit_local, which starts all cells at once; none otherwise, for
            then cells run one after the other, or a scheduler hands out GPUs.
        accelerator: the trainer's.

    Raises:
        UserError: any other value.
    """
    if asked is None or (isinstance(asked, int) and asked >= 1):
        return asked
    if asked != "auto":
        raise UserError(f"`slots` must be at least 1, auto or null, but got {asked}.")
    hydra = HydraConfig.get()
    launcher = str(hydra.launcher.get("_target_")).rpartition(".")[2] if hydra.mode == RunMode.MULTIRUN else ""
    gpus = torch.cuda.device_count() if accelerator in ("gpu", "cuda") else None
    if launcher == "JoblibLauncher":
        jobs = int(hydra.launcher.n_jobs)
        jobs = jobs if jobs > 0 else cores()
        return max(1, jobs if gpus is None else min(jobs, gpus))
    if launcher == "LocalLauncher":
        return max(1, gpus or 1)
    return None


@contextmanager
def slot(count: int | None, accelerator: str | None = None, pool: Path | None = None) -> Iterator[int | None]:
    """Holds one of the machine's slots; waits until one is free.

    On GPUs the slot's own becomes torch's current device (more slots than GPUs: several share one, on purpose). On
    the CPU torch computes with cores / count threads, or fewer where OMP_NUM_THREADS says so.

    Args:
        count: how many cells this machine runs at once; None takes no slot: the machine is this cell's own, or a
            scheduler (Slurm, Ray) hands out its GPUs.
        accelerator: the trainer's.
        pool: folder of the locks; None takes one that all runs of this user on this machine share.

    Yields:
        The slot's number; without slots that of the GPU which a scheduler gave, or None.
    """
    if count is None:
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
        yield int(first) if first.isdecimal() else None
        return
    on_gpu = accelerator in ("gpu", "cuda") and torch.cuda.is_available()
    names = gpu_names(count) if on_gpu else [f"cpu{i}" for i in range(count)]
    number, lock = _take(pool or Path(tempfile.gettempdir()) / f"privacy_exp-slots-{os.getuid()}", names)
    log.info("slot %d of %d (%s)", number, count, names[number])
    threads = torch.get_num_threads()
    try:
        if on_gpu:
            torch.cuda.set_device(number % torch.cuda.device_count())
        else:
            torch.set_num_threads(max(1, min(threads, cores() // count)))
        yield number
    finally:
        torch.set_num_threads(threads)
        lock.release()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_names(count: int) -> list[str]:
    """A name for each slot, after the GPU it uses: the same card has the same name for every process.

    Args:
        count: slots.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    return [f"gpu{cards[i % len(cards)]}-{i // len(cards)}" for i in range(count)]


def _take(pool: Path, names: list[str]) -> tuple[int, FileLock]:
    pool.mkdir(parents=True, exist_ok=True)
    while True:
        for number, name in enumerate(names):
            lock = FileLock(pool / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return number, lock
        time.sleep(PAUSE)
