"""Writes drawn faces in CelebA's official layout, and names the data set that draws them.

python -m privacy_exp.draw out=DIR [data.identities=100 ...]      torch is imported late: --help is quick
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point

if TYPE_CHECKING:
    from privacy_exp.data.drawn.faces import Synthetic as Synthetic


def __getattr__(name: str) -> Any:
    """`Synthetic`, the data set, once it is asked for: it brings torch along."""
    if name == "Synthetic":
        from privacy_exp.data.drawn.faces import Synthetic

        return Synthetic
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run(config: DictConfig) -> Path:
    """Writes the configured faces in CelebA's layout and returns the folder.

    Args:
        config: composed from conf/draw.yaml.

    Raises:
        UserError: `out` holds files already, or a number is out of range.
    """
    from hydra.utils import instantiate

    from privacy_exp.data.drawn.celeba_writer import write_celeba

    data = instantiate(config.data)
    out = Path(config.out).expanduser()
    write_celeba(data, out)
    print(f"{data.count * data.photos_per_identity} faces of {data.count} people in {out}")
    return out


main = entry_point("draw", run)

if __name__ == "__main__":
    main()
