"""Twenty submissions to a board, of which eight are altered; and the page of those that were accepted."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from privacy_exp.evaluation.measure import strongest_observer
from privacy_exp.evaluation.privacy import outcome, privacy_metrics
from privacy_exp.evaluation.score import score_folder
from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.recognition.fit import CHECKPOINT, save_checkpoint
from privacy_exp.recognition.resnet import SmallResNet
from privacy_exp.report.board import named_arguments, read_entries, read_section
from privacy_exp.report.board_check import check, pack
from privacy_exp.report.board_page import write_board
from privacy_exp.report.board_pictures import pixels_digest
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import Record, write_images
from privacy_exp.types import Metric, UserError

PEOPLE = [f"person {number}" for number in range(4)]
IDS = [f"p{label}_{photo}" for label in range(4) for photo in range(3)]
SIDE = 16
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Path:
    """The checkpoint of a recogniser that has learnt nothing: it sees somebody on every picture all the same."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("target") / CHECKPOINT
    save_checkpoint(path, SmallResNet(image_size=32).for_people(4).eval(), PEOPLE)
    return path


@pytest.fixture(scope="module")
def make(target):
    """Writes a run folder by hand: `make(folder, level, rows=4)` hides that many rows of 16 and paints them grey."""
    from privacy_exp.recognition.fit import load_checkpoint

    recognizer = load_checkpoint(target)

    def run(folder: Path, level: int = 128, rows: int = 4, judge: bool = True, suffix: str = "png") -> Path:
        rng = np.random.default_rng(0)
        for kind in ("original", "masks", "results"):
            (folder / kind).mkdir(parents=True)
        for number, image_id in enumerate(IDS):
            original = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[:rows] = 255
            result = np.where(mask[..., None] > 0, np.uint8(level), original)
            for kind, word, pixels in (("original", "img", original), ("masks", "masks", mask)):
                Image.fromarray(pixels).save(folder / kind / f"{image_id}-{word}-label-{number // 3}.png")
            path = folder / "results" / f"{image_id}-generated-label-{number // 3}.{suffix}"
            Image.fromarray(result).save(path, quality=95, subsampling=0)
        shutil.copy(target, folder / CHECKPOINT)
        table = score_folder(RunFolder(folder), recognizer, PEOPLE)
        table["judge/other/rank_1"] = rng.integers(0, 2, len(table)).astype(float)
        write_run(folder, table, judge)
        return folder

    return run


def write_run(folder: Path, table: pd.DataFrame, judge: bool = True) -> None:
    """The table and the record that follows from it."""
    write_images(folder, table)
    metrics = privacy_metrics(table, gate=0.8)
    metrics["strongest_observer"], observers = strongest_observer([outcome(table, 4, gate=0.0)])
    asked = {"target": {"chance": 0.25}}
    if judge:
        metrics["judge/other/rank_1"] = clustered_rate(
            table["judge/other/rank_1"].to_numpy(), table["label"].to_numpy()
        )
        asked["judge/other"] = {"chance": 0.25}
    Record(
        key="k",
        choices={"data": "synthetic", "masking": "center", "inpainting": "mean_fill"},
        config={},
        mask_ratio=0.25,
        seed=0,
        n=len(table),
        metrics=metrics,
        observers=observers,
        timing={},
        details={"data_digest": "d" * 64, "people": 4, "observers": asked},
        warnings=["trained on /home/somebody/faces"],
    ).write(folder)


@pytest.fixture(scope="module")
def board(make, tmp_path_factory) -> Path:
    """Two sections over the same faces: equal areas, and areas that a tool chooses."""
    root = tmp_path_factory.mktemp("board")
    faces = make(root / "faces")
    for name, area in (("equal", 0.25), ("own", None)):
        (root / "board" / name / "entries").mkdir(parents=True)
        told = {"title": f"Faces, {name} area", "protocol": 2, "data": "drawn", "make": "privacy-exp draw"}
        told |= {"data_digest": "d" * 64, "observers": ["target", "judge/other"], "equal_area": area, "gate": 0.8}
        (root / "board" / name / "section.yaml").write_text(yaml.safe_dump(told))
        rows = [
            f"{image_id},{PEOPLE[int(image_id[1])]},{pixels_digest(path)}"
            for image_id, (path, _) in RunFolder(faces).list("original").items()
        ]
        (root / "board" / name / "images.csv").write_text("\n".join(["image_id,identity,sha256", *rows]) + "\n")
    return root / "board"


def submit(folder: Path, board: Path, name: str, section: str = "equal", **more: str) -> Path:
    tool = {"name": name, "version": "1", "source": "https://example.org/tool", "licence": "MIT"}
    return pack(folder, board, section, tool, **more)


