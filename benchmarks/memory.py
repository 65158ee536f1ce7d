"""Whether a cell's memory depends on how many images it has, and its time on anything but that."""

import tempfile
from pathlib import Path

from commands import TRAIN, measured
from timing import Line

SIZES = (100, 550, 1000)
# All photos are there in each run, and nearly all are test photos: runs differ in how many of them they take.
COMMAND = [
    *TRAIN,
    "inpainting=mean_fill",
    "tracking=csv",
    "data.identities=20",
    "data.photos_per_identity=56",
    "data.split=[0.05,0.05,0.9]",
    "recognition.module.max_epochs=1",
]


def lines(rounds: int = 1) -> list[Line]:
    """The table of memory; each size runs once, the fit in the store."""
    del rounds
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        measured([*COMMAND, "fit_only=true"], work)
        found = {size: measured([*COMMAND, f"data.max_test_images={size}"], work) for size in SIZES}
        few, some, many = SIZES
        packed = [
            measured([*COMMAND, f"data.max_test_images={size}", "layout=packed"], work)[1] for size in (few, many)
        ]
    seconds, peaks = ({size: pair[i] for size, pair in found.items()} for i in (0, 1))
    return [
        *(Line(f"{size} images", seconds[size], unit="s") for size in SIZES),
        *(Line(f"{size} images: peak memory", peaks[size], unit="GiB") for size in SIZES),
        Line(
            f"peak memory, {many} over {few} images",
            peaks[many] / peaks[few],
            bar="≤ 1.05",
        ),
        Line(f"the same with layout=packed ({packed[0]:.2f} GiB at {few})", packed[1] / packed[0], bar="≤ 1.05"),
        Line(
            "seconds an image in the second half over the first",
            (seconds[many] - seconds[some]) / (seconds[some] - seconds[few]),
            bar="≤ 1.15",
            note="1 where time grows linearly",
        ),
    ]
