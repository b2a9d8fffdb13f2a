// Shells that stay, their commands, logs and input (contract, toolbox §8 and §20.4).
import assert from 'node:assert/strict'
import { afterEach, before, beforeEach, describe, test } from 'node:test'
import type { Process, Sandbox } from 'daytonaio-0.185.0'
import { create, eventually, failure, read, sdk, word } from './harness.js'

let sandbox: Sandbox
let process: Process
let session: string // fresh for each test
before(async () => {
  sandbox = await create()
  process = sandbox.process
})
beforeEach(async () => {
  session = word()
  await process.createSession(session)
})
afterEach(async () => {
  if ((await listed()).includes(session)) await process.deleteSession(session)
})

const listed = async () => (await process.listSessions()).map(({ sessionId }) => sessionId)
const run = (command: string) => process.executeSessionCommand(session, { command })
const start = async (command: string, options = {}) => {
  const { cmdId, exitCode } = await process.executeSessionCommand(session, { command, runAsync: true, ...options })
  assert.equal(exitCode ?? undefined, undefined)
  return cmdId
}

/** Waits for a command's end, gives its exit code. */
async function ended(command: string): Promise<number> {
  let exitCode: number | undefined
  await eventually(async () => {
    exitCode = (await process.getSessionCommand(session, command)).exitCode
    assert.notEqual(exitCode, undefined)
  }, 60)
  return exitCode as number
}

/** Follows a command's logs to their end, gives what came on both streams. */
async function follow(command: string, seen = () => {}): Promise<[string, string]> {
  const streams: [string, string] = ['', '']
  const hear = (index: number) => (chunk: string) => {
    streams[index] += chunk
    seen()
  }
  await process.getSessionCommandLogs(session, command, hear(0), hear(1))
  return streams
}

describe('a command', () => {
  test('has two streams and an exit code', async () => {
    const answer = await run('echo out; echo err >&2; echo more; (exit 42)')
    assert.deepEqual([answer.exitCode, answer.stdout, answer.stderr], [42, 'out\nmore\n', 'err\n'])
  })

  test('finds what the one before left', async () => {
    assert.equal((await run('pwd')).stdout?.trim(), await sandbox.getWorkDir())
    await run("cd /tmp; export WORD='two words'; say() { echo \"said $1\"; }")
    const answer = await run('pwd; echo "$WORD"; say it')
    assert.deepEqual([answer.exitCode, answer.stdout], [0, '/tmp\ntwo words\nsaid it\n'])
    assert.equal(await read(sandbox, 'echo "[$WORD]"'), '[]\n')
  })

  test('prints any text, and much of it', async () => {
    const text = 'äöü ß 日本語 🙂\ttab \' " \\ %s\n\nend'
    assert.equal((await run(`cat <<'END'\n${text}\nEND`)).stdout, text + '\n')
    const long = await run("head -c 300000 /dev/zero | tr '\\0' x; echo; seq 1 20000 >&2")
    assert.equal(long.stdout, 'x'.repeat(300_000) + '\n')
    assert.equal(long.stderr, Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join(''))
  })

  test('is recorded', async () => {
    const first = await run('echo one')
    const second = await run('(exit 3)')
    const { sessionId, commands } = await process.getSession(session)
    assert.equal(sessionId, session)
    assert.deepEqual(
      commands.map(({ id, command, exitCode }) => [id, command, exitCode]),
      [[first.cmdId, 'echo one', 0], [second.cmdId, '(exit 3)', 3]],
    )
    const logs = await process.getSessionCommandLogs(session, first.cmdId)
    assert.deepEqual([logs.stdout, logs.stderr], ['one\n', ''])
  })

  test('that exits ends the session', async () => {
    assert.equal((await run('exit 5')).exitCode, 5)
    assert.equal((await failure(run('echo never'))).statusCode, 410)
  })
})

describe('a session', () => {
  test('is listed until deleted', async () => {
    assert((await listed()).includes(session))
    await failure(process.createSession(session), sdk.DaytonaConflictError)
    await process.deleteSession(session)
    assert(!(await listed()).includes(session))
    await failure(process.getSession(session), sdk.DaytonaNotFoundError)
    await failure(process.deleteSession(session), sdk.DaytonaNotFoundError)
    await failure(run('true'), sdk.DaytonaNotFoundError)
  })

  test('takes what runs with it', async () => {
    await start('setsid sleep 4568 & sleep 4567')
    const running = async (count: number) => {
      const { result } = await process.executeCommand("pgrep -cfx 'sleep 456[78]'")
      assert.equal(result, `${count}\n`)
    }
    await eventually(() => running(2), 60)
    await process.deleteSession(session)
    await running(0)
  })

  test('is there for the entrypoint', async () => {
    const entrypoint = await process.getEntrypointSession()
    assert.deepEqual(entrypoint.commands.map(({ id, exitCode }) => [id, exitCode]), [['entrypoint_command', undefined]])
    assert.equal(typeof (await process.getEntrypointLogs()).output, 'string')
  })
})

describe('a command in the background', () => {
  test('is followed as it goes', async () => {
    const file = `/tmp/${word()}`
    const wait = `while [ ! -e ${file} ]; do sleep 0.1; done`
    const command = await start(`echo one; ${wait}; echo two >&2; echo three; (exit 9)`)
    assert.equal((await process.getSessionCommand(session, command)).exitCode, undefined)
    // it ends only after its first line has arrived here
    let released: Promise<string> | undefined
    const streams = await follow(command, () => (released ??= read(sandbox, `touch ${file}`)))
    await released
    assert.deepEqual(streams, ['one\nthree\n', 'two\n'])
    assert.equal(await ended(command), 9)
  })

  test('has its streams told apart', async () => {
    const command = await start("for n in $(seq 1 2000); do echo out $n; echo err $n >&2; done; printf 'äöü 🙂'")
    const lines = (name: string) => Array.from({ length: 2000 }, (_, index) => `${name} ${index + 1}\n`).join('')
    const expected = [lines('out') + 'äöü 🙂\n', lines('err')]
    assert.deepEqual(await follow(command), expected)
    assert.deepEqual(await Promise.all([follow(command), follow(command)]), [expected, expected])
  })

  test('takes input', async () => {
    const command = await start('read name; echo "hello $name"; read more; echo "and $more"')
    await process.sendSessionCommandInput(session, command, 'Wörld')
    await process.sendSessionCommandInput(session, command, 'two words\n')
    const [stdout] = await follow(command)
    assert.deepEqual(stdout.split('\n').sort(), ['', 'Wörld', 'and two words', 'hello Wörld', 'two words'])
    const late = await failure(process.sendSessionCommandInput(session, command, 'x'))
    assert.equal(late.statusCode, 410)
    const secret = await start('read secret; echo "${#secret} letters"', { suppressInputEcho: true })
    await process.sendSessionCommandInput(session, secret, 'password')
    assert.deepEqual(await follow(secret), ['8 letters\n', ''])
  })
})
