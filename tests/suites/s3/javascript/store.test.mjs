// The S3 client of the TypeScript SDKs, made and used as they do it: path style, credentials with a token, plain http.
//
// HARBOR_TEST_URL and HARBOR_TEST_KEY say which harbor; the address and the credentials are what its API answers to the SDK.
// HARBOR_TEST_S3_URL, HARBOR_TEST_S3_ACCESS_KEY and HARBOR_TEST_S3_SECRET are the owner's, for what they alone may do.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { PassThrough, Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteBucketCommand,
  DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand, S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'

const MiB = 1024 * 1024
const hash = (data) => createHash('md5').update(data).digest('hex')

async function pushAccess() {
  const headers = { Authorization: `Bearer ${process.env.HARBOR_TEST_KEY}`, 'X-Daytona-Source': 'sdk-typescript' }
  const answer = await fetch(`${process.env.HARBOR_TEST_URL}/api/object-storage/push-access`, { headers })
  assert.equal(answer.status, 200)
  return answer.json()
}

/** The bytes of an object. */
async function content(client, bucket, key, options = {}) {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...options }))
  return Buffer.from(await Body.transformToByteArray())
}

async function fails(call, name) {
  await assert.rejects(call, (error) => error.name === name || assert.fail(`${error.name}: ${error.message}`))
}

/** What the SDK hands on: a stream of which nobody knows the length. */
function stream(data) {
  const pass = new PassThrough()
  Readable.from((function* () {
    for (let at = 0; at < data.length; at += 65536) yield data.subarray(at, at + 65536)
  })()).pipe(pass)
  return pass
}

describe('a build context', async () => {
  let access, client, prefix
  before(async () => {
    access = await pushAccess()
    client = new S3Client({
      region: 'us-east-1',
      endpoint: access.storageUrl,
      credentials: { accessKeyId: access.accessKey, secretAccessKey: access.secret, sessionToken: access.sessionToken },
      forcePathStyle: true,
    })
    prefix = `${access.organizationId}/${hash(randomBytes(16))}`
  })

  const there = async (hashed) => {
    const found = await client.send(new ListObjectsV2Command({ Bucket: access.bucket, Prefix: `${hashed}/`, MaxKeys: 1 }))
    return !!found.Contents?.length
  }
  const upload = async (key, data) => {
    await new Upload({ client, params: { Bucket: access.bucket, Key: key, Body: stream(data) } }).done()
  }

  test('is not there, is put in one piece, and is there', async () => {
    const data = randomBytes(100_000)
    assert.equal(await there(prefix), false)
    await upload(`${prefix}/context.tar`, data)
    assert.equal(await there(prefix), true)
    assert.deepEqual(await content(client, access.bucket, `${prefix}/context.tar`), data)
    const head = await client.send(new HeadObjectCommand({ Bucket: access.bucket, Key: `${prefix}/context.tar` }))
    assert.equal(head.ContentLength, data.length)
    assert.equal(head.ETag, `"${hash(data)}"`)
  })

  test('is put in parts, four in flight', async () => {
    for (const size of [5 * MiB, 5 * MiB + 1, 33 * MiB + 7]) {
      const data = randomBytes(size)
      const key = `${prefix}-${size}/context.tar`
      await upload(key, data)
      assert.equal(hash(await content(client, access.bucket, key)), hash(data), `${size} bytes`)
    }
  })

  test('is put by several at once', async () => {
    const contexts = Array.from({ length: 8 }, (_, number) => [`${prefix}-many-${number}/context.tar`, randomBytes(6 * MiB)])
    await Promise.all(contexts.map(([key, data]) => upload(key, data)))
    for (const [key, data] of contexts) assert.equal(hash(await content(client, access.bucket, key)), hash(data))
  })

  test('stays within its organization', async () => {
    const key = 'another-organization/hash/context.tar'
    await fails(client.send(new PutObjectCommand({ Bucket: access.bucket, Key: key, Body: 'evil' })), 'AccessDenied')
    await fails(upload(key, randomBytes(6 * MiB)), 'AccessDenied')
    await fails(client.send(new ListObjectsV2Command({ Bucket: access.bucket, MaxKeys: 1 })), 'AccessDenied')
    await fails(client.send(new DeleteObjectCommand({ Bucket: access.bucket, Key: `${prefix}/context.tar` })), 'AccessDenied')
    await fails(content(client, access.bucket, `${prefix}/none`), 'NoSuchKey')
  })
})

