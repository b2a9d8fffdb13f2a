// Volumes: made, shared between sandboxes and removed (contract, control plane §5.9 and §7).
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { create, daytona, eventually, failure, ignore, made, read, sdk, word } from './harness.js'

type Volume = Awaited<ReturnType<typeof daytona.volume.get>>

const volumes: Volume[] = []

async function volume(name = word()): Promise<Volume> {
  const found = await daytona.volume.get(name, true)
  volumes.push(found)
  return found
}

after(async () => {
  for (const { id } of made.splice(0)) {
    // one that is just being deleted is found, and gone when it is to be deleted again
    await daytona.get(id).then((sandbox) => sandbox.delete()).catch(ignore(sdk.DaytonaNotFoundError))
  }
  for (const one of volumes) await daytona.volume.delete(one).catch(ignore(sdk.DaytonaError))
})

describe('a volume', () => {
  test('is found by its name, and gone when it is deleted', async () => {
    const name = word()
    const found = await volume(name)
    assert.deepEqual([found.name, found.state], [name, 'ready'])
    assert.equal((await daytona.volume.get(name)).id, found.id)
    assert.match((await failure(daytona.volume.create(name))).message, /already exists/)
    await daytona.volume.delete(found)
    const missing = await failure(daytona.volume.get(name), sdk.DaytonaNotFoundError)
    assert.match(missing.message, new RegExp(`Volume with name ${name} not found`))
    assert.notEqual((await volume(name)).id, found.id)
    await eventually(async () => assert(!(await daytona.volume.list()).some(({ id }) => id === found.id)), 30)
  })

  test('is shared by sandboxes', async () => {
    const shared = await volume()
    const one = await create({ volumes: [{ volumeId: shared.id, mountPath: '/home/daytona/data' }] })
    const other = await create({ volumes: [{ volumeId: shared.name, mountPath: '/mnt/shared' }] })
    assert.deepEqual((await daytona.get(other.id)).volumes, [{ volumeId: shared.id, mountPath: '/mnt/shared' }])
    await other.fs.uploadFile(Buffer.from('from the other\n'), '/mnt/shared/file.txt')
    assert.equal(await read(one, 'cat data/file.txt; mkdir data/d; mv data/file.txt data/d'), 'from the other\n')
    assert.equal(await read(other, 'ls -A /mnt/shared/d'), 'file.txt\n')
  })

  test('outlives its sandboxes and is kept by them', async () => {
    const kept = await volume()
    const mounts = { volumes: [{ volumeId: kept.id, mountPath: '/mnt/v' }] }
    const sandbox = await create(mounts)
    await read(sandbox, 'echo kept >/mnt/v/file')
    assert.equal((await failure(daytona.volume.delete(kept))).statusCode, 409)
    await sandbox.delete()
    assert.equal(await read(await create(mounts), 'cat /mnt/v/file'), 'kept\n')
  })

  test('is seen in part by who has a part of it', async () => {
    const shared = await volume()
    const part = (subpath: string) => ({ volumes: [{ volumeId: shared.id, mountPath: '/mnt/v', subpath }] })
    const one = await create(part('users/one'))
    const other = await create(part('users/two'))
    await read(one, 'echo mine >/mnt/v/file')
    assert.equal(await read(other, 'ls -A /mnt/v'), '')
    assert.deepEqual((await daytona.get(one.id)).volumes, [{ volumeId: shared.id, mountPath: '/mnt/v', subpath: 'users/one' }])
    const users = await create(part('users'))
    assert.equal(await read(users, 'cat /mnt/v/one/file'), 'mine\n')
  })

  test('is mounted where it may be, and nowhere else', async () => {
    const one = await volume()
    const refused = async (mount: object, kind: typeof sdk.DaytonaError) =>
      failure(create({ volumes: [{ volumeId: one.id, mountPath: '/mnt/v', ...mount }] }), kind)
    await refused({ volumeId: 'no-such-volume' }, sdk.DaytonaNotFoundError)
    for (const mountPath of ['/etc/x', 'data', '/', '/a/../b']) await refused({ mountPath }, sdk.DaytonaValidationError)
    await refused({ subpath: '../other' }, sdk.DaytonaValidationError)
  })
})
