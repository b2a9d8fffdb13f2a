#!/usr/bin/env bash
# What harbor adds to the toolbox's own answers: a log followed without a WebSocket (contract, toolbox §1.4), and the
# command `daytona` inside a sandbox (§4.1).
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

# toolbox METHOD URL [JSON] : the body; fails, with the body, unless the status is 2xx
toolbox() {
  local body=()
  [[ $# -lt 3 ]] || body=(--header 'Content-Type: application/json' --data "$3")
  curl --silent --show-error --fail-with-body --max-time 90 --request "$1" --header "Authorization: Bearer $key" "${body[@]}" "$2"
}

# follow BASE : the second line of the log is written only once the first has come through
follow() {
  local session=s-$RANDOM command logs=$scratch/followed follower order
  toolbox POST "$1/process/session" "{\"sessionId\": \"$session\"}" || return 1
  order='{"command": "echo a; read go; echo b >&2", "runAsync": true, "suppressInputEcho": true}'
  command=$1/process/session/$session/command/$(toolbox POST "$1/process/session/$session/exec" "$order" | field cmdId) || return 1
  : >"$logs"
  curl --silent --no-buffer --max-time 90 --header "Authorization: Bearer $key" --header 'X-Daytona-SDK-Version: 0.190.0' \
    "$command/logs?follow=true" >"$logs" &
  follower=$!
  within 60 holds "$logs" a || return 1
  toolbox POST "$command/input" '{"data": "go"}' || return 1
  wait "$follower" || return 1
  holds "$logs" $'a\nb'
}
holds() { same "$2" "$(cat "$1")"; }

# speaking IMAGE : sets id to a started sandbox of that image, with an entrypoint that says something on both streams; of
# a harbor of its own, whose default snapshot this is
speaking() {
  local reference=harbor-suite-speaks:$$-${#images[@]}
  docker build --quiet --label harbor.test=1 --tag "$reference" - >"$scratch/build.log" 2>&1 <<END || die "$(cat "$scratch/build.log")"
FROM $1
ENTRYPOINT ["sh", "-c", "echo out; echo err >&2; exec sleep infinity"]
END
  images+=("$reference")
  new_instance "speaks-${#images[@]}"
  HARBOR_DAYTONA_DEFAULT_SNAPSHOT=$reference start_harbor
  id=$(create)
}

# shows ID PREFIX : `daytona entrypoint logs`, started with PREFIX, shows both streams and goes on
shows() {
  # not those of the call before, which are there until the shell behind it has emptied them
  local script="rm -f /tmp/out /tmp/err; $2 daytona entrypoint logs >/tmp/out 2>/tmp/err & shown=\$!
    until grep -qs out /tmp/out && grep -qs err /tmp/err; do sleep 0.1; done
    kill \$shown && cat /tmp/out && echo / && cat /tmp/err"
  same $'out\n/\nerr' "$(run "$1" "$script")"
}

scripts/base-image bookworm
start_harbor
id=$(create)
check "a log is followed at the proxy" follow "$proxy_url/toolbox/$id"
check "and on the older path of the API" follow "$url/api/toolbox/$id/toolbox"
check "the stream is no text with markers" same application/octet-stream "$(
  toolbox POST "$proxy_url/toolbox/$id/process/session" '{"sessionId": "type"}'
  command=$(toolbox POST "$proxy_url/toolbox/$id/process/session/type/exec" '{"command": "echo a"}' | field cmdId)
  curl --silent --max-time 60 --output /dev/null --write-out '%{content_type}' --header "Authorization: Bearer $key" \
    "$proxy_url/toolbox/$id/process/session/type/command/$command/logs?follow=true")"

check "the command \`daytona\` knows no other words" same 1 "$(run "$id" 'daytona list >/dev/null 2>&1; printf $?')"
say "--- inside the default image"
speaking daytonaio/sandbox:v0.185.0-amd64
check "the entrypoint's output is shown" shows "$id" ''
# a login shell, or sudo, has no path of ours
check "also with the system's path alone" shows "$id" 'env PATH=/usr/local/bin:/usr/bin:/bin'
say "--- inside another image"
speaking harbor/debian:bookworm
check "the entrypoint's output is shown there" shows "$id" ''
finish
