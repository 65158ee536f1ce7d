"""Deletion curves of every masking method, as a table and a picture.

python -m privacy_exp.deletion [region=face] [methods=[grad_cam,saliency]]      -m region=frame,face for both
"""

from pathlib import Path

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> Path:
    """Deletes what each method ranks first, a share at a time; see `delete_by_every_method`.

    Args:
        config: composed from conf/deletion.yaml.

    Returns:
        The path of `deletion.json`.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.sweep.deletion import delete_by_every_method

    return delete_by_every_method(config)


main = entry_point("deletion", run)

if __name__ == "__main__":
    main()
