# shellcheck shell=bash
# shellcheck disable=SC2154 # names from lib.sh and from the script that sources this
# What building and running harbor needs, looked at and brought about: the same list for scripts/up and scripts/test.
# Sourced after lib.sh.
#
# Guarantees: looking takes well under two seconds, changes nothing, and works on a system with nothing but bash.

missing=0          # findings with status missing
wanted_packages=() # what install_requirements would install
advice=()          # what only the user can do
engine_state=''    # answers, elsewhere (DOCKER_HOST), refuses, stopped or absent
node_minimum=20.19 # what the dashboard's build needs

# finding STATUS NAME DETAIL : one line of the list; STATUS is present or missing
finding() {
  printf '  %-8s %-16s %s\n' "$@"
  [[ $1 == present ]] || missing=$((missing + 1))
}

# Everything a build needs; then, for `engine`, everything a run needs beside the default image.
examine() {
  finding present system "$system_name, $(uname -m), $(describe_rights)"
  examine_compiler
  examine_command curl curl
  examine_certificates
  examine_rust
  if node_needed; then examine_node; fi
  examine_engine
  examine_disk
}

describe_rights() {
  case $(rights) in
    root) echo "as root" ;;
    sudo) echo "as $(id -un) with sudo" ;;
    none) echo "as $(id -un) without root" ;;
  esac
}

examine_command() {
  if have "$1"; then finding present "$1" "$(command -v "$1")"
  else
    wanted_packages+=("${@:2}")
    finding missing "$1" "package ${*:2}"
  fi
}

# gcc alone cannot link: the C library's development files are a package of their own, and the static one is used too.
examine_compiler() {
  if have cc && [[ -f $(cc -print-file-name=libc.a) ]]; then finding present "C compiler" "$(cc --version | head -n 1)"
  else
    wanted_packages+=(gcc libc6-dev)
    finding missing "C compiler" "packages gcc libc6-dev"
  fi
}

examine_certificates() {
  if [[ -s /etc/ssl/certs/ca-certificates.crt ]]; then finding present certificates /etc/ssl/certs/ca-certificates.crt
  else
    wanted_packages+=(ca-certificates)
    finding missing certificates "package ca-certificates"
  fi
}

# Never starts a rustup proxy here: it would download a missing toolchain.
examine_rust() {
  local wanted version
  wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$repository/rust-toolchain.toml")
  if have rustup; then
    if rustup toolchain list 2>/dev/null | grep -q "^$wanted"; then finding present Rust "$wanted, by rustup"
    else finding present Rust "rustup, which will fetch $wanted for the build"; fi
  elif have cargo; then
    version=$(cargo --version | cut -d ' ' -f 2)
    if version_at_least "$version" "$wanted"; then finding present Rust "$version"
    else rust_missing "$version is older than $wanted"; fi
  else
    rust_missing "no cargo on PATH"
  fi
}

rust_missing() {
  finding missing Rust "$1; needs rustup"
  local how="install Rust: https://rustup.rs"
  if [[ $system_id:$system_version != debian:12 && $system_id:$system_version != ubuntu:22.04 ]]; then
    how="install Rust: $(root_command apt-get install -y rustup), then: rustup default stable (or https://rustup.rs)"
  fi
  [[ -z ${SUDO_USER:-} ]] || how+="; if $SUDO_USER has it: run this as $SUDO_USER, it asks for sudo itself where needed"
  advice+=("$how")
}

node_needed() { [[ -f $repository/web/package.json ]]; }

examine_node() {
  local version=''
  use_own_node
  if have node; then version=$(node --version); version=${version#v}; fi
  if [[ -n $version ]] && have npm && version_at_least "$version" "$node_minimum"; then finding present Node "$version"
  else finding missing Node "${version:+$version is older than $node_minimum; }a current one into $(own_node), for the dashboard"; fi
}

own_node() { echo "${XDG_DATA_HOME:-$HOME/.local/share}/harbor/node"; }
use_own_node() { if [[ -x $(own_node)/bin/node ]]; then PATH=$(own_node)/bin:$PATH; fi; }

# A current Node without a further package source: the distribution's npm fetches it from the npm registry.
install_node() {
  local place architecture; place=$(own_node)
  case $(uname -m) in
    x86_64) architecture=x64 ;;
    aarch64) architecture=arm64 ;;
    *) say "no Node binaries for $(uname -m) on the npm registry: install Node $node_minimum or later"; return 1 ;;
  esac
  ensure_command npm npm || return 1
  say "fetching a current Node into $place"
  mkdir -p "$place"
  npm install --prefix "$place/package" --no-audit --no-fund --silent "node-linux-$architecture@22" npm@10 || return 1
  mkdir -p "$place/bin"
  ln -sf "../package/node_modules/node-linux-$architecture/bin/node" "$place/bin/node"
  ln -sf ../package/node_modules/npm/bin/npm-cli.js "$place/bin/npm"
  ln -sf ../package/node_modules/npm/bin/npx-cli.js "$place/bin/npx"
  use_own_node
}

