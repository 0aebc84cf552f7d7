#!/bin/bash
# SPDX-License-Identifier: MIT
# set_up.sh SOURCE FOLDER: installs what package-lock.json names into FOLDER, unless it is there already.
set -euo pipefail
mkdir -p "$2"
for need in node npm chromium; do
    command -v "$need" >/dev/null || { echo "set_up.sh: $need is not installed" >&2; exit 1; }
done
if ! cmp -s "$1/package-lock.json" "$2/installed.json"; then
    rm -f "$2/installed.json"
    cp "$1/package.json" "$1/package-lock.json" "$2"
    npm ci --prefix "$2" --ignore-scripts --no-audit --no-fund
    cp "$1/package-lock.json" "$2/installed.json"
fi
