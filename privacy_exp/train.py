"""Main entry: fit → mask → inpaint → score → record.

python -m privacy_exp.train [key=value ...]      and -m for a sweep; torch is imported inside, so that --help is quick
"""

from typing import Any

from omegaconf import DictConfig

from privacy_exp.entry import entry_point


def run(config: DictConfig) -> float | tuple[float, ...] | None:
    """Runs one cell and returns the objective for Hydra's sweepers.

    Args:
        config: composed from conf/train.yaml.

    Returns:
        The value of the one metric named in `objective`, a tuple where it names several, None after a dry run.

    Raises:
        ValueError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.cell import Cell
    from privacy_exp.dry_run import attack_cost, estimate

    cell = Cell(config)
    if config.dry_run:
        print(estimate(cell))
        return None
    if (line := attack_cost(cell)) is not None and not config.fit_only:
        print(line, flush=True)
    failed = True
    try:
        cell.start_tracking()
        fitted = cell.fit()
        if config.fit_only:
            result: Any = cell.clean_accuracy(fitted)
        else:
            anonymized = cell.anonymize(fitted)
            record = cell.score(fitted, anonymized)
            cell.show(record)
            result = cell.objective(record)
        failed = False
    finally:
        cell.tracking.finish(failed)
    return result


main = entry_point("train", run)

if __name__ == "__main__":
    main()