@pytest.fixture(scope="module")
def honest(make, board, tmp_path_factory) -> list[Path]:
    """Twelve that are what they say: pictures with and without loss, own areas, a hostile name, and an attacker."""
    root = tmp_path_factory.mktemp("honest")
    files = [submit(make(root / f"grey{level}", level), board, f"grey {level}") for level in (0, 60, 90, 128, 200, 255)]
    files += [submit(make(root / f"own{rows}", rows=rows), board, f"{rows} rows", "own") for rows in (2, 8, 16)]
    files.append(submit(make(root / "lossy", suffix="jpg"), board, "as JPEG"))
    files.append(submit(make(root / "hostile"), board, HOSTILE))
    (root / "attacker").mkdir()
    similarities(root / "attacker")
    return [*files, submit(root / "attacker", board, "stronger", kind="attacker", against="grey_128-1")]


def similarities(folder: Path) -> pd.DataFrame:
    """An attacker that names people 0 and 1, and thinks that person 3 is person 2."""
    true = np.repeat(np.arange(4), 3)
    guess = np.where(true == 3, 2, true)
    table = pd.DataFrame(np.eye(4)[guess], columns=PEOPLE)
    table.insert(0, "image_id", IDS)
    table.to_parquet(folder / "similarity.parquet", index=False)
    (folder / "attack.py").write_text("print('better')\n")
    return table


@pytest.fixture(scope="module")
def accepted(honest, board):
    return [check(path, board, add=True) for path in honest]


def test_honest_ones_are_accepted(accepted, board):
    assert len(accepted) == 12
    assert len(read_entries(board, read_section(board / "equal"))) == 9
    assert len(read_entries(board, read_section(board / "own"))) == 3
    stronger = accepted[-1].observers["attacker/stronger"][1]
    assert stronger.value == pytest.approx(9 / 12), "three of four people"
    assert stronger.low < 0.75 < stronger.high
    assert any("whom the target sees on 12" in line for line in accepted[0].verify["recomputed"])


def repack(folder: Path, board: Path) -> None:
    """What a cheat does after a change: record and manifest list the new digests."""
    record = Record.read(folder)
    record.write(folder)
    told = json.loads((folder / "submission.json").read_text())
    tool, more = told["tool"], {key: told[key] for key in ("kind", "against") if key in told}
    pack(folder, board, told["section"], tool, **more)


def one_result(folder: Path) -> Path:
    return next((folder / "results").glob("p1_0*"))


def repaint(path: Path, box: tuple[int, int, int, int]) -> None:
    with Image.open(path) as image:
        changed = image.convert("RGB")
    changed.paste((1, 2, 3), box)
    changed.save(path)


def alter_result(folder, board):
    repaint(one_result(folder), (0, 0, 4, 4))


def alter_outside_mask(folder, board):
    repaint(one_result(folder), (0, 10, 16, 16))
    repack(folder, board)


def alter_original(folder, board):
    repaint(next((folder / "original").glob("p2_1*")), (0, 0, 2, 2))
    repack(folder, board)


def drop_images(folder, board):
    for path in folder.glob("*/p3_*"):
        path.unlink()
    repack(folder, board)


def drop_observer(folder, board):
    write_run(folder, pd.read_parquet(folder / "images.parquet"), judge=False)
    repack(folder, board)


def hide_more(folder, board):
    path = next((folder / "masks").glob("p0_0*"))
    with Image.open(path) as mask:
        larger = mask.copy()
    larger.paste(255, (0, 0, 16, 10))
    larger.save(path)
    table = pd.read_parquet(folder / "images.parquet")
    table.loc[table["image_id"] == "p0_0", "share_hidden"] = 10 / 16
    write_run(folder, table)
    repack(folder, board)


def claim_more(folder, board):
    path = folder / "record.json"
    record = json.loads(path.read_text())
    record["metrics"]["accuracy_anonymized"] |= {"value": 0.0, "low": 0.0, "high": 0.1}
    path.write_text(json.dumps(record))
    repack(folder, board)


def invent_predictions(folder, board):
    table = pd.read_parquet(folder / "images.parquet")
    table["pred_anonymized"] = (table["label"] + 1) % 4
    write_run(folder, table)
    repack(folder, board)


ALTERED = [  # what was done, and what the refusal says
    (alter_result, r"results/p1_0-generated-label-1.png was altered after the manifest was written"),
    (alter_outside_mask, r"results/p1_0-generated-label-1.png differs from its original outside the mask"),
    (alter_original, r"original/p2_1-img-label-2.png is not the section's picture"),
    (drop_images, r"original lacks 3 of the section's images, such as p3_0"),
    (drop_observer, r"missing observers: judge/other"),
    (
        hide_more,
        r"unequal areas: the section asks for 0.25 .* 1 of 12 masks hide another share, such as 0.6250 of p0_0",
    ),
    (claim_more, r"accuracy_anonymized is 0.0 in the record, but 0\.\d+ follows from images.parquet"),
    (invent_predictions, r"the recogniser sees other people on \d+% of the pictures than images.parquet says"),
]


