#!/usr/bin/env bash
# A small sweep over the drawn world, offline: 3 methods × 2 ratios × 2 guidance scales, 24 test images each; then its report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
out=outputs/demo
rm -rf "$out"
.venv/bin/python -m privacy_exp.train -m experiment=quickstart hydra.sweep.dir="$out"
.venv/bin/python -m privacy_exp.report sweep="$out"
echo "to go on: source .venv/bin/activate, then privacy-exp train --help"
