#!/usr/bin/env bash
# Requests that no proper client sends: each is refused as it should be, and harbor stays as it was.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

start_harbor
id=$(create '{"name": "bystander"}')
count python3 tests/suites/lib/malformed.py "$url" "$proxy_url" "$key" "$id"
check "harbor is ready" "$harbor" status
check_equal "the bystander works" fine "$(run "$id" "echo fine")"
check_equal "no sandbox was made by mistake" 1 "$(api GET /sandbox | field items | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
resident=$(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(cat "$HARBOR_DATA_DIR/lock")/status")
check "its memory is bounded ($resident MiB)" test "$resident" -lt 200
finish
