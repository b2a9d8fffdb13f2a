#!/usr/bin/env bash
# A registry that asks for a password: nothing is had from it without a login, and snapshots and builds are with one.
# The registry is Debian's own package, on the loopback.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
ensure_command docker-registry docker-registry || die "docker-registry is needed, and could not be installed"
ensure_command htpasswd apache2-utils || die "htpasswd is needed, and could not be installed"

registry=localhost:$(free_ports 1)
password=secret-$RANDOM$RANDOM
serve() {
  htpasswd -Bbn somebody "$password" >"$scratch/htpasswd"
  cat >"$scratch/registry.yml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $scratch/registry}}
http: {addr: "127.0.0.1:${registry##*:}"}
auth: {htpasswd: {realm: test, path: $scratch/htpasswd}}
END
  docker-registry serve "$scratch/registry.yml" >"$scratch/registry.log" 2>&1 &
  server=$!
}

# push TAG : an image that says so, and is then nowhere but in the registry
push() {
  local image=$registry/team/app:$1
  docker build --quiet --tag "$image" - >/dev/null <<END || return 1
FROM harbor/debian:bookworm
RUN echo $1-$$ >/made
END
  docker --config "$scratch/docker" push --quiet "$image" || return 1
  docker rmi "$image" >/dev/null
}

snapshot() { api POST /snapshots "{\"name\": \"$1\", \"imageName\": \"$registry/team/app:$2\"}" >/dev/null; }
stands() { same "$2" "$(api GET "/snapshots/$1" | field state)"; }
says() { api GET "/snapshots/$1" | field errorReason | grep -qiE "$2"; }

scripts/base-image bookworm
serve
trap 'status=$?; set +e; kill "$server" 2>/dev/null; (exit "$status"); clean_up' EXIT
check_within "the registry answers" 10 curl --silent --output /dev/null "http://$registry/v2/"
check "somebody logs in" docker --config "$scratch/docker" login --username somebody --password-stdin "$registry" <<<"$password"
for tag in one two three; do check "an image is pushed: $tag" push "$tag"; done
start_harbor

check "a snapshot is asked for" snapshot without one
check_within "it is not had without a login" 60 stands without error
check "and says why" says without "auth|denied|unauthorized"
id=$(api POST /docker-registry "{\"name\": \"mine\", \"url\": \"http://$registry/\", \"username\": \"somebody\", \"password\": \"$password\"}" | field id)
check "the registry is shown without its password" bash -c "! grep -qF '$password'" <<<"$(api GET "/docker-registry/$id")"
check "a snapshot is asked for with a login" snapshot with one
check_within "it is had" 120 stands with active
sandbox=$(create '{"snapshot": "with"}')
check_equal "a sandbox is made of it" "one-$$" "$(run "$sandbox" 'cat /made')"
built=$(api POST /sandbox "{\"buildInfo\": {\"dockerfileContent\": \"FROM $registry/team/app:two\\nRUN echo built >>/made\\n\"}}" | field id)
check_within "a build takes its base from there" 120 is "$built" started
check_equal "and is what it says" $'two-'"$$"$'\nbuilt' "$(run "$built" 'cat /made')"

check "another password is set" api PATCH "/docker-registry/$id" "{\"name\": \"mine\", \"url\": \"$registry\", \"username\": \"somebody\", \"password\": \"wrong\"}"
check "a snapshot is asked for with a wrong one" snapshot wrong three
check_within "it is not had" 60 stands wrong error
check "the login is forgotten" api DELETE "/docker-registry/$id"
check_equal "nothing that harbor writes has the password" "" "$(grep -rlF "$password" "$HARBOR_DATA_DIR" || true)"
for name in without with wrong; do api DELETE "/snapshots/$name" >/dev/null; done
for tag in one two three; do images+=("$registry/team/app:$tag"); done
finish