@pytest.mark.parametrize(("alter", "reason"), ALTERED, ids=[alter.__name__ for alter, _ in ALTERED])
def test_altered_ones_are_refused_with_the_reason(honest, board, accepted, tmp_path, alter, reason):
    folder = Path(shutil.copytree(honest[3].parent, tmp_path / "copy"))
    alter(folder, board)
    before = sorted(board.rglob("*.json"))
    with pytest.raises(UserError, match=reason):
        check(folder / "submission.json", board, add=True)
    assert sorted(board.rglob("*.json")) == before, "nothing was added"


def lose_row(folder, table):
    table.iloc[1:].to_parquet(folder / "similarity.parquet", index=False)


def claim(folder, table):
    told = json.loads((folder / "submission.json").read_text())
    (folder / "submission.json").write_text(json.dumps(told | {"claims": {"rank_1": 1.0}}))


def other_code(folder, table):
    (folder / "attack.py").write_text("print('other')\n")


def nobody(folder, table):
    told = json.loads((folder / "submission.json").read_text())
    (folder / "submission.json").write_text(json.dumps(told | {"against": "../../secrets"}))


def escape(folder, table):
    told = json.loads((folder / "submission.json").read_text())
    told["files"]["../outside"] = "0" * 64
    (folder / "submission.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lose_row, "similarity.parquet was altered"),
        (claim, "rank 1 is 1.0 in the manifest, but 0.75 follows"),
        (other_code, "attack.py was altered"),
        (nobody, "`against` must be an entry of pictures in equal, but got 'secrets'"),
        (escape, "../outside leads out of the submission's folder"),
    ],
)
def test_altered_attackers_are_refused(honest, board, accepted, tmp_path, alter, reason):
    folder = Path(shutil.copytree(honest[-1].parent, tmp_path / "copy"))
    alter(folder, pd.read_parquet(folder / "similarity.parquet"))
    with pytest.raises(UserError, match=re.escape(reason)):
        check(folder, board)


def test_a_table_that_lacks_images_cannot_be_packed(board, tmp_path):
    table = similarities(tmp_path)
    table.iloc[:5].to_parquet(tmp_path / "similarity.parquet", index=False)
    with pytest.raises(UserError, match="lacks 7 of the section's images and people"):
        submit(tmp_path, board, "short", kind="attacker", against="grey_128-1")


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot be read"), ("[]", "`board` must be 1"), ('{"board": 1}', "it lacks 'kind'")],
)
def test_what_is_no_manifest_is_said(board, tmp_path, content, words):
    (tmp_path / "submission.json").write_text(content)
    with pytest.raises(UserError, match=words):
        check(tmp_path, board)


def test_the_page_escapes_names_and_names_no_folder(accepted, board, tmp_path):
    page = write_board(board, tmp_path).read_text()
    assert HOSTILE not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "somebody" not in page
    assert len(re.findall("<script", page)) == 1


def test_the_page_in_a_browser(accepted, board, tmp_path, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(write_board(board, tmp_path).as_uri())
    section = page.locator("section").first
    assert section.locator("output").inner_text() == "8 of 8 entries"
    section.locator("[data-find]").fill("GREY 1")
    assert section.locator("output").inner_text() == "1 of 8 entries"
    row = section.locator("tbody[data-text]:visible")
    row.locator("summary").click()
    assert "12 originals and results" in row.inner_text()
    assert "stronger" in row.inner_text(), "the attacker that looked at this entry"
    section.locator("[data-observer]").select_option(label="judge: Other")
    assert section.locator("thead th:visible").count() == 5
    assert complaints == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_arguments_may_stand_without_their_names():
    assert named_arguments(["it's", "out=x", "--help"]) == ["dir='it\\'s'", "out=x", "--help"]
    with pytest.raises(SystemExit, match="usage"):
        named_arguments(["check"])


def test_a_metric_that_is_no_number_is_no_entry(board, accepted, tmp_path):
    copy = Path(shutil.copytree(board, tmp_path / "board"))
    path = copy / "equal" / "entries" / "grey_128-1.json"
    told = json.loads(path.read_text())
    told["metrics"]["accuracy"]["value"] = "<b>"
    path.write_text(json.dumps(told))
    with pytest.raises(UserError, match="is no entry of a board"):
        write_board(copy, tmp_path)
    assert Metric(None, None, None, 0).value is None
