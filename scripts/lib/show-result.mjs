// SPDX-License-Identifier: MIT
/** What became of tests, as the commands print it. */

/** @typedef {import('./tap-result.mjs').TestResult} TestResult */

/** The last line of every test command. @param {{ passed: number, failed: number, skipped: number }} counts */
export const showCounts = ({ passed, failed, skipped }) => `${passed} passed, ${failed} failed, ${skipped} skipped`

/** @param {number} milliseconds */
export const showTime = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`

/** @param {string} text */
export const indented = (text) => text.replace(/^(?=.)/gm, '    ')

/** One test program: a line, and what failed. @param {TestResult} result */
export function showResult (result) {
  const line = `  ${result.failed > 0 ? 'not ok' : 'ok    '} ${result.name.padEnd(44)} ${showCounts(result)}, ${showTime(result.milliseconds)}`
  return [line, ...result.failures.map(indented)].join('\n')
}
