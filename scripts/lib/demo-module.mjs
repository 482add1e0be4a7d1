// SPDX-License-Identifier: MIT
/**
 * The demonstration's acts that need the kernel module: here, if this kernel loads modules and lets us, else in a
 * guest of the vm ring.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { projectRoot } from './debian-packages.mjs'
import { runInGuest } from './guest.mjs'
import { moduleForGuest } from './guest-module.mjs'
import { kernelVersions } from './kernels.mjs'
import { runCompiled } from './run-compiled.mjs'

const ACT = 'demo/module-main.js'
const LIMIT_MS = 180_000
/** What `build` takes away. */
const BUILDABLE = ['NFKIT_MODULE_NOT_BUILT', 'NFKIT_MODULE_OTHER_KERNEL']

/** Why the module cannot be used on this machine's kernel, or null. */
function obstacleHere () {
  const { stdout } = spawnSync(process.execPath, [join(projectRoot, 'dist/lib/cli/main.js'), 'module', 'status', '--json'], { encoding: 'utf8' })
  /** @type {{ loaded: boolean, loadObstacles: { code: string, message: string }[], buildObstacles: { message: string }[] }} */
  const { loaded, loadObstacles, buildObstacles } = JSON.parse(stdout)
  if (loaded) return null
  const hard = loadObstacles.find(({ code }) => !BUILDABLE.includes(code))
  return (hard ?? (loadObstacles.length > 0 ? buildObstacles[0] : undefined))?.message ?? null
}

/** The newest of the guests' kernels. */
const guestKernel = /** @type {import('./kernels.mjs').KernelVersion} */ (kernelVersions.at(-1))

/** @param {(text: string) => void} log */
export async function demoModule (log) {
  const obstacle = obstacleHere()
  if (obstacle === null) return runCompiled(ACT, [])
  // The program before had its own way with them.
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.removeAllListeners(signal).once(signal, () => { process.exit(130) })
  try {
    const terminal = process.stdout.isTTY === true
    const { extra, env } = await moduleForGuest(guestKernel, log, { plugin: false })
    const { ok, problem, files: [acts] } = await runInGuest({
      kernel: guestKernel,
      files: [join(projectRoot, 'dist', ACT)],
      fileTimeoutMs: LIMIT_MS,
      extra,
      env: { ...env, ...(terminal ? { NFKIT_DEMO_TERMINAL: '1', ...inherited() } : {}) },
      log,
      onOutput: (text, { stream }) => { process[stream].write(text) },
    })
    if (!ok) {
      if (problem !== null || acts?.timedOut === true) log(`the acts in the guest: ${problem ?? 'they did not come to an end'}`)
      process.exitCode = 1
    }
  } catch (error) {
    // Tools or images that a guest needs, and that cannot be got here: no failure of what was shown.
    const [why] = String(error instanceof Error ? error.message : error).split('\n')
    process.stdout.write(`\n   Mirror port, hook and capture are not shown: ${obstacle}; no guest can be booted instead: ${why}\n`)
  }
}

/** What says how the terminal is to be written to. */
function inherited () {
  return Object.fromEntries(['TERM', 'NO_COLOR', 'LC_ALL', 'LC_CTYPE', 'LANG'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  }))
}
