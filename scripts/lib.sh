# shellcheck shell=bash
# shellcheck disable=SC2034 # names used by those who source this
# What the scripts share: messages, rights, packages, the Docker engine. Sourced, never run.
#
# Guarantees: nothing here needs more rights than its purpose (root only for packages, dockerd and debootstrap), reads
# a user's shell profile, or waits without a deadline.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
cache=${XDG_CACHE_HOME:-$HOME/.cache}/harbor
# A shell that has not read its profile since Rust was installed, and users' shells without the system's programs.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin
cargo=${CARGO:-cargo}
target_directory=$(cd "$repository" && realpath -m "${CARGO_TARGET_DIR:-target}")

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# The comment block at the top of the running script, as its help.
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# version_at_least HAVE WANT
version_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# --- the system ---

# Sets system_id, system_version and system_name; ends with one sentence where harbor's scripts do not work.
require_supported_system() {
  local advice="use Debian 12 or 13 or Ubuntu 22.04 or later"
  [[ $(uname -s) == Linux ]] || die "these scripts set up Linux only: on macOS use a Linux virtual machine, on Windows WSL2 ($advice)"
  [[ -r /etc/os-release ]] || die "this system does not say what it is (no /etc/os-release): $advice"
  # shellcheck disable=SC1091 # the system's own file
  system_id=$(. /etc/os-release && echo "${ID:-}")
  # shellcheck disable=SC1091
  system_version=$(. /etc/os-release && echo "${VERSION_ID:-}")
  # shellcheck disable=SC1091
  system_name=$(. /etc/os-release && echo "${PRETTY_NAME:-$ID}")
  case $system_id:$system_version in
    debian:12 | debian:13) ;;
    ubuntu:*) version_at_least "$system_version" 22.04 || die "$system_name is too old: $advice" ;;
    *) die "$system_name is not supported by these scripts: $advice (a virtual machine will do)" ;;
  esac
}

# Free bytes where PATH lies (or will lie).
free_bytes() {
  local path=$1
  while [[ ! -e $path ]]; do path=$(dirname "$path"); done
  stat -f -c '%a %S' "$path" | awk '{ printf "%.0f", $1 * $2 }'
}
gibibytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f GiB", bytes / 1073741824 }'; }

# --- rights ---

# root, sudo (works, perhaps after asking), or none.
rights() {
  if [[ $(id -u) == 0 ]]; then echo root
  elif have sudo && { sudo -n true 2>/dev/null || { [[ -t 0 ]] && id -nG | grep -qwE 'sudo|admin|wheel'; }; }; then echo sudo
  else echo none; fi
}

# Runs a command as root; asks for a password only where somebody can answer.
as_root() {
  case $(rights) in
    root) "$@" ;;
    sudo) if [[ -t 0 ]]; then sudo "$@"; else sudo -n "$@"; fi ;;
    none) return 126 ;;
  esac
}

# How a person would have to type a command that needs root.
root_command() { if [[ $(id -u) == 0 ]]; then echo "$*"; else echo "sudo $*"; fi; }

# --- packages ---

