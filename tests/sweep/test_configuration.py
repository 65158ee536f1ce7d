"""Top-level keys at the boundary."""

import pytest

from privacy_exp import UserError
from privacy_exp.sweep.configuration import check_keys


@pytest.mark.parametrize("key", ["mask_ratio", "seed", "batch_size"])
def test_true_is_no_number(composed, tmp_path, key):
    check_keys(composed(tmp_path))
    with pytest.raises(UserError, match=rf"`{key}` must .* but got True"):
        check_keys(composed(tmp_path, f"{key}=true"))
