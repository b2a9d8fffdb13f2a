#!/usr/bin/env bash
# Every shell script of the repository passes shellcheck, and every Python program ruff, without a warning.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh
require_supported_system
ensure_command shellcheck shellcheck
ruff=$(scripts/dev/tool ruff)

# Files that are kept or about to be, with their first line, since most programs have no ending; deleted ones are still listed.
files() {
  git ls-files --cached --others --exclude-standard | while read -r file; do
    if [[ -f $file ]]; then printf '%s\t%s\n' "$file" "$(head -n 1 "$file" | tr -d '\0')"; fi
  done
}

passed=0 failed=0
# lint FILE COMMAND...
lint() { if "${@:2}" "$1"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi; }

while IFS=$'\t' read -r file first; do
  case $file:$first in
    *:'#!'*sh | *:'# shellcheck shell='*) lint "$file" shellcheck -x -S warning ;;
    *.py:* | *:'#!'*python3) lint "$file" "$ruff" check --quiet --no-cache ;;
  esac
done < <(files)
echo "$passed passed, $failed failed"
[[ $failed == 0 && $passed -gt 0 ]]
