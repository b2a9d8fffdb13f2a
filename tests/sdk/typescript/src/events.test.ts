// Clients with the event stream: a wait ends when it happens, not at the next poll (contract, control plane §15.4).
// Only for versions that open one: see ../run.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { api, create } from './harness.js'

const lag = 500 // milliseconds; a client that is not told looks again after a whole second
const rounds = 8

/** The state as a plain HTTP client sees it; undefined when it is gone. */
async function stateOf(id: string): Promise<string | undefined> {
  const answer = await fetch(`${api.url}/sandbox/${id}`, { headers: { authorization: `Bearer ${api.key}` } })
  if (answer.status === 404) return undefined
  assert(answer.ok, `${answer.status}`)
  return ((await answer.json()) as { state: string }).state
}

/** Milliseconds between the moment the server shows it and the return of the client's call. */
async function lagOf(id: string, shown: (state?: string) => boolean, action: Promise<void>): Promise<number> {
  const watch = (async () => {
    while (!shown(await stateOf(id))) await sleep(10)
    return Date.now()
  })()
  await action
  const returned = Date.now()
  return returned - (await watch)
}

/** All but one are short: a busy machine may stall once, a client that is not told stalls every other time. */
function check(lags: number[]): void {
  assert(lags.sort((a, b) => b - a)[1] < lag, lags.join(' '))
}

test('a stop ends at once', async () => {
  const sandbox = await create()
  const lags: number[] = []
  for (let round = 0; round < rounds; round++) {
    lags.push(await lagOf(sandbox.id, (state) => state === 'stopped', sandbox.stop()))
    await sandbox.start()
  }
  check(lags)
})

test('a delete that waits ends at once', async () => {
  const lags: number[] = []
  for (let round = 0; round < rounds; round++) {
    const sandbox = await create()
    const remove = sandbox.delete as (timeout?: number, wait?: boolean) => Promise<void>
    const gone = (state?: string) => state === undefined || state === 'destroyed'
    lags.push(await lagOf(sandbox.id, gone, remove.call(sandbox, 60, true)))
  }
  check(lags)
})
