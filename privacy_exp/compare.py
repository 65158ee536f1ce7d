"""Compares two runs over the same images, or two cells of several seeds each, person by person.

python -m privacy_exp.compare a=DIR b=DIR      or a=[DIR,DIR,DIR] for the seeds of one cell
"""

from omegaconf import DictConfig, OmegaConf

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> dict[str, float | None]:
    """Prints what differs, by how much, and what could not have been seen.

    Args:
        config: composed from conf/compare.yaml.

    Returns:
        Name of each figure to a - b.

    Raises:
        UserError: runs that cannot be compared; the message says why.
    """
    from privacy_exp.report.compared import compare_runs

    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)  # noqa: S101  a DictConfig always gives a dict
    found = compare_runs(plain["a"], plain["b"], plain["flips"], plain["out"], plain["equivalence"])
    return {one.name: one.difference.value for one in found}


main = entry_point("compare", run)

if __name__ == "__main__":
    main()
