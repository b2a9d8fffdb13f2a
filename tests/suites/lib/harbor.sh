# shellcheck shell=bash
# shellcheck disable=SC2034 # names used by those who source this
# A harbor of a suite's own: temporary data directory, free ports, and nothing left behind. Sourced by suites that run
# in the repository.
#
# Guarantees: nothing of the caller's installation or environment is read; whatever was made on the engine carries this
# instance's label and is removed at the end, however the suite ends; a missing tool ends the suite with a failure.

# shellcheck source=scripts/lib.sh
source scripts/lib.sh

passed=0 failed=0 finished=''
scratch=$(mktemp -d /tmp/harbor-suite.XXXXXX)
harbor=$(realpath -m "${HARBOR_BINARY:-$target_directory/debug/harbor}")
instances=() # data directories that a harbor may run on
images=()    # of the suite's own, removed after the containers that are made of them

need() {
  local tool
  for tool in "$@"; do have "$tool" || die "$tool is needed and not on PATH"; done
}

forget_environment() {
  local name
  for name in $(compgen -e); do
    case $name in
      HARBOR_BINARY | HARBOR_TOOLBOX_BINARY | HARBOR_GIT_BINARY | HARBOR_INFRA_BINARY | HARBOR_TEST_*) ;;
      HARBOR_* | DAYTONA_*) unset "$name" ;;
    esac
  done
}

# free_ports N : that many, each on a line, of which nobody listens
free_ports() {
  python3 - "$1" <<'END'
import socket, sys
held = []
while len(held) < int(sys.argv[1]):
    four = socket.create_server(("127.0.0.1", 0))
    try:
        six = socket.create_server(("::1", four.getsockname()[1]), family=socket.AF_INET6)
    except OSError:
        continue
    held.append((four, six))
for four, _ in held:
    print(four.getsockname()[1])
END
}

# Points the commands that follow at a new data directory and five free ports.
new_instance() {
  local ports
  mapfile -t ports < <(free_ports 5)
  export HARBOR_DATA_DIR=$scratch/$1
  export HARBOR_DAYTONA_HOST_PORT=${ports[0]} HARBOR_DAYTONA_PROXY_HOST_PORT=${ports[1]}
  export HARBOR_DAYTONA_SSH_HOST_PORT=${ports[2]} HARBOR_DAYTONA_REGISTRY_HOST_PORT=${ports[3]}
  export HARBOR_DAYTONA_MINIO_HOST_PORT=${ports[4]}
  instances+=("$HARBOR_DATA_DIR")
}

# Starts it, and sets url, proxy_url, key and what the SDKs read.
start_harbor() {
  "$harbor" up --json --wait 300 >"$scratch/up.json" || die "harbor up failed"
  url=http://localhost:$HARBOR_DAYTONA_HOST_PORT
  proxy_url=http://localhost:$HARBOR_DAYTONA_PROXY_HOST_PORT
  key=$("$harbor" config get daytona.admin_api_key)
  export DAYTONA_API_URL=$url/api DAYTONA_API_KEY=$key
}

# What lies on the engine with this instance's label: `containers`, `volumes` or `networks`, and further filters.
on_engine() {
  local what=$1 filters=(--filter "label=harbor.instance=$(cat "$HARBOR_DATA_DIR/instance")") filter
  for filter in "${@:2}"; do filters+=(--filter "$filter"); done
  case $what in
    containers) docker ps --all --quiet --no-trunc "${filters[@]}" ;;
    volumes) docker volume ls --quiet "${filters[@]}" ;;
    networks) docker network ls --quiet "${filters[@]}" ;;
  esac
}

# Stops the harbor of HARBOR_DATA_DIR and removes all that it made.
remove_instance() {
  [[ -d $HARBOR_DATA_DIR ]] || return 0
  "$harbor" down >/dev/null 2>&1 || kill -9 "$(cat "$HARBOR_DATA_DIR/lock")" 2>/dev/null || true
  if [[ -s $HARBOR_DATA_DIR/instance ]]; then
    on_engine containers | xargs --no-run-if-empty docker rm --force --volumes >/dev/null 2>&1 || true
    on_engine volumes | xargs --no-run-if-empty docker volume rm --force >/dev/null 2>&1 || true
    on_engine networks | xargs --no-run-if-empty docker network rm >/dev/null 2>&1 || true
    docker image ls --quiet --filter "label=harbor.built-by=$(cat "$HARBOR_DATA_DIR/instance")" |
      xargs --no-run-if-empty docker rmi --force >/dev/null 2>&1 || true
  fi
}

