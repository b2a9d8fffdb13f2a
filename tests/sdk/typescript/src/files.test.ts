// Files (contract, toolbox §11 and §20.2). Paths are relative to the work directory.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { FileSystem, Sandbox } from 'daytonaio-0.185.0'
import { create, failure, read, sdk, word } from './harness.js'

const everyByte = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 256))

let sandbox: Sandbox
let fs: FileSystem
let folder: string // fresh for each test
let local: string
before(async () => {
  sandbox = await create()
  fs = sandbox.fs
  local = await mkdtemp(join(tmpdir(), 'harbor-sdk-'))
})
after(() => rm(local, { recursive: true }))
beforeEach(async () => {
  folder = word()
  await fs.createFolder(folder, '755')
})
afterEach(() => fs.deleteFile(folder, true))

const names = async (path: string) => (await fs.listFiles(path)).map((entry) => entry.name)
const download = async (path: string) => (await fs.downloadFile(path)).toString()

describe('folders', () => {
  test('have a mode', async () => {
    for (const [mode, permissions] of [['755', '0755'], ['700', '0700'], ['0755', '0755']]) {
      const path = `${folder}/${mode}`
      await fs.createFolder(path, mode)
      const info = await fs.getFileDetails(path)
      assert.deepEqual([info.name, info.isDir, info.permissions], [mode, true, permissions])
      assert.deepEqual(await fs.listFiles(path), [])
    }
  })

  test('are made with parents, and twice', async () => {
    await fs.createFolder(`${folder}/a/b/c`, '755')
    await fs.createFolder(`${folder}/a/b/c`, '755')
    assert.deepEqual(await names(`${folder}/a/b`), ['c'])
  })
})

describe('uploads', () => {
  test('of bytes, of a local file and of nothing come back', async () => {
    const source = join(local, 'source')
    await writeFile(source, everyByte)
    await fs.uploadFile(everyByte, `${folder}/bytes`)
    await fs.uploadFile(source, `${folder}/file`)
    await fs.uploadFile(Buffer.alloc(0), `${folder}/empty`)
    assert.deepEqual(await fs.downloadFile(`${folder}/bytes`), everyByte)
    assert.deepEqual(await fs.downloadFile(`${folder}/file`), everyByte)
    assert.equal((await fs.downloadFile(`${folder}/empty`)).length, 0)
  })

  test('of several files', async () => {
    await fs.uploadFiles([
      { source: Buffer.from('first'), destination: `${folder}/one` },
      { source: Buffer.from('second'), destination: `${folder}/deep/er/two` },
    ])
    assert.deepEqual(await names(folder), ['deep', 'one'])
    assert.equal(await download(`${folder}/deep/er/two`), 'second')
  })

  test('have exact details', async () => {
    await fs.uploadFile(Buffer.from('hello world'), `${folder}/info.txt`)
    const info = await fs.getFileDetails(`${folder}/info.txt`)
    assert.deepEqual([info.name, info.size, info.isDir], ['info.txt', 11, false])
    assert.deepEqual([info.permissions, info.owner, info.group], ['0644', '1000', '1000'])
  })

  test('overwrite and keep the mode', async () => {
    const path = `${folder}/file`
    await fs.uploadFile(Buffer.from('a long first content'), path)
    await fs.uploadFile(Buffer.from('short'), path)
    assert.equal(await read(sandbox, `stat -c %a ${path}; cat ${path}`), '644\nshort')
  })

  test('take any name', async () => {
    const all = ['plain.txt', 'with space.txt', 'ümlaut ß.txt', '日本語.txt', 'emoji 🙂.txt', '-dash.txt']
    for (const name of all) await fs.uploadFile(Buffer.from(name), `${folder}/${name}`)
    assert.deepEqual((await names(folder)).sort(), all.sort())
    for (const name of all) {
      assert.equal(await download(`${folder}/${name}`), name)
      assert.equal((await buffer(await fs.downloadFileStream(`${folder}/${name}`))).toString(), name)
    }
  })

  test('write through symlinks', async () => {
    await read(sandbox, 'echo old >target; ln -s target link; ln -s later dangling', folder)
    await fs.uploadFile(Buffer.from('new'), `${folder}/link`)
    await fs.uploadFile(Buffer.from('made'), `${folder}/dangling`)
    const seen = await read(sandbox, 'readlink link dangling; cat target later', folder)
    assert.equal(seen, 'target\nlater\nnewmade')
  })

  test('do not overwrite a directory', async () => {
    await fs.uploadFile(Buffer.from('inside'), `${folder}/directory/inside`)
    assert.equal((await failure(fs.uploadFile(Buffer.from('onto'), `${folder}/directory`))).statusCode, 400)
    assert.deepEqual(await names(`${folder}/directory`), ['inside'])
    assert.deepEqual(await names(folder), ['directory'])
  })
})

