// SPDX-License-Identifier: MIT
/** What a test program said, in TAP (https://testanything.org), counted. */
import { Parser } from 'tap-parser'

/**
 * @typedef {object} TestResult
 * @property {string} name
 * @property {number} passed   test points, those of subtests included, the points that only sum up a subtest not
 * @property {number} failed
 * @property {number} skipped  skipped or to be done
 * @property {string[]} failures   each with its diagnostics
 * @property {string[]} reasons    why tests were skipped
 * @property {number} milliseconds
 */

/** @param {string} text @param {string} indent */
const indented = (text, indent) => text.replace(/^(?=.)/gm, indent)

/** @param {unknown} diagnostics */
function showDiagnostics (diagnostics) {
  if (diagnostics === null || typeof diagnostics !== 'object') return ''
  // `source` and `stack` show the place; what tap adds for its own reporter is noise here.
  const { diff, found, wanted, compare, message, at, source, stack, code, ...rest } = /** @type {Record<string, any>} */ (diagnostics)
  const lines = []
  if (typeof message === 'string') lines.push(message)
  if (typeof diff === 'string') lines.push(diff.trimEnd())
  else if (found !== undefined || wanted !== undefined) lines.push(`found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`)
  if (at !== null && typeof at === 'object') lines.push(`at ${at.fileName ?? ''}:${at.lineNumber ?? ''}`)
  if (typeof stack === 'string') lines.push(stack.trimEnd())
  for (const [name, value] of Object.entries(rest)) {
    if (['tapCaught', 'signal', 'expired', 'reason', 'detail', 'exitCode', 'kernelMessage', 'syscall', 'hint'].includes(name)) {
      lines.push(`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    }
  }
  return indented(lines.join('\n').slice(0, 4000), '  ')
}

/**
 * Reads TAP. A program that ended badly without saying that a test failed, or that tested nothing, has failed.
 * @param {string} name
 * @param {string} tap
 * @param {{ ending: string | null, stderr?: string, milliseconds?: number }} how  `ending` is null for exit status 0,
 *   else how the program ended
 * @returns {TestResult}
 */
export function readTap (name, tap, { ending, stderr = '', milliseconds = 0 }) {
  /** @type {TestResult} */
  const result = { name, passed: 0, failed: 0, skipped: 0, failures: [], reasons: [], milliseconds }
  const parser = new Parser()
  parser.on('result', (point) => {
    if (point.skip || point.todo) {
      result.skipped++
      const reason = point.skip || point.todo
      result.reasons.push(typeof reason === 'string' ? reason : point.name)
    } else if (point.ok) {
      result.passed++
    } else {
      result.failed++
      result.failures.push(`${point.fullname ?? point.name}\n${showDiagnostics(point.diag)}`.trimEnd())
    }
  })
  /** @type {string | null} */
  let bailout = null
  parser.on('bailout', (reason) => { bailout = String(reason) })
  parser.end(tap)
  const final = parser.results

  /** @param {string} what */
  const fail = (what) => {
    result.failed++
    result.failures.push([what, indented(stderr.trimEnd().slice(-4000), '  ')].filter((text) => text !== '').join('\n'))
  }
  if (bailout !== null) fail(`bailed out: ${bailout}`)
  else if (result.failed === 0) {
    const skippedAll = final?.plan?.skipAll === true
    if (ending !== null) fail(ending)
    else if (skippedAll) {
      result.skipped++
      result.reasons.push(String(final?.plan?.skipReason ?? final?.plan?.comment ?? 'all of it'))
    } else if (result.passed + result.skipped === 0) fail('it tested nothing')
    else if (final?.ok === false) {
      fail(`incomplete output: ${(final.failures ?? []).map((failure) => failure.tapError ?? failure.name).join(', ') || 'no plan'}`)
    }
  } else if (stderr.trim() !== '') {
    result.failures.push(indented(`stderr:\n${stderr.trimEnd().slice(-2000)}`, '  '))
  }
  return result
}
