// Archive, fork, snapshot, recover and what else is changed later (contract, control plane §5.5, §5.12 and §6.4).
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type * as Newer from 'daytona-0.216.0'
import type { Sandbox } from 'daytonaio-0.185.0'
import { create, daytona, eventually, failure, ignore, made, read, sdk, word } from './harness.js'

// `fork` and `createSnapshot` have other names before 0.200
const newer = (sandbox: Sandbox) => sandbox as unknown as Partial<Newer.Sandbox>

async function fork(parent: Sandbox, name?: string): Promise<Sandbox> {
  const child = newer(parent).fork
    ? ((await newer(parent).fork!({ name })) as unknown as Sandbox)
    : await parent._experimental_fork({ name })
  made.push(child)
  return child
}

const capture = (sandbox: Sandbox, name: string): Promise<void> =>
  newer(sandbox).createSnapshot?.(name) ?? sandbox._experimental_createSnapshot(name)

async function refused(call: Promise<unknown>, kind: typeof sdk.DaytonaError = sdk.DaytonaValidationError, status = 400) {
  assert.equal((await failure(call, kind)).statusCode, status)
}

const write = (sandbox: Sandbox, content: string) => sandbox.fs.uploadFile(Buffer.from(content), 'file.txt')
const content = async (sandbox: Sandbox) => (await sandbox.fs.downloadFile('file.txt')).toString()

/** Stops and archives it, and waits until it is. */
async function archive(sandbox: Sandbox): Promise<void> {
  await sandbox.stop()
  await sandbox.archive()
  await eventually(async () => {
    if (sandbox.state !== 'archived') await sandbox.refreshData()
    assert.equal(sandbox.state, 'archived')
  }, 30)
}

describe('an archived sandbox', () => {
  test('comes back with its files', async () => {
    const sandbox = await create({ labels: { kept: 'ß' } })
    await write(sandbox, 'kept\n')
    await read(sandbox, 'chmod 600 file.txt; ln -s file.txt link; rm ~/.profile')
    await archive(sandbox)
    assert.equal((await daytona.get(sandbox.id)).state, 'archived')
    await sandbox.start()
    assert.equal((await daytona.get(sandbox.id)).state, 'started')
    assert.equal(sandbox.labels.kept, 'ß')
    const show = "cat link; stat -c '%U %a' file.txt; ls ~/.profile 2>/dev/null || echo removed"
    assert.equal(await read(sandbox, show), 'kept\ndaytona 600\nremoved\n')
  })

  test('was stopped before', async () => {
    const sandbox = await create()
    await refused(sandbox.archive())
    assert.equal((await daytona.get(sandbox.id)).state, 'started')
    assert.equal(await read(sandbox, 'echo works'), 'works\n')
  })

  test('is started or deleted, and nothing else', async () => {
    const sandbox = await create()
    const name = word()
    await archive(sandbox)
    for (const call of [() => sandbox.archive(), () => sandbox.stop(), () => fork(sandbox), () => capture(sandbox, name)]) {
      await refused(call())
    }
    await failure(daytona.snapshot.get(name), sdk.DaytonaNotFoundError)
    await sandbox.delete()
    await eventually(async () => void (await failure(daytona.get(sandbox.id), sdk.DaytonaNotFoundError)))
  })
})

describe('a fork', () => {
  test('begins with the files of its parent, which goes on', async () => {
    const parent = await create({ labels: { family: 'ß' }, envVars: { GREETING: 'Grüße' }, autoStopInterval: 7 })
    await write(parent, 'shared\n')
    const process = (await read(parent, 'sleep 4323 >/dev/null 2>&1 & echo $!')).trim()
    const child = await fork(parent)
    assert.equal((await daytona.get(child.id)).state, 'started')
    for (const known of [child, await daytona.get(child.id)]) {
      assert.notEqual(known.id, parent.id)
      assert.deepEqual([known.labels, known.env, known.autoStopInterval], [parent.labels, { GREETING: 'Grüße' }, 7])
      assert.deepEqual([known.cpu, known.memory, known.disk], [parent.cpu, parent.memory, parent.disk])
    }
    assert.equal(await read(child, 'cat file.txt; hostname; echo "$GREETING"'), `shared\n${child.id}\nGrüße\n`)

    await write(child, 'child\n')
    assert.equal((await daytona.get(parent.id)).state, 'started')
    assert.equal(await read(parent, `cat file.txt; kill -0 ${process} && echo alive`), 'shared\nalive\n')
    await write(parent, 'parent\n')
    await child.stop()
    await child.start()
    assert.equal(await content(child), 'child\n')
  })

  test('is deleted before its parent', async () => {
    const parent = await create()
    const child = await fork(parent)
    const grandchild = await fork(child)
    for (const one of [parent, child]) {
      await refused(one.delete())
      assert.equal(await read(await daytona.get(one.id), 'echo works'), 'works\n')
    }
    for (const { id } of [grandchild, child, parent]) await (await daytona.get(id)).delete()
  })

  test('has a name that nothing else has', async () => {
    const name = word()
    const parent = await create({ name })
    const child = await fork(parent, `${name} ß`)
    assert.equal(child.name, `${name} ß`)
    assert.equal((await daytona.get(child.name)).id, child.id)
    for (const taken of [name, child.name]) await refused(fork(parent, taken), sdk.DaytonaConflictError, 409)
    assert(![name, child.name].includes((await fork(parent)).name))
  })

  test('of a stopped one is started', async () => {
    const parent = await create()
    await write(parent, 'shared\n')
    await parent.stop()
    const child = await fork(parent)
    assert.deepEqual([child.state, await content(child)], ['started', 'shared\n'])
    assert.equal((await daytona.get(parent.id)).state, 'stopped')
  })
})

