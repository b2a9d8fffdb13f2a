// Create, find, list, stop, start, delete (contract, control plane §17 and §5.14).
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { ListSandboxesQuery, Sandbox } from 'daytonaio-0.185.0'
import { collect, connect, create, daytona, eventually, failure, read, sdk, word } from './harness.js'

/** Until a get answers NotFound; meanwhile nothing but its end may be seen. */
async function waitUntilGone(id: string): Promise<void> {
  await eventually(async () => {
    const error = await failure(
      daytona.get(id).then((sandbox) => assert(['destroying', 'destroyed'].includes(sandbox.state ?? ''), sandbox.state)),
      sdk.DaytonaNotFoundError,
    )
    assert.equal(error.statusCode, 404)
  })
}

test('created without arguments it is started', async () => {
  const sandbox = await create()
  assert.equal(sandbox.state, 'started')
  assert.deepEqual(sandbox.labels, { 'code-toolbox-language': 'python' })
  assert.deepEqual(sandbox.env, {})
  assert.equal(sandbox.public, false)
  assert(sandbox.cpu > 0 && sandbox.memory > 0 && sandbox.disk > 0)
  assert.equal(await read(sandbox, 'echo ready'), 'ready\n')
})

test('what was asked for is kept', async () => {
  const name = word()
  const made = await create({
    name,
    labels: { purpose: 'sdk test', größe: 'ß' },
    envVars: { GREETING: 'Grüße, world', EMPTY: '' },
    public: true,
    autoStopInterval: 7,
    autoArchiveInterval: 90,
    autoDeleteInterval: 120,
  })
  for (const sandbox of [made, await daytona.get(made.id)]) {
    assert.equal(sandbox.name, name)
    assert.deepEqual(sandbox.labels, { purpose: 'sdk test', größe: 'ß', 'code-toolbox-language': 'python' })
    assert.deepEqual(sandbox.env, { GREETING: 'Grüße, world', EMPTY: '' })
    assert.equal(sandbox.public, true)
    assert.deepEqual([sandbox.autoStopInterval, sandbox.autoArchiveInterval, sandbox.autoDeleteInterval], [7, 90, 120])
  }
  assert.equal(await read(made, 'printf "%s|%s" "$GREETING" "${EMPTY-unset}"'), 'Grüße, world|')
})

test('intervals are set', async () => {
  const sandbox = await create()
  assert.deepEqual([sandbox.autoStopInterval, sandbox.autoDeleteInterval], [15, -1])
  await sandbox.setAutostopInterval(30)
  await sandbox.setAutoDeleteInterval(60)
  // an event of the first change may come after the answer to it
  await sandbox.refreshData()
  for (const known of [sandbox, await daytona.get(sandbox.id)]) {
    assert.deepEqual([known.autoStopInterval, known.autoDeleteInterval], [30, 60])
  }
  await failure(sandbox.setAutostopInterval(-1))
})

test('a name is taken once', async () => {
  const name = word()
  await create({ name })
  assert.equal((await failure(create({ name }), sdk.DaytonaConflictError)).statusCode, 409)
})

test('an unknown snapshot is a bad request', async () => {
  const error = await failure(create({ snapshot: 'no/such:snapshot' }), sdk.DaytonaValidationError)
  assert.equal(error.statusCode, 400)
  assert(!(error instanceof sdk.DaytonaNotFoundError))
})

test('a wrong key is an authentication error', async () => {
  const stranger = connect(`dtn_${'0'.repeat(64)}`)
  for (const call of [() => stranger.create(), () => stranger.get('anything'), () => collect(stranger.list())]) {
    assert.equal((await failure(call(), sdk.DaytonaAuthenticationError)).statusCode, 401)
  }
})

test('found by id and by name', async () => {
  const name = word()
  const made = await create({ name })
  for (const found of [await daytona.get(made.id), await daytona.get(name)]) {
    assert.deepEqual([found.id, found.name, found.state], [made.id, name, 'started'])
  }
})

