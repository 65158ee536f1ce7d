"""Writes a section of a board from a run's folder: its images, who must be asked, and whether areas are equal.

python scripts/board_section.py RUN docs/board/drawn_faces --title "Drawn faces, a quarter hidden" --equal-area 0.25
"""

import argparse
import csv
import json
from pathlib import Path

import yaml

from privacy_exp.report.board import IMAGES, SECTION
from privacy_exp.report.board_pictures import pixels_digest
from privacy_exp.report.eee import public_command
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.names import display_name
from privacy_exp.runs.run import load_run


def main() -> None:
    """Writes `section.yaml` and `images.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("section", type=Path)
    parser.add_argument("--title", required=True)
    parser.add_argument("--equal-area", type=float, help="share of the frame that every entry hides")
    asked = parser.parse_args()
    run = load_run(asked.run)
    record, details = run.record, run.record["details"]
    told = {
        "title": asked.title,
        "protocol": record["schema"],
        "data": f"{display_name(record['choices']['data'])}, {record['n']} photos of {details['people']} people",
        "make": f"{public_command(asked.run)} hydra.run.dir=RUN",
        "data_digest": details["data_digest"],
        "observers": sorted(details["observers"], key=lambda name: (name != "target", name)),
        "equal_area": asked.equal_area,
        "gate": record["config"]["evaluation"]["gate"],
    }
    asked.section.mkdir(parents=True, exist_ok=True)
    (asked.section / SECTION).write_text(yaml.safe_dump(told, sort_keys=False, allow_unicode=True))
    who = dict(zip(run.table["image_id"], run.table["identity"], strict=True))
    with (asked.section / IMAGES).open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image_id", "identity", "sha256"])
        for image_id, (path, _) in RunFolder(asked.run).list("original").items():
            rows.writerow([image_id, who[image_id], pixels_digest(path)])
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
