#!/usr/bin/env bash
# A short pass of random operations and faults, with two seeds that stay the same (scripts/chaos/run says what it does).
# What a longer one finds (just chaos) belongs into a test of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
ensure_command strace strace || die "strace is needed, and could not be installed"
exec scripts/chaos/run --short
