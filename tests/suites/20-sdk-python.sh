#!/usr/bin/env bash
# The official Python SDK, unchanged: every pinned version, synchronous and asynchronous. With arguments: only these.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

none_left() { same '[]' "$(api GET /sandbox | field items)"; }

versions=("$@")
[[ $# -gt 0 ]] || mapfile -t versions < <(tests/sdk/python/run --list)
for version in "${versions[@]}"; do tests/sdk/python/run --python "$version" >/dev/null; done
start_harbor
count_at_once tests/sdk/python/run "${versions[@]}"
check_within "no sandbox is left" 20 none_left
finish
