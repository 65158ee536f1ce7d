"""What holds for every yaml of the data group."""

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate

from privacy_exp.cache.configured import description
from privacy_exp.data.base import FaceData

YAMLS = sorted((Path(__file__).parents[2] / "conf" / "data").glob("*.yaml"))


def keys(part: type) -> set[str]:
    """Names of all constructor arguments, with the base's where `**keys` passes them on."""
    own = inspect.signature(part.__init__).parameters.values()
    names = {p.name for p in own if p.kind is not p.VAR_KEYWORD} - {"self"}
    return names | keys(FaceData) if any(p.kind is p.VAR_KEYWORD for p in own) else names


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_yaml_states_every_key_of_the_constructor(path):
    with initialize_config_dir(str(path.parents[1]), version_base="1.3"):
        config = compose(config_name=f"data/{path.stem}").data
    part = get_class(config["_target_"])
    assert issubclass(part, FaceData)
    assert set(config) - {"_target_", "_convert_"} == keys(part)


@pytest.mark.parametrize("name", ["celeba", "folder"])
def test_yaml_values_are_the_constructors_own(name):
    with initialize_config_dir(str(YAMLS[0].parents[1]), version_base="1.3"):
        config = compose(config_name=f"data/{name}").data
    made, plain = instantiate(config), get_class(config["_target_"])()
    values, own = vars(made), vars(plain)
    assert description(made) == description(plain)
    assert {key: values[key] for key in config if key in values} == {key: own[key] for key in config if key in own}
    assert instantiate(config, split=[0.5, 0.25, 0.25]).split == (0.5, 0.25, 0.25)
    with pytest.raises(Exception, match="unheard_of"):
        instantiate(config, unheard_of=1)
