"""Lists what has been computed, by kind, and prunes it.

python -m privacy_exp.cache [prune.days=30] [prune.max_gb=20] [prune.kind=cell] [dry_run=true]
python -m privacy_exp.cache unpack=DIR      pictures of packed runs become files again
"""

from pathlib import Path

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> None:
    """Prints sizes and ages by kind, and removes what `prune` asks for; or unpacks runs.

    Args:
        config: composed from conf/cache.yaml.

    Raises:
        UserError: a number that makes no sense, or nothing to unpack.
        FileNotFoundError: there is no such folder.
    """
    from privacy_exp.cache.pruning import items, remove, to_prune
    from privacy_exp.report.cache_table import store_table

    if config.unpack is not None:
        from privacy_exp.runs.files import unpack_all

        for line in unpack_all(Path(config.unpack).expanduser(), config.dry_run):
            print(line)
        return
    root = Path(config.cache.root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"`cache.root` {root} is no folder: nothing has been stored there yet.")
    found = items(root)
    asked = config.prune
    nothing = asked.days is None and asked.max_gb is None and asked.kind is None
    chosen = [] if nothing else to_prune(found, asked.kind, asked.days, asked.max_gb)
    print(store_table(root, found))
    if nothing:
        return
    for item in chosen:
        done = "would go" if config.dry_run else "removed" if remove(item) else "in use, kept"
        print(f"{done}: {item.kind} {item.folder.name}, {item.size / 1e6:.1f} MB, unused for {item.days:.1f} days")
    verb = "would be freed" if config.dry_run else "freed"
    gone = [item for item in chosen if config.dry_run or not item.folder.exists()]
    print(f"{sum(item.size for item in gone) / 1e6:.1f} MB {verb} in {len(gone)} entries")


main = entry_point("cache", run)

if __name__ == "__main__":
    main()
