"""Paths that hold what Hydra reads as syntax: the key and the quoting are named, and the quoting works."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from privacy_exp.sweep.answers import paragraph
from privacy_exp.sweep.entry import CONF


@pytest.mark.parametrize("path", ["a=b", "photos (2024), summer=1", "a[b"])
def test_a_path_with_syntax_in_it_is_answered_with_the_way_to_quote_it(path):
    parser = OverridesParser.create()
    with pytest.raises(OverrideParseException) as caught:
        parser.parse_overrides([f"data.root={path}"])
    answer = paragraph(caught.value, "train", str(CONF))
    quoted = f'data.root="{path}"'
    assert f"'{quoted}'" in answer
    (override,) = parser.parse_overrides([quoted])
    assert override.value() == path
