"""One run over two processes (gloo on the CPU): every image once, and the pictures of a run with one."""

import pytest
from reader import read_cells

DDP = (
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "trainer.devices=2",
    "trainer.precision=32-true",
    "trainer.deterministic=true",
)


@pytest.mark.slow
def test_two_processes_paint_every_image_once(cell, tmp_path):
    log = tmp_path / "painted.txt"
    counting = ("inpainting=mean_fill", "inpainting._target_=counting.CountingFill", f"+inpainting.log={log}")
    common = ("masking=saliency", "batch_size=3")
    cell(tmp_path / "two", *counting, *common, *DDP)
    lines = [line.split() for line in log.read_text().splitlines()]
    (record,) = read_cells(tmp_path / "two")
    ids = [image_id for _, image_id in lines]
    assert len(ids) == len(set(ids)) == record["n"] == 10
    assert len({process for process, _ in lines}) == 2
    timing = record["timing"]
    assert timing["images_per_s"] == pytest.approx(2 * 10 / (timing["mask_s"] + timing["inpaint_s"])), "of both at once"

    cell(tmp_path / "one", "inpainting=mean_fill", *common)
    for kind in ("original", "masks", "results", "control"):
        for path in (tmp_path / "one" / kind).iterdir():
            assert (tmp_path / "two" / kind / path.name).read_bytes() == path.read_bytes(), path.name
    (alone,) = read_cells(tmp_path / "one")
    assert alone["metrics"] == record["metrics"]
    assert alone["timing"]["fit_reused"], "the fit is the same: it takes one device either way"


def test_fewer_images_than_processes_are_painted_by_one(cell, tmp_path):
    cell(tmp_path, "inpainting=mean_fill", "data.max_test_images=1", "objective=[accuracy]", *DDP)
    (record,) = read_cells(tmp_path)
    assert record["n"] == 1


def test_a_sweep_does_not_share_its_cells_over_devices(cell, tmp_path):
    with pytest.raises(ValueError, match=r"trainer=ddp` is for one large run.*hydra/launcher=joblib"):
        cell(tmp_path, *DDP, "hydra.mode=MULTIRUN", f"hydra.sweep.dir={tmp_path}")
