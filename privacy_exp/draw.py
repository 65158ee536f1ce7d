"""Writes drawn faces in CelebA's official layout.

python -m privacy_exp.draw out=DIR [data.identities=100 ...]      torch is imported late: --help is quick
"""

from pathlib import Path

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> Path:
    """Writes the configured faces in CelebA's layout and returns the folder.

    Args:
        config: composed from conf/draw.yaml.

    Raises:
        UserError: `out` holds files already, or a number is out of range.
    """
    from hydra.utils import instantiate

    from privacy_exp import UserError
    from privacy_exp.data.drawn.celeba_writer import write_celeba
    from privacy_exp.data.drawn.faces import DrawnFaces

    data = instantiate(config.data)
    if not isinstance(data, DrawnFaces):
        raise UserError("`data` must be synthetic or synthetic_training here: other faces are not drawn.")
    out = Path(config.out).expanduser()
    write_celeba(data, out)
    print(f"{data.count * data.photos_per_identity} faces of {data.count} people in {out}")
    return out


main = entry_point("draw", run)

if __name__ == "__main__":
    main()