describe('streams', () => {
  const content = randomBytes(8 * 1024 * 1024)

  test('go there and back with progress', async () => {
    const sent: number[] = []
    const received: number[] = []
    const totals = new Set<number | undefined>()
    const path = `${folder}/stream.bin`
    const source = Readable.from(Array.from({ length: 128 }, (_, part) => content.subarray(part * 65536, (part + 1) * 65536)))
    await fs.uploadFileStream(source, path, { onProgress: ({ bytesSent }) => sent.push(bytesSent) })
    assert.deepEqual(sent, [...sent].sort((a, b) => a - b))
    assert.equal(sent.at(-1), content.length)
    const stream = await fs.downloadFileStream(path, {
      onProgress({ bytesReceived, totalBytes }) {
        received.push(bytesReceived)
        totals.add(totalBytes)
      },
    })
    assert((await buffer(stream)).equals(content))
    assert.deepEqual(received, [...received].sort((a, b) => a - b))
    assert.equal(received.at(-1), content.length)
    assert.deepEqual([...totals], [content.length])
  })

  test('can be cancelled', async () => {
    const up = new AbortController()
    await assert.rejects(
      fs.uploadFileStream(Readable.from([content, content]), `${folder}/cancelled`, {
        signal: up.signal,
        onProgress: () => up.abort(),
      }),
    )
    await fs.uploadFile(content, `${folder}/large`)
    const down = new AbortController()
    await assert.rejects(async () => {
      const stream = await fs.downloadFileStream(`${folder}/large`, { signal: down.signal })
      for await (const _ of stream) down.abort()
    })
    assert((await fs.downloadFile(`${folder}/large`)).equals(content))
  })

  test('of a missing file are not found', async () => {
    await failure((async () => buffer(await fs.downloadFileStream(`${folder}/missing`)))(), sdk.DaytonaNotFoundError)
  })
})

describe('downloads', () => {
  test('to a local file', async () => {
    await fs.uploadFile(everyByte, `${folder}/remote`)
    await fs.downloadFile(`${folder}/remote`, join(local, 'copy'))
    assert.deepEqual(await readFile(join(local, 'copy')), everyByte)
  })

  test('of several come in the order asked for', async () => {
    for (const number of [1, 2, 3]) await fs.uploadFile(Buffer.from(`number ${number}`), `${folder}/${number}`)
    const sources = [3, 'missing', 1, 2].map((name) => `${folder}/${name}`)
    const answers = await fs.downloadFiles(sources.map((source) => ({ source })))
    assert.deepEqual(answers.map((answer) => answer.source), sources)
    assert.deepEqual(answers.map((answer) => answer.result?.toString()), ['number 3', undefined, 'number 1', 'number 2'])
    assert.deepEqual(answers.map((answer) => answer.error === undefined), [true, false, true, true])
    assert.deepEqual([answers[1].errorDetails?.statusCode, answers[1].errorDetails?.errorCode], [404, 'FILE_NOT_FOUND'])
  })

  test('of what is not there, or not for this user', async () => {
    await failure(fs.downloadFile(`${folder}/missing`), sdk.DaytonaNotFoundError)
    await failure(fs.getFileDetails(`${folder}/missing`), sdk.DaytonaNotFoundError)
    // newer clients have a class of its own for it, which is not the older one's
    assert.equal((await failure(fs.downloadFile('/etc/shadow'))).statusCode, 403)
    assert.equal((await failure(fs.downloadFile(folder))).statusCode, 400)
  })
})

describe('changes', () => {
  test('move', async () => {
    await fs.uploadFile(Buffer.from('content'), `${folder}/old`)
    await fs.moveFiles(`${folder}/old`, `${folder}/new`)
    assert.deepEqual(await names(folder), ['new'])
    await fs.uploadFile(Buffer.from('other'), `${folder}/other`)
    await failure(fs.moveFiles(`${folder}/other`, `${folder}/new`), sdk.DaytonaConflictError)
    assert.equal(await download(`${folder}/new`), 'content')
  })

  test('delete', async () => {
    await fs.uploadFile(Buffer.from(''), `${folder}/file`)
    await fs.uploadFile(Buffer.from(''), `${folder}/tree/deep/leaf`)
    await fs.deleteFile(`${folder}/file`)
    assert.equal((await failure(fs.deleteFile(`${folder}/tree`))).statusCode, 400)
    await fs.deleteFile(`${folder}/tree`, true)
    assert.deepEqual(await names(folder), [])
    await failure(fs.deleteFile(`${folder}/tree`, true), sdk.DaytonaNotFoundError)
  })

  test('permissions', async () => {
    const path = `${folder}/file`
    await fs.uploadFile(Buffer.from(''), path)
    await fs.setFilePermissions(path, { mode: '600' })
    assert.equal((await fs.getFileDetails(path)).permissions, '0600')
    await fs.setFilePermissions(path, { mode: '754', owner: 'daytona', group: 'daytona' })
    const info = await fs.getFileDetails(path)
    assert.deepEqual([info.permissions, info.owner, info.group], ['0754', '1000', '1000'])
  })

  test('find, search and replace', async () => {
    await fs.uploadFile(Buffer.from('nothing\nhere is a needle\n'), `${folder}/a.txt`)
    await fs.uploadFile(Buffer.from('needle.*\nNeedle\n'), `${folder}/deep/b.txt`)
    await fs.uploadFile(Buffer.from(''), `${folder}/c.md`)
    const found = await fs.findFiles(folder, 'needle')
    assert.deepEqual(
      found.map(({ file, line, content }) => [file, line, content]),
      [[`${folder}/a.txt`, 2, 'here is a needle'], [`${folder}/deep/b.txt`, 1, 'needle.*']],
    )
    assert.deepEqual((await fs.searchFiles(folder, '*.txt')).files, [`${folder}/a.txt`, `${folder}/deep/b.txt`])
    const paths = [`${folder}/a.txt`, `${folder}/missing`]
    const results = await fs.replaceInFiles(paths, 'needle', 'pin')
    assert.deepEqual(results.map(({ file, success }) => [file, success]), [[paths[0], true], [paths[1], false]])
    assert.equal(await download(`${folder}/a.txt`), 'nothing\nhere is a pin\n')
  })
})
