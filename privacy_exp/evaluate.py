"""Scores a finished run folder again, one in the same layout that was made elsewhere, or pairs of pictures.

python -m privacy_exp.evaluate run=DIR [judge=[onnx]] [recognition.checkpoint=RUN label_map=FILE]
python -m privacy_exp.evaluate originals=DIR anonymized=DIR out=DIR judge=[onnx]
"""

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> dict[str, float | None]:
    """Looks at the saved files and prints the table; writes `evaluation.json` and `evaluation.parquet` beside them.

    Args:
        config: composed from conf/evaluate.yaml.

    Returns:
        Metric names to values.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.sweep.scoring import score

    return score(config).values


main = entry_point("evaluate", run)

if __name__ == "__main__":
    main()
