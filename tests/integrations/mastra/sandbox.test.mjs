// The sandbox of @mastra/daytona and the tools that Mastra makes of it, called as an agent would, without a model.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { SandboxNotReadyError, Workspace, createWorkspaceTools } from '@mastra/core/workspace'
import { DaytonaProcessManager, DaytonaSandbox } from '@mastra/daytona'

const connection = { apiUrl: process.env.DAYTONA_API_URL, apiKey: process.env.DAYTONA_API_KEY }
const made = []

const word = () => `mastra-${randomBytes(6).toString('hex')}`

function make(options = {}) {
  made.push(new DaytonaSandbox({ ...connection, id: word(), language: 'python', ...options }))
  return made.at(-1)
}

/** Repeats `look` until it holds; what it throws last is the failure. */
async function eventually(look, seconds = 60) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await sleep(50)
  }
}

let sandbox
before(async () => {
  sandbox = make({ env: { GREETING: "it's ß" }, labels: { purpose: 'test' }, timeout: 60_000 })
  await sandbox._start()
})
after(() => Promise.all(made.map((one) => one._destroy())))

const run = async (command, args, options) => {
  const { success, exitCode, stdout, stderr } = await sandbox.executeCommand(command, args, options)
  assert.equal(success, exitCode === 0)
  return [exitCode, stdout, stderr]
}

describe('its life', () => {
  test('it says what it is', async () => {
    const info = await sandbox.getInfo()
    assert.deepEqual([info.provider, info.status, info.mounts], ['daytona', 'running', []])
    assert(info.resources.cpuCores > 0 && info.resources.memoryMB > 0 && info.resources.diskMB > 0)
    assert(info.createdAt instanceof Date)
    assert.equal(info.metadata.language, 'python')
    assert.match(sandbox.getInstructions(), /working directory: \/home\/daytona\. Command timeout: 60s\./)
    assert.equal(await sandbox.isReady(), true)
    assert.equal(sandbox.instance, sandbox.daytona)
    assert.deepEqual(sandbox.daytona.labels, {
      purpose: 'test',
      'mastra-sandbox-id': sandbox.id,
      'code-toolbox-language': 'python',
    })
  })

  test('it is found again by its name, stopped and started, and destroyed', async () => {
    const first = make()
    assert.throws(() => first.daytona, SandboxNotReadyError)
    await first._start()
    const { id } = first.daytona
    await first.daytona.fs.uploadFile(Buffer.from('kept'), 'kept.txt')
    const second = make({ id: first.id })
    await second._start()
    assert.equal(second.daytona.id, id)
    await second._stop()
    assert.deepEqual([second.status, await second.isReady()], ['stopped', false])
    const third = make({ id: first.id })
    await third._start()
    assert.equal(third.daytona.id, id)
    assert.equal((await third.executeCommand('cat kept.txt')).stdout, 'kept\n')
    await third._destroy()
    assert.equal(third.status, 'destroyed')
    await eventually(async () => {
      const answer = await fetch(`${connection.apiUrl}/sandbox/${id}`, {
        headers: { authorization: `Bearer ${connection.apiKey}` },
      })
      assert.equal(answer.status, 404)
    })
  })

  test('one that was stopped meanwhile is started, and the command run', async () => {
    const victim = make()
    await victim._start()
    const { id } = victim.daytona
    await victim.daytona.stop()
    assert.equal((await victim.executeCommand('echo alive')).stdout, 'alive\n')
    assert.equal(victim.daytona.id, id)
  })

  test('what it cannot have is refused', async () => {
    await assert.rejects(make({ snapshot: 'no/such:snapshot' })._start(), /no\/such/)
    await assert.rejects(make({ apiKey: `dtn_${'0'.repeat(64)}` })._start())
  })
})

describe('a command', () => {
  test('has two streams and an exit code', async () => {
    assert.deepEqual(await run('echo out; echo err >&2; exit 3'), [3, 'out\n', 'err\n'])
  })

  test('has arguments, a directory and an environment', async () => {
    const args = ['%s|', 'two words', "it's", '$HOME *', 'ß🙂']
    assert.deepEqual(await run('printf', args), [0, "two words|it's|$HOME *|ß🙂|\n", ''])
    assert.deepEqual(await run('pwd; echo "$GREETING $NAME"', [], { cwd: '/tmp', env: { NAME: 'a b' } }), [
      0,
      "/tmp\nit's ß a b\n",
      '',
    ])
    assert.deepEqual(await run('echo "[$NAME]"'), [0, '[]\n', ''])
    await assert.rejects(run('true', [], { env: { 'NO-NAME': '1' } }), /Invalid environment variable name/)
  })

  test('is heard while it runs', async () => {
    const heard = { out: [], err: [] }
    const command = 'echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three'
    const options = { onStdout: (text) => heard.out.push(text), onStderr: (text) => heard.err.push(text) }
    assert.deepEqual(await run(command, [], options), [0, 'one\nthree\n', 'two\n'])
    assert.deepEqual([heard.out.join(''), heard.err.join('')], ['one\nthree\n', 'two\n'])
    assert(heard.out.length > 1)
  })

  test('is whole when it is long', async () => {
    const [code, stdout, stderr] = await run('for n in $(seq 1 2000); do echo out $n; echo err $n >&2; done')
    const lines = (name) => Array.from({ length: 2000 }, (_, index) => `${name} ${index + 1}\n`).join('')
    assert.deepEqual([code, stdout, stderr], [0, lines('out'), lines('err')])
  })

  test('that takes too long is ended', async () => {
    const result = await sandbox.executeCommand('echo begun; sleep 4321', [], { timeout: 2000 })
    assert.deepEqual([result.exitCode, result.timedOut, result.killed, result.stdout], [124, true, true, 'begun\n'])
    await eventually(async () => assert.equal((await run('pgrep -fx "sleep 4321"'))[0], 1))
  })
})

