#!/usr/bin/env bash
# What attackers try from a sandbox, from the network and from the host: each attempt fails for the attacker.
#
# Every file tests/attack/*.py is one attack; it is run by itself against this suite's harbor and says what it tried.
# With arguments: only these, by name, as in `tests/suites/45-attack.sh lease keys`.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

mapfile -t attacks < <(cd tests/attack && ls -- *.py)
[[ $# -eq 0 ]] || attacks=("${@/%/.py}")
if [[ " ${attacks[*]} " == *" web_origin.py "* ]]; then
  ensure_command chromium chromium || die "chromium is needed, and could not be installed"
fi
start_harbor
export HARBOR_TEST_URL=$url HARBOR_TEST_PROXY_URL=$proxy_url HARBOR_TEST_KEY=$key HARBOR_TEST_BINARY=$harbor
bystander=$(create '{"name": "bystander"}')
for attack in "${attacks[@]}"; do
  say "--- $attack"
  count timeout --kill-after 10 $((600 * ${HARBOR_TEST_PATIENCE:-1})) python3 -B "tests/attack/$attack"
  check "$attack: harbor is ready afterwards" "$harbor" status
  check_equal "$attack: a bystander works afterwards" fine "$(run "$bystander" "echo fine")"
done
check_equal "nothing panicked" "" "$(grep -rhF "panicked at" "$HARBOR_DATA_DIR/logs" | head -n 3)"
finish
