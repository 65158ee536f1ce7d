#!/usr/bin/env bash
# Creates .venv with everything pinned by constraints.txt, or adds extras to it; does nothing where it is already as asked.
# usage: setup.sh [EXTRA ...]      e.g. setup.sh dev joblib
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=$(IFS=,; echo "${*:-}")
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
want="$(sha256sum constraints.txt pyproject.toml | sha256sum | cut -c1-16)"
have=$(cat .venv/.ready 2>/dev/null || true)
known="," # extras that are installed already, each between commas
[ "${have%%:*}" = "$want" ] && known=",${have#*:},"
missing=false
for extra in "$@"; do case "$known" in *",$extra,"*) ;; *) missing=true ;; esac; done
[ "$known" != "," ] && ! $missing && exit 0
all=$(tr -s , <<< "$known$extras" | sed 's/^,//; s/,$//')
[ -x .venv/bin/python ] || "$python" -m venv .venv
free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
[ "$free" -ge 9 ] || echo "warning: $free GiB are free here; torch and the rest may need 9" >&2
echo "installing${extras:+ with the extras $extras}: up to 7 GB into .venv, some minutes" >&2
# no cache: what is unpacked once need not lie on the disk twice
pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --constraint constraints.txt)
# torch first and alone: a CPU build that is at hand satisfies every later requirement, and nothing fetches another
"${pip[@]}" torch torchvision
others=$(tr , '\n' <<< "$extras" | grep -vx app | paste -sd, || true)
"${pip[@]}" --editable ".${others:+[$others]}"
# gradio asks for Pillow 12, which resizes photos of odd sizes differently; it runs with ours, so its set goes in as it is
case ",$extras," in *,app,*) "${pip[@]}" --no-deps brotli fastapi gradio gradio_client groovy hf-gradio orjson pydub \
  python-multipart pytz safehttpx semantic-version starlette tomlkit uvicorn ;; esac
echo "$want:$all" > .venv/.ready
echo "ready${extras:+ with $extras}: source .venv/bin/activate, then privacy-exp --help"
