"""Pictures that another tool anonymised: scored by any judge, refused with the reason where they do not pair."""

import json
import shutil

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from privacy_exp import FitRecipe, Gallery, Linkage, Parrot, Reconstruction, evaluate
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.report.collect import collect
from privacy_exp.report.sections import sections
from privacy_exp.runs.record import Record
from privacy_exp.study.learnt import Learnt
from privacy_exp.study.pairs import score_pairs
from privacy_exp.sweep.entry import CONF
from tests.evaluation.attackers.test_attackers import MeanColour
from tests.evaluation.judges.test_judge import PHOTOS, Colour, colours
from tests.recognition.small import Colours, Small


def write(root, levels, suffix, flat=False):
    for i, value in enumerate(levels):
        path = root / (f"{i}.{suffix}" if flat else f"person {i // PHOTOS}/{i}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.broadcast_to(value.round(), (8, 8, 3)).astype(np.uint8)).save(path)


@pytest.fixture
def pairs(tmp_path):
    """16 people × 6 photos in sub-folders; one half of the results are black."""
    levels = colours()
    write(tmp_path / "before", levels, "png")
    write(tmp_path / "after", levels * (np.arange(len(levels)) % 2)[:, None], "bmp")
    return tmp_path


def score(root, **keys):
    measures = {"judge/colour": Judge(Colour(refuses_black=True), fars=[0.01])}
    return score_pairs(root / "before", root / "after", root / "out", measures, Store(root / "store"), **keys).values


def test_sub_folders_say_who_it_is(pairs):
    values = score(pairs)
    assert values["judge/colour/same_photo_1e-2"] == 0.5
    assert values["judge/colour/clean_tar_1e-2"] > 0.9
    assert "accuracy" not in values, "no recogniser of ours"
    assert values["strongest_observer"] == pytest.approx((0.5 + 0.5 / 16 - 1 / 16) / (1 - 1 / 16), abs=0.02)
    written = json.loads((pairs / "out" / "evaluation.json").read_text())
    assert written["details"]["judge/colour"]["anonymized"]["not_embedded"] == 48
    assert len(list((pairs / "out" / "results").iterdir())) == 96
    assert (pairs / "out" / "grid.png").is_file()


def test_pairs_over_the_same_originals_stand_in_one_table(pairs):
    measures = {"judge/colour": Judge(Colour(), fars=[0.01])}
    for name in ("after", "before"):
        out = pairs / "scored" / name
        score_pairs(pairs / "before", pairs / name, out, measures, Store(pairs / "store"))
    (section,) = sections(collect([pairs / "scored"]).cells)
    assert [cell.method for cell in section.cells] == ["after", "before"]
    assert "judge/colour/rank_1" in section.metrics


def test_drawn_originals_are_known_by_their_run(pairs):
    for name, target in (
        ("run", "privacy_exp.data.drawn.faces.DrawnFaces"),
        ("other", "privacy_exp.data.celeba.CelebA"),
    ):
        config = {"data": {"_target_": target}}
        Record("k", {}, config, 0.2, 0, 1, {}, [], {}).write(pairs / name)
        for kind, word in (("original", "img"), ("results", "generated")):
            for path in (pairs / "before").rglob("*.png"):
                (pairs / name / kind).mkdir(exist_ok=True)
                shutil.copy(path, pairs / name / kind / f"{path.stem}-{word}-label-{path.parent.name[7:]}.png")
        measures = {"judge/colour": Judge(Colour(), fars=[0.01])}
        score_pairs(pairs / name, pairs / name, pairs / f"{name}_out", measures, Store(pairs / "store"))
    cells = {path.name: collect([path]).cells[0] for path in (pairs / "run_out", pairs / "other_out")}
    assert cells["run_out"].drawn
    assert not cells["other_out"].drawn


def test_names_of_which_one_begins_another_keep_their_people(tmp_path):
    levels = colours()[:: PHOTOS // 2]
    names = [f"{i // 2}" + (" (2)" if i % 2 else "") for i in range(len(levels))]
    for folder in ("before", "after"):
        for name, value in zip(names, levels, strict=True):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.broadcast_to(value.round(), (8, 8, 3)).astype(np.uint8)).save(path)
    rows = "".join(f"{name}.png,p{i * (PHOTOS // 2) // PHOTOS}\n" for i, name in enumerate(names))
    (tmp_path / "who.csv").write_text("image,identity\n" + rows)
    assert score(tmp_path, identities=tmp_path / "who.csv")["judge/colour/rank_1"] == 1


def test_a_table_says_who_it_is(tmp_path):
    levels = colours()
    for name in ("before", "after"):
        write(tmp_path / name, levels, "png", flat=True)
    rows = "".join(f"{i}.png,p{i // PHOTOS}\n" for i in range(len(levels)))
    (tmp_path / "who.csv").write_text("image,identity\n" + rows)
    values = score(tmp_path, identities=tmp_path / "who.csv")
    assert values["judge/colour/tar_cross_1e-2"] == values["judge/colour/clean_tar_1e-2"] > 0.9


def test_without_names_pairs_of_two_photos_are_null(tmp_path):
    for name in ("before", "after"):
        write(tmp_path / name, colours(), "png", flat=True)
    values = score(tmp_path)
    assert values["judge/colour/same_photo_1e-2"] == 1
    assert values["judge/colour/tar_cross_1e-2"] is None
    assert values["judge/colour/rank_1"] is None
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert "identities are unknown" in written["warnings"][-1]
    assert written["metrics"]["judge/colour/same_photo_1e-2"]["reason"].startswith("no_gate")


def named(root, *rows):
    (root / "who.csv").write_text("\n".join(["image,identity", *rows]))


def large(root):
    for path in (root / "after").rglob("*.bmp"):
        Image.new("RGB", (9, 9)).save(path)


@pytest.mark.parametrize(
    ("damage", "keys", "words"),
    [
        (
            lambda p: [f.rename(f.with_stem(f"{f.stem}_x")) for f in (p / "after").rglob("*.bmp")],
            {},
            "do not pair: .*_x",
        ),
        (large, {}, r"`originals` are \(8, 8\) .* `anonymized` \(9, 9\).*image_size"),
        (lambda p: (p / "after/person 0/0.bmp").write_bytes(b"junk"), {}, "cannot be read"),
        (lambda p: (p / "who.csv").write_text("image,identity\n1.png,a\n"), {"identities": "who.csv"}, "have no row"),
        (lambda p: named(p, "1.png,a", "2.png,"), {"identities": "who.csv"}, r"Line 3 .* leaves identity empty"),
        (lambda p: named(p, "1.png,a", "1.png,z"), {"identities": "who.csv"}, r"Line 3 .*1.png a second time"),
        (lambda p: (p / "who.csv").write_text("a,b\n"), {"identities": "who.csv"}, "needs the columns"),
        (lambda p: (p / "out").mkdir() or (p / "out" / "x").touch(), {}, "`out` must be a new or empty folder"),
    ],
)
def test_pairs_that_cannot_be_scored_say_why(pairs, damage, keys, words):
    damage(pairs)
    with pytest.raises((ValueError, FileExistsError), match=words):
        score(pairs, **{key: pairs / value for key, value in keys.items()})
    assert not (pairs / "out" / "evaluation.json").exists()


@pytest.mark.parametrize(
    "overrides",
    [[], ["run=a", "originals=b"], ["originals=b"], ["originals=a", "anonymized=b"]],
    ids=["nothing", "both", "half", "no out"],
)
def test_what_to_score_must_be_said(overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("evaluate", overrides=overrides)
    with pytest.raises(ValueError, match="give what to score: run=DIR"):
        evaluate.run(config)


def test_pairs_need_a_measure(pairs):
    with pytest.raises(ValueError, match=r"choose what should look at the pairs: judge=\[onnx\]"):
        score_pairs(pairs / "before", pairs / "after", pairs / "out", {}, Store(pairs / "store"))


def test_names_as_another_tool_writes_them(pairs):
    for path in (pairs / "after").rglob("*.bmp"):
        path.rename(path.with_stem(f"{path.stem}_anonymized"))
    (pairs / "after/person 3/18_anonymized.bmp").unlink()
    (pairs / "after/overview.bmp").write_bytes((pairs / "after/person 3/19_anonymized.bmp").read_bytes())
    values = score(pairs, anonymized_name="{stem}_anonymized.*")
    assert values["judge/colour/same_photo_1e-2"] == pytest.approx(0.5, abs=0.01)
    record = json.loads((pairs / "out" / "record.json").read_text())
    assert (record["n"], record["details"]["people"]) == (95, 16)
    (note,) = [text for text in record["warnings"] if "paired" in text]
    assert note.startswith("95 of 96 originals are paired; left out: person%203%2F18 without a result, overview.bmp")
    with pytest.raises(ValueError, match=r"`anonymized_name` must say .* got anonymized"):
        score_again(pairs, anonymized_name="anonymized")


def test_a_run_folder_of_ours_is_scored_like_any_others_pictures(pairs):
    assert score(pairs)["judge/colour/same_photo_1e-2"] == 0.5
    values = score_again(pairs, originals="out", anonymized="out")
    assert values["judge/colour/same_photo_1e-2"] == 0.5
    assert json.loads((pairs / "again" / "record.json").read_text())["details"]["people"] == 16
    assert score_again(pairs, "third", anonymized="out")["judge/colour/same_photo_1e-2"] == 0.5


def score_again(root, out="again", originals="before", anonymized="after", **keys):
    measures = {"judge/colour": Judge(Colour(refuses_black=True), fars=[0.01])}
    store = Store(root / "store")
    return score_pairs(root / originals, root / anonymized, root / out, measures, store, **keys).values


@pytest.fixture
def taught(tmp_path):
    """8 people told apart by colour: 6 negatives of each to learn from, 4 others that are scored."""
    data = Colours(people=8, photos_each=10)
    for photo in data.index():
        who, number = photo.id[1:].split("x")
        part = "train_" if int(number) < 6 else ""
        for name, pixels in (("before", data.read(photo)), ("after", 255 - data.read(photo))):
            path = tmp_path / f"{part}{name}" / f"person {who}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path


@pytest.fixture
def few(monkeypatch):
    """One of a head's candidates."""
    for name, only in {"WIDTHS": (0,), "TEMPERATURES": (0.2,), "DECAYS": (0.01,), "RIDGES": (0.1,)}.items():
        monkeypatch.setattr(f"privacy_exp.evaluation.attackers.link_head.{name}", only)


def attacked(root, attackers, net=None):
    measures = {"judge/colour": Judge(MeanColour(), detect=False), **attackers}
    learnt = Learnt(root / "train_before", root / "train_after", net, FitRecipe(max_epochs=10, lr=0.03))
    return score_pairs(root / "before", root / "after", root / "out", measures, Store(root / "store"), learnt=learnt)


ATTACKERS = {
    "attacker/gallery": Gallery(),
    "attacker/parrot": Parrot(),
    "attacker/linkage": Linkage((1,), "quick", shuffled_labels=False, ceiling=False),
    "attacker/reconstruction": Reconstruction(steps=1, effort="quick", width=8, counts=(1,)),
}


def test_attackers_learn_from_further_pairs(taught, few):
    found = attacked(taught, {name: one for name, one in ATTACKERS.items() if "reconstruction" not in name}, Small())
    values = found.values
    assert values["accuracy"] > 0.7, "the target was fitted to the further originals"
    assert values["fool_rate"] > 0.5
    assert values["attacker/parrot/accuracy"] > 0.7, "and is repeated on what the tool made of them"
    assert values["attacker/gallery/rank_1"] > 0.9
    assert {"attacker/linkage/target/rank_1", "attacker/linkage/colour/rank_1"} <= values.keys()
    assert found.details["not_asked"] == {}
    assert sorted(path.name for path in (taught / "out" / "learnt").iterdir()) == ["train", "val"]


def test_who_could_not_be_asked_is_named_and_ranks_nobody(taught, few):
    judge = {"judge/colour": Judge(MeanColour(), detect=False)}
    store = Store(taught / "store")
    alone = score_pairs(taught / "before", taught / "after", taught / "alone", {**judge, **ATTACKERS}, store)
    assert set(alone.details["not_asked"]) == set(ATTACKERS)
    assert any("parrot" in note and "Rank these pictures only" in note for note in alone.warnings)
    assert not any(name.startswith("attacker/") for name in alone.values)
    found = attacked(taught, ATTACKERS)
    assert "accuracy" not in found.values
    assert "attacker/linkage/target/rank_1" not in found.values, "judges are enough"
    assert {found.values[f"attacker/{who}/recovered_share"] for who in ("linkage", "reconstruction")}.isdisjoint({None})
    assert set(found.details["not_asked"]) == {"attacker/gallery", "attacker/parrot"}
    assert any(note.startswith("not asked: gallery, parrot; there is no target") for note in found.warnings)
    cells = collect([taught / "alone", taught / "out"]).cells
    assert len({cell.observers for cell in cells}) == 2, "which the ranking keeps apart"
    with pytest.raises(ValueError, match="attacker/gallery cannot be asked: it learns from anonymised photos"):
        score_pairs(taught / "before", taught / "after", taught / "none", dict(list(ATTACKERS.items())[:1]), store)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda p: shutil.rmtree(p / "train_before/person 3"),
            "people of `originals` in other photos, but 1 of 8 .*'person%203'",
        ),
        (
            lambda p: shutil.copytree(p / "before", p / "train_before", dirs_exist_ok=True),
            "would learn from the pictures",
        ),
    ],
)
def test_what_nobody_could_learn_from_is_refused(taught, damage, words):
    shutil.copytree(taught / "after", taught / "train_after", dirs_exist_ok=True)
    damage(taught)
    with pytest.raises(ValueError, match=words):
        attacked(taught, {"attacker/linkage": Linkage()})
    assert not list((taught / "out").glob("*"))


@pytest.mark.parametrize("overrides", [["train_originals=a"], ["recognition=facenet_scratch"]])
def test_half_of_what_attackers_need_is_refused(pairs, overrides):
    asked = [f"originals={pairs / 'before'}", f"anonymized={pairs / 'after'}", f"out={pairs / 'out'}", *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("evaluate", overrides=[*asked, f"cache.root={pairs / 'store'}"])
    with pytest.raises(ValueError, match="`train_originals` and `train_anonymized` belong together"):
        evaluate.run(config)
