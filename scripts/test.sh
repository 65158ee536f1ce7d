#!/usr/bin/env bash
# All checks: format, lint, types, tests. --all also installs every extra and runs the tests that need them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=(dev)
if [[ " $* " == *" --all "* ]]; then
  extras+=(browser) # the report's page
  extras+=(joblib) # sweeps on one machine
  extras+=(slurm) # submitit
  extras+=(ray)
  extras+=(optuna)
  extras+=(dlib) # the judge
  extras+=(fidelity) # Inception of kid and fid
  bash scripts/setup_browser.sh
fi
bash scripts/setup.sh "${extras[@]}"
bin=.venv/bin
$bin/ruff format --check .
$bin/ruff check .
$bin/mypy
# a file stays on one worker, so that its fixtures are made once
exec $bin/python -m pytest --numprocesses=auto --dist=loadfile "${@/--all/--durations=25}"
