"""The network that restores: its borders, its loss and its training, mostly with a network of one weight."""

import logging
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from privacy_exp.data.seeds import generator
from privacy_exp.evaluation.attackers import unet
from privacy_exp.evaluation.attackers.picture_pairs import Pairs
from privacy_exp.evaluation.attackers.unet import Budget, Restorer, restored, train

CPU = torch.device("cpu")


class Output:
    def __init__(self, sample):
        self.sample = sample


class Seen(nn.Module):
    """Takes the U-Net's place: notes what it is given, adds the number of each column."""

    def forward(self, pictures, time):
        self.given, self.time = pictures, time
        return Output(torch.arange(float(pictures.shape[3])).expand(len(pictures), 3, *pictures.shape[2:]))


class Scale(Restorer):
    """A restorer of one weight beside the tone: pictures times `tone`, plus `net`."""

    def __init__(self):
        nn.Module.__init__(self)
        self.net, self.tone = nn.Linear(1, 1), nn.Linear(1, 1, bias=False)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        nn.init.ones_(self.tone.weight)

    def forward(self, pictures, masks=None):
        return pictures * self.tone.weight.view(1, 1, 1, 1) + self.net.bias.view(1, 1, 1, 1)


@pytest.fixture
def states(monkeypatch):
    """Every state of a training that was saved, as it was."""
    found, save = [], torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: found.append(deepcopy(state)) or save(state, path))
    return found


def pairs(result, original, count=1, masks=None):
    """Pictures of one level each, of 255."""
    levels = [
        torch.tensor(np.resize(x, count)).byte().view(-1, 1, 1, 1).expand(-1, 3, 2, 2) for x in (result, original)
    ]
    return Pairs(*(x.contiguous() for x in levels), masks)


def test_a_picture_is_padded_at_its_ends_and_cut_again():
    net = Restorer(8)
    net.net = Seen()
    pictures = torch.rand(2, 3, 5, 7)
    found = net(pictures)
    torch.testing.assert_close(found, pictures + torch.arange(7.0))
    given = net.net.given
    assert given.shape == (2, 3, 8, 8)
    torch.testing.assert_close(given[:, :, :5, :7], 2 * pictures - 1)
    assert given[:, :, 5:].equal(given[:, :, 4:5].expand(-1, -1, 3, -1)), "the last row goes on"
    assert given[:, :, :, 7].equal(given[:, :, :, 6])
    assert net.net.time == 0
    exact = torch.rand(1, 3, 4, 8)
    net(exact)
    assert net.net.given.shape == exact.shape
    masks = torch.rand(2, 1, 5, 7) > 0.5
    net(pictures, masks)
    torch.testing.assert_close(net.net.given[:, 3:, :5, :7], 2 * masks.float() - 1)
    net.tone.load_state_dict({"weight": torch.eye(3).flip(0)[:, :, None, None], "bias": torch.ones(3)})
    torch.testing.assert_close(net(pictures), pictures.flip(1) + 1 + torch.arange(7.0))


