#!/usr/bin/env bash
# `scripts/up --check` on systems with nothing but a base: freshly debootstrapped Debian 12 and 13, and the default image
# as "a machine with an engine and an ordinary user". What is missing must be listed exactly, within two seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

passed=0 failed=0
name=harbor-up-check-$$
arguments=(--rm --name "$name" --label harbor.test=1 --volume "$repository:/harbor:ro" --env CARGO_TARGET_DIR=/tmp/target)
trap 'docker rm -f "$name" >/dev/null 2>&1 || true' EXIT

# inside IMAGE COMMAND [DOCKER ARGUMENT...] : prints what the command prints, then its exit code
inside() {
  local image=$1 command=$2
  timeout 60 docker run "${arguments[@]}" "${@:3}" --entrypoint bash "$image" -c "{ $command; } 2>&1; echo \"exit \$?\""
}

# check WHAT EXPECTED ACTUAL
check() {
  if [[ $2 == "$3" ]]; then
    passed=$((passed + 1))
    echo "ok: $1"
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n' "$1"
    diff <(echo "$2") <(echo "$3") || true
  fi
}

missing() { grep -E '^  missing |^exit ' | sed -E 's/ +/ /g; s/^ //'; }
no_network=(--network none)

for suite in bookworm trixie; do scripts/base-image "$suite"; done

check "Debian 12, nothing there" "missing C compiler packages gcc libc6-dev
missing curl package curl
missing Rust no cargo on PATH; needs rustup
missing Docker engine packages docker.io iptables, then started
missing Docker client comes with the engine
missing default image pulled or built once an engine answers
missing harbor built from source, about 6 minutes on two cores
exit 1" "$(inside harbor/debian:bookworm '/harbor/scripts/up --check' "${no_network[@]}" | missing)"

check "Debian 13, nothing there" "missing C compiler packages gcc libc6-dev
missing curl package curl
missing Rust no cargo on PATH; needs rustup
missing Docker engine packages docker.io docker-cli iptables, then started
missing Docker client comes with the engine
missing default image pulled or built once an engine answers
missing harbor built from source, about 6 minutes on two cores
exit 1" "$(inside harbor/debian:trixie '/harbor/scripts/up --check' "${no_network[@]}" | missing)"

check "the list takes less than two seconds" "exit 0" \
  "$(inside harbor/debian:trixie 'SECONDS=0; timeout 2 /harbor/scripts/up --check >/dev/null; (( $? == 1 ))' "${no_network[@]}")"

check "without rights and with --no-install: the commands" "to do by hand:
  - sudo apt-get update && sudo apt-get install -y gcc libc6-dev curl docker.io iptables
  - sudo systemctl enable --now docker (without systemd: sudo dockerd)
  - install Rust: https://rustup.rs
exit 1" "$(inside harbor/debian:bookworm '/harbor/scripts/up --no-install' "${no_network[@]}" --user 1234 --env HOME=/tmp | sed -n '/^to do/,$p')"

check "without rights: one command to have run" "needs packages, and there is neither root nor sudo here. Have somebody run:
  apt-get update && apt-get install -y gcc libc6-dev curl docker.io iptables
exit 1" "$(inside harbor/debian:bookworm /harbor/scripts/up "${no_network[@]}" --user 1234 --env HOME=/tmp | sed -n '/^needs packages/,$p')"

# on ID VERSION NAME COMMAND : the command on a base that says it is another system
on() {
  inside harbor/debian:bookworm "printf 'ID=%s\nVERSION_ID=%s\nPRETTY_NAME=\"%s\"\n' $1 $2 '$3' >/etc/os-release; $4" "${no_network[@]}"
}
advice="use Debian 12 or 13 or Ubuntu 22.04 or later"
check "Fedora is refused in one sentence" "up: Fedora 42 is not supported by these scripts: $advice (a virtual machine will do)
exit 1" "$(on fedora 42 'Fedora 42' /harbor/scripts/up)"
check "Debian 11 is refused in one sentence" "up: Debian 11 is not supported by these scripts: $advice (a virtual machine will do)
exit 1" "$(on debian 11 'Debian 11' /harbor/scripts/up)"
check "Ubuntu 20.04 is refused in one sentence" "up: Ubuntu 20.04 is too old: $advice
exit 1" "$(on ubuntu 20.04 'Ubuntu 20.04' /harbor/scripts/up)"
for version in 22.04 26.04; do
  check "Ubuntu $version is supported" "present system Ubuntu $version" \
    "$(on ubuntu $version "Ubuntu $version" '/harbor/scripts/up --check' | sed -nE 's/^  present  system +([^,]*),.*/present system \1/p')"
done

# an engine and a user: the test of the engine is its answer, whatever client there is
socket=/var/run/docker.sock
group=$(stat -c %g "$socket")
engine=$(docker version --format '{{.Server.Version}}, API {{.Server.APIVersion}}')
check "an engine that answers a user of its group, without a client" "present Docker engine $engine
missing Docker client package docker.io" \
  "$(inside daytonaio/sandbox:v0.185.0-amd64 '/harbor/scripts/up --check' --volume "$socket:$socket" --user 1000 --group-add "$group" --env HOME=/tmp |
    sed -nE 's/ +/ /g; s/^ ((present|missing) Docker)/\1/p')"
check "an engine that does not answer this user" "missing Docker engine runs, but its socket is not for daytona: joins group docker, which is as good as root" \
  "$(inside daytonaio/sandbox:v0.185.0-amd64 '/harbor/scripts/up --check' --volume "$socket:$socket" --user 1000 --env HOME=/tmp |
    sed -nE 's/ +/ /g; s/^ ((present|missing) Docker engine)/\1/p')"
# shellcheck disable=SC2016 # expands inside
check "a client without an engine" "missing Docker engine packages docker.io iptables, then started" \
  "$(inside daytonaio/sandbox:v0.185.0-amd64 'mkdir /tmp/bin; printf "#!/bin/sh\necho 28.2.2\n" >/tmp/bin/docker; chmod +x /tmp/bin/docker; PATH=/tmp/bin:$PATH /harbor/scripts/up --check' |
    sed -nE 's/ +/ /g; s/^ ((present|missing) Docker engine)/\1/p')"

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
