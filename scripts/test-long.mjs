// SPDX-License-Identifier: MIT
/**
 * npm run test:long [-- file...]
 *
 * The tests that have a long form, in it: a million damaged tables and texts, rules by chance, eight writers, 100,000 packets; and of the kernel
 * module, in each guest and in user-mode Linux, a million wrong calls of its device, its objects made anew 10,000 times under traffic, and
 * itself, namespaces and devices gone hundreds of times. All of them, or those that the files name. Three hours on two cores.
 * NFKIT_FUZZ is another number of damaged inputs and wrong calls, NFKIT_FUZZ_SEED says which calls by chance, NFKIT_MODULE_CYCLES how many changes.
 */
import { projectRoot } from './lib/debian-packages.mjs'
import { privateNetwork } from './lib/private-network.mjs'
import { runTests } from './lib/run-tests.mjs'
import { main, setUp } from './lib/setup.mjs'
import { showCounts, showResult, showTime } from './lib/show-result.mjs'

/** Milliseconds for one of them. */
const LIMIT = 4 * 3_600_000

/** Those of test/vm run in these rings. */
const VM_RINGS = ['sanitize', 'vm']

const seed = process.env.NFKIT_FUZZ_SEED

/** @type {readonly { file: string, env: Record<string, string> }[]} */
const LONG = [
  { file: 'test/unit/xtables-text', env: { NFKIT_FUZZ: process.env.NFKIT_FUZZ ?? '1000000' } },
  { file: 'test/unit/xtables-hostile', env: { NFKIT_FUZZ: process.env.NFKIT_FUZZ ?? '1000000' } },
  { file: 'test/netns/xtables-generated', env: { NFKIT_FUZZ: '20000' } },
  { file: 'test/netns/netfilter-writers', env: { NFKIT_WRITERS: 'long' } },
  { file: 'test/netns/packet-queue', env: { NFKIT_QUEUE_PACKETS: '100000' } },
  { file: 'test/netns/packet-log', env: { NFKIT_QUEUE_PACKETS: '100000' } },
  { file: 'test/vm/target-limits', env: { NFKIT_MODULE_CYCLES: process.env.NFKIT_MODULE_CYCLES ?? '10000' } },
  { file: 'test/vm/hook-segments', env: { NFKIT_SEGMENTS: 'long' } },
  { file: 'test/vm/hook-lifetime', env: { NFKIT_MODULE_CYCLES: process.env.NFKIT_MODULE_CYCLES ?? '10000' } },
  { file: 'test/vm/target-lifetime', env: { NFKIT_MODULE_CYCLES: process.env.NFKIT_MODULE_CYCLES ?? '200' } },
  { file: 'test/vm/clone-lifetime', env: { NFKIT_MODULE_CYCLES: process.env.NFKIT_MODULE_CYCLES ?? '200' } },
  { file: 'test/vm/device-fuzz', env: { NFKIT_FUZZ: process.env.NFKIT_FUZZ ?? '1000000', ...(seed === undefined ? {} : { NFKIT_FUZZ_SEED: seed }) } },
  { file: 'test/vm/device-hostile', env: { NFKIT_STRESS_SECONDS: process.env.NFKIT_STRESS_SECONDS ?? '120', ...(seed === undefined ? {} : { NFKIT_FUZZ_SEED: seed }) } },
]

main(async () => {
  const wanted = process.argv.slice(2)
  const chosen = LONG.filter(({ file }) => wanted.length === 0 || wanted.some((part) => `${file}.test.ts`.includes(part)))
  if (chosen.length === 0) throw new Error(`none of ${wanted.join(' ')} has a long form: ${LONG.map(({ file }) => file).join(', ')}`)
  await setUp()
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => { process.exit(130) })
  const prefix = chosen.some(({ file }) => file.startsWith('test/netns/')) ? await privateNetwork() : []
  const started = performance.now()
  const total = { passed: 0, failed: 0, skipped: 0 }
  /** @param {import('./lib/tap-result.mjs').TestResult} result */
  const report = (result) => {
    for (const key of /** @type {const} */ (['passed', 'failed', 'skipped'])) total[key] += result[key]
    process.stdout.write(`${showResult(result)}\n${result.reasons.map((reason) => `    skipped: ${reason}\n`).join('')}`)
  }
  const named = (/** @type {string} */ name, /** @type {Record<string, string>} */ env) => `${name} (${Object.entries(env).map((pair) => pair.join('=')).join(' ')})`
  await runTests(chosen.filter(({ file }) => !file.startsWith('test/vm/')).map(({ file, env }) => ({
    name: named(`${file}.test.ts`, env),
    command: [...(file.startsWith('test/netns/') ? prefix : []), process.execPath, '--enable-source-maps', `${projectRoot}/dist/${file}.test.js`],
    env,
  })), { limit: LIMIT, report })
  for (const { file, env } of chosen.filter(({ file }) => file.startsWith('test/vm/'))) {
    for (const name of VM_RINGS) {
      /** @type {import('./test.mjs').Ring} */
      const ring = await import(`./rings/${name}.mjs`)
      await ring.run({
        wanted: [`${file}.test.ts`], long: { env, limit: LIMIT }, log: (text) => { process.stdout.write(`  ${text}\n`) },
        report: (result) => { report({ ...result, name: named(`${name}: ${result.name}`, env) }) },
      })
    }
  }
  if (total.failed > 0 || total.passed === 0) process.exitCode = 1
  process.stdout.write(`  ${showTime(performance.now() - started)}\n\n${showCounts(total)}\n`)
})
