#!/usr/bin/env bash
# `harbor prune`: what it says first is what it then removes, the disk gets as much back, and what somebody needs stays.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
scripts/base-image bookworm

start_harbor
registry=localhost:$HARBOR_DAYTONA_REGISTRY_HOST_PORT storage=http://127.0.0.1:$HARBOR_DAYTONA_MINIO_HOST_PORT
secret=$("$harbor" config get daytona.minio_root_password)
organization=$(api GET /organizations | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
word=harbor-prune-$$

# s3 METHOD PATH [CURL-OPTION...] : signed by the owner
s3() {
  curl --silent --show-error --fail-with-body --max-time 60 --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
    --aws-sigv4 aws:amz:us-east-1:s3 --user "minioadmin:$secret" --request "$1" "${@:3}" "$storage/$2"
}
# prune OPTION... : what it tells of all kinds that it has something of
prune() {
  "$harbor" prune --json --older-than 0s "$@" | python3 -c '
import json, sys
for kind in json.load(sys.stdin)["kinds"]:
    if kind["count"]: print(kind["kind"], kind["count"], kind["bytes"], sep="\t")'
}
of() { awk -F '\t' -v kind="$1" -v column="$2" '$1 == kind { print $column }' <<<"$told"; }
stored() { du --summarize --bytes "$HARBOR_DATA_DIR/objects/blobs" | cut -f 1; }
gone() { (( $(stored) <= $1 )); }
push() {
  { echo "FROM harbor/debian:bookworm"; echo "RUN head -c $2 /dev/urandom >/made; echo $word"; } |
    docker build --quiet --tag "$registry/daytona/$1" - >/dev/null
  images+=("$registry/daytona/$1")
  docker push --quiet "$registry/daytona/$1" >/dev/null
}
built_here() { docker image ls --quiet --filter "label=harbor.built-by=$(cat "$HARBOR_DATA_DIR/instance")" 'daytona-*:daytona' | sort --unique | wc -l; }
# context DIGEST BYTES : an archive of nothing, which ends in zeros
context() { head -c "$2" /dev/zero >"$scratch/context"; s3 PUT "$bucket/$organization/$1/context.tar" --data-binary "@$scratch/context"; }

say "--- what nobody needs"
told=$(prune --dry-run)
check_equal "there is nothing at first" "" "$told"
check "an image is pushed" push kept:v1 3000000
check "another one" push moved:v1 5000000
check "whose tag then means a third one" push moved:v1 1000000
# build BYTES [CONTEXT] : the id of a sandbox of an image of its own
build() {
  local dockerfile="FROM harbor/debian:bookworm\\nRUN head -c $1 /dev/urandom >/built; echo $word\\n"
  api POST /sandbox "{\"buildInfo\": {\"dockerfileContent\": \"$dockerfile\", \"contextHashes\": [${2:+\"$2\"}]}}" | field id
}
bucket=$(s3 GET "" | grep -oE '<Name>[^<]+' | head -n 1 | cut -d '>' -f 2)
used=900150983cd24fb0d6963f7d28e17f72 unused=d41d8cd98f00b204e9800998ecf8427e
check "files are uploaded for an image" context "$used" 1000000
kept=$(build 7000000) lost=$(build 9000000 "$used")
for id in "$kept" "$lost"; do check_within "a sandbox is made of an image of its own" 120 is "$id" started; done
check "one of them is deleted" api DELETE "/sandbox/$lost"
status() { curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 --header "Authorization: Bearer $key" "$url/api$1"; }
is_gone() { same 404 "$(status "/sandbox/$lost")"; }
check_within "and gone" 30 is_gone
check "something is uploaded for an image that nobody builds" context "$unused" 2000000
check "and a file of a user's" s3 PUT "$bucket/$organization/notes.txt" --data-binary kept
upload=$(s3 POST "$bucket/big?uploads=" | grep -oE '<UploadId>[^<]+' | cut -d '>' -f 2)
head -c 6000000 /dev/urandom >"$scratch/part"
check "an upload is begun" s3 PUT "$bucket/big?partNumber=1&uploadId=$upload" --data-binary "@$scratch/part"
location=$(curl --silent --include --request POST "http://$registry/v2/daytona/half/blobs/uploads/" | tr -d '\r' | sed -n 's/^location: //Ip')
check "and a push" curl --silent --fail --request PATCH --data-binary "@$scratch/context" --header 'Content-Type: application/octet-stream' "http://$registry$location"
sleep 0.1

say "--- what is said, what is removed"
check_equal "what was needed within the hour is kept" "there is nothing to remove" "$("$harbor" prune --dry-run | tail -n 1)"
told=$(prune --dry-run)
echo "$told"
check_equal "it is told again, since nothing went" "$told" "$(prune --dry-run)"
check_equal "one built image" 1 "$(of 'built images' 2)"
# an engine may count the blocks that it takes
check "of its own layer" test "$(of 'built images' 3)" -ge 9000000 -a "$(of 'built images' 3)" -lt 9500000
check_equal "one image of the registry" 1 "$(of 'registry images' 2)"
# its configuration and its own layer: the base is the third one's, too
check_equal "and its blobs" 2 "$(of 'registry blobs' 2)"
check "of its own layer" test "$(of 'registry blobs' 3)" -ge 5000000 -a "$(of 'registry blobs' 3)" -lt 5100000
check_equal "one push" $'1\t2000000' "$(of 'registry pushes' 2)"$'\t'"$(of 'registry pushes' 3)"
check_equal "one upload" $'1\t6000000' "$(of 'uploads in parts' 2)"$'\t'"$(of 'uploads in parts' 3)"
# that of the image that goes, and that of none
check_equal "two contexts" $'2\t3000000' "$(of 'build contexts' 2)"$'\t'"$(of 'build contexts' 3)"
check_equal "and nothing else" 6 "$(wc -l <<<"$told")"
before=$(stored)
removed=$(prune)
check_equal "just that is removed" "$told" "$removed"
again=$(prune)
check_equal "and then there is nothing" "" "$again"
check_equal "one built image is left" 1 "$(built_here)"
bytes=$(awk -F '\t' '$1 != "built images" { sum += $3 } END { print sum }' <<<"$told")
check_within "the disk gets back what was said" 120 gone "$((before - bytes))"

say "--- what somebody needs"
check_equal "the sandbox runs" 7000000 "$(run "$kept" 'stat -c %s /built')"
docker rmi --force "$registry/daytona/kept:v1" >/dev/null
check "the image is pulled" docker pull --quiet "$registry/daytona/kept:v1"
check_equal "the file is there" kept "$(s3 GET "$bucket/$organization/notes.txt")"

say "--- what is refused"
refused() { local code=0; "$harbor" prune "$@" || code=$?; [[ $code == "${expected:-1}" ]]; }
expected=2 check "a time that is none" refused --older-than soon
expected=2 check "orphans of some age" refused --orphans --older-than 1d
check_equal "there are no orphans" "there are no orphans" "$("$harbor" prune --orphans --dry-run)"
"$harbor" down >/dev/null
check "a harbor that does not run" refused --dry-run
check "which says what to do" grep -qF 'harbor up' <<<"$("$harbor" prune --dry-run 2>&1 || true)"
finish
