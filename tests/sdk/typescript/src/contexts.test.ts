// Images with files of one's own, which the client uploads before it asks for the build (contract, edges §4; control plane
// §8.3 and §8.4).
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { Image, Sandbox } from 'daytonaio-0.185.0'
import { daytona, made, read as readIn, sdk, word } from './harness.js'

const base = 'daytonaio/sandbox:v0.185.0-amd64'
const resources = { cpu: 1, memory: 1, disk: 3 }
const quick = 20 // seconds for a sandbox of an image that is there
const step = 'date +%s%N | tee /home/daytona/built'
const names: string[] = []
const directories: string[] = []

/** A directory of one's own, with a word in it that no context has had before. */
function files(mark: string): string {
  const place = mkdtempSync(join(tmpdir(), 'harbor-contexts-'))
  directories.push(place)
  mkdirSync(join(place, 'app', 'inner', 'deeper'), { recursive: true })
  writeFileSync(join(place, 'app', 'main.txt'), `main ${mark}\n`)
  writeFileSync(join(place, 'app', 'inner', 'name with space ü.txt'), `inner ${mark}\n`)
  writeFileSync(join(place, 'app', 'inner', 'deeper', 'run'), `#!/bin/sh\necho ran ${mark}\n`)
  chmodSync(join(place, 'app', 'inner', 'deeper', 'run'), 0o755)
  writeFileSync(join(place, 'one.txt'), `one ${mark}\n`)
  writeFileSync(join(place, 'two.txt'), `two ${mark}\n`)
  return place
}

function image(place: string): Image {
  return sdk.Image.base(base)
    .addLocalFile(join(place, 'one.txt'), '/home/daytona/one.txt')
    .addLocalFile(join(place, 'two.txt'), '/home/daytona/into/')
    .addLocalDir(join(place, 'app'), '/home/daytona/app')
    .runCommands(step)
}

/** What a command prints in the user's home. */
const read = (sandbox: Sandbox, command: string) => readIn(sandbox, `cd ~ && ${command}`)

async function check(sandbox: Sandbox, mark: string) {
  assert.equal(await read(sandbox, 'cat one.txt into/two.txt app/main.txt'), `one ${mark}\ntwo ${mark}\nmain ${mark}\n`)
  assert.equal(await read(sandbox, 'cat "app/inner/name with space ü.txt"'), `inner ${mark}\n`)
  assert.equal(await read(sandbox, 'app/inner/deeper/run'), `ran ${mark}\n`)
  assert.equal(await read(sandbox, 'find app -type f | wc -l'), '3\n')
}

async function createOf(image: Image, onSnapshotCreateLogs?: (line: string) => void): Promise<Sandbox> {
  const sandbox = await daytona.create({ image, resources }, { timeout: 300, onSnapshotCreateLogs })
  made.push(sandbox)
  return sandbox
}

async function createFrom(snapshot: string): Promise<Sandbox> {
  const sandbox = await daytona.create({ snapshot })
  made.push(sandbox)
  return sandbox
}

function snapshot(name: string, image: Image, onLogs?: (line: string) => void) {
  names.push(name)
  return daytona.snapshot.create({ name, image, resources }, { onLogs })
}

after(async () => {
  for (const name of names) {
    const found = await daytona.snapshot.get(name).catch(() => undefined)
    if (found) await daytona.snapshot.delete(found)
  }
  for (const place of directories) rmSync(place, { recursive: true })
})

