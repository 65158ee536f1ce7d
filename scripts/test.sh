#!/usr/bin/env bash
# All checks: format, lint, types, tests and the examples in docstrings. Other arguments go to pytest.
# --all also runs the slow ones, installs every extra, runs the tests that need them, builds the site and executes
# its notebook.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=(dev)
all=false
if [[ " $* " == *" --all "* ]]; then
  all=true
  extras+=(browser) # the report's page
  extras+=(joblib) # sweeps on one machine
  extras+=(slurm) # submitit
  extras+=(ray)
  extras+=(optuna)
  extras+=(dlib) # the judge
  extras+=(docs) # the site and the notebook
  extras+=(app) # the page to play with
  extras+=(wandb) # saved workspaces
  extras+=(exports) # validators of report.export
  extras+=(fidelity) # Inception of kid and fid
  extras+=(paper) # widths and fonts of conferences
  bash scripts/setup_browser.sh
  bash scripts/setup_latex.sh
fi
bash scripts/setup.sh "${extras[@]}"
bin=.venv/bin
$bin/ruff format --check .
$bin/ruff check .
$bin/mypy
if $all; then
  site=$(mktemp -d)
  NO_MKDOCS_2_WARNING=1 $bin/mkdocs build --strict --quiet --site-dir "$site"
  rm -rf "$site"
  $bin/jupyter execute docs/front_door.ipynb
fi
if $all; then
  set -- "${@/--all/--durations=25}"
else
  set -- -m "not slow" "$@"
fi
# a file stays on one worker, so that its fixtures are made once
exec $bin/python -m pytest --numprocesses=auto --dist=loadfile "$@"
