#!/usr/bin/env bash
# The recorded answers of the reference server, against harbor's API. Arguments go to replay-api, for example
# --only 'sandbox-create/*'.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

# an image with a shell that needs no registry
base_image=harbor/debian:bookworm
scripts/base-image bookworm
start_harbor
count scripts/dev/replay-api --base "$DAYTONA_API_URL" --proxy "$proxy_url" --var "KEY=$key" --var "BASEIMAGE=$base_image" \
  --except tests/contract/replay-api-exceptions.txt "$@" tests/contract/recordings/api-*.json
finish
