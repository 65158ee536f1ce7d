"""Every masking method hides the same on a GPU as on a CPU, but for ties that rounding decides."""

import pytest
import torch

from privacy_exp.masking.base import OwnArea
from tests.masking.test_contract import METHODS, Small, faces, masker

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("name", METHODS)
def test_masks_are_those_of_a_cpu(name: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        method, net = masker(name), Small().eval().to(device)
        keys = {} if isinstance(method, OwnArea) else {"mask_ratio": 0.25}
        found.append(method.mask(faces(3).to(torch.device(device)), net, seed=0, **keys).cpu())
    assert (found[0] == found[1]).float().mean() >= 0.98
    if not isinstance(masker(name), OwnArea):
        assert torch.equal(found[0].sum(dim=(1, 2, 3)), found[1].sum(dim=(1, 2, 3)))
