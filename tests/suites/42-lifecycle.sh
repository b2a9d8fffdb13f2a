#!/usr/bin/env bash
# What an installation survives: kill -9, a copied binary, a second start, a taken port, no engine.
#
# HARBOR_TEST_MAY_RESTART_DOCKER=1 also restarts the engine, which ends everybody's containers: only for machines that
# are nobody else's. Any other value is the command that restarts it; of several lines each is one, and all are tried.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
export HARBOR_WARM_POOL_SIZE=0 # containers are counted

containers() { on_engine containers "label=harbor.role=sandbox"; }
process() { cat "$HARBOR_DATA_DIR/lock"; }
not() { ! "$@"; }

# Ends harbor as a power loss would.
kill_harbor() {
  local pid; pid=$(process)
  kill -9 "$pid"
  within 10 not kill -0 "$pid" 2>/dev/null
}

# refuses PATTERN COMMAND... : fails, in a single line on standard error, which matches; what a slow start tells of its
# progress before that has no part in it
refuses() {
  local pattern=$1 said
  shift
  if said=$("$@" 2>&1 >/dev/null); then echo "it succeeded"; return 1; fi
  said=$(grep -vxE 'opening ports|opening the database|asking the engine' <<<"$said")
  [[ $(wc -l <<<"$said") == 1 ]] || { printf 'not one line:\n%s\n' "$said"; return 1; }
  [[ $said =~ $pattern ]] || { printf 'does not match %s:\n%s\n' "$pattern" "$said"; return 1; }
}

say "--- kill -9 with three sandboxes"
start_harbor
ids=()
for number in 1 2 3; do
  id=$(create "{\"name\": \"survivor-$number\"}")
  run "$id" "echo $number >~/number; sleep 7654 >/dev/null 2>&1 &" >/dev/null
  ids+=("$id")
done
before=$(containers | sort)
check_equal "three sandboxes are three containers" 3 "$(wc -l <<<"$before")"
kill_harbor
check_equal "they outlive it" "$before" "$(containers | sort)"
start_harbor
for number in 1 2 3; do
  id=${ids[number - 1]}
  check "survivor-$number is started" is "$id" started
  check_equal "its file and its process are there" "$number
1" "$(run "$id" "cat ~/number; pgrep -cfx 'sleep 7654'")"
done
check_equal "no container was made or lost" "$before" "$(containers | sort)"
check_equal "the same key is in force" "$key" "$("$harbor" config get daytona.admin_api_key)"

say "--- kill -9 in the middle of things"
api POST "/sandbox/${ids[0]}/stop" >/dev/null
api DELETE "/sandbox/${ids[1]}" >/dev/null
kill_harbor
start_harbor
check_within "the stop is brought to its end" 15 is "${ids[0]}" stopped
check_within "the delete is brought to its end" 15 not api GET "/sandbox/${ids[1]}"
api POST "/sandbox/${ids[0]}/start" >/dev/null
check_within "the stopped one starts again" 30 is "${ids[0]}" started
check_equal "with its file" 1 "$(run "${ids[0]}" "cat ~/number")"
# creates that nobody waits for any more
for number in 1 2 3 4; do api POST /sandbox "{\"name\": \"cut-off-$number\"}" >/dev/null 2>&1 & done
sleep 0.15
kill_harbor
wait
start_harbor
settled() {
  local states; states=$(api GET '/sandbox?limit=200' | field items | python3 -c 'import json, sys; print(*sorted({item["state"] for item in json.load(sys.stdin)}))')
  same started "$states"
}
check_within "whatever was accepted is started" 60 settled
known() { api GET '/sandbox?limit=200' | field items | python3 -c 'import json, sys; print(*sorted(item["id"] for item in json.load(sys.stdin)), sep="\n")'; }
labelled() { containers | xargs --no-run-if-empty docker inspect --format '{{index .Config.Labels "harbor.sandbox"}}' | sort; }
no_orphans() { same "$(known)" "$(labelled)"; }
check_within "every container is a sandbox's and the other way round" 30 no_orphans

say "--- a sandbox that dies"
docker kill "$(on_engine containers label=harbor.role=sandbox "label=harbor.sandbox=${ids[0]}")" >/dev/null
dead() { [[ $(state "${ids[0]}") =~ ^(stopped|error)$ ]] || { state "${ids[0]}"; return 1; }; }
check_within "is seen within five seconds" 5 dead
sleep 2
check "and is not started unasked" dead

