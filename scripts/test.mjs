// SPDX-License-Identifier: MIT
/**
 * npm test [-- [ring...] [file...]]
 *
 * Runs the test rings, all or those named, or those that the files belong to. The last line is
 * `N passed, N failed, N skipped`, summed over all rings; a ring that cannot run counts as one skipped, or as one failed
 * when NFKIT_REQUIRE_RINGS names it or says `all`. `sanitize` runs only when it is named.
 */
import { main, setUp } from './lib/setup.mjs'
import { indented, showCounts, showResult, showTime } from './lib/show-result.mjs'
import { testFiles } from './lib/test-files.mjs'

/**
 * @typedef {import('./lib/tap-result.mjs').TestResult} TestResult
 * @typedef {object} RingContext
 * @property {readonly string[]} wanted  parts of the paths of test files; none means all
 * @property {(result: TestResult) => void} report
 * @property {(text: string) => void} log
 * @property {{ env: Record<string, string>, limit: number }} [long]  of npm run test:long: the switches, and milliseconds for each file
 * @typedef {{ about: string, run: (context: RingContext) => Promise<void> }} Ring
 */

/** In the order in which they run: what is quick and tells most comes first. */
const RINGS = ['unit', 'netns', 'lifecycle', 'runtimes', 'package', 'vm']

/** Runs only when it is named: its kernel takes minutes to build. */
const ON_REQUEST = ['sanitize']

const total = { passed: 0, failed: 0, skipped: 0 }

/** @param {string} text */
const say = (text) => { process.stdout.write(`${text}\n`) }

/** @param {string} name */
const isRequired = (name) => ['all', name].some((word) => (process.env.NFKIT_REQUIRE_RINGS ?? '').split(/[\s,]+/).includes(word))

/**
 * @param {string} name
 * @param {readonly string[]} wanted
 */
async function runRing (name, wanted) {
  /** @type {Ring} */
  const ring = await import(`./rings/${name}.mjs`)
  const counts = { passed: 0, failed: 0, skipped: 0 }
  /** @type {Map<string, number>} */
  const reasons = new Map()
  const started = performance.now()
  say(`\n${name}: ${ring.about}`)
  try {
    await ring.run({
      wanted,
      log: (text) => { say(`  ${text}`) },
      report: (result) => {
        for (const key of /** @type {const} */ (['passed', 'failed', 'skipped'])) counts[key] += result[key]
        for (const reason of result.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        say(showResult(result))
      },
    })
    if (counts.passed + counts.failed + counts.skipped === 0) say(`  no test file matches ${wanted.join(' ')}`)
  } catch (error) {
    if (error instanceof Error && error.name === 'RingUnavailable') {
      const { command } = /** @type {import('./lib/debian-packages.mjs').RingUnavailable} */ (error)
      const required = isRequired(name)
      counts[required ? 'failed' : 'skipped']++
      say(`  ${required ? 'FAILED (NFKIT_REQUIRE_RINGS)' : 'SKIPPED'}: ${error.message}`)
      if (command !== null) say(`  to enable it: ${command}`)
    } else {
      counts.failed++
      say(indented(`the ring itself failed: ${error instanceof Error ? error.stack : error}`))
    }
  }
  for (const [reason, count] of reasons) say(`  ${count} skipped: ${reason}`)
  say(`  ${showCounts(counts)}, ${showTime(performance.now() - started)}`)
  for (const key of /** @type {const} */ (['passed', 'failed', 'skipped'])) total[key] += counts[key]
}

main(async () => {
  const args = process.argv.slice(2)
  const all = [...RINGS, ...ON_REQUEST]
  const option = args.find((arg) => arg.startsWith('-'))
  if (option !== undefined) throw new Error(`unknown option ${option}. Usage: npm test [-- [ring...] [file...]]; rings: ${all.join(', ')}`)
  const wanted = args.filter((arg) => !all.includes(arg))
  const named = all.filter((name) => args.includes(name))
  const ofFiles = []
  for (const name of RINGS) if (wanted.length > 0 && (await testFiles(name, wanted)).length > 0) ofFiles.push(name)
  if (wanted.length > 0 && named.length + ofFiles.length === 0) throw new Error(`no test file matches ${wanted.join(' ')}; rings: ${all.join(', ')}`)
  const rings = named.length > 0 ? named : ofFiles.length > 0 ? ofFiles : RINGS

  const complaints = await setUp({ typeErrors: 'return' })
  if (complaints !== null) {
    total.failed++
    say(`TypeScript does not compile:\n${indented(complaints)}`)
  }
  // A user may stop at any time; what the tests started ends with us.
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => { process.exit(130) })
  for (const name of rings) await runRing(name, wanted)

  if (total.failed > 0 || total.passed === 0) process.exitCode = 1
  say(`\n${showCounts(total)}`)
})
