// Which package is tested, clients for it, and sandboxes that are gone after the tests.
//
// HARBOR_SDK names the package, DAYTONA_API_URL and DAYTONA_API_KEY the harbor. The types are the oldest version's:
// what compiles against them must keep working with every newer one.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { after } from 'node:test'
import type { CreateSandboxFromSnapshotParams, Daytona, Sandbox } from 'daytonaio-0.185.0'

const wanted = process.env.HARBOR_SDK
assert(wanted, 'HARBOR_SDK names the package')

export const sdk = (await import(wanted)) as typeof import('daytonaio-0.185.0')
export const api = { url: required('DAYTONA_API_URL'), key: required('DAYTONA_API_KEY') }

const clients: Daytona[] = []
/** Sandboxes that are gone after the tests, the last one first: none is deleted while it has forks. */
export const made: Sandbox[] = []

export function connect(apiKey = api.key): Daytona {
  const client = new sdk.Daytona({ apiUrl: api.url, apiKey })
  clients.push(client)
  return client
}

export const daytona = connect()

export async function create(parameters?: CreateSandboxFromSnapshotParams): Promise<Sandbox> {
  const sandbox = await daytona.create(parameters)
  made.push(sandbox)
  return sandbox
}

after(async () => {
  for (const { id } of made.reverse()) {
    await daytona.get(id).then((sandbox) => sandbox.delete(), ignore(sdk.DaytonaNotFoundError))
  }
  // a client with an event stream keeps the process alive until it is closed
  for (const client of clients) await client[Symbol.asyncDispose]()
})

/** A name that nothing else has. */
export const word = () => `sdk-${randomBytes(6).toString('hex')}`

type Kind = new (...anything: never[]) => Error

export function ignore(kind: Kind) {
  return (error: unknown) => {
    if (!(error instanceof kind)) throw error
  }
}

/** The error of a call that must fail with one of this kind. */
export async function failure(call: Promise<unknown>, kind: Kind = sdk.DaytonaError): Promise<Error & { statusCode?: number }> {
  try {
    await call
  } catch (error) {
    assert(error instanceof kind, `${error} is no ${kind.name}`)
    return error
  }
  assert.fail(`it must fail with ${kind.name}`)
}

/** Repeats `look` until it holds; what it throws last is the failure. */
export async function eventually(look: () => Promise<void>, seconds = 15): Promise<void> {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await sleep(50)
  }
}

/** What a command prints; it must succeed. */
export async function read(sandbox: Sandbox, command: string, directory?: string): Promise<string> {
  const answer = await sandbox.process.executeCommand(command, directory)
  assert.equal(answer.exitCode, 0, answer.result)
  return answer.result
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

function required(name: string): string {
  const value = process.env[name]
  assert(value, `${name} is not set`)
  return value
}
