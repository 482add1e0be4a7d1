// SPDX-License-Identifier: MIT
// Processes and workers that end in every way: the exit status is the expected one, no signal ended them that was not
// sent, and nothing is left in the kernel. NFKIT_RUNTIME (JSON: an array of words) names another runtime than this one.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Link, Netns } from '../../lib/index.js'

const runtime: string[] = JSON.parse(process.env.NFKIT_RUNTIME ?? 'null') ?? [process.execPath, '--expose-gc']
const program = fileURLToPath(new URL('program.js', import.meta.url))
const TIME_LIMIT_MS = Number(process.env.NFKIT_TIME_LIMIT_MS ?? 120_000)

interface Ending { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string; late: boolean; wire: boolean }

/** Runs a scenario to its end; `onReady` is called when it says so. */
async function ending(scenario: string, onReady?: (kill: (signal: NodeJS.Signals) => void) => void): Promise<Ending> {
  const outer = Netns.create()
  try {
    const [command, ...args] = runtime
    const child = spawn(command!, [...args, program, scenario, outer.path], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    let late = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const before = stdout
      stdout += text
      if (onReady !== undefined && !before.includes('ready') && stdout.includes('ready')) onReady((signal) => { child.kill(signal) })
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    const timer = setTimeout(() => { late = true; child.kill('SIGKILL') }, TIME_LIMIT_MS)
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (...both) => { resolve(both) })
    })
    clearTimeout(timer)
    return { code, signal, stdout, stderr, late, wire: await vanishes(outer) }
  } finally {
    outer.close()
  }
}

/** Whether no end of a wire is left in the namespace: the other end's namespace is gone then. */
async function vanishes(outer: Netns): Promise<boolean> {
  for (let i = 0; i < 400; i++) {
    if (Link.list({ netns: outer }).every(({ name }) => name === 'lo')) return true
    await new Promise((resolve) => { setTimeout(resolve, 25) })
  }
  return false
}

function expect(scenario: string, wanted: { code?: number; signal?: NodeJS.Signals; says?: string; stderr?: RegExp; kill?: NodeJS.Signals }): void {
  t.test(scenario, async (t) => {
    const { code = wanted.signal === undefined ? 0 : null, signal = null, says, kill } = wanted
    const result = await ending(scenario, kill === undefined ? undefined : (send) => { setTimeout(() => send(kill), 300) })
    t.notOk(result.late, 'ends by itself')
    t.same({ code: result.code, signal: result.signal }, { code, signal }, `exit status (${result.stderr.slice(-600)})`)
    if (says !== undefined) t.match(result.stdout, new RegExp(`^${says}$`, 'm'))
    if (wanted.stderr === undefined) t.equal(result.stderr, '')
    else t.match(result.stderr, wanted.stderr)
    t.ok(result.wire, 'the namespace is gone')
  })
}

expect('nothing closed', {})
expect('watch without waiting', {})
expect('watch after a wait that ended', { says: 'done' })
expect('watch until aborted', { says: 'done' })
expect('many watches at once', { says: 'done' })
expect('closing while events come', { says: 'done' })
expect('process.exit while waiting', { code: 7 })
expect('process.exit in an event', { code: 7 })
expect('process.exit at once', { code: 7 })
expect('an uncaught exception while events come', { code: 1, stderr: /on purpose/ })
// Still there when the signal comes: only the signal can have ended it.
expect('watch while waiting', { signal: 'SIGTERM', kill: 'SIGTERM', says: 'ready' })
expect('to be killed', { signal: 'SIGKILL', kill: 'SIGKILL', says: 'ready' })
expect('to be killed', { signal: 'SIGINT', kill: 'SIGINT', says: 'ready' })
expect('process.exit in a lab', { code: 7 })
expect('a lab, closed', { says: 'done' })
expect('a lab, to be killed', { signal: 'SIGKILL', kill: 'SIGKILL', says: 'ready' })
expect('100 workers', { says: 'done' })
expect('workers terminated under load', { says: 'done' })
expect('a worker ends, the main thread watches on', { says: 'done' })
expect('exit with workers running', { code: 7 })
expect('to be killed with workers running', { signal: 'SIGKILL', kill: 'SIGKILL', says: 'ready' })
expect('garbage', { says: 'done' })
