#!/usr/bin/env bash
# Object storage as its clients use it: boto3, obstore, the client of the TypeScript SDKs and rclone, unchanged, over http
# and https on one port. With arguments: only these programs, by name, as in `tests/suites/24-object-storage.sh wire rclone`.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
ensure_command rclone rclone || die "rclone is needed, and could not be installed"
ensure_command openssl openssl || die "openssl is needed, and could not be installed"
tests/suites/s3/run --install

programs=("$@")
[[ $# -gt 0 ]] || mapfile -t programs < <(tests/suites/s3/run --list)
chosen() { [[ " ${programs[*]} " == *" $1 "* ]]; }
program() { say "--- $*"; count timeout --kill-after 10 $((900 * ${HARBOR_TEST_PATIENCE:-1})) tests/suites/s3/run "$1"; }
# the list of authorities is the system's, so changing it needs root
trust() { as_root env "HARBOR_DATA_DIR=$HARBOR_DATA_DIR" "$harbor" trust "$@"; }
believed() { curl --silent "https://$endpoint/" | grep -q AccessDenied; }
# 60: no authority that is trusted has signed it
disbelieved() { local code=0; curl --silent --output /dev/null "https://$endpoint/" || code=$?; [[ $code == 60 ]]; }
resident() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(cat "$HARBOR_DATA_DIR/lock")/status"; }

start_harbor
authority=$scratch/authority.pem
endpoint=localhost:$HARBOR_DAYTONA_MINIO_HOST_PORT
"$harbor" trust --print >"$authority"
check "the authority is a certificate" openssl x509 -in "$authority" -noout
check "it is one that signs others" grep -q 'CA:TRUE' <<<"$(openssl x509 -in "$authority" -noout -ext basicConstraints)"
check "it comes without its key" bash -c '! grep -q PRIVATE "$1"' - "$authority"
export HARBOR_TEST_URL=$url HARBOR_TEST_KEY=$key HARBOR_TEST_S3_AUTHORITY=$authority
HARBOR_TEST_S3_ACCESS_KEY=$("$harbor" config get daytona.minio_root_user)
HARBOR_TEST_S3_SECRET=$("$harbor" config get daytona.minio_root_password)
export HARBOR_TEST_S3_ACCESS_KEY HARBOR_TEST_S3_SECRET
check_equal "the owner is called as ever" minioadmin "$HARBOR_TEST_S3_ACCESS_KEY"
check "plain requests are answered" grep -q AccessDenied <<<"$(curl --silent "http://$endpoint/")"
check "encrypted ones are, on the same port" grep -q AccessDenied <<<"$(curl --silent --cacert "$authority" "https://$endpoint/")"

for scheme in http https; do
  export HARBOR_TEST_S3_URL=$scheme://$endpoint
  for name in buckets objects listing multipart checksums signatures wire rclone; do
    if chosen "$name"; then program "$name" "$scheme"; fi
  done
done
export HARBOR_TEST_S3_URL=http://$endpoint
for name in addresses temporary javascript; do
  if chosen "$name"; then program "$name"; fi
done

if chosen sdk_store; then
  check "the system does not trust it by itself" disbelieved
  program sdk_store untrusted
  trap 'status=$?; set +e; trust --remove >/dev/null 2>&1; (exit "$status"); clean_up' EXIT
  check "the system is told to" trust
  check "it does" believed
  export HARBOR_TEST_S3_TRUSTED=yes
  program sdk_store "obstore as pinned here"
  for version in $(tests/sdk/python/run --list); do
    if version_at_least "$version" 0.185; then
      HARBOR_TEST_S3_PYTHON=$(tests/sdk/python/run --python "$version") program sdk_store "obstore of SDK $version"
    fi
  done
  check "telling it twice changes nothing" trust
  check "it still does" believed
  check "it is told to forget" trust --remove
  check "it has" disbelieved
  check "forgetting twice is fine" trust --remove
fi

check "harbor is ready" "$harbor" status
check_equal "nothing panicked" "" "$(grep -rhF "panicked at" "$HARBOR_DATA_DIR/logs" | head -n 3)"
check_equal "no key led out" "" "$(find /tmp /etc "$HOME" -maxdepth 3 -name 'harbor-escaped*' -not -path "$scratch/*" 2>/dev/null)"
check "its memory is bounded ($(resident) MiB)" test "$(resident)" -lt 200
"$harbor" down >/dev/null
"$harbor" up --json --wait 300 >/dev/null
check "it comes back with the same authority" cmp "$authority" <("$harbor" trust --print)
finish
