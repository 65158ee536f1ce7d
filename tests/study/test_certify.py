"""Certificates: what is certified, what never is, and whose word counts for nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from privacy_exp import (
    Blackout,
    Center,
    Everything,
    FitRecipe,
    Function,
    Identity,
    Judge,
    KSame,
    Nothing,
    Saliency,
    Study,
    UserError,
)
from privacy_exp.evaluation.certifying import View, lines, losses_of, recognised
from privacy_exp.evaluation.statistics.certificate import p_value, people_needed
from privacy_exp.report.certificate import write_certificate
from privacy_exp.study.certify_attackers import Aside
from privacy_exp.sweep.certify import certified_ratio
from tests.evaluation.attackers.test_attackers import MeanColour
from tests.recognition.small import Colours, Small

RATIOS = (0.5, 1.0)


def study_of(root, people=30, **keys):
    data = Colours(people=people, photos_each=3, min_images_per_identity=3)
    return Study(data, Small(), out=root / "out", cache=root / "cache", **keys)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(tmp_path_factory.mktemp("study"))


def colour():
    return {"colour": Judge(MeanColour(), detect=False)}


def certify(study, masking, inpainting, **question):
    return study.certify(masking, inpainting, colour(), **{"far": 0.1, "ratios": RATIOS, **question})


def test_a_loss_is_the_share_of_photos_that_any_observer_recognises():
    originals = np.eye(4)[[0, 0, 1, 1, 2]]
    people, groups = np.array(["a", "a", "b", "b", "c"]), np.array(["1", "2", "3", "3", "5"])
    view = View(originals, originals, people, groups, threshold=0.5)
    np.testing.assert_array_equal(recognised(view), [1, 1, np.nan, np.nan, np.nan], "of one group, or a single photo")
    probes = originals.copy()
    probes[0] = np.nan
    np.testing.assert_array_equal(recognised(replace(view, probes=probes))[:2], [0, 1], "what nobody sees is hidden")
    by_rank = replace(view, threshold=None, distractors=np.eye(4)[[0, 3]])
    np.testing.assert_array_equal(recognised(by_rank)[:2], [0.5, 0.5], "a tie with a distractor counts half")
    hits = [np.array([1.0, 0, np.nan, np.nan, np.nan]), np.array([0.0, 0.5, np.nan, np.nan, np.nan])]
    assert losses_of(hits, people) == {"a": 0.75}


def test_losses_of_different_people_are_independent():
    """Another person's photos change nobody's loss: the gallery is shared with the distractors alone."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(6, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    people, groups = np.repeat(["a", "b", "c"], 2), np.arange(6).astype(str)
    for how in ({"threshold": 0.2}, {"distractors": rows[4:]}):
        whole = losses_of([recognised(View(rows, rows, people, groups, **how))], people)
        alone = losses_of([recognised(View(rows[:2], rows[:2], people[:2], groups[:2], **how))], people[:2])
        assert whole["a"] == alone["a"]


def test_shuffled_labels_are_certified_at_once_and_nothing_is_not():
    random = np.random.default_rng(0)
    originals = np.repeat(random.normal(size=(60, 64)), 3, axis=0) + 0.1 * random.normal(size=(180, 64))
    originals /= np.linalg.norm(originals, axis=1, keepdims=True)
    people, groups = np.repeat([f"p{i:02}" for i in range(60)], 3), np.arange(180).astype(str)
    for order, certified in ((np.arange(180), 0), (random.permutation(180), 3)):
        own = losses_of([recognised(View(originals[order], originals, people, groups, threshold=0.5))], people)
        (line,) = lines({("any", None): {r: np.array([*own.values()]) for r in (0.1, 0.2, 0.3)}}, 0.1, 0.1)
        assert sum(step.certified for step in line.steps) == certified


def test_the_smallest_ratio_that_passes_and_what_one_needs_for_the_next(study):
    found = certify(study, [Center(), Everything(), Nothing()], Blackout(), alpha=0.2)
    at = {line.method: line for line in found.lines}
    assert at["nothing"].best is None
    assert at["everything"].best is not None
    assert [step.ratio for step in at["center"].steps] == [1.0, 0.5]
    for line in found.lines:
        for step in line.steps:
            key = "own area" if step.ratio is None else f"{step.ratio:g}"
            losses = np.array([*found.losses[line.method][key].values()])
            assert (step.risk, step.p) == (pytest.approx(losses.mean()), pytest.approx(p_value(losses, 0.2)))
            assert len(losses) == line.n == 21
    assert found.facts["people_aside"] == 9
    assert "recognised by colour" in str(found)
    assert "says nothing of other observers" in str(found)
    assert at["center"].steps[0].certified
    assert certify(study, [Center(), Everything(), Nothing()], Blackout()).ratio is None, "21 people are too few for 3"


