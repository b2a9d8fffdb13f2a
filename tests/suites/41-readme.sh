#!/usr/bin/env bash
# What README.md tells people to type works: the blocks marked `<!-- run: LANGUAGE -->`, unchanged.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
need node npm

mkdir "$scratch/bin" "$scratch/blocks"
ln -s "$harbor" "$scratch/bin/harbor"
PATH=$scratch/bin:$PATH
tests/readme/extract README.md "$scratch/blocks"
python=$(tests/sdk/python/run --python "$(tests/sdk/python/run --list | tail -n 1)")
# the newest package under the name that the text imports
mkdir -p "$scratch/project/node_modules/@daytonaio" "$scratch/project/node_modules/@daytona"
tests/sdk/typescript/run --install
modules=$repository/tests/sdk/typescript/node_modules
ln -s "$modules/$(tests/sdk/typescript/run --list | grep ^daytonaio- | sort -V | tail -n 1)" "$scratch/project/node_modules/@daytonaio/sdk"
ln -s "$modules/$(tests/sdk/typescript/run --list | grep ^daytona- | sort -V | tail -n 1)" "$scratch/project/node_modules/@daytona/sdk"

start_harbor
unset DAYTONA_API_URL DAYTONA_API_KEY
eval "$(harbor env)"

# One block; what it prints is shown when it fails, and it must print something.
run_block() {
  local block=$1 output
  cd "$scratch/project"
  case $block in
    *.python) output=$(timeout 120 "$python" "$block") ;;
    *.typescript)
      cp "$block" snippet.mts
      node "$modules/typescript/bin/tsc" --module nodenext --target es2023 --skipLibCheck --typeRoots "$modules/@types" snippet.mts &&
        output=$(timeout 120 node snippet.mjs)
      ;;
    *.sh) output=$(timeout 120 bash -euo pipefail "$block") ;;
    *) echo "nobody knows how to run ${block##*/}"; return 1 ;;
  esac || { echo "$output"; return 1; }
  [[ -n $output ]] || { echo "it printed nothing"; return 1; }
}

for block in "$scratch"/blocks/*; do check "README.md: ${block##*/}" run_block "$block"; done
# has NAME VERSION : a program of the default image, else a package of its Python
has() {
  local said; said=$(run "$id" "{ $1 --version || pip show $1; } 2>&1")
  grep -qE "(^|[^0-9.])${2//./\\.}([^0-9]|\$)" <<<"$said" || { echo "$said"; return 1; }
}
id=$(create)
listed=$(sed -n '/^<!-- default image -->/,/^$/s/^| `\([^`]*\)` | \([0-9.]*\) |$/\1 \2/p' "$repository/README.md")
while read -r name version; do check "README.md: the default image has $name $version" has "$name" "$version" </dev/null; done <<<"$listed"
for kind in python typescript sh; do check "README.md has a block to run for $kind" compgen -G "$scratch/blocks/*.$kind"; done
finish
