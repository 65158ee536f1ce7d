"""Linkage: it undoes what can be undone, guesses where nothing is left, and never tests whom it has learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from privacy_exp.evaluation.attackers.closed_set import chance_metric
from privacy_exp.evaluation.attackers.link_head import (
    Choice,
    LinkHead,
    Vectors,
    check_disjoint,
    learn,
    linear_start,
    linked,
)
from privacy_exp.evaluation.attackers.link_search import first_photos, look_up, operate, sides, untrained
from privacy_exp.evaluation.attackers.linkage import Linkage
from privacy_exp.evaluation.identification import identify
from privacy_exp.evaluation.judges.judge import Judge
from tests.evaluation.attackers.test_attackers import MeanColour

PEOPLE, EACH, SIZE = 32, 6, 12


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def photos(protect, seed=0):
    """Anonymised and original embeddings of people; `protect` maps the one to the other."""
    random = np.random.default_rng(seed)
    people = np.repeat([f"p{i:02}" for i in range(PEOPLE)], EACH)
    rows = np.repeat(random.normal(size=(PEOPLE, SIZE)), EACH, axis=0) + 0.25 * random.normal(size=(len(people), SIZE))
    groups = np.array([f"photo/{i}" for i in range(len(people))])
    return Vectors(unit(protect(rows, random)), people, groups), Vectors(unit(rows), people, groups)


def veiled(rows, random):
    """Turned, and moved to one side: nothing is lost to whoever knows the turn."""
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(SIZE, SIZE)))[0]
    return rows @ turn + 2


def flipped(rows, random):
    """The other way round: as far from the person's originals as can be."""
    return -rows


def scrambled(rows, random):
    """Any linear map, most of it turned and some of it mirrored and squeezed."""
    left, right = (np.linalg.qr(np.random.default_rng(i).normal(size=(SIZE, SIZE)))[0] for i in (3, 4))
    return rows @ left @ np.diag(np.linspace(-1, 1, SIZE) * 2) @ right


@pytest.fixture
def few(monkeypatch):
    """One of the candidates besides the starts."""
    for name, only in {"WIDTHS": (0,), "TEMPERATURES": (0.2,), "DECAYS": (0.01,), "RIDGES": (0.1,)}.items():
        monkeypatch.setattr(f"privacy_exp.evaluation.attackers.link_head.{name}", only)


def halves_of(vectors):
    names = sorted(set(vectors.people))
    return names[::2], names[1::2]


@pytest.mark.parametrize("protect", [veiled, flipped, scrambled])
def test_a_head_undoes_what_can_be_undone(protect, few):
    probes, originals = photos(protect)
    found = sides(probes, originals, halves_of(probes), seed=1, steps=20)
    clean, plain, learnt = (
        look_up(who, what, originals).rank_1.mean()
        for who, what in ((untrained(found), originals), (untrained(found), probes), (found, probes))
    )
    assert clean > 0.95
    assert plain < 0.3
    assert (learnt - plain) / (clean - plain) >= 0.8
    assert {side.choice.ridge for side in found} == {0.1}, "steps alone do not get there"
    at = operate(found, probes, originals, originals, 0.05)
    assert at.accepted.mean() > 0.5
    assert at.found.mean() > operate(untrained(found), probes, originals, originals, 0.05).found.mean()


def test_a_linear_start_is_ridge_regression():
    probes, originals = photos(scrambled)
    alone = replace(originals, groups=np.array([f"other/{i}" for i in range(len(originals.people))]))
    head = linear_start(probes, alone, ridge=0.5)  # no photo has a group in common with any other
    meant = np.stack([originals.rows[originals.people == person].mean(axis=0) for person in probes.people])
    spread = np.square(probes.rows - probes.rows.mean(axis=0)).sum() / SIZE
    theirs = Ridge(alpha=0.5 * spread).fit(probes.rows.astype(float), meant.astype(float)).predict(probes.rows)
    np.testing.assert_allclose(head.probes(probes.rows), unit(theirs), atol=1e-5)
    np.testing.assert_allclose(head.originals(originals.rows), originals.rows, atol=1e-6)


