// SPDX-License-Identifier: MIT
/**
 * npm run bench:kernel [-- [WAY...] [--kernel 6.1|6.12|all] [--count time|instructions|all] [--quick] [--json] [--list]]
 *
 * What a copy of a packet costs in the kernel, ours beside those of xt_TEE, tc mirred and nft, in guests of QEMU without KVM. Each pair of a
 * kernel and a way to count is a boot of its own, in which the ways of copying take turns.
 *
 *   --count time          nanoseconds, on two processors. Only the ratios say anything, and only on a machine that is not busy
 *   --count instructions  what QEMU counts as instructions, on one processor (-icount): the same however busy the machine is
 *
 * Strings are not moved byte by byte in these guests (no ERMS, no FSRM), since QEMU takes each byte for an instruction.
 */
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from './lib/debian-packages.mjs'
import { runInGuest } from './lib/guest.mjs'
import { moduleForGuest } from './lib/guest-module.mjs'
import { kernelVersions } from './lib/kernels.mjs'
import { nftForGuest } from './lib/nft-for-guest.mjs'
import { logToStderr, main, setUp } from './lib/setup.mjs'

/** @typedef {'time' | 'instructions'} Count */

const MODULES = [
  'veth', 'bridge', 'pktgen', 'sch_ingress', 'cls_matchall', 'act_gact', 'act_mirred', 'ip_tables', 'iptable_filter', 'xt_TEE', 'nf_tables', 'nft_dup_ipv4', 'nft_dup_netdev',
]
const CPU = ['-cpu', 'max,la57=off,-erms,-fsrm']
/** By the guest's clock, and by ours. */
const FILE_TIMEOUT_MS = 7_200_000
const LIMIT_MS = 3_600_000

/** @type {Record<Count, { unit: 'ns' | 'instr', packets: number, rounds: number, accel: string, qemuArgs: string[] }>} */
const COUNTS = {
  time: { unit: 'ns', packets: 10_000, rounds: 7, accel: 'tcg,thread=multi', qemuArgs: CPU },
  // An instruction is a nanosecond of the guest's clock, and one that sleeps does not wait for it to pass.
  instructions: { unit: 'instr', packets: 2000, rounds: 5, accel: 'tcg,thread=single', qemuArgs: [...CPU, '-smp', '1', '-icount', 'shift=0,sleep=off'] },
}

/** @template {string} T @param {string} option @param {string} value @param {readonly T[]} all @returns {readonly T[]} */
function choose (option, value, all) {
  const chosen = value === 'all' ? all : all.filter((name) => name === value)
  if (chosen.length === 0) throw new Error(`--${option}: expected ${all.join(', ')} or all, got ${value}`)
  return chosen
}

const load = () => loadavg().map((value) => value.toFixed(2)).join(' ')

/**
 * @param {import('./lib/kernels.mjs').KernelVersion} kernel
 * @param {Count} count
 * @param {{ quick: boolean, ways: string[] }} options
 */
async function measure (kernel, count, { quick, ways }) {
  const { unit, packets, rounds, accel, qemuArgs } = COUNTS[count]
  const { report } = await import(join(projectRoot, 'dist/bench/kernel/report.js'))
  const { extra, env } = await moduleForGuest(kernel, logToStderr)
  /** @type {string[]} */
  const problems = []
  const nft = await nftForGuest(logToStderr).catch((error) => {
    problems.push(`nft could not be brought: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    return {}
  })
  /** @type {{ kind: string, text?: string }[]} */
  const messages = []
  let pending = ''
  const before = load()
  const { release, ok, problem, files, kernelTrouble } = await runInGuest({
    kernel,
    files: [{ file: join(projectRoot, 'dist/bench/kernel/main.js'), args: [String(quick ? packets / 2 : packets), String(quick ? 1 : rounds), ...ways] }],
    fileTimeoutMs: FILE_TIMEOUT_MS,
    timeoutMs: LIMIT_MS,
    extra: { ...extra, ...nft },
    env,
    modules: MODULES,
    commands: [`insmod ${env.NFKIT_MODULE}`],
    accel,
    qemuArgs,
    log: logToStderr,
    onOutput: (text, { stream }) => {
      if (stream === 'stderr') return void process.stderr.write(text)
      const lines = (pending + text).split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) {
        const message = JSON.parse(line)
        messages.push(message)
        if (message.kind === 'log') logToStderr(`Linux ${kernel}, ${count}: ${message.text}`)
      }
    },
  })
  const result = report(messages, unit)
  if (!ok) result.failures.push(problem ?? (kernelTrouble.length > 0 ? kernelTrouble.join('\n') : `the guest's program ended with ${files[0]?.exitCode}`))
  return { kernel: release, count, unit, load: { before, after: load() }, ...result, notes: [...problems, ...result.notes] }
}

/** @param {Awaited<ReturnType<typeof measure>>} result */
async function print ({ kernel, count, load, costs, originals, notes, failures }) {
  const { table } = await import(join(projectRoot, 'dist/bench/table.js'))
  const say = (/** @type {string} */ text) => { process.stdout.write(`${text}\n`) }
  say(`Linux ${kernel}, ${count}; load of the machine before: ${load.before}, after: ${load.after}`)
  say('What each packet costs more with a copy than without: the median and, in brackets, the least of interleaved samples.\n')
  say(table(costs))
  say(`\nThe originals, with the rule and without${count === 'instructions' ? ' (a second is 1,000,000,000 instructions)' : ''}:\n`)
  say(table(originals))
  if (notes.length > 0) say(`\n${notes.map((/** @type {string} */ note) => `- ${note}`).join('\n')}`)
  const targets = costs.filter((/** @type {{ target?: string }} */ { target }) => target !== undefined)
  const missed = targets.filter((/** @type {{ met?: boolean }} */ { met }) => met !== true)
  say(`\n${targets.length - missed.length} of ${targets.length} targets met`)
  for (const { what, size, peer, target, ratio } of missed) say(`MISSED: ${what}, ${size}: ${ratio === undefined ? 'no figure' : ratio.toFixed(2)} of ${peer.name}, to be ${target}`)
  for (const text of failures) say(`FAILED: ${text}`)
  say('')
}

main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: 'string', default: 'all' },
      count: { type: 'string', default: 'all' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  })
  const kernels = choose('kernel', values.kernel, kernelVersions)
  const counts = choose('count', values.count, /** @type {Count[]} */ (Object.keys(COUNTS)))
  await setUp()
  const { WAYS } = await import(join(projectRoot, 'dist/bench/kernel/ways.js'))
  const names = WAYS.map((/** @type {{ name: string }} */ { name }) => name)
  if (values.list) return void process.stdout.write(`${names.join('\n')}\n`)
  const unknown = positionals.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`there is no way named ${unknown}: ${names.join('; ')}`)
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => { process.exit(130) })
  const results = []
  for (const kernel of kernels) {
    for (const count of counts) {
      const result = await measure(kernel, count, { quick: values.quick, ways: positionals })
      results.push(result)
      if (!values.json) await print(result)
      if (result.failures.length > 0) process.exitCode = 1
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
})
