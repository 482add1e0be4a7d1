// SPDX-License-Identifier: MIT
// A program that does something again and again when told to and answers how long it took: what is measured is the work,
// not the start of an interpreter. One line of JSON each way.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The project's root: what is not compiled, such as a script of a peer, is found from there. */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url))

const ANSWER_MS = 180_000

export class PeerProcess {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #name: string
  #waiter: { resolve: (answer: any) => void; reject: (error: Error) => void } | undefined
  #ended: string | undefined
  #said = ''

  constructor(name: string, command: string, args: readonly string[]) {
    this.#name = name
    this.#child = spawn(command, args)
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.on('data', (data) => { this.#said = (this.#said + data).slice(-2000) })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const waiter = this.#waiter
      this.#waiter = undefined
      const answer = JSON.parse(line)
      if (answer.error === undefined) waiter?.resolve(answer)
      else waiter?.reject(new Error(answer.error))
    })
    this.#child.on('error', (error) => this.#end(error.message))
    this.#child.on('close', (code, signal) => this.#end(`${name} ended with ${signal ?? `status ${code}`}: ${this.#said.trim()}`))
  }

  /** One of our own, from bench/peers. */
  static node(name: string, ...args: string[]): PeerProcess {
    return new PeerProcess(name, process.execPath, [fileURLToPath(new URL(`./peers/${name}.js`, import.meta.url)), ...args])
  }

  #end(why: string): void {
    this.#ended ??= why
    this.#waiter?.reject(new Error(this.#ended))
    this.#waiter = undefined
  }

  /** Sends a request and waits for its answer. */
  async ask<T>(request: object = {}): Promise<T> {
    if (this.#ended !== undefined) throw new Error(this.#ended)
    if (this.#waiter !== undefined) throw new Error(`${this.#name} is still busy`)
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#waiter = { resolve, reject }
        timer = setTimeout(() => {
          this.#end(`${this.#name} gave no answer in ${ANSWER_MS / 1000} s`)
          this.#child.kill('SIGKILL')
        }, ANSWER_MS)
        this.#child.stdin.write(`${JSON.stringify(request)}\n`)
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the program. */
  close(): void {
    this.#end(`${this.#name} was closed`)
    this.#child.kill('SIGKILL')
  }

  [Symbol.dispose](): void { this.close() }
}