def test_larger_pictures_are_restored_through_a_smaller_copy():
    net = Restorer(8, True, size=4)
    net.net = Seen()
    pictures, masks = torch.rand(2, 3, 4, 16), torch.rand(2, 1, 4, 16) > 0.5
    found = net(pictures, masks)
    given = net.net.given
    assert given.shape == (2, 4, 4, 8), "two rows and eight columns, padded to four"
    small = F.interpolate(pictures, (2, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(given[:, :3, :2], 2 * small - 1)
    torch.testing.assert_close(found - pictures, ((torch.arange(16.0) - 0.5) / 2).clamp(0, 7).expand(2, 3, 4, -1))
    net(torch.rand(1, 3, 2, 8), torch.ones(1, 1, 2, 8) > 0)
    assert net.net.given.shape == (1, 4, 4, 8), "as many pixels as a square of four: as they are"
    net.size = None
    net(pictures, masks)
    assert net.net.given.shape == (2, 4, 4, 16)


def test_its_shape_is_what_was_asked():
    net = Restorer(8, knows_mask=True, seed=3)
    assert net.net.config["in_channels"] == 4
    assert net.net.config["out_channels"] == 3
    assert net.net.config["block_out_channels"] == (8, 16, 16)
    assert net.net.config["layers_per_block"] == 1
    assert net.net.config["norm_num_groups"] == 8
    assert net.net.config["down_block_types"] == ("DownBlock2D",) * 3
    assert net.net.config["up_block_types"] == ("UpBlock2D",) * 3
    assert net.net.mid_block.attentions[0] is not None
    pictures, masks = torch.rand(1, 3, 6, 6), torch.ones(1, 1, 6, 6) > 0
    torch.testing.assert_close(net(pictures, masks), pictures)
    before = torch.random.get_rng_state()
    again, other = Restorer(8, True, 3), Restorer(8, True, 4)
    assert torch.random.get_rng_state().equal(before)
    assert net.net.conv_in.weight.equal(again.net.conv_in.weight)
    assert not net.net.conv_in.weight.equal(other.net.conv_in.weight)
    assert Restorer(8).net.config["in_channels"] == 3


def test_a_step_is_timed_where_all_is_warm(monkeypatch):
    """The clock is looked at before each of two steps, and after the second."""
    clock = iter([0.0, 100.0, 103.5])
    monkeypatch.setattr(unet.time, "perf_counter", lambda: next(clock))
    net, sizes = Scale(), []
    monkeypatch.setattr(
        net, "forward", lambda pictures, masks: sizes.append(len(pictures)) or pictures * net.tone.weight
    )
    assert unet.step_seconds(net, pairs(51, 255, 3), None, CPU) == 3.5
    assert sizes == [unet.BATCH] * 2


def test_the_loss_is_an_error_and_a_turn():
    """Levels 51 and 204 of 255, restored as they are from 102: errors 0.2 and 0.4, and embeddings turned by 90°."""
    some = pairs(102, [51, 204], 2)
    net = Scale()
    assert unet._loss(net, some, None, CPU).item() == pytest.approx(0.3)
    asked = []

    def embed(images):
        asked.append((float(images.detach().max()), torch.is_grad_enabled()))
        level = (images[:, 0, 0, 0] - 0.4).abs() < 1e-4
        return torch.stack([level.float(), 1 - level.float()], 1)

    some = unet._with_features(some, embed, CPU)
    assert unet._loss(net, some, embed, CPU).item() == pytest.approx(0.3 + 0.1)
    assert [grad for _, grad in asked] == [False, True], "originals are looked at once, and without a gradient"
    nn.init.constant_(net.net.bias, 0.8)  # 1.2: cut before it is looked at, not before the error is taken
    assert unet._loss(net, some, embed, CPU).item() == pytest.approx((1.0 + 0.4) / 2 + 0.0)
    assert asked[-1][0] == 1


def test_masks_reach_the_network():
    net, masks = Restorer(8, knows_mask=True), torch.tensor([True, False]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    net.net = Seen()
    some = pairs([0, 255], 0, 2, masks.contiguous())
    unet._loss(net, some, None, CPU)
    assert net.net.given[:, 3].flatten(1)[:, 0].tolist() == [1, -1]
    restored(net, some, CPU)
    assert net.net.given.shape == (2, 4, 4, 4)


def test_people_held_back_count_by_photos(monkeypatch):
    monkeypatch.setattr(unet, "BATCH", 2)
    net = Scale().train()
    held = pairs(0, [51, 51, 255], 3)  # batches of two and one: the mean of 0.2, 0.2 and 1
    assert unet._loss_of(net, held, None, CPU) == pytest.approx(1.4 / 3)
    assert not net.training
    nn.init.constant_(net.net.bias, 2.0)
    found = restored(net, held, CPU)
    assert found.shape == (3, 3, 2, 2)
    assert (found == 1).all(), "cut to what a picture holds"
    nn.init.constant_(net.net.bias, -2.0)
    assert not restored(net, held, CPU).any()


def test_steps_are_adams_on_rows_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(unet, "BATCH", 4)
    seen, known = [], pairs([0, 51, 102, 153, 204], [255] * 5, 5)
    loss = unet._loss
    monkeypatch.setattr(
        unet,
        "_loss",
        lambda net, some, embed, device: (
            seen.append((net.training, some.results[:, 0, 0, 0].tolist())) or loss(net, some, embed, device)
        ),
    )
    net = train(Scale(), known, pairs(102, 204), Budget(2, seed=9), None, tmp_path, CPU)
    drawn = [torch.randint(5, (4,), generator=generator(9, str(step), "reconstruction")) for step in (0, 1)]
    trained = [levels for training, levels in seen if training]
    assert trained == [known.results[rows][:, 0, 0, 0].tolist() for rows in drawn]
    # too dark throughout: both parameters go up by about their rates at each step
    assert net.net.bias.item() == pytest.approx(2 * unet.RATE, rel=1e-3)
    assert net.tone.weight.item() == pytest.approx(1 + 2 * unet.TONE_RATE, rel=0.1)
    assert not net.training
    assert [levels for training, levels in seen if not training] == [[102], [102]], (
        "before the first and after the last"
    )


def test_the_best_look_counts_and_none_is_one(states, monkeypatch, tmp_path):
    monkeypatch.setattr(unet, "EVERY", 2)
    looks = iter([0.5, 0.4, 0.3, 0.3, 0.6])
    monkeypatch.setattr(unet, "_loss_of", lambda *a: next(looks))
    net = train(Scale(), pairs(51, 255), pairs(51, 255), Budget(7), None, tmp_path, CPU)
    assert [s["step"] for s in states] == [2, 4, 6, 7]
    assert [s["best_loss"] for s in states] == [0.4, 0.3, 0.3, 0.3]
    assert net.net.bias.item() == pytest.approx(4 * unet.RATE, rel=1e-3), "of equals the earlier"
    assert float(states[-1]["net"]["net.bias"]) == pytest.approx(7 * unet.RATE, rel=1e-3)
    assert not (tmp_path / "training.pt").exists()
    looks = iter([0.5, 0.5, 0.6])
    untouched = train(Scale(), pairs(51, 255), pairs(51, 255), Budget(3), None, tmp_path, CPU)
    assert untouched.net.bias.item() == 0


def test_a_state_is_gone_on_with(states, monkeypatch, tmp_path, caplog):
    """A state at step 3 with another best, and 50 of 60 seconds spent; the clock shows 10 seconds a look at it."""
    caplog.set_level(logging.INFO)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(unet.time, "monotonic", lambda: float(next(clock)))
    net = Scale()
    optimizer = torch.optim.Adam([{"params": net.net.parameters()}, {"params": net.tone.parameters()}], lr=0.1)
    best = {**net.state_dict(), "net.bias": torch.tensor([7.0])}
    current = {**net.state_dict(), "net.bias": torch.tensor([0.25])}
    state = {"net": current, "optimizer": optimizer.state_dict(), "best": best, "best_loss": -1.0, "step": 3}
    torch.save(state | {"spent": 5.0}, tmp_path / "training.pt")
    states.clear()
    found = train(Scale(), pairs(51, 255), pairs(51, 255), Budget(5), None, tmp_path, CPU)
    assert [s["step"] for s in states] == [5]
    assert float(states[0]["net"]["net.bias"]) == pytest.approx(0.25 + 2 * 0.1, rel=1e-3), "two steps at its own rate"
    assert states[0]["spent"] == 15, "five seconds spent before, ten since"
    assert found.net.bias.item() == 7
    torch.save(state | {"spent": 50.0}, tmp_path / "training.pt")
    states.clear()
    clock = iter([0.0, 10.0, 11.0, 12.0])  # started at -50: 60 seconds are within a minute, 61 are not
    train(Scale(), pairs(51, 255), pairs(51, 255), Budget(9, minutes=1.0), None, tmp_path, CPU)
    assert [s["step"] for s in states] == [5], "one more step, and a look at the one that was not made"
    assert states[0]["spent"] == 62
    assert float(states[0]["net"]["net.bias"]) == pytest.approx(0.35, rel=1e-3)
    assert caplog.messages == [
        *["reconstruction goes on after step 3"] * 2,
        "reconstruction stops after 1 minutes, at step 4 of 9",
    ]


def test_budgets_have_no_limit_of_time_unless_asked():
    assert Budget(5) == Budget(5, None, 0)
    assert replace(Budget(5), minutes=2.0).minutes == 2.0
