// Repositories on disk and on a server with passwords (contract, toolbox §12 and §20.5).
import assert from 'node:assert/strict'
import { before, beforeEach, describe, test } from 'node:test'
import type { Git, Sandbox } from 'daytonaio-0.185.0'
import { Server } from './git-remote.js'
import { create, failure, read, sdk, word } from './harness.js'

let sandbox: Sandbox
let git: Git
let server: Server
let remote: Awaited<ReturnType<Server['repository']>> // fresh for each test
before(async () => {
  sandbox = await create()
  git = sandbox.git
  server = await Server.started(sandbox)
})
beforeEach(async () => {
  remote = await server.repository()
})

/** Clones as somebody who may; gives where. */
async function clone(branch?: string, commit?: string): Promise<string> {
  const path = word()
  await git.clone(remote.url, path, branch, commit, server.username, server.password)
  return path
}

/** Writes one file, adds and commits it; gives the hash. */
async function commit(path: string, name: string, content = 'content\n'): Promise<string> {
  await sandbox.fs.uploadFile(Buffer.from(content), `${path}/${name}`)
  await git.add(path, [name])
  return (await git.commit(path, `Add ${name}`, 'Ada Lovelace', 'ada@example.com')).sha
}

const push = (path: string) => git.push(path, server.username, server.password)
const pull = (path: string) => git.pull(path, server.username, server.password)
const content = async (path: string) => (await sandbox.fs.downloadFile(path)).toString()
const branch = async (path: string) => (await git.status(path)).currentBranch
const files = async (path: string) => {
  const { fileStatus } = await git.status(path)
  return Object.fromEntries(fileStatus.map(({ name, staging, worktree }) => [name, [staging, worktree]]))
}

describe('a clone', () => {
  test('is made with a password only', async () => {
    const path = await clone()
    assert.equal(await read(sandbox, 'git log --format=%s', path), 'Second\nFirst\n')
    const { currentBranch, fileStatus, branchPublished, ahead, behind } = await git.status(path)
    assert.deepEqual([currentBranch, fileStatus, branchPublished, ahead, behind], ['main', [], true, 0, 0])
    assert.deepEqual((await git.branches(path)).branches, ['main'])
    for (const credentials of [[], ['git', 'wrong']]) {
      const error = await failure(
        git.clone(remote.url, word(), undefined, undefined, ...credentials),
        sdk.DaytonaAuthenticationError,
      )
      assert.equal(error.statusCode, 401)
    }
  })

  test('may be of a branch, a commit or a directory', async () => {
    const develop = await clone('develop')
    assert.deepEqual([await branch(develop), await content(`${develop}/develop.txt`)], ['develop', 'develop\n'])
    const first = await clone(undefined, server.first)
    assert.deepEqual([await branch(first), await content(`${first}/README.md`)], ['HEAD', 'hello\n'])
    for (const url of [remote.directory, `file://${remote.directory}`]) {
      const path = word()
      await git.clone(url, path)
      assert.equal(await content(`${path}/README.md`), 'hello\nagain\n')
      await failure(git.clone(url, path), sdk.DaytonaConflictError)
    }
  })

  test('of what is not there is not found', async () => {
    await failure(clone('no-such-branch'), sdk.DaytonaNotFoundError)
    await failure(git.clone(`${remote.directory}.none`, word()), sdk.DaytonaNotFoundError)
    await failure(git.status('.'), sdk.DaytonaNotFoundError)
  })
})

test('from a file to a commit', async () => {
  const path = await clone()
  await sandbox.fs.uploadFile(Buffer.from('new\n'), `${path}/new.txt`)
  await sandbox.fs.uploadFile(Buffer.from('changed\n'), `${path}/README.md`)
  assert.deepEqual(await files(path), {
    'new.txt': ['Untracked', 'Untracked'],
    'README.md': ['Unmodified', 'Modified'],
  })
  await git.add(path, ['.'])
  assert.deepEqual(await files(path), { 'new.txt': ['Added', 'Unmodified'], 'README.md': ['Modified', 'Unmodified'] })
  const { sha } = await git.commit(path, 'Say it ß', 'Ada Lovelace', 'ada@example.com')
  const recorded = await read(sandbox, "git log -1 --format='%H %an <%ae> %s'", path)
  assert.equal(recorded, `${sha} Ada Lovelace <ada@example.com> Say it ß\n`)
  assert.deepEqual([await files(path), (await git.status(path)).ahead], [{}, 1])
  await failure(git.commit(path, 'Nothing', 'Ada Lovelace', 'ada@example.com'))
  await git.commit(path, 'Nothing', 'Ada Lovelace', 'ada@example.com', true)
})

test('a branch from birth to death', async () => {
  const path = await clone()
  await git.createBranch(path, 'feature/one')
  await git.checkoutBranch(path, 'feature/one')
  assert.equal(await branch(path), 'feature/one')
  await failure(git.createBranch(path, 'main'), sdk.DaytonaConflictError)
  await commit(path, 'feature.txt') // and not merged anywhere
  await git.checkoutBranch(path, 'main')
  assert.deepEqual((await git.branches(path)).branches.sort(), ['feature/one', 'main'])
  await git.deleteBranch(path, 'feature/one')
  assert.deepEqual((await git.branches(path)).branches, ['main'])
  await failure(git.checkoutBranch(path, 'feature/one'), sdk.DaytonaNotFoundError)
  await sandbox.fs.uploadFile(Buffer.from('mine\n'), `${path}/README.md`)
  await failure(git.checkoutBranch(path, server.first), sdk.DaytonaConflictError)
  assert.equal(await content(`${path}/README.md`), 'mine\n')
})

test('pushed and pulled', async () => {
  const [ours, theirs] = [await clone(), await clone()]
  const sha = await commit(ours, 'ours.txt', 'ours\n')
  await failure(git.push(ours), sdk.DaytonaAuthenticationError)
  await push(ours)
  assert.equal(await remote.head('main'), sha)
  assert.equal((await git.status(ours)).ahead, 0)
  await failure(git.pull(theirs), sdk.DaytonaAuthenticationError)
  await pull(theirs)
  assert.equal(await content(`${theirs}/ours.txt`), 'ours\n')
  await push(theirs) // nothing more to do is no error
  await git.createBranch(ours, 'topic')
  await git.checkoutBranch(ours, 'topic')
  const topic = await commit(ours, 'topic.txt')
  await push(ours)
  assert.equal(await remote.head('topic'), topic)
})

test('somebody was faster', async () => {
  const [ours, theirs] = [await clone(), await clone()]
  await commit(ours, 'ours.txt')
  const sha = await commit(theirs, 'theirs.txt')
  await push(theirs)
  await failure(push(ours), sdk.DaytonaConflictError)
  assert.equal(await remote.head('main'), sha)
  await failure(pull(ours), sdk.DaytonaConflictError)
})