say "--- two starts"
first=$(process)
check "harbor up on a running harbor" "$harbor" up --json
check_equal "leaves it as it is" "$first" "$(process)"
check "a second process on one data directory names the first" refuses "$first.*harbor down" "$harbor" up --foreground
check_equal "which still runs" "$first" "$(process)"
check "harbor down" "$harbor" down
check "harbor down again" "$harbor" down
check_equal "running sandboxes keep running without harbor" true \
  "$(docker inspect --format '{{.State.Running}}' "$(on_engine containers label=harbor.role=sandbox "label=harbor.sandbox=${ids[2]}")")"
start_harbor
check_within "and are adopted" 10 is "${ids[2]}" started
check_equal "with their processes" 1 "$(run "${ids[2]}" "pgrep -cfx 'sleep 7654'")"

# restart_engine COMMAND : by COMMAND, or as this machine is run
restart_engine() {
  if [[ $1 != 1 ]]; then eval "$1"
  elif [[ -d /run/systemd/system ]]; then as_root systemctl restart docker
  else
    local pid; pid=$(pidof dockerd)
    as_root kill -9 "$pid"
    within 10 not kill -0 "$pid" 2>/dev/null
    as_root rm -f /var/run/docker.pid
    start_engine
  fi
}
# Whether each sandbox is told to be what the engine says it is: `started` while its container runs, else `stopped`.
told_truly() {
  local id found
  for id in $(known); do
    found=$(docker inspect --format '{{.State.Status}}' "$(on_engine containers label=harbor.role=sandbox "label=harbor.sandbox=$id")") || return 1
    case $found:$(state "$id") in
    running:started | exited:stopped | paused:stopped) ;; # what sleeps is paused
    *) echo "$id: $found, told $(state "$id")"; return 1 ;;
    esac
  done
}
if [[ -n ${HARBOR_TEST_MAY_RESTART_DOCKER:-} ]]; then
  while IFS= read -r restart <&3; do
    say "--- the engine is restarted: $restart"
    for id in $(known); do [[ $(state "$id") == started ]] || api POST "/sandbox/$id/start" >/dev/null; done
    check_within "all are started before" 60 settled
    before=$(known)
    run "${ids[2]}" "echo kept >~/kept; sync" >/dev/null
    restart_engine "$restart"
    check_within "five seconds later every state is true" 5 told_truly
    check_equal "no sandbox was lost" "$before" "$(known)"
    check "harbor still runs" "$harbor" status
    check_equal "those that died are not started unasked" stopped "$(state "${ids[2]}")"
    for id in $(known); do [[ $(state "$id") == started ]] || api POST "/sandbox/$id/start" >/dev/null; done
    check_within "all start again when asked" 60 settled
    check_equal "with their files" "3
kept" "$(run "${ids[2]}" "cat ~/number ~/kept")"
    check_within "no container was made or lost" 30 no_orphans
    check_within "a new one can be made" 60 create
  done 3<<<"$HARBOR_TEST_MAY_RESTART_DOCKER"
fi

say "--- nothing stays"
for id in $(known); do api DELETE "/sandbox/$id" >/dev/null; done
none_left() { same "" "$(containers)"; }
check_within "every deleted sandbox's container is gone" 30 none_left
"$harbor" down >/dev/null

say "--- the binary alone"
mkdir "$scratch/alone"
cp "$harbor" "$scratch/alone/harbor"
(
  harbor=$scratch/alone/harbor
  cd "$scratch/alone"
  new_instance alone-data
  start_harbor
  id=$(create)
  check_equal "a copied binary makes sandboxes" "out of nothing" "$(run "$id" "echo out of nothing")"
  remove_instance
  echo "$passed $failed" >"$scratch/counts"
) || echo "$passed $((failed + 1))" >"$scratch/counts"
read -r passed failed <"$scratch/counts"

say "--- what is in the way is named"
# a listener that this suite holds
python3 -c 'import socket, sys, time; held = socket.create_server(("127.0.0.1", int(sys.argv[1]))); time.sleep(60)' \
  "$HARBOR_DAYTONA_HOST_PORT" &
holder=$!
within 5 bash -c ": >/dev/tcp/127.0.0.1/$HARBOR_DAYTONA_HOST_PORT"
check "a taken port" refuses "$HARBOR_DAYTONA_HOST_PORT.*" "$harbor" up
check "its message names key or holder" refuses "host[_-]port|process $holder" "$harbor" up
kill "$holder"
wait "$holder" 2>/dev/null || true
check "no engine" env DOCKER_HOST=unix:///nonexistent bash -c "$(declare -f refuses); refuses '/nonexistent' '$harbor' up"
check "no harbor is left behind" not "$harbor" status
check "and with the cause gone it starts" "$harbor" up --json
finish
