#!/usr/bin/env bash
# What attackers try from a sandbox, from the network and from the host: each attempt fails for the attacker.
#
# Every file tests/attack/*.py is one attack; it is run by itself against this suite's harbor and says what it tried.
# HARBOR_TEST_ATTACK=NAME runs tests/attack/NAME.py alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

ensure_command chromium chromium || die "chromium is needed, and could not be installed"
start_harbor
export HARBOR_TEST_URL=$url HARBOR_TEST_PROXY_URL=$proxy_url HARBOR_TEST_KEY=$key HARBOR_TEST_BINARY=$harbor
bystander=$(create '{"name": "bystander"}')
for attack in tests/attack/${HARBOR_TEST_ATTACK:-*}.py; do
  say "--- ${attack##*/}"
  count timeout --kill-after 10 600 python3 -B "$attack"
  check "${attack##*/}: harbor is ready afterwards" "$harbor" status
  check_equal "${attack##*/}: a bystander works afterwards" fine "$(run "$bystander" "echo fine")"
done
check_equal "nothing panicked" "" "$(grep -rhF "panicked at" "$HARBOR_DATA_DIR/logs" | head -n 3)"
finish
