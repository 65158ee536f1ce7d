"""What the autoencoder makes of a photo is computed once, and serves every mask to the bit."""

import numpy as np
import pytest
import torch

from privacy_exp import Center, DiffusionInpainter, RandomPatches
from privacy_exp.cache.keys import content_key
from privacy_exp.cache.rows import Rows
from privacy_exp.cache.store import Store
from privacy_exp.inpainting import autoencoder, diffusion
from privacy_exp.inpainting.autoencoder import VaeRoundTrip, kept_under
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.stages import anonymize
from privacy_exp.types import Faces


@pytest.fixture(scope="module")
def painter():
    return DiffusionInpainter.from_pretrained("tiny", num_inference_steps=1, device="cpu")


@pytest.fixture
def trips(monkeypatch):
    """How many pictures went through the autoencoder for their own sake."""
    known, seen = autoencoder.encode_decode, []

    def counting(vae, images, batch_size):
        seen.append(len(images))
        return known(vae, images, batch_size)

    monkeypatch.setattr(diffusion, "encode_decode", counting)
    return seen


def cell(out, painter, masker=None, store=None, rows=slice(0, 4)):
    images = torch.rand(4, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    faces = Faces([f"f{i}" for i in range(4)], images)[rows]
    anonymize([faces], 4, None, masker or Center(), painter, 0.3, 0, RunFolder(out, "png"), store=store)
    return {path.name: path.read_bytes() for path in (out / "control").iterdir()}


def test_a_second_cell_on_the_same_photos_pays_no_round_trip(tmp_path, painter, trips):
    store = Store(tmp_path / "store")
    first = cell(tmp_path / "a", painter, store=store)
    assert trips == [4]
    second = cell(tmp_path / "b", painter, RandomPatches(8), store=store)
    assert trips == [4], "other masks, the same photos"
    assert cell(tmp_path / "c", painter, rows=[3, 1], store=store) == {n: first[n] for n in first if n[1] in "31"}
    assert trips == [4], "other company, the same photos"
    assert first == cell(tmp_path / "d", painter)
    assert second == cell(tmp_path / "e", painter, RandomPatches(8))
    assert trips == [4, 4, 4], "without a store they are computed"


def test_the_whole_batch_is_computed_where_one_is_missing_or_damaged(tmp_path, painter, trips):
    store = Store(tmp_path / "store")
    first = cell(tmp_path / "a", painter, store=store)
    kept = sorted(store.root.rglob("*.npz"))
    kept[0].write_bytes(kept[0].read_bytes()[:99])
    kept[1].unlink()
    assert cell(tmp_path / "b", painter, store=store) == first
    assert trips == [4, 4]
    assert sorted(store.root.rglob("*.npz")) == kept
    cell(tmp_path / "c", painter, store=store)
    assert trips == [4, 4]


def test_it_is_kept_by_weights_size_format_and_code(painter, monkeypatch):
    vae = VaeRoundTrip().vae
    known = kept_under(vae, (64, 64))
    assert painter.round_trip_fields() == known == VaeRoundTrip(native_size=64).round_trip_fields()
    others = [kept_under(vae, (64, 96))]
    monkeypatch.setattr(autoencoder, "sources", lambda name: "edited")
    others.append(kept_under(vae, (64, 64)))
    monkeypatch.undo()
    others.append(kept_under(vae.to(torch.bfloat16), (64, 64)))
    vae.to(torch.float32).decoder.conv_out.bias.data += 1
    others.append(kept_under(vae, (64, 64)))
    keys = {content_key(fields) for fields in (known, *others)}
    assert len(keys) == 5


def test_a_box_around_the_mask_is_not_kept(tmp_path, trips):
    boxed = DiffusionInpainter.from_pretrained("tiny", num_inference_steps=1, device="cpu", crop="face")
    for name in "ab":
        cell(tmp_path / name, boxed, store=Store(tmp_path / "store"))
    assert trips == [4, 4]
    assert not list(tmp_path.rglob("*.npz"))


def test_what_is_known_wins_over_what_is_computed_beside_it(tmp_path):
    rows = Rows(tmp_path, "squares")
    assert rows(["aa"], lambda: {"square": np.array([1])})["square"].tolist() == [1]
    assert rows(["aa", "bb"], lambda: {"square": np.array([7, 4])})["square"].tolist() == [1, 4]
    assert rows.find(["bb", "aa"])["square"].tolist() == [4, 1]
    assert rows.find(["bb", "cc"]) is None
    assert (rows.computed, rows.read) == (2, 3)