test('nobody is found by an unknown name', async () => {
  for (const unknown of [word(), '00000000-0000-4000-8000-000000000000']) {
    assert.equal((await failure(daytona.get(unknown), sdk.DaytonaNotFoundError)).statusCode, 404)
  }
})

test('labels are replaced, not merged', async () => {
  const sandbox = await create({ labels: { old: '1', kept: '2' } })
  const labels = { kept: '3', new: '4' }
  assert.deepEqual(await sandbox.setLabels(labels), labels)
  assert.deepEqual(sandbox.labels, labels)
  assert.deepEqual((await daytona.get(sandbox.id)).labels, labels)
})

test('files outlive a stop and processes do not', async () => {
  const sandbox = await create()
  await sandbox.fs.uploadFile(Buffer.from('kept\n'), 'kept.txt')
  await read(sandbox, 'sleep 4321 >/dev/null 2>&1 &')
  await sandbox.stop()
  assert.equal(sandbox.state, 'stopped')
  await failure(sandbox.process.executeCommand('echo must not run'))
  await sandbox.start()
  assert.equal(sandbox.state, 'started')
  assert.equal((await sandbox.fs.downloadFile('kept.txt')).toString(), 'kept\n')
  assert.equal((await sandbox.process.executeCommand("pgrep -fx 'sleep 4321'")).exitCode, 1)
})

test('starting again changes nothing', async () => {
  const sandbox = await create()
  const process = (await read(sandbox, 'echo here >/tmp/mark; sleep 4322 >/dev/null 2>&1 & echo $!')).trim()
  await sandbox.start()
  assert.equal(sandbox.state, 'started')
  assert.equal(await read(sandbox, `cat /tmp/mark; kill -0 ${process} && echo alive`), 'here\nalive\n')
})

test('a deleted one is gone and its name is free', async () => {
  const name = word()
  const sandbox = await create({ name })
  await sandbox.delete()
  const again = await create({ name })
  assert.notEqual(again.id, sandbox.id)
  assert.equal((await daytona.get(name)).id, again.id)
  await waitUntilGone(sandbox.id)
})

test('an ephemeral one ends with its stop', async () => {
  const sandbox = await create({ ephemeral: true })
  assert.equal(sandbox.autoDeleteInterval, 0)
  await sandbox.stop()
  await waitUntilGone(sandbox.id)
})

describe('a list', () => {
  const batch = word()
  let members: Sandbox[]

  before(async () => {
    members = []
    for (const number of [0, 1, 2]) {
      members.push(await create({ name: `${batch}-${number}`, labels: { batch, number: String(number) } }))
    }
    await members[0].stop()
  })

  const ids = async (query: ListSandboxesQuery) => (await collect(daytona.list(query))).map((sandbox) => sandbox.id)

  test('is walked page by page', async () => {
    for (const limit of [1, 2, 3, undefined]) {
      const found = await ids({ labels: { batch }, limit })
      assert.deepEqual(found.sort(), members.map((sandbox) => sandbox.id).sort())
    }
  })

  test('holds only what matches every label', async () => {
    assert.deepEqual(await ids({ labels: { batch, number: '1' } }), [members[1].id])
    assert.deepEqual(await ids({ labels: { batch, number: '7' } }), [])
  })

  test('is filtered and ordered', async () => {
    const byName = { sort: sdk.SandboxListSortField.NAME, order: sdk.SandboxListSortDirection.ASC }
    const [stopped, ...started] = members.map((sandbox) => sandbox.id)
    assert.deepEqual(await ids({ name: batch.toUpperCase(), limit: 2, ...byName }), [stopped, ...started])
    assert.deepEqual(await ids({ name: batch, states: [sdk.SandboxState.STARTED], ...byName }), started)
    assert.deepEqual(await ids({ name: batch, states: [sdk.SandboxState.STOPPED] }), [stopped])
  })

  test('holds sandboxes that are usable', async () => {
    const [listed] = await collect(daytona.list({ labels: { batch, number: '2' } }))
    assert.equal(await read(listed, 'echo listed'), 'listed\n')
  })
})
