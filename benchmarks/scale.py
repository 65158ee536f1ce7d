"""What the full study costs on 1, 8 and 64 GPUs: the arithmetic behind docs/results/scale.md, from named figures.

usage: python benchmarks/scale.py
"""

import heapq
from dataclasses import dataclass

IMAGES = 20_000
CELLS = {1.0: 27, 3.0: 27, 7.5: 27}
"""Cells by guidance scale: 3 mask ratios × 3 methods × 3 seeds each."""
GPUS = (1, 8, 64)
BATCH = 16
"""Images of a painter at a time."""


@dataclass(frozen=True)
class Figures:
    """What one GPU and its host do; docs/results/scale.md says where each comes from.

    Attributes:
        name: of the setting.
        evaluation_s: seconds of a guided evaluation an image, in a batch of 16: of the UNet with and without prompt.
        unguided: an unguided evaluation's time as a share of a guided one's.
        evaluations: that a picture takes.
        encode_s: seconds of the autoencoder to encode an image.
        decode_s: seconds of the autoencoder to decode an image.
        control_s: seconds of the control's encode and decode in single precision, paid once a photo.
        recognised_per_s: images a second through the recogniser.
        explained_per_s: images a second through an attribution method of one backward pass.
        start_s: seconds from a job's start to its first batch: imports, weights, compiled code from the store.
        kept_bytes: original, mask, result and control of one image on disk.
    """

    name: str
    evaluation_s: float
    unguided: float = 0.60
    evaluations: int = 51
    encode_s: float = 0.0056
    decode_s: float = 0.0131
    control_s: float = 0.0277
    recognised_per_s: float = 1_000
    explained_per_s: float = 300
    start_s: float = 60
    kept_bytes: float = 56_000


SETTINGS = (
    Figures("eager", 0.00667),
    Figures("compiled", 0.00478),
    Figures("compiled, 6 steps (LCM)", 0.00478, evaluations=6),
)


def denoising_s(figures: Figures, guidance_scale: float) -> float:
    """Seconds of the UNet an image, and of what goes on around it in each step."""
    guided = figures.evaluations * figures.evaluation_s
    return guided if guidance_scale > 1 else guided * figures.unguided


def autoencoder_s(figures: Figures) -> float:
    """Seconds of the autoencoder an image painted: one encode and one decode."""
    return figures.encode_s + figures.decode_s


def cell_s(figures: Figures, guidance_scale: float) -> float:
    """Seconds of one cell on one GPU, attribution and round trips in the store; three pictures are recognised."""
    image = denoising_s(figures, guidance_scale) + autoencoder_s(figures) + 3 / figures.recognised_per_s
    return figures.start_s + IMAGES * image


def parts_h(figures: Figures) -> dict[str, float]:
    """GPU hours of the whole study by what they are spent on."""
    cells = sum(CELLS.values())
    seconds = {
        "UNet": IMAGES * sum(count * denoising_s(figures, scale) for scale, count in CELLS.items()),
        "autoencoder": IMAGES * cells * autoencoder_s(figures),
        "control, once a photo": IMAGES * figures.control_s,
        "recogniser": IMAGES * cells * 3 / figures.recognised_per_s,
        "attribution, once a guided method and seed": IMAGES * 6 / figures.explained_per_s,
        "starts": cells * figures.start_s,
    }
    return {part: value / 3600 for part, value in seconds.items()}


def elapsed_h(figures: Figures, gpus: int) -> float:
    """Hours from start to end, one cell a GPU at a time, in the order in which guidance varies fastest."""
    free = [0.0] * gpus
    for scale in [scale for _ in range(max(CELLS.values())) for scale in CELLS]:
        job = cell_s(figures, scale)
        heapq.heapreplace(free, free[0] + job)
    return max(free) / 3600


def shared_h(figures: Figures, gpus: int) -> float:
    """Hours from start to end with `engine=ray` in every cell: a GPU without a cell of its own helps another one.

    A GPU that is free begins the next cell, in the order of `elapsed_h`; where none is left it joins the cell that has
    most batches for each of its GPUs. Both cost a start, and batches go one at a time to whichever GPU asks.
    """
    waiting = [scale for _ in range(max(CELLS.values())) for scale in CELLS]
    pace = [(cell_s(figures, scale) - figures.start_s) * BATCH / IMAGES for scale in waiting]
    left, helpers = [-(-IMAGES // BATCH)] * len(waiting), [0] * len(waiting)
    queue = [(0.0, -1)] * gpus  # when a GPU is free, and the cell that it works for
    begun, end = 0, 0.0
    while queue:
        now, cell = heapq.heappop(queue)
        if cell >= 0 and left[cell]:
            left[cell] -= 1
            end = max(end, now + pace[cell])
            heapq.heappush(queue, (now + pace[cell], cell))
            continue
        if cell >= 0:
            helpers[cell] -= 1
        if begun < len(waiting):
            begun, joined = begun + 1, begun
        else:
            joined = max(range(len(waiting)), key=lambda one: left[one] / (helpers[one] + 1))
            if not left[joined]:
                continue  # nothing is left to help with
        helpers[joined] += 1
        heapq.heappush(queue, (now + figures.start_s, joined))
    return end / 3600


def ideal_h(figures: Figures, gpus: int) -> float:
    """Hours if the work could be cut at will."""
    return sum(count * cell_s(figures, scale) for scale, count in CELLS.items()) / gpus / 3600


def tables() -> list[list[str]]:
    """The tables of docs/results/scale.md, as markdown rows."""
    parts = [["setting", *parts_h(SETTINGS[0]), "GPU hours"]]
    for figures in SETTINGS:
        hours = parts_h(figures)
        parts.append([figures.name, *(f"{value:.1f}" for value in hours.values()), f"{sum(hours.values()):.0f}"])
    heads = [*(f"{gpus} GPU{'s' * (gpus > 1)}" for gpus in GPUS), "64 GPUs, `engine=ray`", "64 GPUs, cells cut at will"]
    times = [["setting", *heads]]
    for figures in SETTINGS:
        elapsed = [elapsed_h(figures, gpus) for gpus in GPUS]
        hours = (*elapsed, shared_h(figures, 64), ideal_h(figures, 64))
        times.append([figures.name, *(f"{value:.2f} h" for value in hours)])
    files = IMAGES * sum(CELLS.values()) * 4
    busy = (f"files a second, {gpus} GPU{'s' * (gpus > 1)} at work" for gpus in GPUS)
    rates = [["setting", *busy, "files", "disk"]]
    for figures in SETTINGS:
        pace = [f"{files / ideal_h(figures, gpus) / 3600:.0f}" for gpus in GPUS]
        disk = IMAGES * sum(CELLS.values()) * figures.kept_bytes / 1e9
        rates.append([figures.name, *pace, f"{files / 1e6:.2f} million", f"{disk:.0f} GB"])
    return [markdown(rows) for rows in (parts, times, rates)]


def markdown(rows: list[list[str]]) -> list[str]:
    """A table's lines."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


if __name__ == "__main__":
    print("\n\n".join("\n".join(table) for table in tables()))
