"""Fetches CelebA's aligned faces into the official layout: `python scripts/download_celeba.py DIR`.

CelebA may be used for non-commercial research only; its terms: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html.
Source: the copy `flwrlabs/celeba` on the Hugging Face hub, 12 GB of PNG, fetched shard by shard. Each image is decoded,
checked to be 178x218 and saved as JPEG (quality 95, 4:4:4), or with `--png` as it is. That copy keeps the official
order but no file names, so images are numbered as CelebA numbers them; it has no landmarks.

What is complete is skipped, so the command can be stopped and given again. `--parts test` fetches 1.2 GB with all
photos of 1,000 people, and `--limit N` keeps about N images of it: whole people, those with most photos first.
"""

import argparse
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

REPOSITORY, REVISION = "flwrlabs/celeba", "2d738f56e0e7f925ea36ae7c808ea925264aacec"
FOLDER = "img_align+identity+attr"
COUNTS = {"train": 162_770, "valid": 19_867, "test": 19_962}  # CelebA's official partition, in this order
SIZE = (178, 218)  # width, height in pixels


class Row(NamedTuple):
    """What the text files say about one image: its name, identity, part (0 train, 1 valid, 2 test) and attributes."""

    name: str
    identity: int
    part: int
    attributes: list[int]


def convert_shard(path: Path, first: int, part: int, images: Path, people: set[int] | None, png: bool) -> Iterator[Row]:
    """Writes the images of a parquet shard that are not there yet, and yields the row of each.

    Args:
        path: the shard, with columns image, celeb_id and one boolean an attribute.
        first: number of its first image.
        part: index of its part in `COUNTS`.
        images: the folder to write to.
        people: identities to keep; None keeps all.
        png: keep the bytes as they are in place of JPEG.

    Raises:
        ValueError: an image cannot be decoded or has another size.
    """
    shard = pq.ParquetFile(path)
    names = [name for name in shard.schema_arrow.names if name not in ("image", "celeb_id")]
    number = first
    for batch in shard.iter_batches(batch_size=256):
        for record in batch.to_pylist():
            if people is None or record["celeb_id"] in people:
                target = images / f"{number:06d}.{'png' if png else 'jpg'}"
                if not target.exists():
                    write_image(record["image"]["bytes"], target)
                yield Row(target.name, record["celeb_id"], part, [1 if record[name] else -1 for name in names])
            number += 1


