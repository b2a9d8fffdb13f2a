// Terminals (contract, toolbox §10).
import assert from 'node:assert/strict'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, before, beforeEach, test } from 'node:test'
import type { PtyCreateOptions, PtyHandle, Sandbox } from 'daytonaio-0.185.0'
import { create, eventually, failure, sdk, word } from './harness.js'

let sandbox: Sandbox
let id: string // fresh for each test
const open: Terminal[] = []
before(async () => {
  sandbox = await create()
})
beforeEach(() => {
  id = word()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ handle }) => handle.disconnect()))
  const there = await sandbox.process.listPtySessions()
  await Promise.all(there.map((session) => sandbox.process.killPtySession(session.id)))
})

/** One connection to a terminal and all that came through it. */
class Terminal {
  readonly #chunks: Uint8Array[] = []
  handle!: PtyHandle

  async opened(connect: (onData: (data: Uint8Array) => void) => Promise<PtyHandle>): Promise<this> {
    this.handle = await connect((data) => this.#chunks.push(data))
    open.push(this)
    return this
  }

  /** What was printed, without what only moves the cursor or colours. */
  get text() {
    return stripVTControlCharacters(Buffer.concat(this.#chunks).toString())
  }

  until(text: string) {
    return eventually(async () => assert(this.text.includes(text), this.text), 60)
  }

  type(line: string) {
    return this.handle.sendInput(line + '\n')
  }

  async says(line: string, ...texts: string[]) {
    await this.type(line)
    for (const text of texts) await this.until(text)
  }
}

const made = (options: Partial<PtyCreateOptions> = {}) =>
  new Terminal().opened((onData) => sandbox.process.createPty({ id, onData, ...options }))
const connected = (session: string) =>
  new Terminal().opened((onData) => sandbox.process.connectPty(session, { onData }))
const running = (count: number, pattern: string) =>
  eventually(async () => {
    assert.equal((await sandbox.process.executeCommand(`pgrep -cfx '${pattern}'`)).result, `${count}\n`)
  }, 60)

test('a line is run and answered', async () => {
  const terminal = await made()
  await terminal.says('echo $((6 * 7))-answer', '42-answer\r\n')
  assert(terminal.handle.isConnected())
  assert.equal(terminal.handle.exitCode, undefined)
})

for (const [line, code] of [['exit', 0], ['exit 7', 7], ['kill -9 $$', 137]] as const) {
  test(`it ends with ${code} after: ${line}`, async () => {
    const terminal = await made()
    await terminal.says('echo $((1 + 1))-ready', '2-ready')
    await terminal.type(line)
    assert.equal((await terminal.handle.wait()).exitCode, code)
    assert.equal(terminal.handle.exitCode, code)
    await failure(sandbox.process.getPtySessionInfo(id), sdk.DaytonaNotFoundError)
  })
}

test('its last words are heard', async () => {
  const terminal = await made()
  await terminal.type('seq 1 20000; echo last $((1 + 1)) words; exit 3')
  assert.equal((await terminal.handle.wait()).exitCode, 3)
  assert(terminal.text.includes('\r\n19999\r\n20000\r\nlast 2 words\r\n'), terminal.text.slice(-200))
})

test('it has the size, directory and environment that were asked for', async () => {
  const envs = { WORD: 'wert ß $HOME', TERM: 'vt100' }
  const terminal = await made({ cwd: '/tmp', envs, rows: 31, cols: 117 })
  await terminal.says('stty size; pwd; echo "=$WORD=$TERM="', '31 117\r\n', '/tmp\r\n', '=wert ß $HOME=vt100=\r\n')
  const info = await sandbox.process.getPtySessionInfo(id)
  assert.deepEqual([info.id, info.cwd, info.rows, info.cols, info.active], [id, '/tmp', 31, 117, true])
})

test('it is resized', async () => {
  const terminal = await made()
  await terminal.says('stty size; trap \'echo "now $(stty size </dev/tty)"\' WINCH', '24 80\r\n')
  const info = await terminal.handle.resize(150, 40)
  assert.deepEqual([info.cols, info.rows], [150, 40])
  await terminal.says('true', 'now 40 150\r\n')
  await sandbox.process.resizePtySession(id, 34, 12)
  await terminal.says('stty size', '12 34\r\n')
  await failure(terminal.handle.resize(5000, 5000), Error)
})

test('control characters are signals', async () => {
  const terminal = await made()
  await terminal.type('sleep 4569')
  await running(1, 'sleep 4569')
  await terminal.handle.sendInput(new Uint8Array([3]))
  await terminal.says('echo $((2 + 2))-after', '4-after\r\n')
})

test('several watch and type, and it stays when nobody does', async () => {
  const first = await made()
  await first.says('marker=kept; echo $((1 + 1))-ready', '2-ready\r\n')
  const second = await connected(id)
  await first.type('echo $((3 + 4))-first')
  await second.until('7-first\r\n')
  await second.says('echo $((4 + 4))-second', '8-second\r\n')
  await first.until('8-second\r\n')
  await Promise.all([first.handle.disconnect(), second.handle.disconnect()])
  assert((await sandbox.process.listPtySessions()).some((session) => session.id === id))
  const third = await connected(id)
  await third.says('echo "still $marker"', 'still kept\r\n')
})

test('it is killed with what runs in it', async () => {
  const terminal = await made()
  await terminal.type('sleep 4570 & sleep 4571')
  await running(2, 'sleep 457[01]')
  await terminal.handle.kill()
  assert.equal((await terminal.handle.wait()).exitCode, 137)
  await running(0, 'sleep 457[01]')
  assert.deepEqual(await sandbox.process.listPtySessions(), [])
  await failure(sandbox.process.killPtySession(id), sdk.DaytonaNotFoundError)
  const again = await made() // the id is free
  await again.says('echo $((1 + 1))-again', '2-again\r\n')
  await failure(made(), Error) // and taken once
})

test('nobody connects to what is not there', async () => {
  await failure(connected(id), Error)
})
