// SPDX-License-Identifier: MIT
// Memory that is wanting when it is asked for, and copies between kernel and program that fail, in the kernel of the sanitize ring
// (Documentation/fault-injection/fault-injection.rst). In a process that is by fail-nth; in softirqs by interval.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Test } from 'tap'
import { isLoaded, unloadModule } from './module.js'

const DEBUG = '/sys/kernel/debug'

/** What can fail: small memory; pages, and memory of each CPU (scripts/lib/uml-kernel.mjs); copies from and to programs. */
export type FaultKind = 'failslab' | 'fail_page_alloc' | 'fail_usercopy'
export const MEMORY: readonly FaultKind[] = ['failslab', 'fail_page_alloc']
const KINDS: readonly FaultKind[] = [...MEMORY, 'fail_usercopy']

/** Why nothing can be made to fail here, or false. */
export const noFaults: string | false = (process.env['NFKIT_SANITIZE'] === undefined || !existsSync(`${DEBUG}/fail_usercopy`)) &&
  'only the kernel of the sanitize ring can make allocations fail: npm run test:sanitize'

/** Code of the kernel: from an address up to another. */
export type Code = readonly [from: bigint, to: bigint]
export const ANYWHERE: Code = [0n, 0xffffffffffffffffn]
const NOWHERE: Code = [1n, 1n]

function set(kind: FaultKind, name: string, value: string | number | bigint): void {
  writeFileSync(`${DEBUG}/${kind}/${name}`, String(value))
}

