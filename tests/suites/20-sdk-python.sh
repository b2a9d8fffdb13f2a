#!/usr/bin/env bash
# The official Python SDK, unchanged: every pinned version, synchronous and asynchronous; those before 0.185 with a
# short flow, synchronous only. With arguments: only these.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

# clients send build contexts over https alone, and believe no authority but those of the system
trust() { as_root env "HARBOR_DATA_DIR=$HARBOR_DATA_DIR" "$harbor" trust "$@"; }

versions=("$@")
[[ $# -gt 0 ]] || mapfile -t versions < <(tests/sdk/python/run --list)
oldest=() newer=()
for version in "${versions[@]}"; do
  tests/sdk/python/run --python "$version" >/dev/null
  if version_at_least "$version" 0.185; then newer+=("$version"); else oldest+=("$version"); fi
done
scripts/dev/python-base
start_harbor
trap 'status=$?; set +e; trust --remove >/dev/null 2>&1; (exit "$status"); clean_up' EXIT
check "the system trusts this harbor" trust
# first: no client of these reads a list in which a sandbox is paused, and the flows of the newer ones pause some
count_at_once tests/sdk/python/run "${oldest[@]}"
count_at_once tests/sdk/python/run "${newer[@]}"
check_within "no sandbox is left" 60 no_sandbox_left
finish
