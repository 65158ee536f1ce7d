"""Unaligned photos of known people become aligned crops with landmarks, ready for `data=folder`.

privacy-exp prepare people=DIR out=OUT      DIR has one sub-folder per person
"""

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> None:
    """Writes the crops, `landmarks.csv` and `left_out.csv` into `out`.

    Args:
        config: composed from conf/prepare.yaml.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.sweep.photos import prepare_people

    prepare_people(config)


main = entry_point("prepare", run)

if __name__ == "__main__":
    main()
