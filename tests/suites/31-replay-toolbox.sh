#!/usr/bin/env bash
# The recorded answers of the reference daemon, against harbor's toolbox as process 1 of the default image: once
# directly, where all hold, and once through harbor, which answers some itself. Arguments go to replay-toolbox, for example
# --only 'execute-*'.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/suites/lib/harbor.sh
source tests/suites/lib/harbor.sh
locate_embedded
toolbox=${HARBOR_TOOLBOX_BINARY:-$toolbox_binary}
[[ -s $toolbox ]] || die "there is no $toolbox: scripts/build --embedded makes it"
image=daytonaio/sandbox:v0.185.0-amd64
recordings=() # every toolbox recording; computer use is not recorded
for area in process-execute code-run misc files sessions pty interpreter git ports lsp; do recordings+=("tests/contract/recordings/$area.json"); done

# replay BASE HEADER [ARGUMENT...]
replay() {
  count scripts/dev/replay-toolbox --base "$1" --header "$2" "${@:3}" "${recordings[@]}"
}

# The toolbox listens on loopback inside; a second container in its network namespace forwards a published port to it.
forwarder='
import asyncio
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof(): writer.write_eof()
    except OSError:
        writer.close()
async def serve(reader, writer):
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", 2280)
    await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))
    writer.close()
    other_writer.close()
async def main():
    await (await asyncio.start_server(serve, "0.0.0.0", 2281)).serve_forever()
asyncio.run(main())'

# Sets base to where a configured toolbox answers to the token `direct`.
start_toolbox() {
  local name=harbor-replay-$$ configure
  docker create --name "$name" --label harbor.test=1 --label "harbor.instance=replay-$$" --publish 127.0.0.1::2281 \
    --entrypoint /opt/harbor/current/harbor-toolbox "$image" >/dev/null
  mkdir -p "$scratch/opt/current"
  cp "$toolbox" "$scratch/opt/current/harbor-toolbox"
  docker cp "$scratch/opt" "$name:/opt/harbor" >/dev/null
  docker start "$name" >/dev/null
  docker run --detach --name "$name-forwarder" --label harbor.test=1 --network "container:$name" --entrypoint python3 \
    "$image" -c "$forwarder" >/dev/null
  base=http://$(docker port "$name" 2281/tcp | head -n 1)
  configure='{"protocol": 1, "sandbox": "00000000-0000-4000-8000-000000000000", "token": "direct",
    "env": {"DAYTONA_SANDBOX_ID": "00000000-0000-4000-8000-000000000000"}, "entrypoint": ["sleep", "infinity"]}'
  within 20 curl --silent --show-error --fail --header 'Content-Type: application/json' --data "$configure" "$base/.harbor/configure"
}
stop_toolbox() { docker rm --force --volumes "harbor-replay-$$-forwarder" "harbor-replay-$$" >/dev/null 2>&1 || true; }
# the status that ends the suite is the first one, whatever the removal says
trap 'status=$?; set +e; stop_toolbox; (exit "$status"); clean_up' EXIT

say "--- directly"
start_toolbox
replay "$base" "x-harbor-token: direct" "$@"
stop_toolbox

say "--- through harbor"
start_harbor
id=$(create)
replay "$proxy_url/toolbox/$id" "Authorization: Bearer $key" --except tests/contract/replay-toolbox-exceptions.txt "$@"
finish
