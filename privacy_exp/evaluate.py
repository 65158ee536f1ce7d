"""Scores a finished run folder again, or one in the same layout that was made elsewhere.

python -m privacy_exp.evaluate run=DIR [recognition.checkpoint=RUN label_map=FILE]
"""

from omegaconf import DictConfig

from privacy_exp.entry import entry_point


def run(config: DictConfig) -> dict[str, float | None]:
    """Recognises the saved files and prints the table; writes `evaluation.json` and `evaluation.parquet` beside them.

    Args:
        config: composed from conf/evaluate.yaml.

    Returns:
        Metric names to values.

    Raises:
        ValueError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.rescore import rescore

    return rescore(
        config.run,
        checkpoint=config.recognition.checkpoint,
        label_map=config.label_map,
        floor=config.evaluation.floor,
        batch_size=config.evaluation.batch_size,
        device=config.device,
    )


main = entry_point("evaluate", run)

if __name__ == "__main__":
    main()
