// SPDX-License-Identifier: MIT
// npm run bench [-- [name...] [--quick] [--json] [--list]]
//
// Runs the benchmarks, each in a process and a network namespace of its own, and prints one table.

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Message } from './child.js'
import type { Benchmark, Row } from './harness.js'
import { table } from './table.js'

const directory = new URL('./benchmarks/', import.meta.url)
const names = readdirSync(directory).filter((file) => file.endsWith('.js')).map((file) => file.slice(0, -3)).sort()

const say = (text: string) => { process.stdout.write(`${text}\n`) }
const tell = (text: string) => { process.stderr.write(`nfkit: ${text}\n`) }

const load = async (name: string): Promise<Benchmark> => (await import(new URL(`${name}.js`, directory).href)).default

const rows: Row[] = []
const notes: string[] = []
let failures = 0
let running: ReturnType<typeof spawn> | undefined

/** Where benchmarks put their files: gone at the end, also of those that were killed. */
const files = mkdtempSync(join(tmpdir(), 'nfkit-bench-'))
process.on('exit', () => { rmSync(files, { recursive: true, force: true }) })

/** Runs one benchmark to its end; what it reports until it fails counts. */
async function run(name: string, quick: boolean): Promise<void> {
  const { minutes = 15 } = await load(name)
  const started = performance.now()
  tell(`${name}: begins`)
  const child = spawn('unshare', [
    '--net', '--', process.execPath, '--enable-source-maps', fileURLToPath(new URL('./child.js', import.meta.url)), name, ...(quick ? ['--quick'] : []),
  ], { stdio: ['ignore', 2, 2, 'ipc'], env: { ...process.env, TMPDIR: files } })
  running = child
  child.on('message', (message: Message) => {
    if (message.kind === 'row') rows.push(message.row)
    else if (message.kind === 'note') { if (!notes.includes(message.text)) notes.push(message.text) }
    else if (message.kind === 'log') tell(`${name}: ${message.text}`)
  })
  const watchdog = setTimeout(() => {
    notes.push(`${name} was ended after ${minutes} minutes`)
    child.kill('SIGKILL')
  }, minutes * 60_000)
  const problem = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : signal === null ? `exit status ${code}` : `killed by ${signal}`))
  })
  clearTimeout(watchdog)
  running = undefined
  if (problem !== undefined) {
    failures++
    notes.push(`${name} FAILED: ${problem}`)
  }
  tell(`${name}: ${problem ?? 'done'}, ${((performance.now() - started) / 1000).toFixed(1)} s`)
}

function print(json: boolean): void {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const processors = cpus()
  const machine = `nfkit ${version}, Node.js ${process.version}, Linux ${release()}, ${processors.length} x ${processors[0]?.model ?? 'unknown processor'}`
  if (json) {
    say(JSON.stringify({ machine, rows, notes }, null, 2))
    return
  }
  say(`${machine}`)
  say('Median and, in brackets, the best of interleaved samples; the ratio is that of the medians, in brackets that of the best.\n')
  say(table(rows))
  if (notes.length > 0) say(`\n${notes.map((note) => `- ${note}`).join('\n')}`)
  const targets = rows.filter((row) => row.met !== undefined)
  say(`\n${targets.filter((row) => row.met).length} of ${targets.length} targets met${failures === 0 ? '' : `, ${failures} benchmarks FAILED`}`)
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false }, list: { type: 'boolean', default: false } },
  })
  if (values.list) {
    for (const name of names) say(`${name.padEnd(Math.max(...names.map((one) => one.length)))}  ${(await load(name)).about}`)
    return
  }
  const unknown = positionals.find((name) => !names.includes(name))
  if (unknown !== undefined) throw Object.assign(new Error(`there is no benchmark ${unknown}; there are: ${names.join(', ')}`), { usage: true })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      running?.kill('SIGKILL')
      print(values.json)
      process.exit(130)
    })
  }
  for (const name of positionals.length > 0 ? names.filter((one) => positionals.includes(one)) : names) await run(name, values.quick)
  print(values.json)
  if (failures > 0) process.exitCode = 1
}

main().catch((error: NodeJS.ErrnoException & { usage?: boolean }) => {
  tell(error.message)
  process.exitCode = error.usage === true || error.code?.startsWith('ERR_PARSE_ARGS') === true ? 2 : 1
})
