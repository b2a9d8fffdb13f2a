#!/usr/bin/env bash
# This harbor with the toolbox of the build before it: a sandbox that runs while harbor is replaced keeps its toolbox until
# its next start (design D4a). The newest Python SDK works there as well. Arguments go to pytest, for example -k files.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
export HARBOR_WARM_POOL_SIZE=0 # one that waits would have the toolbox from before the exchange
need git tar
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

image=daytonaio/sandbox:v0.185.0-amd64
areas=(test_code_run.py test_files.py test_git.py test_interpreter.py test_ports.py test_process.py test_pty.py test_sessions.py)

# exchange BINARY : what starts from now on runs this toolbox; harbor looks only when it starts itself
exchange() {
  local instance name script
  instance=$(cat "$HARBOR_DATA_DIR/instance")
  name=harbor-previous-$$
  # shellcheck disable=SC2016 # for the shell inside
  script='set -e
    cp -a "/v/$(readlink /v/current)" /v/previous
    install -m 755 /tmp/harbor-toolbox /v/previous/harbor-toolbox
    ln -s previous /v/.exchanged
    mv -T /v/.exchanged /v/current'
  docker create --name "$name" --label harbor.test=1 --label "harbor.instance=$instance" --network none --user root \
    --volume "harbor-toolbox-$instance:/v" --entrypoint sh "$image" -c "$script" >/dev/null
  docker cp "$1" "$name:/tmp/harbor-toolbox"
  docker start --attach "$name"
  docker rm "$name" >/dev/null
}

differs() { [[ -n $1 && -n $2 && $1 != "$2" ]] || { echo "$1 and $2"; return 1; }; }

hash_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# toolbox_of ID : the hash of what its process 1 runs; only root may look
toolbox_of() {
  local process; process=$(docker inspect --format '{{.State.Pid}}' "harbor-$1")
  as_root sha256sum "/proc/$process/exe" | cut -d ' ' -f 1
}

status=0
previous=$(scripts/dev/previous-toolbox) || status=$?
# A clone without its history cannot build it; that is no fault of this harbor.
if [[ $status == 3 ]]; then
  say "NOT RUN"
  echo "0 passed, 0 failed"
  exit
fi
[[ $status == 0 ]] || die "the previous toolbox was not built"

version=$(tests/sdk/python/run --list | tail -n 1)
tests/sdk/python/run --python "$version" >/dev/null
start_harbor
old=$(hash_of "$previous")
new=$(toolbox_of "$(create)")
check "the two builds differ" differs "$old" "$new"
exchange "$previous"
id=$(create)
check_equal "a new sandbox has the previous one" "$old" "$(toolbox_of "$id")"
# the asynchronous client sends the same
count tests/sdk/python/run "$version" "${areas[@]}" -k 'not async' -m 'not newer_toolbox' "$@"

# harbor starts anew and brings its own; who runs keeps the old one
"$harbor" down >/dev/null
start_harbor
check_equal "a running sandbox keeps its toolbox" "$old" "$(toolbox_of "$id")"
check_equal "and is served" "still here" "$(run "$id" 'echo still here')"
api POST "/sandbox/$id/stop" >/dev/null
check_within "it stops" 60 is "$id" stopped
api POST "/sandbox/$id/start" >/dev/null
check_within "and starts again" 60 is "$id" started
check_equal "with this build's toolbox" "$new" "$(toolbox_of "$id")"
finish
