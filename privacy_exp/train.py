"""Main entry: fit → mask → inpaint → score → record.

python -m privacy_exp.train [key=value ...]      and -m for a sweep; torch is imported inside, so that --help is quick
"""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point

if TYPE_CHECKING:
    from privacy_exp.study.cell import Cell


def run(config: DictConfig) -> float | tuple[float, ...] | None:
    """Runs one cell and returns the objective for Hydra's sweepers.

    Args:
        config: composed from conf/train.yaml.

    Returns:
        The value of the one metric named in `objective`, a tuple where it names several, None after a dry run.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.study.cell import Cell
    from privacy_exp.study.dry_run import estimate
    from privacy_exp.sweep.slots import slot, slots_of

    accelerator = config.trainer.get("accelerator")
    with slot(slots_of(config.slots, accelerator), accelerator) as place:
        cell = Cell(config, place)
        if config.dry_run:
            print(estimate(cell))
            return None
        if config.fit_only:
            return fit_alone(cell)
        return compute(cell)


def compute(cell: "Cell") -> float | tuple[float, ...]:
    """Computes a cell, or takes it as it was computed before, and returns the objective."""
    from privacy_exp.study.dry_run import attack_cost

    with cell.claim() as claim:
        failed = True
        try:
            if claim.record is not None:
                record = cell.take(claim)
            else:
                if (line := attack_cost(cell)) is not None:
                    print(line, flush=True)
                cell.start_tracking()
                fitted = cell.fit()
                anonymized = cell.anonymize(fitted)
                record = cell.score(fitted, anonymized)
            claim.keep()
            cell.show(record)
            objective = cell.objective(record)
            failed = False
        finally:
            cell.finish(failed)
    return objective


def fit_alone(cell: "Cell") -> float:
    """Fits the recogniser, keeps its checkpoint, and returns its clean accuracy."""
    failed = True
    try:
        cell.start_tracking()
        accuracy = cell.clean_accuracy(cell.fit())
        failed = False
    finally:
        cell.tracking.finish(failed)
    return accuracy


main = entry_point("train", run)

if __name__ == "__main__":
    main()
