"""Heads that link: pairs, scores, steps, choices, thresholds and galleries of a few vectors, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from privacy_exp.evaluation.attackers import link_head, link_search
from privacy_exp.evaluation.attackers.link_head import (
    Choice,
    LinkHead,
    Vectors,
    check_disjoint,
    fit,
    learn,
    linear_start,
    linked,
    moved,
    training,
)
from privacy_exp.evaluation.attackers.link_search import Side, first_photos, look_up, operate, sides, untrained
from privacy_exp.types import UserError


def at(*degrees):
    """Unit vectors of the plane."""
    turns = np.deg2rad(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def vectors(degrees, people, groups=None):
    groups = [f"g{k}" for k in range(len(people))] if groups is None else groups
    return Vectors(at(*degrees), np.array(list(people)), np.array(groups))


def as_is(*people):
    return Side(list(people), LinkHead(2), Choice())


def test_vectors_are_chosen_together():
    some = vectors([0, 10, 20], "aba")
    own = some.of(["a", "c"])
    assert own.people.tolist() == ["a", "a"]
    assert own.groups.tolist() == ["g0", "g2"]
    np.testing.assert_array_equal(own.rows, some.rows[[0, 2]])
    some.rows[1, 1] = np.nan
    assert some.usable().groups.tolist() == ["g0", "g2"]


def test_pairs_are_of_one_person_in_two_photos():
    right, apart = link_head._pairs(vectors([0, 0, 0], "aab", ["x", "y", "z"]), vectors([0, 0], "ab", ["x", "q"]))
    assert right.tolist() == [[False, False], [True, False], [False, True]]
    assert apart.tolist() == [[False, True], [True, True], [True, True]]


def test_linked_counts_how_often_the_own_person_is_nearer():
    """Probe a at 0°: own at 10° and 50°; others at 30° (below one of two), -10° (a tie with 10°) and 90°."""
    probes = vectors([0], "a", ["p"])
    originals = vectors([10, 50, 30, -10, 90], "aabbb", ["q", "r", "s", "t", "u"])
    # 10°: nearer than 30° and 90°, a tie with -10°: 2.5 of 3; 50°: nearer than 90° alone: 1 of 3
    assert linked(LinkHead(2), probes, originals) == pytest.approx((2.5 + 1) / 6)
    assert linked(LinkHead(2), probes, replace(originals, groups=np.array(["p", "r", "s", "t", "u"]))) == pytest.approx(
        1 / 3
    ), "its own group does not count"
    assert linked(LinkHead(2), probes, originals.of(["a"])) == 0.5, "nobody else to tell apart"
    assert linked(LinkHead(2), probes, originals.of(["b"])) == 0.5
    two = vectors([0, 90], "ab", ["p", "o"])
    # b at 90° lies nearest to its own 90° (above both of a: 2 of 2); 30°: below 50°, above 10°: 1 of 2; -10°: 0
    assert linked(LinkHead(2), two, originals) == pytest.approx(((2.5 + 1) / 6 + (2 + 1 + 0) / 6) / 2)


def test_a_head_moves_nothing_before_it_has_learnt():
    for width in (0, 8):
        head = LinkHead(2, width, seed=1)
        np.testing.assert_allclose(head.probes(at(10, 20)), at(10, 20), rtol=1e-6)
        np.testing.assert_allclose(head.originals(at(10, 20)), at(10, 20), rtol=1e-6)
        assert head.size == 2
    rows = at(10, 20)
    rows[1] = np.nan
    assert np.isnan(LinkHead(2).probes(rows)).tolist() == [[False, False], [True, True]]
    assert isinstance(LinkHead(2, 8).probe, nn.Sequential)
    assert LinkHead(2, 8).probe[0].out_features == LinkHead(2, 8).probe[2].in_features == 8
    wide, other = LinkHead(2, 8, seed=1), LinkHead(2, 8, seed=2)
    assert wide.probe[0].weight.equal(LinkHead(2, 8, seed=1).probe[0].weight)
    assert not wide.probe[0].weight.equal(other.probe[0].weight)
    assert not wide.probe[0].weight.equal(wide.gallery[0].weight)
    shift = nn.Linear(2, 2)
    shift.load_state_dict({"weight": torch.zeros(2, 2), "bias": torch.tensor([0.0, 1.0])})
    torch.testing.assert_close(moved(shift, torch.tensor([[1.0, 0.0]])), torch.tensor([[0.5**0.5, 0.5**0.5]]))


def test_learnt_and_tested_people_differ():
    check_disjoint(["ann"], ["bob"])
    with pytest.raises(UserError, match=r"but 2 are both, such as 'bob'"):
        check_disjoint(["cid", "bob", "ann"], ["bob", "cid"])


def test_one_step_is_adamw_on_infonce():
    """Two people, two probes, three originals; the loss is written out by hand."""
    probes = vectors([0, 80], "ab", ["x", "y"])
    originals = vectors([10, 60, -20], "aba", ["p", "q", "x"])  # the last is of the first probe's group
    choice = Choice(temperature=0.5, decay=0.3, steps=1)
    (zero, start), (one, head) = training(probes, originals, choice, seed=0)
    assert (zero, one, start is head) == (0, 1, True)
    weights = [torch.zeros(2, 2, requires_grad=True) for _ in range(2)]
    offsets = [torch.zeros(2, requires_grad=True) for _ in range(2)]
    own = [
        torch.nn.functional.normalize(torch.from_numpy(v.rows) + torch.from_numpy(v.rows) @ w.T + o, dim=1)
        for v, w, o in zip((probes, originals), weights, offsets, strict=True)
    ]
    scores = own[0] @ own[1].T / 0.5
    first = -(scores[0, 0] - torch.logsumexp(scores[0, :2], 0))  # the third is never asked
    second = -(scores[1, 1] - torch.logsumexp(scores[1], 0))
    ((first + second) / 2).backward()
    for branch, weight, offset in zip((head.probe, head.gallery), weights, offsets, strict=True):
        # Adam's first step is the rate in the gradient's direction; at 0 there is nothing to decay
        for found, grad in ((branch.weight, weight.grad), (branch.bias, offset.grad)):
            expected = -link_head.RATE * grad / (grad.abs() + 1e-8)
            torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-4)


def test_several_right_answers_are_averaged_and_probes_without_one_left_out(monkeypatch):
    losses = []
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: losses.append(float(self.detach())))
    probes = vectors([0, 90, 45], "abz")
    originals = vectors([0, 60, 90], "aab", ["p", "q", "r"])
    for _ in training(probes, originals, Choice(temperature=0.5, steps=1), 0):
        pass
    scores = np.array([[1, 0.5, 0], [0, 3**0.5 / 2, 1]]) / 0.5
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert losses == [pytest.approx((-(logs[0, 0] + logs[0, 1]) / 2 - logs[1, 2]) / 2, rel=1e-5)]
    losses.clear()
    assert [step for step, _ in training(vectors([0], "z"), originals, Choice(steps=12), 0)] == [0, 10, 12]
    assert not losses, "nobody to learn from"


def test_looks_come_every_few_steps_and_after_the_last(monkeypatch):
    monkeypatch.setattr(link_head, "EVERY", 3)
    both = vectors([0, 90], "ab"), vectors([10, 80], "ab", ["p", "q"])
    assert [step for step, _ in training(*both, Choice(steps=7), 0)] == [0, 3, 6, 7]
    assert [step for step, _ in training(*both, Choice(), 0)] == [0]
    assert Choice() == Choice(0, 0.05, 0.01, 0, None)


def test_a_step_sees_so_many_rows_and_draws_anew(monkeypatch):
    monkeypatch.setattr(link_head, "ROWS", 3)
    seen, made = [], link_head._Seen.of.__func__
    monkeypatch.setattr(
        link_head._Seen, "of", classmethod(lambda cls, *v: seen.append([x.groups.tolist() for x in v]) or made(cls, *v))
    )
    many, few = vectors(range(8), "aabbccdd"), vectors([0, 1, 2], "abc", ["p", "q", "r"])
    list(training(many, few, Choice(steps=4), seed=5))
    random = np.random.default_rng(5)
    assert seen == [[many.groups[random.choice(8, 3, replace=False)].tolist(), ["p", "q", "r"]] for _ in range(4)]
    seen.clear()
    list(training(few, few, Choice(steps=4), seed=5))
    assert len(seen) == 1, "all of them, drawn once"
    list(training(few, many, Choice(steps=2), seed=5))
    assert len(seen) == 3, "more originals than a step takes"


def test_a_linear_start_centres_and_shrinks():
    """One number besides 0: slope = Σ x·y / (Σ x² + ridge · trace / size), through the means."""
    x, y = np.array([0.0, 1, 2, 3]), np.array([1.0, 2, 2, 5])
    probes = Vectors(np.stack([x, 0 * x], 1).astype(np.float32), np.array(list("abcd")), np.array(list("wxyz")))
    originals = Vectors(np.stack([y, 0 * y], 1).astype(np.float32), np.array(list("abcd")), np.array(list("mnop")))
    head = linear_start(probes, originals, ridge=0.5)
    slope = ((x - 1.5) * (y - 2.5)).sum() / (5 + 0.5 * 5 / 2)
    np.testing.assert_allclose(head.probe.weight.detach().numpy() + np.eye(2), [[slope, 0], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(head.probe.bias.detach().numpy(), [2.5 - 1.5 * slope, 0], atol=1e-6)
    assert not head.gallery.weight.any()
    nobody = linear_start(probes, replace(originals, people=np.array(list("efgh"))), 0.5)
    assert not nobody.probe.weight.any()
    same = replace(probes, rows=np.ones((4, 2), np.float32))
    assert np.isfinite(linear_start(same, originals, 0.5).probe.weight.detach().numpy()).all(), "no spread at all"


def test_a_training_with_a_ridge_begins_at_the_linear_start():
    probes, originals = vectors([0, 50, 90], "abc"), vectors([20, 65, 130], "abc", ["p", "q", "r"])
    (_, head), *_ = training(probes, originals, Choice(width=8, ridge=0.1), seed=0)
    assert head.probe.weight.equal(linear_start(probes, originals, 0.1).probe.weight)
    assert head.probe.weight.any()


@pytest.fixture
def scripted(monkeypatch):
    """Scores that heads are given by script: (width, temperature, decay, ridge) to those of its looks."""

    class Script:
        scores: dict = {}
        start = 0.5
        ridges: dict = {}
        asked: list = []
        fitted: list = []

    script = Script()
    script.asked, script.fitted = [], []

    def score(head, probes, originals):
        return script.start if isinstance(head, LinkHead) else head[0]

    def train(probes, originals, choice, seed):
        script.asked.append((choice, sorted(set(probes.people)), seed))
        key = choice.width, choice.temperature, choice.decay, choice.ridge
        for look, value in enumerate(script.scores.get(key, [0.5])):
            yield 10 * look, (value,)

    monkeypatch.setattr(link_head, "linked", score)
    monkeypatch.setattr(link_head, "training", train)
    monkeypatch.setattr(link_head, "linear_start", lambda probes, originals, ridge: (script.ridges.get(ridge, 0),))
    monkeypatch.setattr(link_head, "fit", lambda *a: script.fitted.append(a) or LinkHead(2))
    monkeypatch.setattr(link_head, "seeded_order", lambda names, seed, why: sorted(names))
    return script


def people(count):
    names = [f"p{k:02}" for k in range(count)]
    return Vectors(np.tile(at(0), (count, 1)), np.array(names), np.array([f"g{k}" for k in range(count)]))


def test_the_best_look_of_the_best_head_is_chosen(scripted):
    scripted.ridges = {0.01: 0.1, 0.1: 0.3, 1.0: 0.2}
    scripted.scores = {(0, 0.05, 0.01, None): [0.5, 0.7, 0.8, 0.8], (256, 0.2, 1.0, None): [0.5, 0.8, 0.9]}
    _, choice = learn(people(10), people(10), 7, 30)
    assert choice == Choice(256, 0.2, 1.0, 20, None)
    asked = [(c.width, c.temperature, c.decay, c.ridge) for c, _, _ in scripted.asked]
    starts = [(0, None), (256, None), (0, 0.1)]
    assert asked == [(w, t, d, r) for w, r in starts for t in (0.05, 0.2) for d in (0.01, 1.0)]
    assert {c.steps for c, _, _ in scripted.asked} == {30}
    assert {seed for _, _, seed in scripted.asked} == {7}
    assert scripted.asked[0][1] == [f"p{k:02}" for k in range(3, 10)], "3 of 10 are held back"
    ((probes, originals, chosen, seed),) = scripted.fitted
    assert (len(probes.people), len(originals.people), chosen, seed) == (10, 10, choice, 7)
    scripted.scores = {(0, 0.05, 0.01, None): [0.5, 0.8, 0.8], (0, 0.2, 0.01, None): [0.8]}
    assert learn(people(10), people(10), 7, 30)[1] == Choice(0, 0.05, 0.01, 10), "of equals the first"
    scripted.start = 0.8
    assert learn(people(10), people(10), 7, 30)[1] == Choice(), "and the embedding as it is before all"


def test_three_looks_without_a_gain_end_it_after_the_first_gain(scripted):
    key = 0, 0.05, 0.01, None
    scripted.scores = {key: [0.5, 0.6, 0.6, 0.6, 0.6, 0.9]}
    assert learn(people(10), people(10), 0, 99)[1].steps == 10, "0.9 came too late"
    scripted.scores = {key: [0.5, 0.6, 0.6, 0.6, 0.9]}
    assert learn(people(10), people(10), 0, 99)[1].steps == 40
    scripted.scores = {key: [0.4, 0.4, 0.4, 0.5, 0.4, 0.4, 0.4, 0.9]}
    assert learn(people(10), people(10), 0, 99)[1].steps == 70, "nothing was gained yet"


def test_few_people_are_not_held_back(scripted):
    assert learn(people(3), people(3), 0, 30)[1] == Choice()
    assert not scripted.asked
    learn(people(4), people(4), 0, 30)
    assert scripted.asked[0][1] == ["p02", "p03"], "at least two are held back"
    scripted.asked.clear()
    lost = people(4)
    lost.rows[0] = np.nan
    learn(lost, people(4), 0, 30)
    assert not scripted.asked, "who could not be embedded does not count"
    learn(people(4), replace(people(5), people=np.array(["p01", "p02", "p03", "x", "y"])), 0, 30)
    assert not scripted.asked, "nor who is on one side alone"


def test_a_fit_is_the_last_look_of_what_could_be_embedded(monkeypatch):
    seen, heads = [], [LinkHead(2), LinkHead(2)]
    monkeypatch.setattr(link_head, "training", lambda *a: seen.append(a) or iter(enumerate(heads)))
    lost = people(3)
    lost.rows[1] = np.nan
    assert fit(lost, people(3), Choice(steps=9), 4) is heads[1]
    probes, originals, choice, seed = seen[0]
    assert (len(probes.people), len(originals.people), choice, seed) == (2, 3, Choice(steps=9), 4)


def test_each_half_is_looked_for_by_who_learnt_from_the_other(monkeypatch):
    asked = []

    def learnt(probes, originals, seed, steps):
        asked.append((sorted(set(probes.people)), sorted(set(originals.people)), seed, steps))
        return LinkHead(2), Choice(steps=len(asked))

    monkeypatch.setattr(link_search, "learn", learnt)
    found = sides(people(4), people(4), (["p00", "p01"], ["p02", "p03"]), 5, 6)
    assert asked == [(half, half, 5, 6) for half in (["p00", "p01"], ["p02", "p03"])]
    assert [(side.people, side.choice.steps) for side in found] == [(["p02", "p03"], 1), (["p00", "p01"], 2)]
    assert [(side.people, side.choice) for side in untrained(found)] == [(side.people, Choice()) for side in found]


def test_probes_are_looked_up_among_their_own_half():
    """a and b, then c, d and e; a chance of 1/2 for two probes and of 1/3 for three: N = 5 / (2/2 + 3/3)."""
    originals = vectors([0, 40, 80, 120, 160, 20], "abcdea", ["p", "q", "r", "s", "t", "u"])
    probes = vectors([1, 10, 85, 150, 159], "abcde")
    found = look_up([as_is("a", "b"), as_is("c", "d", "e")], probes, originals)
    assert found.rank_1.tolist() == [1, 0, 1, 0, 1]
    assert found.hits[:, 1].tolist() == [1] * 5
    assert found.known.all()
    assert found.ranks == (1, 5, 10)
    assert found.num_identities == 2.5
    np.testing.assert_allclose(found.best_other, np.cos(np.deg2rad([39, 10, 35, 10, 39])), atol=1e-6)
    rows = np.array([[0, 0], [1, 1], [2, 3], [4, 4]])  # c's and d's photos have nothing in common: 117.5°
    pairs = look_up([as_is("a", "b"), as_is("c", "d", "e")], probes, originals, rows)
    assert pairs.rank_1.tolist() == [1, 0, 0, 1]
    assert pairs.num_identities == 4 / (2 / 2 + 2 / 3)
    own = replace(originals, groups=np.array(["g0", "q", "r", "s", "t", "g0"]))
    assert look_up([as_is("a", "b"), as_is("c", "d", "e")], probes, own).known.tolist() == [False, *[True] * 4]
    lost = replace(originals, rows=originals.rows.copy())
    lost.rows[3] = np.nan
    assert look_up([as_is("a", "b"), as_is("c", "d", "e")], probes, lost).known.tolist() == [True] * 3 + [False, True]


def test_a_gallery_of_few_takes_the_first_of_a_seeded_order(monkeypatch):
    monkeypatch.setattr(link_search, "seeded_order", lambda names, seed, why: sorted(names, reverse=True))
    originals = vectors(range(6), "ababab", ["g0", "g5", "g1", "g4", "g2", "g2"])
    assert first_photos(originals, 1, 0).groups.tolist() == ["g5", "g2"]
    assert first_photos(originals, 1, 0).people.tolist() == ["b", "a"]
    assert first_photos(originals, 2, 0).groups.tolist() == ["g5", "g1", "g4", "g2"]


def test_a_threshold_lies_just_above_what_a_share_exceeds():
    values = np.arange(100.0)
    assert link_search.threshold_at(values, 0.01, 1) == np.nextafter(98.0, 99)
    assert link_search.threshold_at(values[::-1], 0.05, 1) == np.nextafter(94.0, 99)
    assert link_search.threshold_at(values, 0.01, 1.01) is None, "100 are too few"
    assert link_search.threshold_at(values[:99], 0.01, 1) is None
    assert link_search.threshold_at(np.arange(10.0), 0.3, 3) == np.nextafter(6.0, 9), "0.3 · 10 is 2.9999…"


def test_what_is_accepted_by_hand(monkeypatch):
    """One side, far = 1/4. Gallery: a 0°, b 90°, c 200°; strangers: the gallery and clean a at 30°."""
    monkeypatch.setattr(link_search, "PAIRS_NEEDED", 1)
    originals, clean = vectors([0, 90, 200], "abc", ["p", "q", "r"]), vectors([30], "a", ["s"])
    probes = vectors([5, 60, 100, 0], "abca", ["t", "u", "v", "p"])
    at_far = operate([as_is("a", "b", "c")], probes, originals, clean, 0.25)
    # pairs of two people: 0-90, 0-200 twice each, 90-200 twice: cos 0, 0, -.94, -.94, -.34, -.34; 30: to b .5, c -.98
    # 2 of 8 may pass: the threshold is just above the third, 0. Searches: best of each: 0, 0, -.34, .5: above 0 as well
    assert (at_far.impostors, at_far.searches) == (8, 4)
    # right pairs: probe 0 to a (5°), 1 to b (30°), 2 to c (100°: -.17); the last has its own group in the gallery
    assert at_far.probe.tolist() == [0, 1, 2]
    assert at_far.accepted.tolist() == [True, True, False]
    assert at_far.found.tolist() == [True, True, False, False]
    # wrong pairs: 5° to b .09 yes, c no; 60° to a .5 yes, c no; 100° to a no, b .98 yes; 0° to b 0 (not above), c no
    assert at_far.false_accepts == 3 / 8
    lost = replace(probes, rows=probes.rows.copy())
    lost.rows[1] = np.nan
    assert operate([as_is("a", "b", "c")], lost, originals, clean, 0.25).accepted.tolist() == [True, False, False]
    few = operate([as_is("a", "b", "c")], probes, originals, clean, 0.1)
    assert (few.accepted, few.found, few.false_accepts, few.impostors, few.searches) == (None, None, None, 8, 4)
    monkeypatch.setattr(link_search, "MOST", 2)
    assert operate([as_is("a", "b", "c")], probes, originals, clean, 0.25).searches == 2, "every second one"


def test_both_halves_are_needed_for_a_rate(monkeypatch):
    monkeypatch.setattr(link_search, "PAIRS_NEEDED", 1)
    originals = vectors([0, 90, 10, 100, 190, 280], "abcdef", list("ghijkl"))
    clean, probes = vectors([20], "c", ["m"]), vectors([5, 80, 15, 100], "abcd", list("nopq"))
    halves = [as_is("a", "b"), as_is("c", "d", "e", "f")]
    whole = operate(halves, probes, originals, clean, 0.5)
    assert whole.probe.tolist() == [0, 1, 2, 3]
    assert whole.accepted.tolist() == [True] * 4
    assert whole.found.tolist() == [True] * 4
    assert (whole.impostors, whole.searches) == (2 + 12 + 3, 2 + 5)
    some = operate(halves, probes, originals, clean, 0.2)  # two people cannot set a threshold of 1 in 5
    assert (some.accepted, some.found, some.false_accepts) == (None, None, None)
    assert operate(halves[::-1], probes, originals, clean, 0.2).found is None
    assert operate(halves[::-1], probes, originals, clean, 0.5).probe.tolist() == [2, 3, 0, 1]
    assert math.isclose(whole.false_accepts, operate(halves[::-1], probes, originals, clean, 0.5).false_accepts)