def test_nothing_is_never_certified(study):
    found = certify(study, "nothing", Identity())
    assert found.ratio is None
    assert found.best is None
    assert "Nothing can be certified of nothing" in str(found)
    assert "no number of people would do" in str(found)
    few = certify(study, "everything", Blackout(), alpha=0.05)
    assert few.best is None
    assert f"it would take {people_needed(0.0, 0.05, 0.1)} people" in str(few)


def test_rank_1_and_the_cache(study, monkeypatch):
    first = certify(study, Center(), Blackout(), by="rank_1")
    monkeypatch.setattr("privacy_exp.study.certifying.anonymize", None)  # painted before, for thresholds
    again = certify(study, Center(), Blackout(), by="rank_1", alpha=0.2)
    assert again.losses == first.losses
    assert first.observers["colour"]["from"] == "27 distractors"


def test_groups_are_certified_apart(tmp_path, monkeypatch):
    read = Colours.index
    boys = lambda data: [replace(p, attributes={"Male": int(p.identity[6:]) % 2 == 0}) for p in read(data)]  # noqa: E731
    monkeypatch.setattr(Colours, "index", boys)
    found = certify(study_of(tmp_path, 70), "everything", Blackout(), groups=["Male"])
    assert {line.group for line in found.groups} == {"Male=yes", "Male=no"}
    assert sum(line.n for line in found.groups) == found.lines[0].n
    with pytest.raises(UserError, match=r"`groups` takes attributes of the data \(Male\), but got 'Young'"):
        certify(study_of(tmp_path, 70), "everything", Blackout(), groups=["Young"])
    with pytest.raises(UserError, match="at least 20 people in each group, but Male="):
        certify(study_of(tmp_path), "everything", Blackout(), groups=["Male"])


@pytest.mark.parametrize(
    ("masking", "inpainting", "question", "says"),
    [
        ("everything", "blackout", {"alpha": 1.0}, "`alpha` must lie in"),
        ("everything", "blackout", {"delta": 0.0}, "`delta` must lie in"),
        ("everything", "blackout", {"ratios": (0.5, 0.5)}, "`ratios` must be different shares"),
        ("everything", "blackout", {"ratios": (0.5, 1.5)}, "`ratios` must be different shares"),
        ("everything", "blackout", {"by": "look"}, "`by` must be one of verification, rank_1"),
        ("everything", "blackout", {"by": "rank_1", "aside": 0.0}, "would make the loss of one depend on the others"),
        ("everything", "blackout", {"aside": 0.0}, "`aside` must be above 0: thresholds"),
        ("everything", "blackout", {"aside": 0.7}, "at least 20 people .* but 9 of 30 are left"),
        ("everything", "blackout", {"far": 0.0001}, "`judge` colour has no threshold at a false accept rate of 0.0001"),
        ("everything", "blackout", {"threshold": {"onnx": 0.4}}, "`threshold.onnx` is of no chosen judge"),
        ("everything", "blackout", {"confidence": 0.9}, "'confidence' is no part of a certificate's question"),
        ("everything", KSame(k=2), {"aside": 0.0, "threshold": {"colour": 0.9}}, "methods that learn need people"),
        (Saliency(), "blackout", {}, "`masking` saliency explains a recogniser: give one .* on other people"),
        ("nowhere", "blackout", {}, "`masking` must be an object or one of"),
    ],
)
def test_what_could_certify_nothing_is_refused(study, masking, inpainting, question, says):
    with pytest.raises(UserError, match=says):
        certify(study, masking, inpainting, **question)


def test_observers_of_the_datas_people_are_refused(study):
    taught = MeanColour()
    taught.parts_seen = ("train",)
    with pytest.raises(UserError, match="must be observers whom nobody of the data has taught, but mine learns"):
        study.certify("everything", "blackout", {"mine": Judge(taught, detect=False)})
    with pytest.raises(UserError, match="`judge` must name at least one observer"):
        study.certify("everything", "blackout", [])


