// SPDX-License-Identifier: MIT
import { runInGuest } from '../lib/guest.mjs'
import { moduleForGuest } from '../lib/guest-module.mjs'
import { kernelVersions } from '../lib/kernels.mjs'
import { secondTry } from '../lib/run-tests.mjs'
import { readTap } from '../lib/tap-result.mjs'
import { testFiles } from '../lib/test-files.mjs'

export const about = `the netns suite, unchanged, and what only a guest can run, on Debian's kernels ${kernelVersions.join(' and ')} under QEMU`

// Emulation is some ten times slower than the machine itself.
const FILE_LIMIT_MS = 600_000

/**
 * The codec of the extensions is judged by thousands of rules, each a program or two: minutes in a guest without KVM. Their
 * kernel plays no part in most of it, so they run here when they are asked for: `npm test -- vm xtables`.
 */
const ON_REQUEST = /xtables-(matches|targets|generated)/
const GUEST_LIMIT_MS = 40 * 60_000

/**
 * With a thread for each processor QEMU 7.2 may run what it translated of code that the kernel has changed since: a breakpoint that
 * is there no more (`Oops: int3`), and then the kernel stops or does not go on. Hooks that come and go under traffic bring it about, in the
 * newer kernel within minutes, in the older one after some hundred thousand of them. So only the older one's processors run side by side;
 * two guests on two processors take as long either way.
 */
const ONE_THREAD = 'tcg,thread=single'

/**
 * What tests the library more than the kernel runs in one of the guests each, by turns, which saves minutes. Files that are asked for run in all.
 */
const BY_TURNS = /^test\/(netns\/(bridging-firewall|cli|demo|lab|netfilter-(extension|lock|text|writers)|mirror|packet-(log|match|queue)|pcapng|plugin|xtables)|vm\/mirror)/

/**
 * The files of one guest.
 * @param {readonly import('../lib/test-files.mjs').TestFile[]} files
 * @param {number} guest
 */
function turnOf (files, guest) {
  let turn = 0
  return files.filter(({ source }) => !BY_TURNS.test(source) || turn++ % kernelVersions.length === guest)
}

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ wanted, report, log, long }) {
  const found = [...await testFiles('netns', wanted), ...await testFiles('vm', wanted)]
  const files = wanted.length > 0 ? found : found.filter(({ source }) => !ON_REQUEST.test(source))
  if (files.length < found.length) log(`${found.length - files.length} files of the xtables extensions only on request: npm test -- vm xtables`)
  if (files.length === 0) return
  // Side by side: a guest runs one test at a time and so keeps little more than one processor busy.
  await Promise.all(kernelVersions.map(async (kernel, guest) => {
    /** @type {Map<string, import('../lib/tap-result.mjs').TestResult>} */
    const failed = new Map()
    await runOn(kernel, wanted.length > 0 ? files : turnOf(files, guest), {
      log, long, report: (result) => { if (result.failed > 0 && long === undefined) failed.set(result.name, result); else report(result) },
    })
    const again = files.filter(({ source }) => failed.has(`${kernel} ${source}`))
    for (const [name, result] of failed) if (!again.some(({ source }) => name === `${kernel} ${source}`)) report(result)
    if (again.length === 0) return
    await runOn(kernel, again, {
      log,
      long,
      report: (result) => {
        const first = failed.get(result.name)
        report(first === undefined ? result : secondTry(first, result, log))
      },
    })
  }))
}

/**
 * @param {import('../lib/kernels.mjs').KernelVersion} kernel
 * @param {readonly import('../lib/test-files.mjs').TestFile[]} files
 * @param {Pick<import('../test.mjs').RingContext, 'report' | 'log' | 'long'>} context
 */
async function runOn (kernel, files, { report, log, long }) {
  const sourceOf = new Map(files.map(({ source, compiled }) => [compiled, source]))
  const missing = new Set(sourceOf.keys())
  // The tests of the module come last, and load it themselves.
  const { extra, env } = files.some(({ source }) => source.startsWith('test/vm/')) ? await moduleForGuest(kernel, log, { hostile: true }) : {}
  const limit = long?.limit ?? FILE_LIMIT_MS
  const { problem, release, bootMs, milliseconds } = await runInGuest({
    kernel,
    ...(extra === undefined ? {} : { extra }),
    files: files.map(({ compiled }) => compiled),
    fileTimeoutMs: limit,
    timeoutMs: Math.max(GUEST_LIMIT_MS, limit),
    ...(long === undefined && kernel !== kernelVersions.at(-1) ? {} : { accel: ONE_THREAD }),
    env: { NO_COLOR: '1', ...env, ...long?.env },
    log,
    onResult: (result) => {
      missing.delete(result.file)
      const ending = result.timedOut ? `still running after ${limit / 1000} s` : result.exitCode === 0 ? null : `exit status ${result.exitCode}`
      const counted = readTap(`${kernel} ${sourceOf.get(result.file)}`, result.stdout, { ending, stderr: result.stderr, milliseconds: result.milliseconds })
      if (result.kernelTrouble.length > 0) {
        counted.failed++
        counted.failures.push(`the kernel said meanwhile:\n${result.kernelLog.trimEnd().slice(0, 8000).replace(/^/gm, '  ')}`)
      }
      report(counted)
    },
  })
  log(`Linux ${release}: ${(bootMs / 1000).toFixed(1)} s to boot, ${(milliseconds / 1000).toFixed(1)} s in all`)
  const failed = (/** @type {string} */ name, /** @type {string} */ why) => {
    report({ name: `${kernel} ${name}`, passed: 0, failed: 1, skipped: 0, failures: [why], reasons: [], milliseconds: 0 })
  }
  for (const file of missing) failed(sourceOf.get(file) ?? file, problem ?? 'the guest did not run it')
  if (problem !== null && missing.size === 0) failed('the guest', problem)
}
