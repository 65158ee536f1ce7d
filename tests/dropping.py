"""Which fields of a key do their work: without them two things that differ would be one."""

from collections.abc import Iterable, Mapping
from typing import Any

from privacy_exp.cache.keys import content_key


def idle(base: Mapping[str, Any], changed: Iterable[Mapping[str, Any]]) -> set[str]:
    """Fields that no change needs: dropped, they make nothing collide with `base`.

    Args:
        base: the fields of one stored thing.
        changed: those of others, each of which differs from it.
    """

    def without(fields: Mapping[str, Any], name: str) -> str:
        return content_key({key: value for key, value in fields.items() if key != name})

    others = list(changed)
    assert all(content_key(other) != content_key(base) for other in others)
    return {name for name in base if all(without(other, name) != without(base, name) for other in others)}
