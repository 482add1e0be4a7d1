// SPDX-License-Identifier: MIT
/** What the benchmarks compare with: tools of Debian and packages of npm, none of which the library itself needs. */
import { join } from 'node:path'
import { ensureTools, projectRoot, requireTools } from './debian-packages.mjs'
import { npmCi, whyStale } from './dependencies.mjs'

/**
 * Installs what is missing. Without iproute2 nothing can be measured; a peer that cannot be had is left out, and the
 * benchmarks say so.
 * @param {(text: string) => void} log
 * @returns {Promise<Record<string, string>>} environment variables that tell the benchmarks why a peer is not there
 */
export async function ensurePeers (log) {
  await requireTools(['iproute2', 'util-linux'], { log })
  /** @type {Record<string, string>} */
  const problems = {}
  const { missing, problem } = await ensureTools(['python3-pyroute2'], { log })
  if (missing.length > 0) problems.NFKIT_BENCH_PYROUTE2 = firstLine(problem ?? 'it is not installed, and this may not install it')
  const iptc = await ensureTools(['python3-iptables', 'iptables'], { log })
  if (iptc.missing.length > 0) problems.NFKIT_BENCH_PYTHON_IPTABLES = firstLine(iptc.problem ?? 'it is not installed, and this may not install it')
  const queue = await ensureTools(['gcc', 'libc6-dev', 'libnetfilter-queue-dev', 'iptables'], { log })
  if (queue.missing.length > 0) problems.NFKIT_BENCH_LIBNETFILTER_QUEUE = firstLine(queue.problem ?? 'it is not installed, and this may not install it')
  const directory = join(projectRoot, 'bench')
  try {
    const why = await whyStale(directory)
    if (why !== null) {
      log(`installing what the benchmarks compare with (${why})`)
      await npmCi(directory)
    }
  } catch (error) {
    problems.NFKIT_BENCH_NPM_NETLINK = firstLine(error instanceof Error ? error.message : String(error))
  }
  return problems
}

/** @param {string} text */
const firstLine = (text) => text.split('\n').filter((line) => line.trim() !== '').slice(0, 2).join(' ')
