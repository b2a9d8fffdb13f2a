#!/usr/bin/env bash
# The quick start of the Harbor skill (contract, edges §10.5 steps 1 to 3 and 5) as its document has it: curl, python3
# and harbor, nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

mkdir "$scratch/bin"
ln -s "$harbor" "$scratch/bin/harbor"
PATH=$scratch/bin:$PATH
cd "$scratch"

check "harbor up daytona" harbor up daytona
check "harbor ps | grep daytona" bash -c 'harbor ps | grep daytona'

# from here on the document's own lines
API_KEY=$(harbor config get daytona.admin_api_key)
AUTH="Authorization: Bearer $API_KEY"
API="http://localhost:$(harbor config get daytona.host_port)"

SANDBOX_ID=$(curl -s -X POST "$API/api/sandbox" -H "$AUTH" -H "Content-Type: application/json" \
  -d '{
    "snapshot": "daytonaio/sandbox:v0.185.0-amd64",
    "user": "daytona",
    "cpu": 2,
    "memory": 4,
    "disk": 10,
    "autoStopInterval": 30
  }' | python3 -c "import sys,json; print(json.load(sys.stdin)['id'])")
check "create answers an id" [ -n "$SANDBOX_ID" ]

poll() {
  local STATE=""
  while [ "$STATE" != "started" ]; do
    STATE=$(curl -s "$API/api/sandbox/$SANDBOX_ID" -H "$AUTH" | python3 -c "import sys,json; print(json.load(sys.stdin)['state'])")
    [ "$STATE" = "started" ] || sleep 2
  done
}
export API AUTH SANDBOX_ID
export -f poll
check "it becomes started" timeout $((60 * ${HARBOR_TEST_PATIENCE:-1})) bash -c poll

sizes() { curl -s "$API/api/sandbox/$SANDBOX_ID" -H "$AUTH" | python3 -c "import sys,json; s=json.load(sys.stdin); print(s['cpu'], s['memory'], s['disk'], s['autoStopInterval'], s['user'])"; }
check_equal "it has the sizes asked for" "2 4 10 30 daytona" "$(sizes)"
check "the list holds it" grep -q "$SANDBOX_ID" <(curl -s "$API/api/sandbox" -H "$AUTH")

TBOX="$API/api/toolbox/$SANDBOX_ID/toolbox"
execute() {
  curl -s -X POST "$TBOX/process/execute" -H "$AUTH" -H "Content-Type: application/json" -d "$1" |
    python3 -c "import sys,json; a=json.load(sys.stdin); print(a['exitCode'], a['result'], end='')"
}
check "ls -la /home/daytona" grep -q '^0 total' <(execute '{"command": "ls -la /home/daytona"}')
check_equal "its processors and memory are those asked for" "0 2 4294967296" \
  "$(execute '{"command": "if [ -f /sys/fs/cgroup/cpu.max ]; then set -- $(tr \"\\n\" \" \" </sys/fs/cgroup/cpu.max) $(cat /sys/fs/cgroup/memory.max); echo $(($1 / $2)) $3; else echo $(($(cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us) / $(cat /sys/fs/cgroup/cpu/cpu.cfs_period_us))) $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes); fi"}')"

echo "from the host" >local-file.txt
curl -s -X POST "$TBOX/files/upload?path=/home/daytona" -H "$AUTH" -F "file=@local-file.txt" >upload.txt
curl -s "$TBOX/files?path=/home/daytona" -H "$AUTH" >files.json
check "the uploaded file is listed" grep -q '"local-file.txt"' files.json
check_equal "and comes back" "from the host" "$(curl -s "$TBOX/files/download?path=/home/daytona/local-file.txt" -H "$AUTH")"

STATE() { curl -s "$API/api/sandbox/$SANDBOX_ID" -H "$AUTH" | python3 -c "import sys,json; print(json.load(sys.stdin).get('state'))"; }
state_is() { same "$1" "$(STATE)"; }
curl -s -X POST "$API/api/sandbox/$SANDBOX_ID/stop" -H "$AUTH" >stop.json
check_within "stop" 30 state_is stopped
curl -s -X POST "$API/api/sandbox/$SANDBOX_ID/start" -H "$AUTH" >start.json
check_within "start" 30 state_is started
check_equal "its files are still there" "from the host" "$(curl -s "$TBOX/files/download?path=/home/daytona/local-file.txt" -H "$AUTH")"
curl -s -X DELETE "$API/api/sandbox/$SANDBOX_ID" -H "$AUTH" >delete.json
check_within "delete" 30 state_is None

check "harbor down daytona" harbor down daytona
finish