def test_people_who_trained_or_chose_are_refused(tmp_path):
    quiet = {"enable_progress_bar": False}
    fitted = study_of(tmp_path, 24, recipe=FitRecipe(max_epochs=1), trainer=quiet)
    run = fitted.run("everything", "blackout", utility=())
    steered = study_of(tmp_path, checkpoint=run.path)
    with pytest.raises(
        UserError, match=r"may not be those who trained the recogniser that steers masks or noise, but .* 'person"
    ):
        certify(steered, Saliency(), Blackout())
    with pytest.raises(UserError, match=r"may not be those who chose the method .* such as 'person"):
        certify(study_of(tmp_path), "everything", Blackout(), chosen_with=[run.path])


def test_a_certificate_on_disk_says_what_anonymize_needs(study, tmp_path, caplog):
    found = certify(study, [Center(), Nothing()], Blackout(), alpha=0.2)
    path = write_certificate(found, tmp_path)
    plain = json.loads(path.read_text())
    assert plain["ratio"] == found.ratio == 1.0
    assert (tmp_path / "certificate.png").stat().st_size > 1000
    asked = {
        "inpainting": {"_target_": "privacy_exp.inpainting.controls.Blackout"},
        "masking": plain["masking"]["center"],
    }
    caplog.clear()
    assert certified_ratio(path, asked, "center", study.data.digest()) == 1.0
    assert "another" not in caplog.text
    other = asked | {"inpainting": {"_target_": "privacy_exp.inpainting.controls.Blur"}, "judge": {"dlib": {}}}
    certified_ratio(path, other, "center")
    for name in ("data", "inpainting", "judge"):
        assert f"`certificate` was made with another `{name}`" in caplog.text
    with pytest.raises(UserError, match="certifies no ratio of masking=nothing; it certifies center"):
        certified_ratio(path, asked, "nothing")
    path.write_text("{}")
    with pytest.raises(UserError, match="has schema None, and 1 is read here"):
        certified_ratio(path, asked, "center")
    with pytest.raises(UserError, match="is no file"):
        certified_ratio(tmp_path / "none.json", asked, "center")


def negative_of(images):
    return 1 - images


@pytest.fixture
def few(monkeypatch):
    """One of a head's candidates besides the starts."""
    for name, only in {"WIDTHS": (0,), "TEMPERATURES": (0.2,), "DECAYS": (0.01,)}.items():
        monkeypatch.setattr(f"privacy_exp.evaluation.attackers.link_head.{name}", only)


def test_linkage_sees_through_what_the_plain_judge_does_not(tmp_path, few):
    """A negative, of which the judge recognises nobody: whoever has learnt from other people's negatives does."""
    crowd = study_of(tmp_path, 50)
    negative = Function("tests.study.test_certify.negative_of")
    plain, linking = (certify(crowd, "everything", negative, aside=0.5, attackers=own) for own in ((), ("linkage",)))
    risks = [found.lines[0].steps[0].risk for found in (plain, linking)]
    assert risks[0] < 0.2
    assert risks[1] > 0.4
    assert list(linking.observers) == ["colour", "linkage before colour"]
    by_rank = certify(crowd, "everything", negative, aside=0.5, attackers=["linkage"], by="rank_1")
    assert by_rank.lines[0].steps[0].risk > 0.2
    black = certify(crowd, "everything", Blackout(), aside=0.5, attackers=["linkage"])
    assert black.lines[0].steps[0].risk == 0, "what nobody can embed nobody recognises"
    washed = certify(crowd, "everything", negative, aside=0.5, attackers=["purification"])
    assert washed.lines[0].steps[0].risk >= risks[0], "the plain judge is among the observers"
    assert list(washed.observers) == ["colour", "purification before colour"]


def test_heads_may_know_nobody_who_calibrates(study):
    photos = [photo for part in study.data.photos.values() for photo in part]
    with pytest.raises(UserError, match="`people` to learn from must be others than those who are tested"):
        Aside.of(photos[:30], photos[20:], seed=0)
    with pytest.raises(UserError, match=r"`attackers` linkage learns from half .* at least 4, but 2 are there"):
        certify(study, "everything", Blackout(), attackers=["linkage"], aside=0.15)
    with pytest.raises(UserError, match="`attackers` may hold linkage and purification, but got 'reconstruction'"):
        certify(study, "everything", Blackout(), attackers=["reconstruction"])
    with pytest.raises(UserError, match="`attackers` linkage needs people set aside"):
        certify(study, "everything", Blackout(), attackers=["linkage"], aside=0.0, threshold={"colour": 0.5})