describe('a snapshot of a sandbox', () => {
  const names = new Set<string>()
  const { snapshot: snapshots } = daytona

  async function snapshot(sandbox: Sandbox, name: string) {
    await capture(sandbox, name)
    names.add(name)
    // an event of its create, which the newest clients apply when it arrives, can end their wait too early
    await eventually(async () => void assert.notEqual((await snapshots.get(name)).state, 'snapshotting'), 30)
    return snapshots.get(name)
  }

  after(async () => {
    for (const name of names) {
      await snapshots.get(name).then((found) => snapshots.delete(found), ignore(sdk.DaytonaNotFoundError))
    }
  })

  test('can be used at once', async () => {
    const sandbox = await create()
    await write(sandbox, 'captured\n')
    const name = `${word()}/of-a_sandbox:1.0`
    const { state, general, ...found } = await snapshot(sandbox, name)
    assert.deepEqual([found.name, state, general], [name, 'active', false])
    assert.deepEqual([found.cpu, found.mem, found.disk], [sandbox.cpu, sandbox.memory, sandbox.disk])
    assert.equal((await daytona.get(sandbox.id)).state, 'started')
    await write(sandbox, 'later\n')
    for (let round = 0; round < 2; round++) {
      const another = await create({ snapshot: name })
      assert.deepEqual([another.state, another.snapshot], ['started', name])
      assert.equal(await content(another), 'captured\n')
      await write(another, 'changed\n')
    }
    assert.equal(await content(sandbox), 'later\n')
    assert((await snapshots.list()).items.some((item) => item.name === name))
  })

  test('may be of a stopped one', async () => {
    const sandbox = await create()
    const name = word()
    await write(sandbox, 'captured\n')
    await sandbox.stop()
    assert.equal((await snapshot(sandbox, name)).state, 'active')
    assert.equal((await daytona.get(sandbox.id)).state, 'stopped')
    assert.equal(await content(await create({ snapshot: name })), 'captured\n')
  })

  test('has a name that no other has', async () => {
    const sandbox = await create()
    const name = word()
    const { id } = await snapshot(sandbox, name)
    await refused(snapshot(sandbox, name), sdk.DaytonaConflictError, 409)
    assert.equal((await snapshots.get(name)).id, id)
    assert.equal((await daytona.get(sandbox.id)).state, 'started')
  })

  test('is gone when it is deleted, and its name is free', async () => {
    const sandbox = await create()
    const name = word()
    await write(sandbox, 'captured\n')
    const before = await snapshot(sandbox, name)
    const another = await create({ snapshot: name })
    await snapshots.delete(before)
    await refused(snapshots.get(name), sdk.DaytonaNotFoundError, 404)
    await refused(snapshots.delete(before), sdk.DaytonaNotFoundError, 404)
    await refused(create({ snapshot: name }))
    await another.stop()
    await another.start()
    assert.equal(await content(another), 'captured\n')
    const again = await snapshot(another, name)
    assert.equal(again.state, 'active')
    assert.notEqual(again.id, before.id)
  })
})

test('what did not fail is not recovered', async () => {
  const sandbox = await create()
  await refused(sandbox.recover())
  assert.equal(await read(sandbox, 'echo works'), 'works\n')
  await sandbox.stop()
  await refused(sandbox.recover())
  assert.equal((await daytona.get(sandbox.id)).state, 'stopped')
})

test('the archive interval is set', async () => {
  const sandbox = await create()
  assert.equal(sandbox.autoArchiveInterval, 7 * 24 * 60)
  for (const [interval, kept] of [[60, 60], [0, 30 * 24 * 60], [99999, 30 * 24 * 60], [1440, 1440]]) {
    await sandbox.setAutoArchiveInterval(interval)
    assert.equal((await daytona.get(sandbox.id)).autoArchiveInterval, kept)
  }
  await failure(sandbox.setAutoArchiveInterval(-1))
  assert.equal((await daytona.get(sandbox.id)).autoArchiveInterval, 1440)
})