describe('the owner', async () => {
  const bucket = `test-${randomBytes(8).toString('hex')}`
  const client = new S3Client({
    region: 'us-east-1',
    endpoint: process.env.HARBOR_TEST_S3_URL,
    credentials: { accessKeyId: process.env.HARBOR_TEST_S3_ACCESS_KEY, secretAccessKey: process.env.HARBOR_TEST_S3_SECRET },
    forcePathStyle: true,
  })
  before(() => client.send(new CreateBucketCommand({ Bucket: bucket })))
  after(async () => {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    for (const { Key, UploadId } of Uploads) await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }))
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
    for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
    await client.send(new DeleteBucketCommand({ Bucket: bucket }))
  })
  const put = (key, Body, options = {}) => client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ...options }))
  const list = async (options = {}) => {
    const found = await client.send(new ListObjectsV2Command({ Bucket: bucket, ...options }))
    return [(found.Contents ?? []).map(({ Key }) => Key), (found.CommonPrefixes ?? []).map(({ Prefix }) => Prefix), found.NextContinuationToken]
  }

  test('puts, has and removes', async () => {
    for (const key of ['plain', 'a b+c%20d/ü&?#', 'dir/', 'x//y', '日本/語']) {
      await put(key, key, { Metadata: { color: 'blue' }, ContentType: 'text/plain' })
      assert.equal(String(await content(client, bucket, key)), key)
      const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
      assert.deepEqual([head.ContentType, head.Metadata], ['text/plain', { color: 'blue' }])
    }
    assert.deepEqual(await list({ Delimiter: '/' }), [['plain'], ['a b+c%20d/', 'dir/', 'x/', '日本/'], undefined])
    const [first, , token] = await list({ MaxKeys: 2 })
    const [rest] = await list({ ContinuationToken: token })
    assert.deepEqual([...first, ...rest], ['a b+c%20d/ü&?#', 'dir/', 'plain', 'x//y', '日本/語'])
    await client.send(new CopyObjectCommand({ Bucket: bucket, Key: 'copy', CopySource: `${bucket}/plain` }))
    assert.equal(String(await content(client, bucket, 'copy', { Range: 'bytes=1-3' })), 'lai')
    const keys = (await list())[0].map((Key) => ({ Key }))
    await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: keys } }))
    assert.deepEqual((await list())[0], [])
  })

  test('has every checksum looked at', async () => {
    for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256']) {
      await put('checked', ChecksumAlgorithm, { ChecksumAlgorithm })
      assert.equal(String(await content(client, bucket, 'checked', { ChecksumMode: 'ENABLED' })), ChecksumAlgorithm)
    }
    await fails(put('checked', 'other', { ChecksumSHA256: Buffer.alloc(32).toString('base64') }), 'BadDigest')
    assert.equal(String(await content(client, bucket, 'checked')), 'SHA256')
  })

  test('puts on conditions', async () => {
    await put('once', 'first', { IfNoneMatch: '*' })
    await fails(put('once', 'second', { IfNoneMatch: '*' }), 'PreconditionFailed')
    assert.equal(String(await content(client, bucket, 'once')), 'first')
  })

  test('gives up an upload', async () => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: 'never' }))
    await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: 'never', UploadId }))
    const source = new PassThrough()
    const upload = new Upload({ client, params: { Bucket: bucket, Key: 'never', Body: source } })
    const done = upload.done()
    source.write(randomBytes(12 * MiB))
    setTimeout(() => upload.abort(), 300)
    await assert.rejects(done)
    await fails(content(client, bucket, 'never'), 'NoSuchKey')
  })
})
