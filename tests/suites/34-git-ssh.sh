#!/usr/bin/env bash
# Git over ssh with a real server: sandboxes of an image with OpenSSH's, which serves a repository of theirs; with the
# image's git and with the one that harbor brings (contract, toolbox §12.1).
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh

base=daytonaio/sandbox:v0.185.0-amd64
image=harbor-suite-ssh:$$
images+=("$image")
mapfile -t arguments < <(proxy_arguments)
arguments+=(--label harbor.test=1 --tag "$image")
say "adding an ssh server to $base"
docker build "${arguments[@]}" - >"$scratch/build.log" 2>&1 <<END || die "$(tail -n 20 "$scratch/build.log")"
FROM $base
USER root
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends openssh-server openssh-client
USER daytona
END
HARBOR_DAYTONA_DEFAULT_SNAPSHOT=$image start_harbor

# serve ID : an ssh server of the sandbox's user on port 2222, and a repository with two commits
serve() {
  run "$1" 'set -e; cd ~; mkdir -p -m 700 .ssh served; ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519; cp .ssh/id_ed25519.pub .ssh/authorized_keys
    ssh-keygen -q -t ed25519 -N "" -f served/host
    printf "%s\n" "Port 2222" "ListenAddress 127.0.0.1" "HostKey $HOME/served/host" "PidFile $HOME/served/pid" "UsePAM no" \
      "PasswordAuthentication no" "StrictModes no" >served/config
    /usr/sbin/sshd -f "$HOME/served/config" -E "$HOME/served/log"
    git config --global user.name Ann; git config --global user.email ann@example.com; git config --global init.defaultBranch main
    git init -q --bare origin.git; git init -q first; cd first
    for word in one two; do echo $word >file; git add file; git commit -qm $word; done
    git push -q ../origin.git main; ssh-keyscan -p 2222 127.0.0.1 2>/dev/null >>~/.ssh/known_hosts; printf served'
}

# answers WANTED METHOD ID ROUTE [JSON] : WANTED is in the status and body of the answer
answers() {
  local body=() answer
  [[ $# -lt 5 ]] || body=(--header 'Content-Type: application/json' --data "$5")
  answer=$(curl --silent --show-error --max-time 90 --output "$scratch/answer" --write-out '%{http_code}' --request "$2" \
    --header "Authorization: Bearer $key" "${body[@]}" "$proxy_url/toolbox/$3/git/$4") && answer+=" $(cat "$scratch/answer")"
  [[ $answer == *"$1"* ]] || { echo "expected $1, got $answer"; return 1; }
}

# flow ID WHICH : clone, push and pull over ssh
flow() {
  local id=$1 which=$2 address=ssh://daytona@127.0.0.1:2222/home/daytona/origin.git user='"username": "", "password": ""'
  check "$which: clone" answers "200 " POST "$id" clone "{\"url\": \"$address\", \"path\": \"copy\"}"
  check_equal "$which: the files are there" two "$(run "$id" 'cat copy/file')"
  check "$which: a shallow clone" answers "200 " POST "$id" clone "{\"url\": \"$address\", \"path\": \"shallow\", \"depth\": 1}"
  check_equal "$which: it has one commit" 1 "$(run "$id" 'grep -c . shallow/.git/shallow' | tr -d '\n')"
  run "$id" 'echo three >copy/file' >/dev/null
  check "$which: add" answers "200 " POST "$id" add '{"path": "copy", "files": ["file"]}'
  check "$which: commit" answers "200 " POST "$id" commit '{"path": "copy", "message": "three", "author": "Ann", "email": "ann@example.com"}'
  check "$which: push" answers "200 " POST "$id" push "{\"path\": \"copy\", $user}"
  check "$which: pull" answers "200 " POST "$id" pull "{\"path\": \"shallow\", $user}"
  check_equal "$which: what was pushed is pulled" three "$(run "$id" 'cat shallow/file')"
  check "$which: no such repository" answers GIT_REPO_NOT_FOUND POST "$id" clone "{\"url\": \"${address%origin.git}none.git\", \"path\": \"none\"}"
  run "$id" 'mv ~/.ssh/authorized_keys ~/.ssh/authorized_keys.away' >/dev/null
  check "$which: a key that is not known there" answers GIT_AUTH_FAILED POST "$id" clone "{\"url\": \"$address\", \"path\": \"none\"}"
  run "$id" 'mv ~/.ssh/authorized_keys.away ~/.ssh/authorized_keys; rm ~/.ssh/known_hosts' >/dev/null
  check "$which: a server that is not known here" answers GIT_ POST "$id" clone "{\"url\": \"$address\", \"path\": \"none\"}"
  check_equal "$which: nothing is left of a failed clone" absent "$(run "$id" 'test -e none || printf absent')"
}

id=$(create)
check_equal "an ssh server serves" served "$(serve "$id" | tail -n 1)"
flow "$id" "the image's git"

# the server's side stays as it is: only the command `git` is gone
id=$(create)
check_equal "another serves" served "$(serve "$id" | tail -n 1)"
docker exec --user root "harbor-$id" sh -c 'mkdir /usr/libexec/served && mv /usr/bin/git /usr/libexec/served/git &&
  for name in git-upload-pack git-receive-pack; do ln -sf /usr/libexec/served/git /usr/bin/$name; done'
check_equal "git is gone" "" "$(run "$id" 'command -v git')"
flow "$id" "harbor's git"
finish
