// Language servers of the default image (contract, toolbox §13 and §20.7).
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Sandbox } from 'daytonaio-0.185.0'
import { create, eventually, failure, read, word } from './harness.js'

// Seconds until a server has read a project on a busy machine.
const PATIENCE = 90

const SOURCES = {
  python: {
    name: 'main.py',
    text: 'import os\n\n\nclass Widget:\n    def run(self, n):\n        return n + 1\n\n\nos.pa\n',
    inside: { line: 8, character: 5 },
    label: 'path',
  },
  typescript: {
    name: 'main.ts',
    text: 'class Widget {\n  run(n: number) { return n + 1 }\n}\nconst w = new Widget()\nw.\n',
    inside: { line: 4, character: 2 },
    label: 'run',
  },
  javascript: {
    name: 'main.js',
    text: 'class Widget {\n  run(n) { return n + 1 }\n}\nconst w = new Widget()\nw.\n',
    inside: { line: 4, character: 2 },
    label: 'run',
  },
}

let sandbox: Sandbox
before(async () => {
  sandbox = await create()
})

for (const [language, { name, text, inside, label }] of Object.entries(SOURCES)) {
  describe(`a ${language} server`, () => {
    const directory = word()
    const file = `${directory}/${name}`
    let server: Awaited<ReturnType<Sandbox['createLspServer']>>

    before(async () => {
      await sandbox.fs.uploadFile(Buffer.from(text), file)
      server = await sandbox.createLspServer(language, directory)
      const error = await failure(server.documentSymbols(file))
      assert.match(error.message, /not initialized/)
      await server.start()
      await server.didOpen(file)
    })

    after(async () => {
      await server.didClose(file)
      await server.stop()
      await failure(server.stop())
    })

    test('starts once', async () => {
      await (await sandbox.createLspServer(language, directory)).start()
    })

    test('knows the symbols of a document', async () => {
      const uri = `file://${await sandbox.getWorkDir()}/${file}`
      await eventually(async () => {
        const found = await server.documentSymbols(file)
        const widget = found.find((symbol) => symbol.name === 'Widget')
        assert.equal(widget?.kind, 5)
        assert.equal(widget.location.uri, uri)
        assert(found.some((symbol) => symbol.name === 'run'))
      }, PATIENCE)
    })

    test('finds a symbol in the project', async () => {
      await eventually(async () => {
        const found = await server.sandboxSymbols('Widget')
        assert(found.some((symbol) => symbol.name === 'Widget' && symbol.location.uri.endsWith(`/${file}`)))
      }, PATIENCE)
      assert.deepEqual(await server.sandboxSymbols('NoSuchNameAnywhere'), [])
    })

    test('completes', async () => {
      await eventually(async () => {
        const { items, isIncomplete } = await server.completions(file, inside)
        assert.equal(typeof isIncomplete, 'boolean')
        assert(items.some((item) => item.label === label))
      }, PATIENCE)
      await server.completions(file, { line: 0, character: 0 })
    })

    test('refuses a missing file', async () => {
      const error = await failure(server.didOpen(`${file}.no-such-file`))
      assert.match(error.message, /no-such-file/)
    })
  })
}

test('an image without the program is told what to install', async () => {
  const bare = await create()
  await read(bare, 'sudo mv "$(command -v pylsp)" /usr/local/bin/pylsp.away')
  const error = await failure((await bare.createLspServer('python', '.')).start())
  assert.match(error.message, /pip install python-lsp-server/)
})