clean_up() {
  local status=$? directory
  trap - EXIT
  if [[ $status != 0 && -z $finished ]]; then show_log; fi
  for directory in "${instances[@]}"; do HARBOR_DATA_DIR=$directory remove_instance; done
  if [[ ${#images[@]} -gt 0 ]]; then docker rmi --force "${images[@]}" >/dev/null 2>&1 || true; fi
  rm -rf "$scratch" 2>/dev/null || as_root rm -rf "$scratch"
  exit "$status"
}

show_log() {
  local log
  for log in "$scratch"/*/logs/*.log; do
    if [[ -s $log ]]; then
      say "the end of $log:"
      tail -n "${HARBOR_TEST_LOG_LINES:-15}" "$log" | cut -c -600 >&2
    fi
  done
}

# Succeeds when no sandbox is left; else says which, and what the log has of each.
no_sandbox_left() {
  local left id
  left=$(api GET '/sandbox?limit=200' | python3 -c '
import json, sys
for one in json.load(sys.stdin)["items"]:
    print(*(one.get(key) for key in ("id", "name", "createdAt", "snapshot", "state", "desiredState", "errorReason")))') || return 1
  [[ -n $left ]] || return 0
  echo "$left"
  while read -r id _; do grep -h --fixed-strings "$id" "$HARBOR_DATA_DIR"/logs/*.log | tail -n 20 | cut -c -300; done <<<"$left"
  return 1
}

# check WHAT COMMAND... : counts whether it succeeds; its output is shown when it does not
check() {
  local what=$1 output
  if output=$("${@:2}" 2>&1); then
    passed=$((passed + 1))
    echo "ok: $what"
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n%s\n' "$what" "$output"
  fi
}

# check_equal WHAT EXPECTED ACTUAL
check_equal() { check "$1" same "$2" "$3"; }
same() { [[ $1 == "$2" ]] || { printf 'expected %q\n     got %q\n' "$1" "$2"; return 1; }; }

# check_within WHAT SECONDS COMMAND... : repeats it until it succeeds. HARBOR_TEST_PATIENCE multiplies the seconds, for
# machines that are emulated.
check_within() { check "$1" within "${@:2}"; }
within() {
  local deadline=$((SECONDS + $1 * ${HARBOR_TEST_PATIENCE:-1})) output
  shift
  until output=$("$@" 2>&1); do
    (( SECONDS < deadline )) || { echo "$output"; return 1; }
    sleep 0.1
  done
}

# count COMMAND... : adds up every `N passed, N failed` that it prints; it fails at least once if the command fails
count() {
  local log=$scratch/counted.log status=0 totals bad
  "$@" 2>&1 | tee "$log" || status=$?
  totals=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log" | awk '{ good += $1; bad += $2 } END { print good + 0, bad + 0 }')
  bad=${totals#* }
  if [[ ($status != 0 && $bad == 0) || $totals == "0 0" ]]; then bad=$((bad + 1)); fi
  passed=$((passed + ${totals% *})) failed=$((failed + bad))
}

# count_at_once COMMAND NAME... : counts COMMAND NAME for every name, all at the same time; each tells what it said once
# it has ended. They mostly wait, so two processors serve several.
count_at_once() {
  local command=$1 name log status
  local -A processes
  shift
  for name in "$@"; do
    "$command" "$name" >"$(log_of "$name")" 2>&1 &
    processes[$name]=$!
  done
  for name in "$@"; do
    status=0
    wait "${processes[$name]}" || status=$?
    say "--- $name"
    count told "$status" "$(log_of "$name")"
  done
}

log_of() { echo "$scratch/${1//\//-}.log"; }

# told STATUS LOG : a command that has ended, as it said and ended
told() { cat "$2"; return "$1"; }

# The last line and exit code of a suite.
finish() {
  [[ $failed == 0 ]] || show_log
  finished=yes
  echo "$passed passed, $failed failed"
  [[ $failed == 0 && $passed -gt 0 ]] || exit 1
}

# api METHOD PATH [JSON] : the body; fails, with the body, unless the status is 2xx
api() {
  local body=()
  [[ $# -lt 3 ]] || body=(--header 'Content-Type: application/json' --data "$3")
  curl --silent --show-error --fail-with-body --max-time 90 --request "$1" --header "Authorization: Bearer $key" "${body[@]}" "$url/api$2"
}

# field NAME : one field of the JSON object on standard input
field() { python3 -c 'import json, sys; value = json.load(sys.stdin)[sys.argv[1]]; print(value if isinstance(value, str) else json.dumps(value))' "$1"; }

# create [JSON] : the id of a new sandbox that is started
create() {
  local id
  id=$(api POST /sandbox "${1:-"{}"}" | field id) || return 1
  within 60 is "$id" started || return 1
  echo "$id"
}
state() { api GET "/sandbox/$1" | field state; }
is() { same "$2" "$(state "$1")"; }

# run ID COMMAND : what it prints in the sandbox
run() {
  local body; body=$(python3 -c 'import json, sys; print(json.dumps({"command": sys.argv[1]}))' "$2")
  curl --silent --show-error --fail-with-body --max-time 60 --header "Authorization: Bearer $key" --header 'Content-Type: application/json' \
    --data "$body" "$proxy_url/toolbox/$1/process/execute" | field result
}

need docker curl python3 flock
[[ -x $harbor ]] || die "there is no $harbor: scripts/build makes it"
forget_environment
trap clean_up EXIT
trap 'exit 130' INT TERM
new_instance data
