#!/usr/bin/env bash
# All of harbor as a user who has just been made: in the engine's group, without sudo, with an empty home. Needs root, to
# make that user, who is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
need getent runuser useradd userdel
python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

socket=${DOCKER_HOST:-unix:///var/run/docker.sock} socket=${socket#unix://}
[[ $(rights) != none ]] || die "needs root or sudo, to make a user"
group=$(stat -c %G "$socket")
[[ $group != root ]] || die "$socket is for root alone"

user=harbor-test-$$ home=/home/harbor-test-$$

# Only what a login would give, and this suite's ports; the data directory is the default one.
as_user() {
  as_root runuser -u "$user" -- env -i -C "$home" HOME="$home" USER="$user" LANG=C.UTF-8 PATH="$home/bin:/usr/local/bin:/usr/bin:/bin" \
    ${DOCKER_HOST:+DOCKER_HOST="$DOCKER_HOST"} "${ports[@]}" "$@"
}
user_clean_up() {
  local status=$?
  trap - EXIT
  (ended "$status"; clean_up) || true
  if getent passwd "$user" >/dev/null; then
    as_root userdel --remove "$user" 2>/dev/null || { as_root userdel "$user"; as_root rm -rf "$home"; }
  fi
  exit "$status"
}
ended() { return "$1"; }
not() { ! "$@"; }
# but for what has ended and not been collected yet
nothing_runs() { same "" "$(ps -o stat=,pid=,args= -u "$user" | grep -v '^Z')"; }

mapfile -t ports < <(compgen -e | grep '^HARBOR_DAYTONA_.*_PORT$' | while read -r name; do echo "$name=${!name}"; done)
trap user_clean_up EXIT
as_root useradd --create-home --home-dir "$home" --user-group --groups "$group" --shell /bin/bash "$user"
export HARBOR_DATA_DIR=$home/.local/share/harbor
instances=("$HARBOR_DATA_DIR")
as_root install -D --owner "$user" "$harbor" "$home/bin/harbor"

check_equal "the user is in its own group and the engine's" "$user $group" "$(as_user id --groups --name)"
check "the user may not become root" not as_user sudo --non-interactive true

say "--- up"
check "harbor up" as_user harbor up --json --wait 300
check "harbor status" as_user harbor status
check "harbor ps" as_user harbor ps
check_equal "the process is the user's" "$user" "$(ps -o user:32= -p "$(as_root cat "$HARBOR_DATA_DIR/lock")")"
check_equal "its directory is closed to others" "$user 700" "$(as_root stat -c '%U %a' "$HARBOR_DATA_DIR")"
check_equal "so are its keys" "" "$(as_root find "$HARBOR_DATA_DIR/keys" \( -perm /077 -o -not -user "$user" \) -type f)"
key=$(as_user harbor config get daytona.admin_api_key)
url=http://localhost:$(as_user harbor config get daytona.host_port)
check "doctor finds nothing that does not work" as_user harbor doctor
# what another user could try
check "another user cannot read the key" not as_root runuser -u nobody -- cat "$HARBOR_DATA_DIR/config.toml" "$HARBOR_DATA_DIR"/keys/*

say "--- the official SDK, run by that user"
version=$(tests/sdk/python/run --list | tail -n 1)
installed=$(tests/sdk/python/run --python "$version")
installed=${installed%/bin/python}
# what is installed for the caller is out of the user's sight, and so may be the repository
as_root mkdir -p "$home/.cache/harbor/sdk" "$home/repository/tests/sdk"
as_root cp -r "$installed" "$home/.cache/harbor/sdk/"
as_root cp -r scripts "$home/repository/"
as_root cp -r tests/sdk/python "$home/repository/tests/sdk/"
as_root chown -R "$user" "$home/.cache" "$home/repository"
count as_user DAYTONA_API_URL="$url/api" DAYTONA_API_KEY="$key" "$home/repository/tests/sdk/python/run" "$version" \
  test_lifecycle.py test_process.py test_files.py test_copies.py

say "--- down"
check_within "no sandbox is left" 60 no_sandbox_left
check "harbor down" as_user harbor down
check_within "nothing runs as the user any more" 5 nothing_runs
check "and it starts again" as_user harbor up --json --wait 60
check_equal "with the same key" "$key" "$(as_user harbor config get daytona.admin_api_key)"
check "harbor down again" as_user harbor down
# nothing in there may belong to somebody else in a way that keeps its owner from removing it
as_root cp "$HARBOR_DATA_DIR/instance" "$scratch/instance"
check "the user can remove the whole directory" as_user rm -rf "$HARBOR_DATA_DIR"
as_root install -D "$scratch/instance" "$HARBOR_DATA_DIR/instance" # by which the engine is cleaned
finish
