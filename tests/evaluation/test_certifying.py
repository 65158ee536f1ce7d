"""Certificates by hand: whom an observer recognises, what a person lost, where a sequence stops."""

from dataclasses import replace

import numpy as np
import pytest

from privacy_exp.evaluation.certifying import FEWEST, Line, Step, View, lines, losses_of, plain, recognised
from privacy_exp.evaluation.statistics.certificate import p_value, people_needed, upper_bound
from privacy_exp.types import UserError


def at(*degrees):
    turns = np.deg2rad(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def view_of(probes, originals, people, groups, **keys):
    return View(at(*probes), at(*originals), np.array(list(people)), np.array(list(groups)), **keys)


def test_a_photo_is_recognised_by_the_best_of_its_persons_other_photos():
    """a: 0°, 60° and 100° of the groups u, v and w; probes at 60°, 0° and 161°; b has one group alone."""
    view = view_of([60, 0, 161, 0, 0], [0, 60, 100, 0, 0], "aaabb", "uvwxx", threshold=0.5)
    # 60° to its own u is left out: nearest 60° of v, 0; 0° to u 1; 161° to v 101°, to u 161°
    found = recognised(view)
    np.testing.assert_array_equal(found, [1, 1, 0, np.nan, np.nan])
    exact = replace(view, threshold=1.0)
    np.testing.assert_array_equal(recognised(exact)[:3], [1, 1, 0], "at the threshold is enough")
    np.testing.assert_array_equal(recognised(replace(view, threshold=1.01))[:3], [0, 0, 0])
    lost = replace(view, probes=view.probes.copy(), originals=view.originals.copy())
    lost.probes[0, 1] = np.nan
    lost.originals[0] = np.nan
    np.testing.assert_array_equal(
        recognised(replace(lost, threshold=-1.0))[:3], [0, 1, 1], "a photo that fails is hidden"
    )
    alone = view_of([0, 0], [0, 0], "aa", "uv", threshold=-1.0)
    alone.originals[1] = np.nan
    np.testing.assert_array_equal(recognised(alone), [np.nan, 1], "the first has no other photo to be found by")


def test_distractors_stand_in_for_everybody_else():
    view = view_of([10, 10, 10, 10], [20, 20, 90, 90], "aabb", "uvwx", distractors=at(0, 170))
    np.testing.assert_array_equal(recognised(view), [0.5, 0.5, 0, 0])
    nearer = replace(view, distractors=at(-1, 170))
    np.testing.assert_array_equal(recognised(nearer), [1, 1, 0, 0])


def test_losses_are_shares_of_photos_that_any_observer_takes_rightly():
    people = np.array(list("bbaac"))
    one, other = np.array([1.0, 0, 0, np.nan, np.nan]), np.array([0.0, 0.5, 0, np.nan, np.nan])
    assert losses_of([one, other], people) == {"a": 0.0, "b": 0.75}
    assert list(losses_of([one, other], people)) == ["a", "b"]


def losses(mean, n=200):
    return (np.arange(n) < round(mean * n)).astype(float)


def test_a_sequence_goes_down_from_the_largest_ratio_until_it_fails():
    own = {0.25: losses(0.0), 0.5: losses(0.5), 0.75: losses(0.01), 1.0: losses(0.0)}
    (line,) = lines({("blur", None): own}, alpha=0.1, delta=0.05)
    assert [step.ratio for step in line.steps] == [1.0, 0.75, 0.5, 0.25]
    assert [step.certified for step in line.steps] == [True, True, False, False], (
        "what lies beyond a failure is not asked"
    )
    assert [step.risk for step in line.steps] == [0.0, 0.01, 0.5, 0.0]
    assert [step.p for step in line.steps] == [p_value(own[r], 0.1) for r in (1.0, 0.75, 0.5, 0.25)]
    assert [step.bound for step in line.steps] == [upper_bound(own[r], 0.05) for r in (1.0, 0.75, 0.5, 0.25)]
    assert (line.method, line.group, line.n) == ("blur", None, 200)
    assert line.best is line.steps[1]
    assert line.needed is people_needed(0.5, 0.1, 0.05) is None
    near = lines({("blur", None): {1.0: losses(0.08)}}, 0.1, 0.05)[0]
    assert near.best is None
    assert near.needed == people_needed(0.08, 0.1, 0.05) > 200
    done = lines({("blur", None): {1.0: losses(0.0)}}, 0.1, 0.05)[0]
    assert (done.needed, done.best) == (None, done.steps[0])


def test_lines_share_their_error():
    """p of no loss among 45 is 0.9^45 = 0.0087: below 0.01, above the half of it that two lines have at first."""
    both = {("a", None): {1.0: np.zeros(45)}, ("a", "old"): {1.0: losses(0.5, 30)}}
    found = lines(both, 0.1, 0.01)
    assert [line.steps[0].certified for line in found] == [False, False]
    assert lines({("a", None): {1.0: np.zeros(45)}}, 0.1, 0.01)[0].steps[0].certified
    assert found[0].needed == people_needed(0.0, 0.1, 0.005)
    assert [(line.method, line.group, line.n) for line in found] == [("a", None, 45), ("a", "old", 30)]
    free = lines({("own", None): {None: np.zeros(60)}}, 0.1, 0.05)[0]
    assert free.steps[0].ratio is None


def test_twenty_people_are_the_fewest():
    assert FEWEST == 20
    lines({("blur", "old"): {1.0: np.zeros(20)}}, 0.1, 0.05)
    with pytest.raises(UserError, match=r"at least 20 people in the group old with two photos .* blur has 19\."):
        lines({("blur", "old"): {1.0: np.zeros(20), 0.5: np.zeros(19)}}, 0.1, 0.05)
    with pytest.raises(UserError, match=r"at least 20 people with two photos"):
        lines({("blur", None): {1.0: np.zeros(19)}}, 0.1, 0.05)


def test_a_line_as_plain_values():
    step = Step(0.5, 0.1, 0.01, 0.2, True)
    line = Line("blur", "old", 30, [step, replace(step, ratio=0.25, certified=False)], 70)
    assert plain(line) == {
        "method": "blur",
        "group": "old",
        "people": 30,
        "certified_ratio": 0.5,
        "certified": True,
        "people_needed_for_the_next_step": 70,
        "steps": [vars(one) for one in line.steps],
    }
    nothing = plain(replace(line, steps=line.steps[1:]))
    assert (nothing["certified_ratio"], nothing["certified"]) == (None, False)
