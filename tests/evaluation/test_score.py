"""A row an image from saved pictures, by a recogniser whose logits are the mean of each colour."""

import numpy as np
import pytest
import torch
from torch import nn

from privacy_exp.evaluation.score import score_folder
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError

R, G, B, GREY = (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.4, 0.4, 0.4)
IDS, LABELS = ["a", "b", "c", "d", "e"], torch.tensor([0, 1, 2, 0, 1])
PEOPLE = ["red", "green", "blue"]


class Colour(nn.Module):
    """Sees the person whose colour prevails; in training mode it sees nothing right."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.batches = []

    def forward(self, images):
        assert not torch.is_grad_enabled()
        self.batches.append(len(images))
        logits = images.mean((2, 3)) * self.scale
        return (-logits if self.training else logits).half()


def pictures(*colours):
    return torch.tensor(colours)[:, :, None, None].expand(-1, 3, 4, 8).contiguous()


@pytest.fixture
def folder(tmp_path):
    found = RunFolder(tmp_path, "png")
    masks = torch.zeros(5, 1, 4, 8, dtype=torch.bool)
    for image, columns in enumerate((2, 4, 8, 0, 1)):
        masks[image, :, :, :columns] = True
    found.save("original", IDS, LABELS, pictures(R, G, B, G, G))
    found.save("results", IDS, LABELS, pictures(G, G, GREY, (0.4, 0.8, 0.6), B))
    found.save("masks", IDS, LABELS, masks)
    return found


def test_every_column_by_hand(folder):
    folder.save("control", IDS, LABELS, pictures(B, G, R, R, G))
    for draw, colours in ((1, (R, R, R, R, R)), (10, (B, B, B, B, B)), (2, (G, G, G, G, G))):
        RunFolder(folder.path / "draws" / str(draw), "png").save("results", IDS, LABELS, pictures(*colours))
    net = Colour()
    table = score_folder(folder, net, PEOPLE, batch_size=2)
    assert not net.training
    assert set(net.batches) == {1, 2}
    expected = {
        "image_id": IDS,
        "identity": ["red", "green", "blue", "red", "green"],
        "label": [0, 1, 2, 0, 1],
        "pred": [0, 1, 2, 1, 1],
        "pred_anonymized": [1, 1, 0, 1, 2],
        "pred_control": [2, 1, 0, 0, 1],
        "rank": [2.5, 1.0, 2.0, 3.0, 2.5],
        "share_hidden": [0.25, 0.5, 1.0, 0.0, 0.125],
        "pred_draw_1": [0] * 5,
        "pred_draw_2": [1] * 5,
        "pred_draw_10": [2] * 5,
    }
    assert [name for name in table if name not in ("prob", "prob_anonymized")] == list(expected)
    assert {name: table[name].tolist() for name in expected} == expected
    sure, others = np.exp(2) / (np.exp(2) + 2), 1 / (np.exp(2) + 2)
    np.testing.assert_allclose(table["prob"], [sure, sure, sure, others, sure], atol=2e-3)
    mixed = np.exp([0.8, 1.6, 1.2])
    np.testing.assert_allclose(
        table["prob_anonymized"], [others, sure, 1 / 3, mixed[0] / mixed.sum(), others], atol=2e-3
    )
    assert table["prob"].dtype == table["share_hidden"].dtype == np.float64
    assert table.index.tolist() == list(range(5))


def test_without_a_control_the_original_stands_in_and_is_not_asked_twice(folder):
    net = Colour()
    table = score_folder(folder, net, PEOPLE)
    assert table["pred_control"].equals(table["pred"].rename("pred_control"))
    assert net.batches == [5, 5]
    assert not any(name.startswith("pred_draw") for name in table)


def test_class_ids_may_stand_for_other_labels(folder):
    table = score_folder(folder, Colour(), PEOPLE, classes={0: 2, 1: 0, 2: 1})
    assert table["label"].tolist() == [2, 0, 1, 2, 0]
    assert table["identity"].tolist() == ["blue", "red", "green", "blue", "red"]
    with pytest.raises(UserError, match=r"b-img-label-1\.png has class 1, .* knows 2, from 0 to 2; give `label_map`"):
        score_folder(folder, Colour(), PEOPLE, classes={0: 2, 2: 1})


def test_a_class_beyond_the_identities_is_named(folder):
    with pytest.raises(UserError, match=r"c-img-label-2\.png has class 2, .* knows 2, from 0 to 1"):
        score_folder(folder, Colour(), PEOPLE[:2])


@pytest.mark.parametrize("kind", ["results", "masks", "control", "draws/3/results"])
def test_pictures_that_do_not_pair_are_named(folder, kind):
    base, _, name = kind.rpartition("/")
    place = RunFolder(folder.path / base, "png")
    place.save(name, IDS, LABELS, pictures(R, R, R, R, R))
    score_folder(folder, Colour(), PEOPLE)
    path = place.list(name)["d"][0]
    path.rename(path.with_name(path.name.replace("label-0", "label-1")))
    with pytest.raises(UserError, match=r"d-.*label-1\.png says class 1, but its original says 0"):
        score_folder(folder, Colour(), PEOPLE)
    place.list(name)["d"][0].unlink()
    with pytest.raises(UserError, match=f"original and {kind} do not pair: 1 image ids .* such as 'd'"):
        score_folder(folder, Colour(), PEOPLE)


def test_pictures_of_nobody_cannot_be_scored(tmp_path):
    folder = RunFolder(tmp_path, "png")
    for kind in ("original", "results", "masks"):
        folder.save(kind, ["a"], None, pictures(R))
    with pytest.raises(UserError, match=r"a-img-label-unknown\.png has no class id"):
        score_folder(folder, Colour(), PEOPLE)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("stage", range(4))
def test_logits_that_are_no_numbers_are_refused_wherever_they_come(folder, value, stage):
    folder.save("control", IDS, LABELS, pictures(R, R, R, R, R))
    RunFolder(folder.path / "draws/1", "png").save("results", IDS, LABELS, pictures(R, R, R, R, R))

    class Broken(Colour):
        def forward(self, images):
            logits = super().forward(images).clone()
            if len(self.batches) == stage + 1:
                logits[1:3, 2] = value
            return logits

    with pytest.raises(UserError, match="NaN or infinite logits for b and 1 more"):
        score_folder(folder, Broken(), PEOPLE)
