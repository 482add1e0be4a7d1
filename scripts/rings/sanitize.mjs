// SPDX-License-Identifier: MIT
import { cProgram } from '../lib/c-program.mjs'
import { HOSTILE } from '../lib/guest-module.mjs'
import { readTap } from '../lib/tap-result.mjs'
import { testFiles } from '../lib/test-files.mjs'
import { umlKernel, umlModule } from '../lib/uml-kernel.mjs'
import { runInUml } from '../lib/uml.mjs'
import { xtablesPlugin } from '../lib/xtables-plugin.mjs'

export const about = 'the kernel module under KASAN, lockdep, kmemleak and failslab, in user-mode Linux: the tests of the vm ring and some of its own'

// Everything that the kernel checks costs time.
const FILE_LIMIT_MS = 900_000

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ wanted, report, log, long }) {
  const files = [...await testFiles('vm', wanted), ...await testFiles('sanitize', wanted)]
  if (files.length === 0) return
  const kernel = await umlKernel(log)
  const [module, plugin, hostile] = await Promise.all([umlModule(kernel, log), xtablesPlugin(log), cProgram(HOSTILE, log)])
  const limit = long?.limit ?? FILE_LIMIT_MS
  const started = performance.now()
  const missing = new Map(files.map(({ source, compiled }) => [compiled, source]))
  const { release, problem } = await runInUml({
    image: kernel.image,
    files: files.map(({ compiled }) => compiled),
    env: { NFKIT_MODULE: module, XTABLES_LIBDIR: plugin.directory, NFKIT_HOSTILE: hostile, NFKIT_SANITIZE: '1', ...long?.env },
    fileTimeoutMs: limit,
    onResult: ({ file, exitCode, timedOut, stdout, stderr, milliseconds, kernelLog, kernelTrouble }) => {
      const source = missing.get(file) ?? file
      missing.delete(file)
      const ending = timedOut ? `still running after ${limit / 1000} s` : exitCode === 0 ? null : exitCode === null ? 'the kernel ended' : `exit status ${exitCode}`
      const counted = readTap(source, stdout, { ending, stderr, milliseconds })
      if (kernelTrouble.length > 0) {
        counted.failed++
        counted.failures.push(`the kernel said meanwhile:\n${kernelLog.trimEnd().slice(0, 12_000).replace(/^/gm, '  ')}`)
      }
      report(counted)
    },
  })
  log(`user-mode Linux ${release}: ${((performance.now() - started) / 1000).toFixed(1)} s in all`)
  for (const source of missing.values()) {
    report({ name: source, passed: 0, failed: 1, skipped: 0, failures: [problem ?? 'user-mode Linux did not run it'], reasons: [], milliseconds: 0 })
  }
}