def write_image(content: bytes, target: Path) -> None:
    """Checks one encoded image and writes it under a temporary name first, so that whatever has its name is whole."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            wanted = {".png": "PNG", ".jpg": "JPEG"}[target.suffix]
            if image.size != SIZE:
                raise ValueError(f"it is {image.size[0]}x{image.size[1]} in place of {SIZE[0]}x{SIZE[1]}")
            if image.format != wanted:
                buffer = io.BytesIO()
                image.convert("RGB").save(
                    buffer, wanted, **({"quality": 95, "subsampling": 0} if wanted == "JPEG" else {})
                )
                content = buffer.getvalue()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{target.name} is unusable: {error}. Delete {target.parent.parent}/.shards, try again."
        ) from error
    write_whole(target, content)


def write_whole(target: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(target)


def write_tables(root: Path, rows: list[Row], attributes: list[str]) -> None:
    """Writes the three text files as CelebA has them: CRLF, count lines, padded columns."""
    tables = {
        "list_eval_partition.txt": [f"{row.name} {row.part}" for row in rows],
        "list_attr_celeba.txt": [
            str(len(rows)),
            " ".join(attributes) + " ",
            *(f"{row.name} {' '.join(f'{value:2d}' for value in row.attributes)}" for row in rows),
        ],
        "identity_CelebA.txt": [f"{row.name} {row.identity}" for row in rows],
    }
    for name, lines in tables.items():
        write_whole(root / name, "".join(f"{line}\r\n" for line in lines).encode())


def most_photographed(shards: Iterable[Path], limit: int) -> set[int]:
    """Identities with most photos first, as many as fit into `limit` images, at least two."""
    counts = Counter(
        number for path in shards for number in pq.read_table(path, columns=["celeb_id"])["celeb_id"].to_pylist()
    )
    people: set[int] = set()
    total = 0
    for identity, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if total + n > limit and len(people) >= 2:
            break
        people.add(identity)
        total += n
    return people


def fetch(
    root: Path, shards: dict[str, list[str]], get: Callable[[str], Path], limit: int | None = None, png: bool = False
) -> list[Row]:
    """Brings the shards of each part into CelebA's layout below `root`.

    Args:
        root: the folder; made if need be.
        shards: part to the names of its shards, in order.
        get: fetches a shard by name and returns its path; called only for shards that are not complete.
        limit: about how many images to keep; None keeps all.
        png: see `convert_shard`.

    Raises:
        ValueError: an image is unusable.
    """
    images, notes = root / "img_align_celeba", root / ".shards"
    images.mkdir(parents=True, exist_ok=True)
    notes.mkdir(exist_ok=True)
    other = next(images.glob("*.jpg" if png else "*.png"), None)
    if other is not None:
        raise ValueError(
            f"{images} holds {other.name}, written {'without' if png else 'with'} --png. Take a new folder."
        )
    people = (
        None if limit is None else most_photographed((get(name) for part in shards for name in shards[part]), limit)
    )
    starts = dict(zip(COUNTS, (1, 1 + COUNTS["train"], 1 + COUNTS["train"] + COUNTS["valid"]), strict=True))
    for part in shards:
        first = starts[part]
        for name in tqdm(shards[part], desc=part, unit="shard"):
            note = notes / f"{Path(name).stem}.json"
            done = read_note(note, images)
            if not done["complete"]:
                path = get(name)
                shard = pq.ParquetFile(path)
                for row in convert_shard(path, first, list(COUNTS).index(part), images, people, png):
                    done["rows"][row.name] = row
                done["attributes"] = [c for c in shard.schema_arrow.names if c not in ("image", "celeb_id")]
                done |= {"n": shard.metadata.num_rows, "complete": people is None}
                write_whole(note, json.dumps(done).encode())
                if people is None:
                    path.unlink()  # its images are written: keeping both would take 12 GB more
            first += done["n"]
    found = [read_note(note, images) for note in sorted(notes.glob("*.json"))]  # also of parts fetched earlier
    rows = sorted((Row(*row) for done in found for row in done["rows"].values()), key=lambda row: row.name)
    write_tables(root, rows, found[0]["attributes"])
    return rows


def read_note(note: Path, images: Path) -> dict[str, Any]:
    """What an earlier call wrote down about a shard, less the images that have gone since."""
    done = json.loads(note.read_text()) if note.exists() else {"complete": False, "n": 0, "rows": {}}
    rows = {name: row for name, row in done["rows"].items() if (images / name).exists()}
    return {**done, "rows": rows, "complete": done["complete"] and len(rows) == done["n"]}


def main() -> None:
    """Reads the command line, fetches, and checks the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder to write to: data.root of later commands")
    parser.add_argument(
        "--parts", nargs="+", choices=list(COUNTS), default=list(COUNTS), help="parts of CelebA to fetch"
    )
    parser.add_argument("--limit", type=int, help="about how many images to keep; all without it")
    parser.add_argument(
        "--png", action="store_true", help="keep the exact pixels of the source, at four times the space"
    )
    given = parser.parse_args()
    print("CelebA: for non-commercial research only, see https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html")
    from huggingface_hub import HfApi, hf_hub_download

    files = HfApi().list_repo_files(REPOSITORY, repo_type="dataset", revision=REVISION)
    shards = {
        part: sorted(f for f in files if f.startswith(f"{FOLDER}/{part}-")) for part in COUNTS if part in given.parts
    }

    def get(name: str) -> Path:
        folder = given.root / ".shards"  # the hub's client goes on where an earlier download stopped
        return Path(hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=REVISION, local_dir=folder))

    rows = fetch(given.root, shards, get, given.limit, given.png)
    for number, part in enumerate(COUNTS):
        n = sum(row.part == number for row in rows)
        if given.limit is None and part in shards and n != COUNTS[part]:
            sys.exit(f"{given.root} holds {n} images of the part {part}, but CelebA has {COUNTS[part]}.")
    print(
        f"{len(rows)} images of {len({row.identity for row in rows})} people in {given.root}: data=celeba data.root=..."
    )


if __name__ == "__main__":
    main()
