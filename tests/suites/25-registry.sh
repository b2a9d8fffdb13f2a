#!/usr/bin/env bash
# The registry of images as its clients use it: docker and skopeo, unchanged, and the specification request by request. An
# image that was pushed becomes a snapshot, by every name that documents have for the registry.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
ensure_command skopeo skopeo || die "skopeo is needed, and could not be installed"
scripts/base-image bookworm

start_harbor
port=$HARBOR_DAYTONA_REGISTRY_HOST_PORT
here=localhost:$port address=127.0.0.1:$port
authority=$scratch/authority.pem
"$harbor" trust --print >"$authority"
word=harbor-suite-$$

# build NAME LINE... : an image that says so
build() {
  { echo "FROM harbor/debian:bookworm"; printf '%s\n' "${@:2}"; } | docker build --quiet --tag "$1" - >/dev/null
  images+=("$1")
}
forget() { docker rmi --force "$@" >/dev/null; }
snapshot() { api POST /snapshots "{\"name\": \"$1\", \"imageName\": \"$2\"}" >/dev/null; }
stands() { same "$2" "$(api GET "/snapshots/$1" | field state)"; }
# made NAME : what a sandbox of this snapshot holds
made() { run "$(create "{\"snapshot\": \"$1\"}")" 'cat /made'; }
status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }
plain() { skopeo --insecure-policy "$1" --tls-verify=false "${@:2}"; }
copy() { skopeo --insecure-policy copy --quiet --src-tls-verify=false --dest-tls-verify=false "$@"; }
digest() { plain inspect --format '{{.Digest}}' "docker://$1"; }

say "--- the specification"
export HARBOR_TEST_REGISTRY=http://$here HARBOR_TEST_REGISTRY_ADDRESS=http://$address HARBOR_TEST_URL=$url HARBOR_TEST_KEY=$key
export PYTHONPATH=tests/suites/lib PYTHONDONTWRITEBYTECODE=1
for part in pull push discovery management access; do count python3 "tests/suites/registry/$part.py"; done
unset PYTHONPATH

