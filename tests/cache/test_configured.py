"""An object says how it was made, for records and keys: by hand."""

import copy
import pickle
from functools import partial
from pathlib import Path

import pytest

from privacy_exp.cache.configured import Configured, description, dotted


class Part(Configured):
    """As most parts are."""

    without_effect = frozenset({"batch_size"})

    def __init__(self, size: int = 3, *, inner: object = None, batch_size: int = 8) -> None:
        self.side = size


class Free(Configured):
    """Takes names of its own, one of them called as the catch-all is."""

    def __init__(self, first: int, *rest: int, **more: int) -> None:
        self.first = first


class Bare(Configured):
    """Has no constructor."""


HERE = dotted(Part).removesuffix(".Part")


def test_arguments_are_what_was_given_and_the_defaults():
    assert Part().arguments == {"size": 3, "inner": None, "batch_size": 8}
    assert Part(5, inner="x").arguments == {"size": 5, "inner": "x", "batch_size": 8}
    assert list(Part(inner=1, size=2).arguments) == ["size", "inner", "batch_size"]
    assert Free(1, 2, 3, own=4, more=5).arguments == {"first": 1, "own": 4, "more": 5}
    assert Free(1).arguments == {"first": 1}
    assert Bare().arguments == {}
    assert Configured.without_effect == frozenset()


def test_copies_keep_them_and_wrong_ones_get_pythons_own_message():
    assert copy.copy(Part(4)).arguments == Part(4).arguments
    assert pickle.loads(pickle.dumps(Part(4))).arguments == Part(4).arguments  # noqa: S301  our own, just made
    assert copy.deepcopy(Free(7)).arguments == {"first": 7}, "although it cannot be made of nothing"
    with pytest.raises(TypeError, match="unexpected keyword argument 'sise'"):
        Part(sise=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        Free()


def test_a_description_makes_it_again_as_plain_values():
    plain = {"size": 3, "inner": None, "batch_size": 8}
    assert description(Part()) == {"_target_": f"{HERE}.Part", **plain}
    held = Part(inner={1: [Part(2), "text", b"bytes"], "p": (Path("a/b"), partial(Part, size=9, inner=Part(1)))})
    inner = description(held)["inner"]
    assert inner["1"] == [{"_target_": f"{HERE}.Part", **plain, "size": 2}, "text", b"bytes"]
    made = {"_target_": f"{HERE}.Part", "size": 9, "inner": {"_target_": f"{HERE}.Part", **plain, "size": 1}}
    assert inner["p"] == ["a/b", made]
    assert type(inner["p"][0]) is str
    assert description(1.5) == 1.5
    assert description(partial(copy.copy)) == {"_target_": "copy.copy"}


def test_a_key_leaves_out_what_changes_no_figure_at_any_depth():
    short = {"_target_": f"{HERE}.Part", "size": 3, "inner": None}
    assert description(Part(), keys_only=True) == short
    assert "batch_size" in description(Part(), keys_only=False)
    for held in ([Part()], {"a": Part()}, Part(inner=Part()), partial(Part, inner=Part())):
        assert "batch_size" not in str(description(held, keys_only=True))
        assert "batch_size" in str(description(held))
    assert description({"batch_size": 3}, keys_only=True) == {"batch_size": 3}, "a class says what has none"
