// Python with a memory, streamed (contract, toolbox §9).
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { ExecutionError, RunCodeOptions, Sandbox } from 'daytonaio-0.185.0'
import { create, failure, read, sdk, word } from './harness.js'

let sandbox: Sandbox
let context: NonNullable<RunCodeOptions['context']>
before(async () => {
  sandbox = await create()
  context = await sandbox.codeInterpreter.createContext()
})

const run = (code: string, options: RunCodeOptions = {}) =>
  sandbox.codeInterpreter.runCode(code, { context, ...options })

describe('output', () => {
  test('comes on two streams', async () => {
    const code = "import sys\nprint('out', 'ß')\nprint('err', file=sys.stderr)\nprint('more', end='')\n1 + 1"
    const result = await run(code)
    assert.deepEqual([result.stdout, result.stderr, result.error], ['out ß\nmore', 'err\n', undefined])
  })

  test('comes piece by piece', async () => {
    const file = `/tmp/${word()}`
    const heard: string[] = []
    let released: Promise<string> | undefined
    const code = `import os, time\nprint('one')\nwhile not os.path.exists('${file}'): time.sleep(0.1)\nprint('two')`
    // the program ends only after its first line has arrived here
    const onStdout = ({ output }: { output: string }) => {
      heard.push(output)
      released ??= read(sandbox, `touch ${file}`)
    }
    const { stdout } = await run(code, { onStdout, timeout: 60 })
    await released
    assert.deepEqual([stdout, heard.join('')], ['one\ntwo\n', 'one\ntwo\n'])
    assert(heard.length > 1)
  })

  test('is whole when it is long', async () => {
    const { stdout } = await run("print('x' * 2_000_000)\nfor n in range(20_000): print(n)")
    assert.equal(stdout, 'x'.repeat(2_000_000) + '\n' + Array.from({ length: 20_000 }, (_, n) => `${n}\n`).join(''))
  })
})

describe('an error', () => {
  test('is told, and what was set before stays', async () => {
    const errors: ExecutionError[] = []
    const code = "kept = 5\nprint('before')\nraise ValueError('on purpose')"
    const result = await run(code, { onError: (error) => errors.push(error) })
    assert.equal(result.stdout, 'before\n')
    assert.deepEqual([result.error?.name, result.error?.value], ['ValueError', 'on purpose'])
    assert.match(result.error?.traceback ?? '', /^Traceback [^]*line 3[^]*ValueError: on purpose\n$/)
    assert.deepEqual(errors.map(({ name }) => name), ['ValueError'])
    assert.equal((await run('def broken(:')).error?.name, 'SyntaxError')
    assert.equal((await run('import sys\nsys.exit(3)')).error, undefined)
    assert.equal((await run('print(kept)')).stdout, '5\n')
  })

  test('is a timeout', async () => {
    await run('kept = 7')
    await failure(run('import time\ntime.sleep(600)', { timeout: 1 }), sdk.DaytonaTimeoutError)
    assert.equal((await run('print(kept)')).stdout, '7\n')
    assert.equal((await run("import time\ntime.sleep(1.5)\nprint('done')", { timeout: 60 })).stdout, 'done\n')
  })
})

describe('a context', () => {
  test('remembers, and nobody else sees it', async () => {
    await run('numbers = [1, 2]\ndef double(n): return 2 * n')
    await run('numbers.append(double(3))')
    assert.equal((await run('print(numbers, __name__)')).stdout, '[1, 2, 6] __main__\n')
    const fallback = await sandbox.codeInterpreter.runCode('print(numbers)')
    assert.equal(fallback.error?.name, 'NameError')
  })

  test('has a directory and is listed until deleted', async () => {
    const other = await sandbox.codeInterpreter.createContext('/tmp')
    const ids = async () => (await sandbox.codeInterpreter.listContexts()).map(({ id }) => id)
    assert.equal((await run('import os\nprint(os.getcwd())', { context: other })).stdout, '/tmp\n')
    assert.deepEqual((await ids()).sort(), [context.id, other.id].sort())
    await sandbox.codeInterpreter.deleteContext(other)
    assert.deepEqual(await ids(), [context.id])
    assert.match((await failure(run('print(1)', { context: other }))).message, /context not found/)
    await failure(sandbox.codeInterpreter.deleteContext(other), sdk.DaytonaNotFoundError)
    await failure(sandbox.codeInterpreter.createContext('/no/such/place'))
  })

  test('runs beside another', async () => {
    const other = await sandbox.codeInterpreter.createContext()
    const mark = `/tmp/${word()}`
    const meet = (mine: number, theirs: number) =>
      `import os, time\nopen('${mark}-${mine}', 'w')\nwhile not os.path.exists('${mark}-${theirs}'): time.sleep(0.05)`
    const results = await Promise.all([
      run(meet(1, 2), { timeout: 60 }),
      run(meet(2, 1), { timeout: 60, context: other }),
    ])
    await sandbox.codeInterpreter.deleteContext(other)
    assert.deepEqual(results.map(({ error }) => error), [undefined, undefined])
  })
})

test('an environment is for one call', async () => {
  const show = "import os\nprint(os.environ.get('NAME'), os.environ.get('HOME'))"
  assert.equal((await run(show, { envs: { NAME: 'wert ß', HOME: '/elsewhere' } })).stdout, 'wert ß /elsewhere\n')
  assert.equal((await run(show)).stdout, 'None /home/daytona\n')
})
