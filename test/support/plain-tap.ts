// SPDX-License-Identifier: MIT
// As much of a test runner as a program needs that runs on every runtime: TAP on standard output, no dependency.

import { isDeepStrictEqual } from 'node:util'

interface Test { name: string; skip: string | false; body: () => void | Promise<void> }

const TIME_LIMIT_MS = 60_000
const tests: Test[] = []

export function test(name: string, body: () => void | Promise<void>, skip: string | false = false): void {
  tests.push({ name, body, skip })
}

export function ok(value: unknown, what: string): asserts value {
  if (!value) throw new Error(`${what}: got ${String(value)}`)
}

export function equal(found: unknown, wanted: unknown, what: string): void {
  if (!isDeepStrictEqual(found, wanted)) throw new Error(`${what}: found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`)
}

/** The error that a call or a promise ends with. */
export async function errorOf(call: () => unknown): Promise<Error & { code?: string; hint?: string }> {
  try {
    await call()
  } catch (error) {
    return error as Error
  }
  throw new Error('expected an error, and there was none')
}

/** A promise, or an error if it takes too long. */
export async function within<T>(promise: Promise<T>, what: string, milliseconds = 10_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Runs the tests in their order; the exit status is 1 when one failed. */
export async function run(): Promise<void> {
  console.log(`TAP version 14\n1..${tests.length}`)
  let number = 0
  for (const { name, body, skip } of tests) {
    number++
    if (skip !== false) { console.log(`ok ${number} - ${name} # SKIP ${skip}`); continue }
    try {
      await within(Promise.resolve().then(body), name, TIME_LIMIT_MS)
      console.log(`ok ${number} - ${name}`)
    } catch (error) {
      process.exitCode = 1
      const text = error instanceof Error ? error.stack ?? error.message : String(error)
      console.log(`not ok ${number} - ${name}\n  ---\n  message: ${JSON.stringify(text.split('\n')[0])}\n  stack: |\n${text.replace(/^/gm, '    ')}\n  ...`)
    }
  }
}
