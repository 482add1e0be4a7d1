// SPDX-License-Identifier: MIT
/** Runs test programs, several at a time, each with a time limit, and reads what they say. */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { projectRoot, toolPath } from './debian-packages.mjs'
import { readTap } from './tap-result.mjs'

/** @typedef {import('./tap-result.mjs').TestResult} TestResult */

/**
 * @typedef {object} Program
 * @property {string} name
 * @property {readonly string[]} command
 * @property {Record<string, string | undefined>} [env]
 * @property {string} [cwd]
 */

const TIME_LIMIT_MS = 180_000

/**
 * @param {Program} program
 * @param {number} limit  milliseconds
 * @returns {Promise<TestResult>}
 */
export function runTest ({ name, command, env, cwd }, limit = TIME_LIMIT_MS) {
  const started = performance.now()
  return new Promise((resolve) => {
    const [executable = '', ...args] = command
    // A group of its own, so that whatever it started can be ended with it.
    const child = spawn(executable, args, {
      cwd: cwd ?? projectRoot,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: toolPath(), TAP: '1', TAP_TIMEOUT: String(Math.ceil(limit / 1000)), NO_COLOR: '1', ...env },
    })
    /** @type {Buffer[]} */
    const stdout = []
    /** @type {Buffer[]} */
    const stderr = []
    let late = false
    /** @param {NodeJS.Signals} signal */
    const end = (signal) => {
      try { if (child.pid !== undefined) process.kill(-child.pid, signal) } catch { /* gone already */ }
    }
    const timer = setTimeout(() => {
      late = true
      end('SIGTERM')
      setTimeout(() => { end('SIGKILL') }, 2000).unref()
    }, limit + 2000)
    const interrupted = () => { end('SIGKILL') }
    process.on('exit', interrupted)
    child.stdout.on('data', (chunk) => { stdout.push(chunk) })
    child.stderr.on('data', (chunk) => { stderr.push(chunk) })
    child.on('error', (error) => { stderr.push(Buffer.from(error.message)) })
    // A grandchild that keeps the pipes open must not keep us waiting.
    child.on('exit', () => { setTimeout(() => { child.stdout.destroy(); child.stderr.destroy() }, 2000).unref() })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', interrupted)
      end('SIGKILL')
      const ending = late ? `still running after ${limit / 1000} s` : signal !== null ? `ended by ${signal}` : code === 0 ? null : `exit status ${code}`
      resolve(readTap(name, Buffer.concat(stdout).toString(), {
        ending, stderr: Buffer.concat(stderr).toString(), milliseconds: performance.now() - started,
      }))
    })
  })
}

/**
 * A test of a running kernel can meet a machine that is too busy for its patience. Such a one is run once more, alone, and
 * what the first run said is shown: a test that fails twice fails.
 * @param {TestResult} first
 * @param {TestResult} second
 * @param {(text: string) => void} log
 */
export function secondTry (first, second, log) {
  if (second.failed === 0) log(`${first.name} failed at first, and passed alone:\n${first.failures.join('\n')}`)
  return second
}

/**
 * @param {readonly Program[]} programs
 * @param {{ jobs?: number, limit?: number, report: (result: TestResult) => void, again?: (text: string) => void }} options
 *   again: run what failed a second time, and say so here
 */
export async function runTests (programs, { jobs = Math.min(4, availableParallelism()), limit, report, again }) {
  const waiting = [...programs]
  /** @type {{ program: Program, first: TestResult }[]} */
  const failed = []
  await Promise.all(Array.from({ length: Math.min(jobs, waiting.length) }, async () => {
    for (let program = waiting.shift(); program !== undefined; program = waiting.shift()) {
      const result = await runTest(program, limit)
      if (result.failed > 0 && again !== undefined) failed.push({ program, first: result })
      else report(result)
    }
  }))
  for (const { program, first } of failed) report(secondTry(first, await runTest(program, limit), again ?? (() => {})))
}
