"""What a run says while it works, with a clock that is moved by hand."""

import json
import time

import pytest
from omegaconf import OmegaConf
from rich.progress import Progress

from privacy_exp.report.metrics import telling
from privacy_exp.runs.record import Record
from privacy_exp.sweep.terminal import Display, label, outcome
from privacy_exp.sweep.watch import PACES, Watch, in_words
from privacy_exp.tracking.stages import begin, stage, watched
from privacy_exp.types import Metric


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(tmp_path, clock):
    return Watch(tmp_path, "kind", clock=clock)


def run_once(watch, clock):
    """Reads for 2 s, fits for 60 s, paints 10 pictures for 20 s, scores them for 5 s."""
    for seconds, name, total in ((2, "fitting", 30), (60, "painting", 10), (20, "scoring", 10)):
        clock.now += seconds
        watch.begin(name, total)
    clock.now += 5
    watch.keep()


def test_time_left_follows_the_pace_of_the_stage(watch, clock):
    assert watch.left() is None, "nothing is known yet"
    watch.begin("painting", 10)
    clock.now = 4.0
    watch.advance(4)
    assert watch.left() == 6.0


def test_the_next_run_of_a_kind_knows_its_time_from_the_first_second(watch, clock, tmp_path):
    run_once(watch, clock)
    again = Watch(tmp_path, "kind", clock=clock)
    assert again.left() == 87
    again.begin("painting", 20)  # the fit was kept, and there are twice the photos
    assert again.left() == 2 * 20 + 5
    clock.now += 3
    again.advance(10)
    assert again.left() == 3 + 5
    assert Watch(tmp_path, "another kind", clock=clock).left() is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"kind": 5}', '{"kind": [["a"]]}'])
def test_broken_paces_are_no_paces(content, tmp_path, clock):
    (tmp_path / PACES).write_text(content)
    watch = Watch(tmp_path, "kind", clock=clock)
    assert watch.left() is None
    watch.keep()
    assert list(json.loads((tmp_path / PACES).read_text())) == ["kind"]


def test_stages_tell_their_watcher_and_draw_nothing(watch, capsys):
    with watched(watch), stage("painting", 3) as advance:
        advance(2)
        assert (watch.name, watch.done, watch.total) == ("painting", 2, 3)
        begin("judge/onnx")
    assert watch.name == "judge/onnx"
    assert capsys.readouterr().err == ""
    with stage("painting", 3) as advance:
        advance(3)
    assert "painting" in capsys.readouterr().err


def test_a_cell_is_named_by_what_the_sweep_varies():
    config = OmegaConf.create({"mask_ratio": 0.25, "seed": 3, "inpainting": {"guidance_scale": 7.5, "steps": 5}})
    choices = {"masking": "grad_cam", "inpainting": "tiny"}
    assert label(config, choices, ["masking", "mask_ratio"]) == "Grad-CAM 25 %"
    own = OmegaConf.merge(config, {"masking": {"_target_": "privacy_exp.masking.everything.Everything"}})
    assert label(own, choices | {"masking": "everything"}, ["mask_ratio"]) == "Everything", "which decides its area"
    swept = ["mask_ratio", "inpainting.guidance_scale", "seed", "inpainting"]
    assert label(config, choices, swept) == "Grad-CAM 25 % · guidance scale 7.5 · seed 3 · the tiny diffusion model"
    config = OmegaConf.create({"inpainting": {"repel": None, "prompt": None, "compile": False, "size": [64, 48]}})
    swept = [f"inpainting.{key}" for key in config.inpainting]
    assert label(config, choices, [*swept, "attacker"]) == (
        "Grad-CAM · repel off · prompt none · compile off · size 64, 48 · attacker none"
    )


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        ({"value": 0.48, "low": 0.38, "high": 0.58, "n": 90}, "fooled 0.48 (0.38-0.58)"),
        ({"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "reason": "below_gate"},
         "fooled 0.50 (0.40-0.60), below the gate"),
        ({"value": None, "n": 0, "reason": "nobody was recognised"}, "no fool rate: nobody was recognised"),
        ({"value": 1.0, "n": 3}, "fooled 1.00"),
    ],
)  # fmt: skip
def test_the_outcome_of_a_cell(rate, text):
    assert outcome({"metrics": {"fool_rate": rate}}) == text


def test_a_cell_that_failed_says_so_in_a_line(watch, capsys):
    display = Display(watch, head="cell 3/27 · Saliency 90 %")
    display.failed(ValueError("`mask_ratio` is too large\nand more"))
    assert capsys.readouterr().out == "cell 3/27 · Saliency 90 % · failed: `mask_ratio` is too large\n"
    display.failed(KeyboardInterrupt())
    assert capsys.readouterr().out == "", "the entry point answers that"


def test_a_live_bar_tells_the_stage_and_the_time_left(watch, clock, tmp_path):
    bar = Progress()
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "record.json").write_text("{}")
    display = Display(watch, "cell 2/4 · Saliency 25 %", tmp_path, 4, bar, bar.add_task("reading"))
    watch.tell = display.tell
    watch.begin("painting", 10)
    clock.now = 5.0
    watch.advance(5)
    # 5 s for half of this cell, then two more of 10 s
    (drawn,) = bar.tasks
    assert drawn.description == "cell 2/4 · Saliency 25 % · painting 5/10 · about 25 s left"
    assert (drawn.completed, drawn.total) == (1.5, 4)


def test_a_fit_that_all_cells_share_is_no_part_of_what_the_others_take(watch, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("privacy_exp.sweep.terminal._at_once", lambda: 1)
    display = Display(watch, "cell 1/3 · Saliency 25 %", tmp_path, 3)
    watch.started = time.perf_counter() - 64
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "record.json").write_text("{}")
    rate = {"fool_rate": Metric(0.5, 0.4, 0.6, 9)}
    record = Record("k", {}, {}, 0.25, 0, 9, rate, [], {"fit_s": 60.0, "ended": time.time()})
    display.finished(record, "everything")
    assert capsys.readouterr().out.endswith("fooled 0.50 (0.40-0.60) · 64 s · about 8 s left\n")


def test_durations_in_words():
    assert [in_words(s) for s in (0.2, 89.4, 95, 5399, 9000)] == ["1 s", "89 s", "2 min", "90 min", "2.5 h"]


def test_what_says_nothing_is_left_out_of_twelve_rows():
    infinite = Metric(None, None, None, 9, "equal to the originals: infinite")
    rate, none = Metric(0.5, 0.4, 0.6, 9), Metric(0.0, 0.0, 0.1, 9)
    metrics = {"accuracy": rate, "utility/psnr_outside": infinite, "utility/black_share": none, "fool_rate": rate}
    metrics |= {f"judge/onnx/{name}": rate for name in ("intrusion", "rank_1")} | {"by/Male=1/fool_rate": rate}
    assert telling(metrics, 12) == ["fool_rate", "accuracy", "judge/onnx/rank_1", "judge/onnx/intrusion"]
    assert telling(metrics, 2) == ["fool_rate", "accuracy"]
