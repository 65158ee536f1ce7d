#!/usr/bin/env bash
# What the tests of the report's page need besides Python: Chromium, and axe-core from npm.
# As root on Debian it installs them; elsewhere it says what to install. Tests that miss something skip and say so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
missing=()
command -v chromium >/dev/null || missing+=(chromium)
[ -f node_modules/axe-core/axe.min.js ] || command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "install ${missing[*]} (on Debian: sudo apt-get install ${missing[*]}) to test the report's page in a browser" >&2
    exit 0
  fi
fi
[ -f node_modules/axe-core/axe.min.js ] || npm install --silent --no-save --no-package-lock --no-audit --no-fund axe-core@4.14.1