say "--- without a login, from this machine"
check_equal "it is a registry" 200 "$(status "http://$here/v2/")"
check_equal "with TLS on the same port" 200 "$(status --cacert "$authority" "https://$here/v2/")"
check "an image is built" build "$here/daytona/app:v1" "RUN echo one-$word >/made"
check "docker pushes it" docker push --quiet "$here/daytona/app:v1"
pushed=$(digest "$here/daytona/app:v1")
check "it is gone from the engine" forget "$here/daytona/app:v1"
check "docker pulls it" docker pull --quiet "$here/daytona/app:v1"
check "and it is the same" grep -qF "$pushed" <<<"$(docker image inspect --format '{{.RepoDigests}}' "$here/daytona/app:v1")"
forget "$here/daytona/app:v1"
for name in daytona-registry:6000 registry:6000 localhost:6000 "$here" "$address"; do
  snapshot=${name//:/-}
  check "a snapshot is asked for as $name" snapshot "$snapshot" "$name/daytona/app:v1"
  check_within "it is had" 60 stands "$snapshot" active
  check_equal "under the name that was given" "$name/daytona/app:v1" "$(api GET "/snapshots/$snapshot" | field imageName)"
  images+=("$name/daytona/app:v1")
done
check_equal "a sandbox is made of it" "one-$word" "$(made daytona-registry-6000)"
check "one that nobody pushed is asked for" snapshot missing daytona-registry:6000/daytona/missing:v1
check_within "it is not had" 30 stands missing error
check "and it says what to do" grep -qF "docker push $address/daytona/missing:v1" <<<"$(api GET /snapshots/missing | field errorReason)"

say "--- as the command line of the official product pushes"
access=$(api GET /docker-registry/registry-push-access)
check_equal "the address is a host and a port" "$address" "$(field registryUrl <<<"$access")"
project=$(field project <<<"$access")
check_equal "without a login nobody gets at it" 401 "$(status "http://$address/v2/")"
check "its credentials log in" docker --config "$scratch/docker" login --username "$(field username <<<"$access")" \
  --password-stdin "$address" <<<"$(field secret <<<"$access")"
mine=$address/$project/org/app:20261130120000
check "an image is built" build "$mine" "RUN echo two-$word >/made"
check "docker pushes it" docker --config "$scratch/docker" push --quiet "$mine"
check "docker sees it there" docker --config "$scratch/docker" manifest inspect --insecure "$mine"
forget "$mine"
check "a snapshot is asked for" snapshot "$word/pushed:1" "$mine"
check_within "it is had" 60 stands "$word%2Fpushed:1" active
check_equal "a sandbox is made of it" "two-$word" "$(made "$word/pushed:1")"
check_equal "it is nobody's without a login" 401 "$(status "http://$here/v2/$project/org/app/tags/list")"
# something new: an engine does not push what is there
check "an image is built" build "$address/daytona/app:v2" "RUN echo other-$word >/made"
check "the credentials push to nothing else" bash -c '! docker --config "$1" push --quiet "$2"' - "$scratch/docker" "$address/daytona/app:v2"
built=$(api POST /sandbox "{\"buildInfo\": {\"dockerfileContent\": \"FROM $mine\\nRUN echo built >>/made\\n\"}}" | field id)
check_within "a build begins with it" 120 is "$built" started
check_equal "and is what it says" "two-$word"$'\n'built "$(run "$built" 'cat /made')"

say "--- skopeo"
check "it copies out of the registry" copy "docker://$here/daytona/app:v1" "dir:$scratch/copied"
check "and into it, the layers as they are" copy "dir:$scratch/copied" "docker://$here/daytona/again:v2"
check_equal "which is the same image" "$pushed" "$(digest "$here/daytona/again:v2")"
check "it copies an OCI image" copy --format oci "docker://$here/daytona/app:v1" "docker://$here/daytona/oci:v1"
check "of several, too" copy --all "docker://$here/daytona/oci:v1" "docker://$here/daytona/oci:v2"
check_equal "it lists tags" '["v1","v2"]' "$(plain list-tags "docker://$here/daytona/oci" | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["Tags"], separators=(",", ":")))')"
check "an API key logs in" plain inspect --creds "any:$key" "docker://$address/$project/org/app:20261130120000"
check "another password does not" bash -c '! skopeo --insecure-policy inspect --tls-verify=false --creds any:wrong "docker://$1"' - "$address/daytona/app:v1"
check "it removes an image" plain delete "docker://$here/daytona/oci:v2"
check "which is then gone" bash -c '! skopeo --insecure-policy inspect --tls-verify=false "docker://$1"' - "$here/daytona/oci:v1"

say "--- what is killed in between"
check "a large image is built" build "$here/daytona/large:v1" "RUN head -c 300000000 /dev/urandom >/large; echo three-$word >/made"
stored() { du --summarize --block-size=1M "$HARBOR_DATA_DIR/objects" | cut -f 1; }
grown() { (( $(stored) > $1 )); }
before=$(stored)
docker push --quiet "$here/daytona/large:v1" >"$scratch/push.log" 2>&1 &
push=$!
check_within "a part of it has come" 60 grown "$((before + 30))"
kill -9 "$(cat "$HARBOR_DATA_DIR/lock")"
wait "$push" || true
start_harbor
check_equal "nothing of it is seen" 404 "$(status "http://$here/v2/daytona/large/manifests/v1")"
check_equal "what was there is there" "$pushed" "$(digest "$here/daytona/app:v1")"
check "it is pushed again" docker push --quiet "$here/daytona/large:v1"
forget "$here/daytona/large:v1"
check "and pulled whole" docker pull --quiet "$here/daytona/large:v1"
check_equal "nothing panicked" "" "$(grep -rhF "panicked at" "$HARBOR_DATA_DIR/logs" | head -n 3)"
finish
