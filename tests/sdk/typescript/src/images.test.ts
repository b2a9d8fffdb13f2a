// Environments of one's own: snapshots and sandboxes of images and Dockerfiles (contract, control plane §6, §17.3, §17.5).
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Image, Sandbox } from 'daytonaio-0.185.0'
import { daytona, failure, made, sdk, word } from './harness.js'

const base = 'daytonaio/sandbox:v0.185.0-amd64'
const resources = { cpu: 1, memory: 1, disk: 3 }
const names: string[] = []

/** An image that nobody has built before. */
function image(mark: string): Image {
  return sdk.Image.base(base)
    .env({ GREETING: 'hello' })
    .runCommands(`echo made-${mark} | tee /home/daytona/made`)
    .workdir('/home/daytona/work')
}

async function check(sandbox: Sandbox, mark: string) {
  const { result } = await sandbox.process.executeCommand('cat ~/made; echo $GREETING; pwd')
  assert.deepEqual(result.split('\n'), [`made-${mark}`, 'hello', '/home/daytona/work', ''])
}

async function createOf(image: string | Image, onSnapshotCreateLogs?: (line: string) => void): Promise<Sandbox> {
  const sandbox = await daytona.create({ image, resources }, { timeout: 300, onSnapshotCreateLogs })
  made.push(sandbox)
  return sandbox
}

function snapshot(name: string, image: string | Image, onLogs?: (line: string) => void) {
  names.push(name)
  return daytona.snapshot.create({ name, image, resources }, { onLogs })
}

after(async () => {
  for (const name of names) {
    const found = await daytona.snapshot.get(name).catch(() => undefined)
    if (found) await daytona.snapshot.delete(found)
  }
})

describe('an image of one\'s own', () => {
  test('is built for a sandbox, and the next one finds it', async () => {
    const [mark, lines] = [word(), [] as string[]]
    const sandbox = await createOf(image(mark), (line) => lines.push(line))
    assert(lines.some((line) => line.includes(`made-${mark}`)), lines.join('\n'))
    assert.deepEqual([sandbox.state, sandbox.cpu, sandbox.memory, sandbox.disk], ['started', 1, 1, 3])
    await check(sandbox, mark)
    await check(await createOf(image(mark)), mark)
  })

  test('is one that is there', async () => {
    assert.equal((await (await createOf(base)).process.executeCommand('whoami')).result, 'daytona\n')
  })

  test('makes a snapshot', async () => {
    const [mark, lines] = [word(), [] as string[]]
    const name = `${mark}/built:1`
    const made = await snapshot(name, image(mark), (line) => lines.push(line))
    assert.deepEqual([made.name, made.state, made.cpu, made.mem], [name, 'active', 1, 1])
    assert(lines.some((line) => line.includes(`made-${mark}`)), lines.join('\n'))
    assert.equal((await daytona.snapshot.get(name)).id, made.id)
    const sandbox = await daytona.create({ snapshot: name })
    await check(sandbox, mark)
    await sandbox.delete()
    assert.equal((await snapshot(mark, base)).imageName, base)
    assert.match((await failure(snapshot(mark, base))).message, /already exists/)
  })

  test('that cannot be built says why', async () => {
    const mark = word()
    const broken = sdk.Image.base(base).runCommands(`echo ${mark} && exit 7`)
    assert.match((await failure(snapshot(mark, broken))).message, /non-zero code: 7/)
    assert.equal((await daytona.snapshot.get(mark)).state, 'build_failed')
    assert.match((await failure(snapshot(`${mark}-2`, '127.0.0.1:1/nothing/here:1.0'))).message, /could not pull image/)
  })
})
