"""`data.align=true`: a people-folder of unaligned photos is aligned before a command reads it."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from privacy_exp import UserError
from privacy_exp.cache.content import file_digest
from privacy_exp.cache.store import Store, default_root

log = logging.getLogger(__name__)


def align_first(config: DictConfig) -> DictConfig:
    """The configuration with the folder of aligned crops in place of the photos, where `data.align` asks for it.

    The crops lie in the store under the content of the photos: they are made once. Later steps, records included, see
    an ordinary folder of crops.

    Args:
        config: composed, with `data`.

    Raises:
        UserError: no folder, or no photo with one face in it; see `privacy_exp.photos.prepare.prepare`.
    """
    if not config.data.get("align", False):
        return config
    if config.data.root is None:
        raise UserError("`data.align` needs the photos: set data.root=DIR.")
    from privacy_exp.cache.sources import sources
    from privacy_exp.photos.files import list_photos
    from privacy_exp.photos.finding import MTCNNFinder
    from privacy_exp.photos.prepare import TABLES, prepare

    root = Path(config.data.root).expanduser()
    if not root.is_dir():
        raise UserError(f"`data.root` must be a folder with one sub-folder per person, but there is no {root}.")
    finder = MTCNNFinder()
    names = [*list_photos(root)[0], *(name for name in TABLES if (root / name).is_file())]
    fields: dict[str, Any] = {
        "photos": {name: file_digest(root / name) for name in names if (root / name).is_file()},
        "finder": dict(finder.arguments),
        "code": sources(prepare.__module__),
    }

    def fill(out: Path) -> None:
        prepare(root, out, finder)

    store = Store(OmegaConf.select(config, "cache.root") or default_root())
    folder, reused = store.fetch("aligned", fields, fill)
    log.info("aligned crops of %s %s in %s", root, "lie" if reused else "were made", folder)
    left_out = len((folder / "left_out.csv").read_text().splitlines()) - 1
    if left_out:
        log.warning("%d photos of %s are left out; %s says why", left_out, root, folder / "left_out.csv")
    changed: DictConfig = config.copy()
    with open_dict(changed):
        changed.data.root, changed.data.align = str(folder), False
    return changed