/** A function of the kernel. */
export function functionOf(name: string): Code {
  const symbols = readFileSync('/proc/kallsyms', 'latin1').split('\n').map((line) => line.split(/[ \t]/)).filter(([, , , module]) => module === undefined)
  const addresses = [...new Set(symbols.map(([address]) => BigInt(`0x${address || '0'}`)))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  const from = BigInt(`0x${symbols.find(([, , symbol]) => symbol === name)?.[0] ?? '0'}`)
  const to = addresses.find((address) => address > from)
  if (from === 0n || to === undefined) throw new Error(`the kernel has no ${name}`)
  return [from, to]
}

/** The module, which is loaded. */
export function moduleCode(): Code {
  const [, size, , , , address] = /^nfkit .*/m.exec(readFileSync('/proc/modules', 'latin1'))?.[0].split(' ') ?? []
  if (address === undefined || BigInt(address) === 0n) throw new Error('the address of the module is not told')
  return [BigInt(address), BigInt(address) + BigInt(size!)]
}

/** Only what is called from there fails, or is counted. What kmemleak allocates for itself never does. */
export function within(code: Code, kinds: readonly FaultKind[] = MEMORY): void {
  const own = functionOf('__create_object')
  for (const kind of KINDS) {
    const [from, to] = kinds.includes(kind) ? code : NOWHERE
    for (const [name, value] of Object.entries({ 'require-start': from, 'require-end': to, 'reject-start': own[0], 'reject-end': own[1], verbose: 0 })) set(kind, name, value)
  }
  set('failslab', 'ignore-gfp-wait', 'N')
  set('fail_page_alloc', 'ignore-gfp-wait', 'N')
  set('fail_page_alloc', 'min-order', 0)
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Nothing has as many. */
const MOST = 2000

/** The n-th thing that this process asks for fails. */
export class FailNth {
  readonly #file = openSync('/proc/thread-self/fail-nth', 'r+')
  readonly #buffer = Buffer.alloc(16)

  /** Whether something failed in what was done. */
  during(nth: number, what: () => void): boolean {
    // This program is not to want memory meanwhile.
    collectGarbage()
    writeSync(this.#file, String(nth), 0)
    try {
      what()
    } finally {
      const length = readSync(this.#file, this.#buffer, 0, this.#buffer.length, 0)
      writeSync(this.#file, '0', 0)
      this.#buffer.fill(0, length)
    }
    // What is left of the count: nothing, if something failed.
    return this.#buffer[0] === ZERO
  }

  close(): void {
    writeSync(this.#file, '0', 0)
    closeSync(this.#file)
  }
}

const ZERO = 0x30

/** Runs a shell that has a script executed in its place, a program as a rule, in which the n-th allocation fails; and whether one did. */
export function failInShell(nth: number, script: string): { failed: boolean; status: number | null; stderr: string } {
  for (const kind of MEMORY) set(kind, 'times', 1)
  const { status, stderr } = spawnSync('busybox', ['sh', '-c', `echo ${nth} > /proc/self/fail-nth && exec ${script}`], { encoding: 'utf8' })
  const failed = MEMORY.some((kind) => timesLeft(kind) === 0)
  failNoMore()
  return { failed, status, stderr }
}

/** Something that is done in one process. */
export interface Path {
  name: string
  run: () => void
  /** Takes back what `run` did. */
  undo?: () => void
  /** What must be the same after a failure. */
  state?: () => string
  /** Codes of the errors by which a failure shows, beside those of memory. */
  codes?: readonly string[]
  /** It may need nothing. */
  free?: boolean
}

const WANT = ['ENOMEM', 'ENOBUFS', 'EAGAIN', 'EMFILE', 'ENFILE']

/** One path: once for each thing that it asks for, then once as it is. */
export function sweep(t: Test, nth: FailNth, { name, run, undo, state = () => '', codes = WANT, free = false }: Path): void {
  const outcomes = new Map<string, number>()
  // What is compiled or made at the first time is no part of the path.
  for (let round = 0; round < 2; round++) {
    run()
    undo?.()
  }
  for (let count = 1; count < MOST; count++) {
    const before = state()
    let problem: { code?: string; committed?: true } | undefined
    const failed = nth.during(count, () => {
      try { run() } catch (error) { problem = error as NonNullable<typeof problem> }
    })

    if (problem === undefined || problem.committed === true) undo?.()
    if (!failed) {
      t.equal(problem, undefined, `${name}: ${count - 1} (${[...outcomes].map(([what, times]) => `${what} ${times}`).join(', ')})`)
      if (!free) t.ok(count > 1, `${name}: something can fail`)
      return
    }
    const outcome = problem === undefined ? 'done all the same' : problem.code ?? String(problem)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    if (problem !== undefined && ![...codes, 'NFKIT_COUNTERS_LOST'].includes(outcome)) t.fail(`${name}: ${count} failed with ${outcome}`)
    const after = state()
    if (after !== before) t.equal(after, before, `${name}: ${count} failed (${outcome}), and nothing has changed`)
  }
  t.fail(`${name}: without end`)
}

const opened = () => {
  try {
    closeSync(openSync('/dev/nfkit', 'r+'))
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOMEM') throw error
  }
}

const timesLeft = (kind: FaultKind) => Number(readFileSync(`${DEBUG}/${kind}/times`, 'latin1'))

/**
 * The n-th small allocation of the module from now on fails, whoever runs it; `within` the module. The kernel counts on from where it was, and
 * lets every n-th fail: the device is opened, which is one allocation, until that fails.
 */
export function failLater(nth: number): void {
  set('failslab', 'interval', nth)
  set('failslab', 'times', 1)
  set('failslab', 'probability', 100)
  for (let i = 0; nth > 1 && timesLeft('failslab') !== 0; i++) {
    if (i > nth) throw new Error('opening the device does not fail')
    opened()
  }
  set('failslab', 'times', 1)
}

/** Everything that the module asks for fails from now on. */
export function failAlways(kind: FaultKind): void {
  set(kind, 'interval', 1)
  set(kind, 'times', -1)
  set(kind, 'probability', 100)
}

/** Nothing fails any more, but by fail-nth. Whether something did since failLater(). */
export function failNoMore(): boolean {
  const failed = timesLeft('failslab') === 0
  for (const kind of KINDS) {
    set(kind, 'probability', 0)
    set(kind, 'times', -1)
  }
  return failed
}

/** What the kernel said while memory was wanting; a trace about the want itself is no trouble. */
export function quiet(t: Test): void {
  const said = execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n')
  const wrong = said.findIndex((line) => /\b(WARNING|BUG|Oops|UBSAN|KASAN|INFO):|refcount_t:|corruption|sleeping function|possible |ODEBUG|kmemleak: (Cannot allocate a kmemleak_object|Kernel memory leak detector disabled)/.test(line))
  t.same(wrong < 0 ? [] : said.slice(Math.max(0, wrong - 3), wrong + 60), [], 'the log of the kernel')
  execFileSync('dmesg', ['-C'])
}

/** Takes the module out, once what holds it is gone. */
export async function unloadEventually(): Promise<void> {
  for (let tries = 0; isLoaded() && tries < 600; tries++) {
    try { unloadModule() } catch { await new Promise((resolve) => { setTimeout(resolve, 100) }) }
  }
  if (isLoaded()) throw new Error(`nfkit stays loaded: ${readFileSync('/proc/modules', 'utf8')}`)
}
