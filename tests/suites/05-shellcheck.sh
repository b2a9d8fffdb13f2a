#!/usr/bin/env bash
# Every shell script of the repository passes shellcheck without a warning.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
require_supported_system
ensure_command shellcheck shellcheck

passed=0 failed=0
while read -r file; do
  if shellcheck -x -S warning "$file"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(git ls-files --cached --others --exclude-standard | while read -r file; do
  # by the first line, since most scripts have no ending; deleted ones are still listed
  if [[ -f $file ]] && head -n 1 "$file" | grep -aqE '^#!.*\b(ba)?sh$|^# shellcheck shell='; then echo "$file"; fi
done)
echo "$passed passed, $failed failed"
[[ $failed == 0 && $passed -gt 0 ]]
