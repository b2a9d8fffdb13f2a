#!/usr/bin/env bash
# The first minutes on a machine that has nothing but a base, Debian 12 and 13: `scripts/up` as root, `harbor up` as an
# ordinary user, and what both print is pasted, word for word, with whatever clients are there. The machine is a container
# with this repository, its build and Rust at their places, and the engine's socket.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
need rustup

socket=/var/run/docker.sock
group=$(stat -c %g "$socket")
machine=harbor-first-minutes-$$
chmod 755 "$scratch" # for the ordinary user
remove_machine() { docker rm --force "$machine" >/dev/null 2>&1 || true; }
trap 'status=$?; remove_machine; (exit "$status"); clean_up' EXIT

# The authorities and package indexes of this host, if it has any of its own.
surroundings=(--volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro)
for name in PIP_INDEX_URL http_proxy https_proxy no_proxy; do [[ -z ${!name:-} ]] || surroundings+=(--env "$name"); done
for file in /etc/apt/apt.conf.d/*proxy* /etc/pip.conf; do [[ ! -f $file ]] || surroundings+=(--volume "$file:$file:ro"); done
rust=$(rustup show home) crates=${CARGO_HOME:-$HOME/.cargo}
surroundings+=(--volume "$rust:$rust" --env RUSTUP_HOME="$rust" --volume "$crates:$crates" --env CARGO_HOME="$crates"
  --env PATH="$crates/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
[[ -z ${CARGO_TARGET_DIR:-} ]] || surroundings+=(--env CARGO_TARGET_DIR)

# start_machine RELEASE : what lies on it and is shared with the engine has the same path as here
start_machine() {
  scripts/base-image "$1"
  docker run --detach --init --name "$machine" --label harbor.test=1 --network host --pid host "${surroundings[@]}" \
    --volume "$socket:$socket" --volume "$repository:$repository" --volume "$target_directory:$target_directory" \
    --volume "$scratch:$scratch" --entrypoint sleep "harbor/debian:$1" infinity >/dev/null
}

# on_machine USER HOME COMMAND... : with this suite's ports
on_machine() {
  timeout 600 docker exec --user "$1" --env HOME="$2" --workdir "$2" "${ports[@]}" "$machine" "${@:3}" 2>&1
}

# What it says goes to $scratch/said.
noted() { on_machine "$@" >"$scratch/said" || { cat "$scratch/said"; return 1; }; }

# What is to be pasted of what was said: the search path, and what follows `Try it`.
to_paste() { sed -n 's/.*For this shell: //p; /^Try it:$/,$ { /^Try it:$/d; p }' "$1"; }

# pasted WHAT USER HOME CLIENT : the lines of $scratch/said use this client, and run
pasted() {
  local lines said; lines=$(to_paste "$scratch/said")
  check "$1 names $4" grep -qF "$4" <<<"$lines"
  said=$(on_machine "$2" "$3" bash -c "$lines" </dev/null) || true
  check "$1 runs as pasted" grep -qE 'hello from [0-9a-f-]{36}' <<<"$said"
  grep -qF 'hello from' <<<"$said" || printf '%s\n' "$lines" "$said"
}

first_minutes() {
  local release=$1 root=$scratch/$1 user=4321:$group home=$scratch/$1-user
  new_instance "$release/data"
  mapfile -t ports < <(compgen -e | grep '^HARBOR_DAYTONA_.*_PORT$' | while read -r name; do printf '%s\n' --env "$name=${!name}"; done)
  ports+=(--env "HARBOR_DATA_DIR=$HARBOR_DATA_DIR")
  mkdir -p "$root" "$home/bin"
  start_machine "$release"
  check "$release: scripts/up" noted 0 "$root" "$repository/scripts/up"
  check "$release: scripts/up says at most 60 lines" test "$(wc -l <"$scratch/said")" -le 60
  check "$release: and the time of each step" test "$(grep -cE '^\[[0-9]/4\] done in [0-9]+ s$' "$scratch/said")" = 3
  pasted "$release: what scripts/up says" 0 "$root" curl
  check "$release: harbor down" on_machine 0 "$root" "$harbor" down

  # an ordinary user, with a binary that is on no search path, and Python
  check "$release: Python" on_machine 0 "$root" apt-get install --yes --no-install-recommends python3-venv
  cp "$harbor" "$home/bin/harbor"
  chown -R 4321 "$home"
  ports=("${ports[@]:0:${#ports[@]}-2}")
  HARBOR_DATA_DIR=$home/.local/share/harbor
  instances+=("$HARBOR_DATA_DIR")
  check "$release: harbor up as an ordinary user" noted "$user" "$home" bin/harbor up
  pasted "$release: what harbor up says" "$user" "$home" 'python3 -m venv'
  check "$release: harbor down" on_machine "$user" "$home" bin/harbor down
  remove_machine
}

for release in bookworm trixie; do first_minutes "$release"; done
finish