# install_packages PACKAGE... : from the distribution, or the exact command when there are no rights to.
install_packages() {
  [[ $# -gt 0 ]] || return 0
  if [[ $(rights) == none ]]; then
    say "needs packages, and there is neither root nor sudo here. Have somebody run:"
    say "  apt-get update && apt-get install -y $*"
    return 1
  fi
  local log=$cache/packages.log
  mkdir -p "$cache"
  say "installing $*"
  # a fresh machine's unattended upgrade may hold the lock
  as_root apt-get -o DPkg::Lock::Timeout=300 -q update >"$log" 2>&1 || say "apt-get update complained (see $log); going on with the lists there are"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qy "$@" >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    say "could not install them; the whole log is $log"
    return 1
  }
}

# ensure_command COMMAND PACKAGE...
ensure_command() { have "$1" || install_packages "${@:2}" && { have "$1" || { say "$1 is still not there after installing ${*:2}"; return 1; }; }; }

# What tells `docker build` about proxies that are set here, an argument a line.
proxy_arguments() {
  local variable
  for variable in http_proxy https_proxy no_proxy; do
    [[ -z ${!variable:-} ]] || printf '%s\n' --build-arg "$variable"
  done
}

# Debian packages the client apart from the engine since 13; elsewhere docker.io may hold both.
docker_client_package() {
  if [[ $system_id == debian ]]; then
    if version_at_least "$system_version" 13; then echo docker-cli; else echo docker.io; fi
  elif apt-cache show docker-cli >/dev/null 2>&1; then echo docker-cli
  else echo docker.io; fi
}
docker_packages() {
  if [[ $(docker_client_package) == docker.io ]]; then echo "docker.io iptables"; else echo "docker.io docker-cli iptables"; fi
}

# --- the Docker engine: asked itself, since a client alone proves nothing ---

engine_address() { echo "${DOCKER_HOST:-unix:///var/run/docker.sock}"; }

engine_answers() {
  local address; address=$(engine_address)
  if [[ $address == unix://* ]] && have curl; then
    [[ $(curl -s --max-time 3 --unix-socket "${address#unix://}" http://engine/_ping 2>/dev/null) == OK ]]
  else
    have docker && [[ -n $(timeout 3 docker version --format '{{.Server.Version}}' 2>/dev/null) ]]
  fi
}

# An engine's socket is there, but not for this user.
engine_refuses() {
  local socket; socket=$(engine_address); socket=${socket#unix://}
  [[ -S $socket && ! -w $socket ]]
}

engine_version() {
  local address; address=$(engine_address)
  if [[ $address == unix://* ]] && have curl; then
    curl -s --max-time 3 --unix-socket "${address#unix://}" http://engine/version | sed -nE 's/.*"Version":"([^"]+)","ApiVersion":"([^"]+)".*/\1, API \2/p'
  else
    timeout 3 docker version --format '{{.Server.Version}}, API {{.Server.APIVersion}}'
  fi
}

# Starts the installed engine, by systemd where that runs the machine, else by hand in the background.
start_engine() {
  local log=/var/log/harbor-dockerd.log
  [[ -z ${DOCKER_HOST:-} ]] || { say "DOCKER_HOST is $DOCKER_HOST and nothing answers there"; return 1; }
  for _ in 1 2 3; do engine_answers && return; sleep 1; done # the package may have started it
  [[ $(rights) != none ]] || { say "no engine runs, and there is neither root nor sudo here to start it"; return 1; }
  say "starting dockerd"
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl enable --now docker.service >/dev/null 2>&1 || true
    log="$(root_command journalctl -u docker)"
  else
    as_root sh -c "nohup setsid dockerd >>$log 2>&1 </dev/null &" || true
  fi
  for _ in $(seq 60); do
    engine_answers && return
    engine_refuses && return
    sleep 1
  done
  say "dockerd did not answer within a minute; its log: $log"
  [[ $log != /var/log/* ]] || as_root tail -n 5 "$log" >&2 || true
  return 1
}

# --- the build ---

# Cargo for the programs of tests, which are compiled without optimisation (the profile `test`). They lie in a directory of
# their own, so that target/debug/harbor stays the one that `up` runs; dependencies are shared with it.
cargo_for_tests() { CARGO_TARGET_DIR=$target_directory/tests CARGO_BUILD_BUILD_DIR=$target_directory "$cargo" "$@"; }

# Sets toolbox_binary, git_binary and infra_binary, the static builds that harbor embeds. harbor-runner's build script finds them at
# this place by itself; elsewhere it is told, once they exist, so that no cargo call builds again what another has built.
locate_embedded() {
  embedded_triple=${HARBOR_TARGET:-$(cd "$repository" && rustc -vV | sed -n 's/^host: //p')}
  toolbox_binary=$target_directory/embedded/$embedded_triple/embedded/harbor-toolbox
  git_binary=${toolbox_binary%/*}/harbor-git
  infra_binary=${toolbox_binary%/*}/harbor-infra
  if [[ -n ${CARGO_TARGET_DIR:-}${HARBOR_TARGET:-} && -s $toolbox_binary && -s $git_binary && -s $infra_binary ]]; then
    export HARBOR_TOOLBOX_BINARY=$toolbox_binary HARBOR_GIT_BINARY=$git_binary HARBOR_INFRA_BINARY=$infra_binary
  fi
}