describe('an image with files of one\'s own', () => {
  test('says all that an image can', async () => {
    // on what the builder itself calls Debian, whose base the suite makes of Debian's packages
    const [mark, lines] = [word(), [] as string[]]
    const place = files(mark)
    writeFileSync(join(place, 'requirements.txt'), 'toolz==1.0.0\n')
    const said = sdk.Image.debianSlim('3.11')
      .pipInstall('six==1.17.0')
      .pipInstallFromRequirements(join(place, 'requirements.txt'))
      .addLocalFile(join(place, 'one.txt'), '/srv/one.txt')
      .addLocalDir(join(place, 'app'), '/srv/app')
      .env({ GREETING: 'hello there' })
      .runCommands(`echo made-${mark} | tee /srv/made`)
      .workdir('/srv')
      .entrypoint(['sh', '-c', 'echo $GREETING >/tmp/began; exec sleep infinity'])
    const sandbox = await createOf(said, (line) => lines.push(line))
    assert(lines.some((line) => line.includes(`made-${mark}`)), lines.join('\n'))
    const versions = "python -c 'import six, toolz; print(six.__version__, toolz.__version__)'"
    assert.equal(await read(sandbox, versions), '1.17.0 1.0.0\n')
    assert.equal(await read(sandbox, 'cat /srv/one.txt /srv/app/main.txt /srv/made'), `one ${mark}\nmain ${mark}\nmade-${mark}\n`)
    assert.equal(await readIn(sandbox, 'pwd; echo $GREETING; cat /tmp/began'), '/srv\nhello there\nhello there\n')
  })

  test('is built for a sandbox, and the next one finds it', async () => {
    const [mark, lines] = [word(), [] as string[]]
    const place = files(mark)
    const first = await createOf(image(place), (line) => lines.push(line))
    await check(first, mark)
    const built = await read(first, 'cat built')
    assert(lines.some((line) => line.includes(built.trim())), lines.join('\n'))
    const begun = Date.now()
    const second = await createOf(image(place))
    assert(Date.now() - begun < quick * 1000, `${Date.now() - begun} ms`)
    await check(second, mark)
    // what a build would have written anew
    assert.equal(await read(second, 'cat built'), built)
    assert.match(first.buildInfo?.snapshotRef ?? '', /^daytona-[0-9a-f]{64}:daytona$/)
    assert.equal(first.buildInfo?.snapshotRef, second.buildInfo?.snapshotRef)
    // other files are another image
    writeFileSync(join(place, 'app', 'main.txt'), 'changed\n')
    const third = await createOf(image(place))
    assert.equal(await read(third, 'cat app/main.txt one.txt'), `changed\none ${mark}\n`)
    assert.notEqual(third.buildInfo?.snapshotRef, first.buildInfo?.snapshotRef)
  })

  test('makes a snapshot', async () => {
    const [mark, lines] = [word(), [] as string[]]
    const place = files(mark)
    const made = await snapshot(mark, image(place), (line) => lines.push(line))
    assert.deepEqual([made.name, made.state], [mark, 'active'])
    const sandbox = await createFrom(mark)
    await check(sandbox, mark)
    const built = await read(sandbox, 'cat built')
    assert(lines.some((line) => line.includes(built.trim())), lines.join('\n'))
    // the same again by another name is not built
    assert.equal((await snapshot(`${mark}-again`, image(place))).state, 'active')
    assert.equal(await read(await createFrom(`${mark}-again`), 'cat built'), built)
  })

  test('comes of a Dockerfile that copies', async () => {
    const [mark, lines] = [word(), [] as string[]]
    const place = files(mark)
    writeFileSync(join(place, 'Dockerfile'), [
      '# COPY nothing /of/this',
      `FROM ${base}`,
      'COPY one.txt /home/daytona/copied.txt',
      // unlike the Python client this one uploads nothing for a pattern
      'COPY one.txt two.txt /home/daytona/all/',
      'COPY --chown=daytona:daytona app /home/daytona/app',
      'COPY app/inner/deeper/run /home/daytona/run',
      'WORKDIR /home/daytona',
      'RUN cat copied.txt',
      '',
    ].join('\n'))
    const sandbox = await createOf(sdk.Image.fromDockerfile(join(place, 'Dockerfile')), (line) => lines.push(line))
    assert(lines.some((line) => line.includes(`one ${mark}`)), lines.join('\n'))
    assert.equal(await read(sandbox, 'cat copied.txt'), `one ${mark}\n`)
    assert.equal(await read(sandbox, 'cat all/*.txt; ls all'), `one ${mark}\ntwo ${mark}\none.txt\ntwo.txt\n`)
    assert.equal(await read(sandbox, './run; stat -c %U app/main.txt'), `ran ${mark}\ndaytona\n`)
  })

  test('has a big one, in several parts', async () => {
    const place = files(word())
    const line = Buffer.from('0123456789abcdef'.repeat(4096))
    writeFileSync(join(place, 'big'), Buffer.concat(Array.from({ length: 200 }, () => line)))
    const sandbox = await createOf(sdk.Image.base(base).addLocalFile(join(place, 'big'), '/home/daytona/big'))
    const told = await read(sandbox, 'stat -c %s big; head -c 16 big; echo; tail -c 16 big')
    assert.equal(told, `${200 * line.length}\n0123456789abcdef\n0123456789abcdef`)
  })
})
