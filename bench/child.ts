// SPDX-License-Identifier: MIT
// Runs one benchmark in this process; what it reports goes to the parent.

import type { Bench, Benchmark, Row } from './harness.js'

export type Message = { kind: 'row'; row: Row } | { kind: 'note'; text: string } | { kind: 'log'; text: string } | { kind: 'end' }

const [name, ...options] = process.argv.slice(2)
// Started by hand, without a parent, it prints what it would send.
const send = (message: Message): void => {
  if (process.send === undefined) process.stdout.write(`${JSON.stringify(message)}\n`)
  else process.send(message)
}
const bench: Bench = {
  quick: options.includes('--quick'),
  log: (text) => send({ kind: 'log', text }),
  note: (text) => send({ kind: 'note', text }),
  report: (row) => send({ kind: 'row', row }),
}

const { default: benchmark } = await import(new URL(`./benchmarks/${name}.js`, import.meta.url).href) as { default: Benchmark }
try {
  await benchmark.run(bench)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
  process.exitCode = 1
}
// Peers that a failure left behind must not keep this alive; what was sent must arrive first.
if (process.send === undefined) process.exit()
process.send({ kind: 'end' } satisfies Message, () => process.exit())