examine_engine() {
  if engine_answers; then
    engine_state=answers
    finding present "Docker engine" "$(engine_version)"
  elif [[ -n ${DOCKER_HOST:-} ]]; then
    engine_state=elsewhere
    finding missing "Docker engine" "nothing answers at DOCKER_HOST=$DOCKER_HOST"
    advice+=("start the engine at $DOCKER_HOST, or unset DOCKER_HOST to use one here")
  elif engine_refuses; then
    engine_state=refuses
    finding missing "Docker engine" "runs, but its socket is not for $(id -un): joins group docker, which is as good as root"
  elif have dockerd; then
    engine_state=stopped
    finding missing "Docker engine" "installed but not running: will be started"
    have iptables || { wanted_packages+=(iptables); finding missing iptables "package iptables, for the engine"; }
  else
    engine_state=absent
    local packages; packages=$(docker_packages)
    # shellcheck disable=SC2206 # a list of words
    wanted_packages+=($packages)
    finding missing "Docker engine" "packages $packages, then started"
  fi
  if have docker; then finding present "Docker client" "$(command -v docker)"
  elif [[ $engine_state == absent ]]; then finding missing "Docker client" "comes with the engine"
  else
    wanted_packages+=("$(docker_client_package)")
    finding missing "Docker client" "package $(docker_client_package)"
  fi
}

examine_disk() {
  local wanted=6442450944 free # a build directory of 3 GiB and the images
  [[ ! -d $target_directory/debug ]] || wanted=2147483648
  free=$(free_bytes "$target_directory")
  if (( free >= wanted )); then finding present "disk space" "$(gibibytes "$free") free for $target_directory"
  else
    finding missing "disk space" "$(gibibytes "$free") free for $target_directory, needs $(gibibytes $wanted)"
    advice+=("make room on the disk of $target_directory, or set CARGO_TARGET_DIR to another one")
  fi
}

# Brings about what `examine` found missing; says exactly what to do where it may not.
install_requirements() {
  if [[ ${#wanted_packages[@]} -gt 0 ]]; then install_packages "${wanted_packages[@]}" || return 1; fi
  if [[ ${#advice[@]} -gt 0 ]]; then
    say "before going on:"
    printf '  - %s\n' "${advice[@]}" >&2
    return 1
  fi
  if node_needed; then
    use_own_node
    if ! have node || ! version_at_least "$(node --version | tr -d v)" "$node_minimum"; then install_node || return 1; fi
  fi
  if engine_answers; then return; fi
  if [[ $engine_state != refuses ]]; then start_engine || return 1; fi
  if engine_answers; then return; fi
  join_docker_group
}

# Group membership starts with the next login, or at once through sg: the calling script is run again inside it.
join_docker_group() {
  local again; again=$(printf '%q ' "$0" "${original_arguments[@]}")
  [[ -z ${HARBOR_IN_DOCKER_GROUP:-} ]] || { say "group docker does not open $(engine_address): is the engine's socket owned by another group?"; return 1; }
  if ! id -nG "$(id -un)" | grep -qw docker; then
    [[ $(rights) == sudo ]] || {
      say "the engine's socket is not open to $(id -un). Have somebody run: usermod -aG docker $(id -un)"
      return 1
    }
    say "adding $(id -un) to group docker (whoever is in it can become root on this machine)"
    as_root usermod -aG docker "$(id -un)"
  fi
  have sg || { say "log out and in again, then run this again: $(id -un) is in group docker from then on"; return 1; }
  HARBOR_IN_DOCKER_GROUP=yes exec sg docker -c "$again"
}

# Without the right or the wish to install: the commands, and the end.
print_installation() {
  say "to do by hand:"
  if [[ ${#wanted_packages[@]} -gt 0 ]]; then say "  - $(root_command apt-get update) && $(root_command apt-get install -y "${wanted_packages[*]}")"; fi
  case $engine_state in
    stopped | absent) say "  - $(root_command systemctl enable --now docker) (without systemd: $(root_command dockerd))" ;;
    refuses) say "  - $(root_command usermod -aG docker "$(id -un)"), then log in again" ;;
  esac
  [[ ${#advice[@]} -eq 0 ]] || printf '  - %s\n' "${advice[@]}" >&2
}
