// Commands and programs (contract, toolbox §6, §7 and §20.3), directories, preview links.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { Sandbox } from 'daytonaio-0.185.0'
import { create, eventually, failure, read, sdk, word } from './harness.js'

let sandbox: Sandbox
before(async () => {
  sandbox = await create()
})

describe('a command', () => {
  test('has output and an exit code', async () => {
    const answer = await sandbox.process.executeCommand('echo out; echo err >&2; exit 42')
    assert.equal(answer.exitCode, 42)
    assert.equal(answer.result, 'out\nerr\n')
    assert.equal(answer.artifacts?.stdout, answer.result)
  })

  test('that fails is no exception', async () => {
    const answer = await sandbox.process.executeCommand('ls /no/such/place')
    assert.equal(answer.exitCode, 2)
    assert.match(answer.result, /no\/such\/place/)
  })

  test('runs where it is told', async () => {
    assert.equal(await read(sandbox, 'pwd', '/tmp'), '/tmp\n')
    assert.equal((await read(sandbox, 'pwd')).trim(), await sandbox.getWorkDir())
    assert.equal((await sandbox.process.executeCommand('pwd', '/no/such/place')).exitCode, -1)
  })

  test('has an environment', async () => {
    const env = { ONE: '1', TWO: 'zwei und $HOME' }
    const answer = await sandbox.process.executeCommand('echo $ONE-$TWO', undefined, env)
    assert.equal(answer.result, '1-zwei und $HOME\n')
  })

  test('prints any text', async () => {
    for (const text of ['äöü ß', '日本語', '🙂 emoji', 'tab\tquote \' " \\ %s', 'line one\nline two']) {
      assert.equal(await read(sandbox, `cat <<'END'\n${text}\nEND`), text + '\n')
    }
  })

  test('prints a mebibyte', async () => {
    const text = await read(sandbox, "head -c 1048576 /dev/zero | tr '\\0' x; echo END")
    assert.equal(text.length, 1048580)
    assert(text.endsWith('xEND\n'))
  })

  test('that takes too long is an error that says so', async () => {
    const error = await failure(sandbox.process.executeCommand('sleep 1800', undefined, undefined, 1))
    assert.match(error.message, /timeout/)
    assert.equal((await sandbox.process.executeCommand("pgrep -fx 'sleep 1800'")).exitCode, 1)
  })

  test('in the background returns and lives on', async () => {
    const file = `/tmp/${word()}`
    await read(sandbox, `(until [ -e ${file}.go ]; do sleep 0.1; done; echo later >${file}) >/dev/null 2>&1 &`)
    assert.equal((await sandbox.process.executeCommand(`cat ${file}`)).exitCode, 1)
    await read(sandbox, `touch ${file}.go`)
    await eventually(async () => assert.equal(await read(sandbox, `cat ${file}`), 'later\n'), 60)
  })

  test('runs beside others', async () => {
    const run = async (number: number) => {
      const output = await read(sandbox, `date +%s%3N; sleep 4; date +%s%3N; echo ${number}`)
      return output.trim().split('\n').map(Number)
    }
    const answers = await Promise.all(Array.from({ length: 12 }, (_, number) => run(number)))
    const column = (index: number) => answers.map((answer) => answer[index])
    assert.deepEqual(column(2), Array.from({ length: 12 }, (_, number) => number))
    // there was a moment in which all of them ran
    assert(Math.max(...column(0)) < Math.min(...column(1)))
  })
})

describe('a Python program', () => {
  test('prints', async () => {
    const answer = await sandbox.process.codeRun("for n in range(3):\n    print(n, 'für')\n")
    assert.deepEqual([answer.exitCode, answer.result], [0, '0 für\n1 für\n2 für\n'])
  })

  test('that fails has an exit code', async () => {
    for (const [code, status, said] of [
      ['def broken(:\n    pass', 1, 'SyntaxError'],
      ['1 / 0', 1, 'ZeroDivisionError'],
      ['import sys\nsys.exit(7)', 7, ''],
    ] as const) {
      const answer = await sandbox.process.codeRun(code)
      assert.equal(answer.exitCode, status)
      assert(answer.result.includes(said), answer.result)
    }
  })

  test('has arguments and an environment', async () => {
    const argv = ['one', 'two words', "it's", '"$HOME" *', '']
    const code = "import os, sys, json\nprint(json.dumps([sys.argv[1:], os.environ['NAME']]))"
    const answer = await sandbox.process.codeRun(code, { argv, env: { NAME: 'wert ß' } })
    assert.deepEqual(JSON.parse(answer.result), [argv, 'wert ß'])
  })

  test('that takes too long is an error that says so', async () => {
    const error = await failure(sandbox.process.codeRun('import time\ntime.sleep(30)', undefined, 1))
    assert.match(error.message, /timeout/)
  })
})