describe('a process', () => {
  test('is spawned, given input, and waited for', async () => {
    assert(sandbox.processes instanceof DaytonaProcessManager)
    const handle = await sandbox.processes.spawn('read name; echo "hello $name"; exit 5')
    const running = (await sandbox.processes.list()).find(({ pid }) => pid === handle.pid)
    assert.deepEqual([running.running, running.exitCode], [true, undefined])
    assert.equal((await sandbox.processes.get(handle.pid)).pid, handle.pid)
    await handle.sendStdin('Wörld\n')
    const result = await handle.wait()
    assert.deepEqual([result.exitCode, handle.exitCode], [5, 5])
    assert(result.stdout.includes('hello Wörld\n'), result.stdout)
    await assert.rejects(handle.sendStdin('x'), /already exited/)
    assert.equal(await handle.kill(), false)
  })

  test('is killed with its children', async () => {
    const handle = await sandbox.processes.spawn('sleep 4322 & sleep 4323')
    await eventually(async () => assert.equal((await run('pgrep -cfx "sleep 432[23]"'))[1], '2\n'))
    assert.equal(await sandbox.processes.kill(handle.pid), true)
    const result = await handle.wait()
    assert.deepEqual([result.exitCode, result.killed], [137, true])
    await eventually(async () => assert.equal((await run('pgrep -cfx "sleep 432[23]"'))[1], '0\n'))
  })

  test('is a pair of streams', async () => {
    const handle = await sandbox.processes.spawn('while read line; do echo "> $line"; done')
    handle.writer.write('one\n')
    let text = ''
    for await (const chunk of handle.reader) {
      text += chunk
      if (text.includes('> one\n')) break
    }
    await handle.kill()
    sandbox.processes.release(handle.pid)
    assert(!(await sandbox.processes.list()).some(({ pid }) => pid === handle.pid))
  })
})

describe('a mount', () => {
  const storage = (config) => ({ id: 'storage', provider: 's3', getMountConfig: () => config })
  const bucket = { type: 's3', bucket: 'a-bucket', accessKeyId: 'key', secretAccessKey: 'secret' }

  test('of storage that cannot be reached is refused and leaves nothing', async () => {
    const answer = await sandbox.mount(storage({ ...bucket, endpoint: 'http://127.0.0.1:1' }), '/mnt/none')
    assert.equal(answer.success, false)
    assert.match(answer.error, /Cannot reach http:\/\/127\.0\.0\.1:1/)
    assert.equal((await run('test -e /mnt/none'))[0], 1)
    assert.equal(sandbox.mounts.get('/mnt/none').state, 'error')
    await sandbox.unmount('/mnt/none')
    assert.deepEqual([...sandbox.mounts.entries.keys()], [])
  })

  test('onto what is in use is refused', async () => {
    assert.match((await sandbox.mount(storage(bucket), '/proc')).error, /already mounted by an unmanaged source/)
    await assert.rejects(sandbox.mount(storage(bucket), '/mnt/../etc'), /traversal/)
    assert.match((await sandbox.mount(storage(undefined), '/mnt/none')).error, /does not provide a mount config/)
    sandbox.mounts.clear()
  })

  test('that is stale is cleared away', async () => {
    await run('mkdir -p /tmp/.mastra-mounts && echo nonsense >/tmp/.mastra-mounts/mount-0a')
    await sandbox.reconcileMounts([])
    assert.equal((await run('ls -A /tmp/.mastra-mounts'))[1], '')
  })
})

describe('the tools of an agent', () => {
  let workspace, tools
  before(async () => {
    workspace = new Workspace({ sandbox })
    await workspace.init()
    tools = await createWorkspaceTools(workspace)
  })
  const call = (name, input) => tools[`mastra_workspace_${name}`].execute(input, { workspace })

  test('are these', () => {
    const names = ['execute_command', 'get_process_output', 'kill_process'].map((name) => `mastra_workspace_${name}`)
    assert.deepEqual(Object.keys(tools).sort(), names)
  })

  test('run a command', async () => {
    assert.equal(await call('execute_command', { command: 'echo out', cwd: '/tmp' }), 'out\n')
    const failed = await call('execute_command', { command: 'pwd; echo err >&2; exit 4', cwd: '/tmp' })
    assert.match(failed, /\/tmp\n[^]*err\n[^]*Exit code: 4/)
    const tail = await call('execute_command', { command: 'seq 1 100', tail: 2 })
    assert(tail.includes('99\n100') && !tail.includes('\n50\n'), tail)
  })

  test('start one in the background, look at it and kill it', async () => {
    const started = await call('execute_command', { command: 'echo begun; sleep 4324; echo over', background: true })
    const pid = /mastra-proc-[a-z0-9-]+/.exec(started)?.[0]
    assert(pid, started)
    await eventually(async () => assert.match(await call('get_process_output', { pid }), /begun/))
    assert.match(await call('kill_process', { pid }), /kill/i)
    await eventually(async () => assert.equal((await run('pgrep -fx "sleep 4324"'))[0], 1))
    const quick = await call('execute_command', { command: 'sleep 0.5; echo done; exit 6', background: true })
    const answer = await call('get_process_output', { pid: /mastra-proc-[a-z0-9-]+/.exec(quick)[0], wait: true })
    assert.match(answer, /done[^]*6/)
    assert.match(await call('get_process_output', { pid: 'nobody' }), /nobody/)
  })
})
