#!/usr/bin/env bash
# The same toolbox in the default image, in a busybox, in an empty image with one program, and under an image's own user:
# every route, against the answers that the contract asks for. Arguments go to tests/images/run, for example --only scratch.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

for tool in docker python3; do have "$tool" || die "$tool is needed and not on PATH"; done
locate_embedded
toolbox=${HARBOR_TOOLBOX_BINARY:-$toolbox_binary}
[[ -s $toolbox ]] || die "there is no $toolbox: scripts/build --embedded makes it"

# Debian's static busybox, from its package: nothing is installed, no rights are needed.
busybox=$cache/busybox/bin/busybox
if [[ ! -x $busybox ]]; then
  mkdir -p "$cache/busybox"
  (cd "$cache/busybox" && apt-get -q download busybox-static 2>&1 && dpkg-deb --extract busybox-static_*.deb .) ||
    die "could not fetch the package busybox-static; apt-get update may be needed"
fi
scripts/base-image bookworm
tests/images/run --toolbox "$toolbox" --busybox "$busybox" "$@"
