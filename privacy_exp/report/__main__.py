"""From finished sweeps to a page, figures and tables.

python -m privacy_exp.report sweep=DIR [out=DIR]      the heavy parts are imported late: --help is quick
"""

from pathlib import Path

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> Path:
    """Writes the report, prints the headline tables and returns the path of the page.

    Args:
        config: composed from conf/report.yaml.

    Raises:
        FileNotFoundError: no such sweep.
        UserError: nothing in it can be shown, or a key has a value that is not allowed.
    """
    from hydra.utils import instantiate

    from privacy_exp import UserError
    from privacy_exp.report.build import Options, build

    sweeps = [config.sweep] if isinstance(config.sweep, str) else list(config.sweep)
    folders = [Path(str(sweep)).expanduser() for sweep in sweeps]
    if not folders:
        raise UserError("`sweep` must name a folder, or several as sweep=[DIR,DIR], but is empty.")
    options = Options(**dict(config.report), deletion=config.deletion)
    out = Path(config.out).expanduser() if config.out is not None else None
    return build(folders, out, options, instantiate(config.get("tracking")))


main = entry_point("report", run)

if __name__ == "__main__":
    main()
