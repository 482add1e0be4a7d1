// SPDX-License-Identifier: MIT
// Running the command line: in this process, or as a user does, as one of its own in a namespace.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import * as util from 'node:util'
import { run } from '../../lib/cli/run.js'
import type { Netns } from '../../lib/index.js'
import { lacks } from './outside.js'

export const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))

/** Node 20.10 and 20.11 cannot colour. */
export const canColour = 'styleText' in util

/**
 * What `ip link add type bridge` needs for a CAM table without VLANs: where the kernel can filter them, entries set by hand
 * are also made for each VLAN of the port, even while it does not filter (br_fdb_add, net/bridge/br_fdb.c).
 */
export function withoutVlans(): string {
  return lacks('vlan-filtering') === false ? 'vlan_default_pvid 0' : ''
}

/** The environment without what test runners say about colours. */
export function plainEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _force, NO_COLOR: _no, NODE_OPTIONS: _options, TAP: _tap, ...rest } = process.env
  return { ...rest, ...more }
}

export interface Result {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

function prefix(ns: Netns | undefined): string[] {
  return ns === undefined ? [] : ['nsenter', `--net=${ns.path}`, '--']
}

/** `nfkit ARGS` as a process of its own, in a namespace or where the test runs. Takes seconds on an emulated machine. */
export function spawnNfkit(ns: Netns | undefined, args: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}): Result {
  const [command, ...rest] = [...prefix(ns), process.execPath, MAIN, ...args]
  const { status, signal, stdout, stderr, error } = spawnSync(command!, rest, {
    encoding: 'utf8', env: plainEnvironment(options.env), input: options.input ?? '', maxBuffer: 1 << 28, timeout: 60_000,
  })
  if (error !== undefined) throw error
  return { status, signal, stdout, stderr }
}

/** `nfkit --netns NS ARGS` in this process: all of it but the file that calls it. */
export async function nfkit(ns: Netns, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Omit<Result, 'signal'>> {
  const written = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof written) => new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) { written[name] += text; done() },
  }) as unknown as NodeJS.WriteStream
  const status = await run(['--netns', ns.path, ...args], { stdout: stream('stdout'), stderr: stream('stderr'), env })
  return { status, ...written }
}

/** The standard output of a command that must succeed, parsed. */
export async function nfkitJson(ns: Netns, ...args: string[]): Promise<any> {
  const { status, stdout, stderr } = await nfkit(ns, [...args, '--json'])
  if (status !== 0) throw new Error(`nfkit ${args.join(' ')}: status ${status}: ${stderr}`)
  return JSON.parse(stdout)
}

/** A running `nfkit`, with what it has written so far. */
export class Running {
  readonly process: ChildProcess
  stdout = ''
  stderr = ''
  readonly ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>
  #waiters: (() => void)[] = []

  /** The arguments of `nfkit`, or a whole command. */
  constructor(ns: Netns, args: readonly string[], { command = [process.execPath, MAIN], env }: { command?: readonly string[]; env?: NodeJS.ProcessEnv } = {}) {
    const [first, ...rest] = [...prefix(ns), ...command, ...args]
    this.process = spawn(first!, rest, { stdio: ['pipe', 'pipe', 'pipe'], env: plainEnvironment(env) })
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => { this.stdout += text; this.#wake() })
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => { this.stderr += text; this.#wake() })
    this.ended = new Promise((resolve, reject) => {
      this.process.on('error', reject)
      this.process.on('close', (status, signal) => { resolve({ status, signal }); this.#wake() })
    })
  }

  #wake(): void { for (const wake of this.#waiters.splice(0)) wake() }

  /** Waits until what was written satisfies a condition. */
  async until(what: string, condition: (stdout: string) => boolean, milliseconds = 30_000): Promise<void> {
    const deadline = performance.now() + milliseconds
    while (!condition(this.stdout)) {
      const left = deadline - performance.now()
      if (left <= 0 || this.process.exitCode !== null || this.process.signalCode !== null) throw new Error(`${what}: ${this.stdout}${this.stderr}`)
      let timer: NodeJS.Timeout
      await new Promise<void>((resolve) => { this.#waiters.push(resolve); timer = setTimeout(resolve, Math.min(left, 200)) })
      clearTimeout(timer!)
    }
  }

  /** The lines so far, each parsed. */
  get objects(): any[] {
    return this.stdout.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line))
  }

  stop(): Promise<unknown> {
    this.process.kill('SIGKILL')
    return this.ended.catch(() => undefined)
  }
}