for (const language of ['javascript', 'typescript']) {
  describe(`a ${language} program`, () => {
    let scripted: Sandbox
    before(async () => {
      scripted = await create({ language })
      assert.equal(scripted.labels['code-toolbox-language'], language)
    })

    test('prints', async () => {
      const answer = await scripted.process.codeRun("const text = ['a', 'ß'].join('-');\nconsole.log(text, 6 * 7);")
      assert.deepEqual([answer.exitCode, answer.result], [0, 'a-ß 42\n'])
    })

    test('that fails has an exit code', async () => {
      const thrown = await scripted.process.codeRun("throw new Error('on purpose');")
      assert.equal(thrown.exitCode, 1)
      assert.match(thrown.result, /on purpose/)
      assert.equal((await scripted.process.codeRun('process.exit(5);')).exitCode, 5)
    })

    test('has arguments and an environment', async () => {
      const answer = await scripted.process.codeRun(
        'console.log(JSON.stringify([process.argv.slice(1), process.env.NAME]));',
        { argv: ['first', 'two words'], env: { NAME: 'wert' } },
      )
      assert.deepEqual(JSON.parse(answer.result), [['first', 'two words'], 'wert'])
    })
  })
}

test('typescript has types', async () => {
  const typed = await create({ language: sdk.CodeLanguage.TYPESCRIPT })
  const answer = await typed.process.codeRun(
    'enum Size { Small = 1, Large }\nconst size: Size = Size.Large;\nconsole.log(size as number);',
  )
  assert.deepEqual([answer.exitCode, answer.result], [0, '2\n'])
})

describe('a chart', () => {
  /** The charts of a program that draws with `plt`, and whose figures are pictures. */
  async function draw(program: string) {
    const code = `import matplotlib.pyplot as plt\n${program}\nplt.show()\nprint('drawn')`
    const answer = await sandbox.process.codeRun(code)
    assert.deepEqual([answer.exitCode, answer.result], [0, 'drawn\n'])
    const charts = answer.artifacts?.charts ?? []
    for (const chart of charts) {
      assert.equal(Buffer.from(chart.png ?? '', 'base64').subarray(1, 4).toString(), 'PNG')
    }
    return charts
  }

  test('of lines', async () => {
    const [chart, ...others] = await draw(
      "plt.plot([1, 2, 3], [4.5, 5, 6], label='up')\nplt.title('Lines')\nplt.xlabel('time')\nplt.ylabel('value')",
    )
    assert.equal(others.length, 0)
    assert.deepEqual([chart.type, chart.title, chart.x_label, chart.y_label], ['line', 'Lines', 'time', 'value'])
    assert.deepEqual(
      chart.elements?.map(({ label, points }) => [label, points]),
      [['up', [[1, 4.5], [2, 5], [3, 6]]]],
    )
  })

  test('of bars has values', async () => {
    const [chart] = await draw("plt.bar(['a', 'b', 'c'], [1, 2.5, 3], label='group')")
    assert.equal(chart.type, 'bar')
    assert.deepEqual(
      chart.elements?.map(({ label, group, value }) => [label, group, Number(value)]),
      [['a', 'group', 1], ['b', 'group', 2.5], ['c', 'group', 3]],
    )
  })

  test('of a pie', async () => {
    const [chart] = await draw("plt.pie([1, 3], labels=['quarter', 'rest'])")
    assert.equal(chart.type, 'pie')
    assert.deepEqual(
      chart.elements?.map(({ label, angle }) => [label, Math.round(angle ?? 0)]),
      [['quarter', 90], ['rest', 270]],
    )
  })
})

test('home and work directory', async () => {
  assert.equal(await sandbox.getUserHomeDir(), '/home/daytona')
  assert.equal(await sandbox.getWorkDir(), (await read(sandbox, 'pwd')).trim())
})

test('a preview link names port and sandbox', async () => {
  const { url, token } = await sandbox.getPreviewLink(3000)
  assert(new URL(url).hostname.startsWith(`3000-${sandbox.id}.`), url)
  assert(token)
})
