#!/usr/bin/env bash
# What a loss of power leaves. Not executable, so that scripts/test does not take it for a suite: it has two halves, of
# which each is half a story, and only scripts/dev/vm-check can cut the power in between.
#
#   bash tests/suites/70-power-cut.sh before      ends with `cut WORD...` and waits: this is the moment
#   bash tests/suites/70-power-cut.sh after WORD...
#
# Runs on the caller's own installation: the default directory and ports.
# Nothing is flushed but what is written and synced in sandboxes and what harbor flushes itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
export HARBOR_WARM_POOL_SIZE=0 # containers are counted

# shellcheck disable=SC2086 # names without blanks
unset HARBOR_DATA_DIR ${!HARBOR_DAYTONA_*}
HARBOR_DATA_DIR=$HOME/.local/share/harbor # for this shell alone: harbor is not told
instances=()                              # what is left here is for the other half
patience=30 # seconds, times HARBOR_TEST_PATIENCE

up() {
  check "harbor up" "$harbor" up --wait 300
  key=$("$harbor" config get daytona.admin_api_key)
  url=http://localhost:$("$harbor" config get daytona.host_port)
  proxy_url=http://localhost:$("$harbor" config get daytona.proxy.host_port)
}
containers() { on_engine containers label=harbor.role=sandbox "$@"; }
known() { api GET '/sandbox?limit=200' | field items | python3 -c 'import json, sys; print(*sorted(item["id"] for item in json.load(sys.stdin)), sep="\n")'; }
gone() { ! api GET "/sandbox/$1"; }

# make JSON : the id of a sandbox that is started
make() {
  local id
  id=$(api POST /sandbox "$1" | field id) && within "$patience" is "$id" started && echo "$id"
}
# new NAME : asks for one of a size that nothing is kept ready for
new() { api POST /sandbox '{"name": "'"$1"'", "snapshot": "daytonaio/sandbox:v0.185.0-amd64", "cpu": 1, "memory": 2, "disk": 7}'; }
# fill ID BYTES : writes and syncs a file, prints its digest
fill() { run "$1" "head -c $2 /dev/urandom >/home/daytona/kept && sync /home/daytona/kept /home/daytona && sha256sum </home/daytona/kept | cut -d ' ' -f 1"; }
digest() { run "$1" "sha256sum </home/daytona/kept | cut -d ' ' -f 1"; }

before() {
  local running stopped deleted accepted number digests=()
  up
  running=$(make '{"name": "running"}')
  digests+=("$(fill "$running" 5000000)")
  check "a running sandbox's file is written and synced" [ ${#digests[0]} = 64 ]

  stopped=$(make '{"name": "stopped"}')
  digests+=("$(fill "$stopped" 1000)")
  check "a second one's as well" [ ${#digests[1]} = 64 ]
  api POST "/sandbox/$stopped/stop" >/dev/null
  check_within "which is then stopped" "$patience" is "$stopped" stopped

  deleted=$(make '{"name": "deleted"}')
  api DELETE "/sandbox/$deleted" >/dev/null
  check_within "a third one is deleted" "$patience" gone "$deleted"

  # caught before the answer comes, which is often only once it is started
  new accepted >/dev/null 2>&1 &
  check_within "one is being created" "$patience" is accepted creating
  accepted=$(api GET /sandbox/accepted | field id)
  finish
  for number in 1 2 3; do new "in-flight-$number" >/dev/null 2>&1 & done
  sleep 1 # so that harbor has heard of them
  echo "cut $key $running ${digests[0]} $stopped ${digests[1]} $deleted $accepted"
  wait
  sleep 300
}

# Whether every sandbox that is stopped sleeps: a clean-up takes it for one that runs.
all_asleep() {
  local id
  for id in $(known); do
    [[ $(state "$id") != stopped ]] || [[ $(docker inspect --format '{{.State.Paused}}' "harbor-$id") == true ]] || { echo "$id is not"; return 1; }
  done
}
engine_is_up() { docker version --format '{{.Server.Version}}'; }
intact() { python3 - "$HARBOR_DATA_DIR/harbor.db" <<'END_PYTHON'
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
found = database.execute("PRAGMA integrity_check").fetchall() + database.execute("PRAGMA foreign_key_check").fetchall()
sys.exit(found != [("ok",)] and str(found))
END_PYTHON
}
# Neither moving nor broken.
settled() { [[ $(state "$1") =~ ^(started|stopped)$ ]] || { api GET "/sandbox/$1"; return 1; }; }
ended() { [[ $(state "$1") =~ ^(stopped|error)$ ]] || { state "$1"; return 1; }; }
# Every sandbox is told as started whose container runs, and no other.
states_are_true() {
  local told run
  told=$(api GET '/sandbox?limit=200' | field items | python3 -c 'import json, sys; print(*sorted(item["id"] for item in json.load(sys.stdin) if item["state"] == "started"), sep="\n")')
  run=$(containers status=running | xargs --no-run-if-empty docker inspect --format '{{index .Config.Labels "harbor.sandbox"}}' | sort)
  # kept ready for somebody, and so nobody's
  run=$(comm -12 <(echo "$run") <(known))
  same "$told" "$run"
}
# Each sandbox has one container, and each container a sandbox or is kept ready.
each_has_one() { same "$(known)" "$(comm -12 <(containers | xargs --no-run-if-empty docker inspect --format '{{index .Config.Labels "harbor.sandbox"}}' | sort) <(known))"; }

after() {
  local key_before=$1 running=$2 digest_running=$3 stopped=$4 digest_stopped=$5 deleted=$6 creating=$7 id
  check_within "the engine is up" "$patience" engine_is_up
  check_equal "no sandbox runs before harbor does" "" "$(containers status=running)"
  up
  check_equal "the same key is in force" "$key_before" "$key"
  check "the database is intact" intact
  check_within "what ran is told as ended" "$patience" ended "$running"
  check_equal "what was stopped is stopped" stopped "$(state "$stopped")"
  check "what was deleted is gone" gone "$deleted"
  check "what was accepted is known" grep -qx "$creating" <(known)
  for id in $(known); do
    [[ $id == "$running" ]] || check_within "$(api GET "/sandbox/$id" | field name) settles" "$patience" settled "$id"
  done
  check "harbor up on a running harbor" "$harbor" up
  check_within "all states are true" "$patience" states_are_true
  check_within "every sandbox has its container" "$patience" each_has_one
  check_within "all that are stopped sleep" "$patience" all_asleep
  check "a clean-up of the engine" docker system prune --all --force --volumes
  for id in $(known); do
    [[ $(state "$id") == started ]] || api POST "/sandbox/$id/start" >/dev/null
    check_within "$(api GET "/sandbox/$id" | field name) is started" "$patience" is "$id" started
    check_equal "and runs commands" here "$(run "$id" "echo here")"
  done
  check_equal "the file of the one that ran is there" "$digest_running" "$(digest "$running")"
  check_equal "the file of the one that was stopped is there" "$digest_stopped" "$(digest "$stopped")"
  id=$(make '{"name": "afterwards"}')
  check_equal "a new one can be made" here "$(run "$id" "echo here")"
  check "doctor finds nothing that does not work" "$harbor" doctor

  for id in $(known); do api DELETE "/sandbox/$id" >/dev/null; done
  none_left() { same "" "$(known)"; }
  check_within "all can be deleted" "$patience" none_left
  check "harbor down" "$harbor" down
  finish
}

case ${1:-} in
  before) before ;;
  after) shift; [[ $# == 7 ]] || die "needs the words that came after cut"; after "$@" ;;
  *) usage; exit 2 ;;
esac
