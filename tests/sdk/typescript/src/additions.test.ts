// What came with newer clients (contract, toolbox §5, §11.15, §12.8 and §18); for versions that have it: see ../run.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type * as Newer from 'daytona-0.216.0'
import { Server } from './git-remote.js'
import { create, failure, read, sdk, word } from './harness.js'

const newer = sdk as unknown as typeof Newer

let sandbox: Newer.Sandbox
let server: Server
const say = (command: string, directory?: string) => read(sandbox as never, command, directory)
before(async () => {
  const made = await create()
  sandbox = made as unknown as Newer.Sandbox
  server = await Server.started(made)
})

test('the environment of what starts later', async () => {
  const show = 'printf "%s|%s" "$ADDED" "${ADDED_TWO-unset}"'
  await sandbox.updateEnv({ ADDED: 'wert ß $HOME', ADDED_TWO: '2' })
  assert.equal(await say(show), 'wert ß $HOME|2')
  await sandbox.updateEnv({ ADDED: 'later' }, { unset: ['ADDED_TWO'] })
  assert.equal(await say(show), 'later|unset')
  await failure(sandbox.updateEnv({ 'NO-NAME': '1' }))
})

test('metrics', async () => {
  const metrics = await sandbox.getMetricsLatest()
  assert(metrics.cpuCount > 0 && metrics.cpuUsedPct >= 0)
  assert(0 < metrics.memUsed && metrics.memUsed <= metrics.memTotal)
  assert(0 < metrics.diskUsed && metrics.diskUsed < metrics.diskTotal)
})

test('files through signed URLs', async () => {
  const path = `${word()} ß+%41&.bin`
  const content = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  const uploaded = await fetch(await sandbox.uploadUrl(path), { method: 'POST', body: content })
  assert.equal(uploaded.status, 200, await uploaded.text())
  assert.deepEqual(await sandbox.fs.downloadFile(path), content)
  const url = await sandbox.downloadUrl(path, 0)
  assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), content)
  const status = async (url: string, method = 'GET') => (await fetch(url, { method })).status
  assert.deepEqual([await status(url, 'HEAD'), await status(url.replace('/download', '/info'))], [401, 401])
  assert.equal(await status((await sandbox.downloadUrl(path)).replace('expires=', 'expires=1')), 401)
  await sandbox.rotateSigningKey()
  assert.deepEqual([await status(url), await status(await sandbox.downloadUrl(path))], [401, 200])
})

describe('git', () => {
  test('from nothing to a remote', async () => {
    const { git } = sandbox
    const [path, remote] = [word(), await server.repository()]
    await git.init(path, false, 'trunk')
    assert.deepEqual([(await git.status(path)).currentBranch, (await git.branches(path)).branches], ['trunk', []])
    await git.remoteAdd(path, 'origin', '/no/such/place')
    await failure(git.remoteAdd(path, 'origin', remote.directory), newer.DaytonaConflictError)
    await git.remoteAdd(path, 'origin', remote.directory, true, true)
    const { remotes } = await git.remotes(path)
    assert.deepEqual(remotes.map(({ name, url }) => [name, url]), [['origin', remote.directory]])
    assert.equal(await git.remoteGet(path, 'origin'), remote.directory)
    assert.equal(await git.remoteGet(path, 'other'), undefined)
    await git.pull(path, undefined, undefined, 'develop', 'origin')
    assert.equal((await sandbox.fs.downloadFile(`${path}/develop.txt`)).toString(), 'develop\n')
  })

  test('published with its upstream', async () => {
    const { git } = sandbox
    const [path, remote] = [word(), await server.repository()]
    const { username, password } = server
    await git.clone(remote.url, path, undefined, undefined, username, password, undefined, 1)
    assert.equal(await say('git rev-list --count HEAD', path), '1\n')
    await git.createBranch(path, 'topic')
    await git.checkoutBranch(path, 'topic')
    await git.push(path, username, password, 'topic', 'origin', true)
    const { upstream, detached } = await git.status(path)
    assert.deepEqual([upstream, detached, (await git.branches(path)).current], ['origin/topic', false, 'topic'])
  })

  test('reset and restored', async () => {
    const { git } = sandbox
    const [path, remote] = [word(), await server.repository()]
    await git.clone(remote.directory, path)
    const change = async () => {
      await sandbox.fs.uploadFile(Buffer.from('changed\n'), `${path}/README.md`)
      await git.add(path, ['README.md'])
    }
    const state = async () => (await git.status(path)).fileStatus.map(({ staging, worktree }) => [staging, worktree])
    await change()
    await git.restore(path, ['README.md'], true)
    assert.deepEqual(await state(), [['Unmodified', 'Modified']])
    await git.restore(path, ['README.md'])
    assert.deepEqual(await state(), [])
    await change()
    await git.reset(path)
    assert.deepEqual(await state(), [['Unmodified', 'Modified']])
    await git.reset(path, 'hard', 'HEAD~1')
    assert.equal((await sandbox.fs.downloadFile(`${path}/README.md`)).toString(), 'hello\n')
  })

  test('configured', async () => {
    const { git } = sandbox
    const [path, remote] = [word(), await server.repository()]
    await git.init(path)
    await git.setConfig('harbor.test', 'global ß')
    await git.configureUser('Ada Lovelace', 'ada@example.com', 'local', path)
    assert.equal(await git.getConfig('harbor.test'), 'global ß')
    assert.equal(await git.getConfig('user.email', 'local', path), 'ada@example.com')
    assert.equal((await git.getConfig('harbor.none')) ?? undefined, undefined)
    await git.dangerouslyAuthenticate(server.username, server.password, new URL(remote.url).host, 'http')
    await git.clone(remote.url, word())
  })

  test('errors have classes of their own', async () => {
    await failure(sandbox.git.status('.'), newer.DaytonaGitRepoNotFoundError)
    const [path, remote] = [word(), await server.repository()]
    await sandbox.git.clone(remote.directory, path)
    await failure(sandbox.git.createBranch(path, 'main'), newer.DaytonaGitBranchExistsError)
    await failure(sandbox.git.checkoutBranch(path, 'none'), newer.DaytonaGitBranchNotFoundError)
  })
})
