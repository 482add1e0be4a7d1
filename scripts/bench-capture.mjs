// SPDX-License-Identifier: MIT
/**
 * npm run bench:capture [-- [--kernel 6.1|6.12|all] [--rounds NUMBER] [--json]]
 *
 * How fast packets come to JavaScript, beside `tcpdump -w` of the same traffic in the same guest of QEMU without KVM. Only the ratios say
 * anything, and only on a machine that is not busy.
 */
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from './lib/debian-packages.mjs'
import { runInGuest } from './lib/guest.mjs'
import { moduleForGuest } from './lib/guest-module.mjs'
import { kernelVersions } from './lib/kernels.mjs'
import { logToStderr, main, setUp } from './lib/setup.mjs'

const LIMIT_MS = 1_800_000
/** Strings are not moved byte by byte: QEMU takes each byte for an instruction. */
const CPU = ['-cpu', 'max,la57=off,-erms,-fsrm']
const load = () => loadavg().map((value) => value.toFixed(2)).join(' ')

/** @typedef {import('../bench/kernel/capture.js').CaptureSample} Sample */

/** @param {import('./lib/kernels.mjs').KernelVersion} kernel @param {number} rounds */
async function measure (kernel, rounds) {
  const { extra, env } = await moduleForGuest(kernel, logToStderr)
  /** @type {Sample[]} */
  const samples = []
  let pending = ''
  const before = load()
  const { release, ok, problem, kernelTrouble } = await runInGuest({
    kernel,
    files: [{ file: join(projectRoot, 'dist/bench/kernel/capture.js'), args: [String(rounds)] }],
    fileTimeoutMs: LIMIT_MS, timeoutMs: LIMIT_MS, extra, env,
    modules: ['veth', 'pktgen', 'ip_tables', 'iptable_filter', 'af_packet', 'sch_ingress', 'cls_matchall', 'act_gact'],
    qemuArgs: CPU,
    commands: [`insmod ${env.NFKIT_MODULE}`],
    log: logToStderr,
    onOutput: (text, { stream }) => {
      if (stream === 'stderr') return void process.stderr.write(text)
      const lines = (pending + text).split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) samples.push(JSON.parse(line))
    },
  })
  if (!ok) throw new Error(problem ?? (kernelTrouble.length > 0 ? kernelTrouble.join('\n') : 'the program in the guest failed'))
  return { kernel: release, load: { before, after: load() }, samples }
}

/** @param {Awaited<ReturnType<typeof measure>>} result */
async function print ({ kernel, load, samples }) {
  const { comparison, summary } = await import(join(projectRoot, 'dist/bench/harness.js'))
  const { table } = await import(join(projectRoot, 'dist/bench/table.js'))
  const say = (/** @type {string} */ text) => { process.stdout.write(`${text}\n`) }
  say(`Linux ${kernel}; load of the machine before: ${load.before}, after: ${load.after}\n`)
  const rows = []
  for (const size of [...new Set(samples.map((sample) => sample.size))]) {
    const each = (/** @type {Sample['way']} */ way) => samples.filter((sample) => sample.way === way && sample.size === size)
    const rate = (/** @type {Sample[]} */ of) => summary('/s', of.map(({ nanoseconds }) => 1e9 / nanoseconds))
    const processor = (/** @type {Sample[]} */ of) => summary('ns', of.map(({ processor }) => processor))
    const generator = (/** @type {Sample[]} */ of) => summary('ns', of.map(({ generator }) => generator))
    for (const [way, name] of /** @type {const} */ ([['file', 'capture.pipe() to a file'], ['objects', 'each packet an object']])) {
      const peer = each('tcpdump')
      const ours = each(way)
      const common = { size: `${size} B` }
      rows.push(comparison({ ...common, what: `${name}: packets`, ours: rate(ours), peer: { name: 'tcpdump -w', value: rate(peer) }, reading: 'speed', limit: 1 }))
      rows.push(comparison({ ...common, what: `${name}: processor time of the program`, ours: processor(ours), peer: { name: 'tcpdump -w', value: processor(peer) }, reading: 'cost' }))
      rows.push(comparison({ ...common, what: `${name}: time of the one who sends`, ours: generator(ours), peer: { name: 'tcpdump -w', value: generator(peer) }, reading: 'cost' }))
    }
  }
  say(table(rows))
  for (const { way, size, lost, packets } of samples) if (lost !== 0) say(`FAILED: ${way}, ${size} B: ${lost} of ${packets} lost`)
  const best = (/** @type {Sample['way']} */ way, /** @type {number} */ size) => Math.max(...samples.filter((sample) => sample.way === way && sample.size === size).map(({ nanoseconds }) => size * 1e3 / nanoseconds))
  for (const way of /** @type {const} */ (['tcpdump', 'file', 'objects'])) say(`${way}: up to ${best(way, 1400).toFixed(0)} MB/s of 1400 B packets`)
}

main(async () => {
  const { values } = parseArgs({ options: { kernel: { type: 'string', default: 'all' }, rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } } })
  const kernels = values.kernel === 'all' ? kernelVersions : kernelVersions.filter((kernel) => kernel === values.kernel)
  if (kernels.length === 0) throw new Error(`--kernel: expected ${kernelVersions.join(', ')} or all, got ${values.kernel}`)
  await setUp()
  for (const kernel of kernels) {
    const result = await measure(kernel, Number(values.rounds))
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    else await print(result)
  }
})