def test_noise_and_permuted_pairs_leave_chance_over_five_seeds(few):
    for protect, permute in ((lambda rows, random: random.normal(size=rows.shape), False), (veiled, True)):
        hits, people = [], []
        for seed in range(5):
            probes, originals = photos(protect, seed)
            if permute:
                random = np.random.default_rng(seed)
                shuffled = probes.people.copy()
                for half in halves_of(probes):
                    own = np.flatnonzero(np.isin(probes.people, half))
                    shuffled[own] = probes.people[random.permutation(own)]
                probes = replace(probes, people=shuffled)
            seen = look_up(sides(probes, originals, halves_of(probes), seed, steps=10), probes, originals)
            hits.append(seen.rank_1)
            people.append(probes.people)
        _, report = chance_metric(np.concatenate(hits), np.concatenate(people), 1 / seen.num_identities)
        assert seen.num_identities == PEOPLE / 2
        assert report["within"]


def test_a_head_without_training_is_the_plain_judge(few):
    probes, originals = photos(veiled)
    half, other = halves_of(probes)
    found = look_up(untrained(sides(probes, originals, (half, other), 1, steps=10)), probes, originals)
    own = probes.of(half), originals.of(half)
    plain = identify(*(getattr(v, k) for v in own for k in ("rows", "people")), own[0].groups, own[1].groups)
    np.testing.assert_array_equal(found.hits[np.isin(probes.people, half)], plain.hits)
    assert linked(LinkHead(SIZE, 8), *own) == linked(LinkHead(SIZE), *own), "a hidden layer starts from nothing, too"


def test_the_embedding_as_it_is_stays_where_nothing_beats_it(few):
    probes, originals = photos(lambda rows, random: rows)
    three = sorted(set(probes.people))[:3]
    assert learn(probes.of(three), originals.of(three), 1, 30)[1] == Choice(), "nobody to hold back"
    apart, same = photos(lambda rows, random: rows)
    same = replace(same, rows=np.repeat(np.eye(PEOPLE, dtype=np.float32), EACH, axis=0))
    assert learn(replace(apart, rows=same.rows), same, 1, 30)[1] == Choice(), "nothing to gain"


def test_whoever_is_handed_tested_people_is_refused():
    probes, originals = photos(veiled)
    half, other = halves_of(probes)
    with pytest.raises(ValueError, match=r"`people` to learn from .* 1 are both, such as 'p00'"):
        sides(probes, originals, (half, [*other, half[0]]), 1, steps=1)
    check_disjoint(half, other)


def test_a_photo_is_never_linked_to_itself():
    """Every photo is a gem of its own: only its very self could be found."""
    probes, originals = photos(lambda rows, random: random.normal(size=rows.shape))
    originals = replace(originals, rows=probes.rows)
    found = look_up(untrained(sides(probes, originals, halves_of(probes), 1, steps=0)), probes, originals)
    assert found.rank_1.mean() < 0.2


def test_galleries_of_one_photo_and_global_draws_stay_untouched(few):
    probes, originals = photos(veiled)
    before = torch.random.get_rng_state()
    learn(probes, originals, 1, 10)
    assert torch.random.get_rng_state().equal(before)
    one = first_photos(originals, 1, seed=3)
    assert sorted(one.people) == sorted(set(originals.people))
    assert set(first_photos(originals, 5, 3).groups) > set(one.groups)
    assert len(first_photos(originals, 99, 3).people) == len(originals.people)


def test_a_run_is_linked_through_the_target_and_its_judges(world):
    """Of 5 people too few can be held back: every head is the embedding as it is, which a negative turns round."""
    scene = replace(world.scene("negative"), judges={"judge/colour": Judge(MeanColour(), detect=False)})
    name = "attacker/linkage"
    found = Linkage((1, 2, 50)).measure(scene, name)
    assert {o.name for o in found.outcomes} == {f"{name}/{e}{n}" for e in ("target", "colour") for n in ("", "/n_2")}
    for embedding in ("target", "colour"):
        metrics = {what: found.metrics[f"{name}/{embedding}/{what}"] for what in ("rank_1", "untrained", "ceiling")}
        assert metrics["rank_1"] == metrics["untrained"]
        assert metrics["ceiling"].value > 0.9
        assert found.details[embedding]["shuffled_labels"]["within"]
    assert found.metrics[f"{name}/colour/n_50/rank_1"].reason == "nobody has 50 test photos"
    assert found.metrics[f"{name}/colour/dir_1e-2"].reason.endswith("100 needed on each side")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Linkage(effort="more"), "`effort` must be one of quick, default, strong, but got 'more'"),
        (lambda: Linkage(counts=[]), "`counts` .* at least 1"),
        (lambda: Linkage(seed=0), "at least 1, but got 0"),
    ],
)
def test_arguments_out_of_range_are_named(build, says):
    with pytest.raises(ValueError, match=says):
        build()
