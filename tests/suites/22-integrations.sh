#!/usr/bin/env bash
# Published integrations of others, unchanged: langchain-daytona and @mastra/daytona, every tool and method, without a
# model. With arguments: only these.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

names=("$@")
[[ $# -gt 0 ]] || mapfile -t names < <(tests/integrations/run --list)
for name in "${names[@]}"; do tests/integrations/run --install "$name"; done
start_harbor
for name in "${names[@]}"; do
  say "--- $name"
  count tests/integrations/run "$name"
done
check_within "no sandbox is left" 60 no_sandbox_left
finish
