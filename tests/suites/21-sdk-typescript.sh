#!/usr/bin/env bash
# The official TypeScript SDKs, unchanged: every pinned package. With arguments: only these.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

packages=("$@")
[[ $# -gt 0 ]] || mapfile -t packages < <(tests/sdk/typescript/run --list)
scripts/dev/python-base
start_harbor
count_at_once tests/sdk/typescript/run "${packages[@]}"
finish
