"""Main entry: fit → mask → inpaint → score → record.

python -m privacy_exp.train [key=value ...]      and -m for a sweep; torch is imported inside, so that --help is quick
"""

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> float | tuple[float, ...] | None:
    """Runs one cell and returns the objective for Hydra's sweepers.

    Args:
        config: composed from conf/train.yaml.

    Returns:
        The value of the one metric named in `objective`, a tuple where it names several, None after a dry run.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.report.table import result_text
    from privacy_exp.study.dry_run import estimate, tell_cost
    from privacy_exp.study.fit_only import fit_only
    from privacy_exp.sweep.build import job_of, objective_of, seconds_saved
    from privacy_exp.sweep.slots import slot, slots_of
    from privacy_exp.sweep.terminal import shown

    accelerator = config.trainer.get("accelerator")
    with shown(config) as display, slot(slots_of(config.slots, accelerator), accelerator) as place:
        job = job_of(config, place)
        if config.dry_run:
            display.estimated(estimate(job, display.watch.started, seconds_saved()))
            return None
        if config.fit_only:
            accuracy = fit_only(job)
            print(f"clean test accuracy {accuracy:.4f}\ncheckpoint {job.folder / 'recognizer.ckpt'}")
            return accuracy
        record = job.compute(tell_cost)
        display.finished(record, result_text(record, job.folder))
        return objective_of(record, list(config.objective))


main = entry_point("train", run)

if __name__ == "__main__":
    main()
