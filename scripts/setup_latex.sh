#!/usr/bin/env bash
# What the test of table.tex and of the figures needs besides Python: a small LaTeX. As root on Debian it installs one; elsewhere it says
# what to install. The test skips where there is none and says so.
set -euo pipefail
command -v pdflatex >/dev/null && exit 0
packages=(texlive-latex-base texlive-latex-recommended texlive-fonts-recommended)
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
else
  echo "install ${packages[*]} (on Debian: sudo apt-get install ${packages[*]}) to compile the report's table" >&2
fi
