// SPDX-License-Identifier: MIT
/**
 * Runs compiled test files in user-mode Linux: the kernel is a program that sees the files of this machine, read-only, so
 * there are no images to make. It has a network and processes of its own; nothing of this machine is touched.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, exists, projectRoot, requireTools, toolPath } from './debian-packages.mjs'
import { troubleIn } from './guest.mjs'

/**
 * @typedef {object} UmlFile
 * @property {string} file
 * @property {number | null} exitCode  null: it was not reached, or the kernel ended during it
 * @property {boolean} timedOut
 * @property {number} milliseconds
 * @property {string} stdout
 * @property {string} stderr
 * @property {string} kernelLog
 * @property {string[]} kernelTrouble  lines of the log that tell of a bug, and memory that was lost
 *
 * @typedef {object} UmlOptions
 * @property {string} image  of umlKernel
 * @property {readonly string[]} files  compiled tests
 * @property {Readonly<Record<string, string>>} [env]
 * @property {number} fileTimeoutMs
 * @property {(result: UmlFile) => void} [onResult]
 */

const PACKAGES = ['busybox-static', 'util-linux', 'iproute2', 'iptables', 'tcpdump', 'bridge-utils', 'iputils-ping']
const MEMORY = '2G'

/** Between two looks at what the kernel has written. */
const LOOK_MS = 200

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Boots and runs the files one after another.
 * @param {UmlOptions} options
 * @returns {Promise<{ release: string, problem: string | null, files: UmlFile[], bootLog: string }>}
 */
export async function runInUml (options) {
  await requireTools(PACKAGES)
  const runs = join(cacheRoot, 'sanitize')
  await sweep(runs)
  const results = join(runs, `run-${process.pid}-${randomBytes(4).toString('hex')}`)
  await mkdir(results, { recursive: true })
  const interrupted = () => { rmSync(results, { recursive: true, force: true }) }
  process.once('exit', interrupted)
  try {
    const seconds = Math.ceil(options.fileTimeoutMs / 1000)
    const env = { NFKIT_GUEST: '1', NO_COLOR: '1', TAP_TIMEOUT: String(Math.max(1, seconds - 5)), ...options.env }
    await writeFile(join(results, 'plan'), [
      ...Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}`),
      ...options.files.map((file, index) => `run ${index} ${seconds} ${[process.execPath, '--enable-source-maps', file].map(quoted).join(' ')}`),
      '',
    ].join('\n'))
    const init = join(results, 'init')
    await copyFile(join(projectRoot, 'scripts/uml/init.sh'), init)
    await chmod(init, 0o755)
    return await boot(options, results, init)
  } finally {
    process.removeListener('exit', interrupted)
    await rm(results, { recursive: true, force: true })
  }
}

/** Removes what runs left that were killed. @param {string} runs */
async function sweep (runs) {
  for (const name of await readdir(runs).catch(() => [])) {
    const pid = /^run-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !await exists(`/proc/${pid}`)) await rm(join(runs, name), { recursive: true, force: true })
  }
}

/**
 * @param {UmlOptions} options
 * @param {string} results
 * @param {string} init
 */
async function boot ({ image, files, fileTimeoutMs, onResult }, results, init) {
  const args = [
    `mem=${MEMORY}`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`, 'con=null', 'con0=fd:0,fd:1',
    'loglevel=5', 'log_buf_len=4M', 'panic=-1', `NFKIT_RESULTS=${results}`, `NFKIT_PROJECT=${projectRoot}`,
  ]
  // It is several processes; they make a group of their own, which ends as a whole and dies with this process.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', image, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'], detached: true,
    // It keeps a directory of its own in HOME, and its memory in a file in TMPDIR.
    env: { PATH: toolPath(), HOME: results, TMPDIR: await exists('/dev/shm') ? '/dev/shm' : '/tmp' },
  })
  let console = ''
  const kill = () => { try { process.kill(-/** @type {number} */ (child.pid), 'SIGKILL') } catch { /* it is gone */ } }
  process.once('exit', kill)
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { console = (console + text).slice(-100_000) })
  /** @type {Promise<void>} */
  const ended = new Promise((resolve, reject) => { child.once('error', reject).once('close', () => { resolve() }) })
  let running = true
  const done = ended.finally(() => { running = false })

  /** @type {UmlFile[]} */
  const finished = []
  const text = (/** @type {string} */ name) => readFile(join(results, name), 'utf8').catch(() => '')
  const collect = async () => {
    while (finished.length < files.length) {
      const index = finished.length
      const status = /^(\d+) (\d+)\n/.exec(await text(`${index}.code`))
      if (status === null) return
      const result = await resultOf(/** @type {string} */ (files[index]), index, Number(status[1]), Number(status[2]))
      finished.push(result)
      onResult?.(result)
    }
  }
  const resultOf = async (/** @type {string} */ file, /** @type {number} */ index, /** @type {number | null} */ exitCode, /** @type {number} */ milliseconds) => {
    const kernelLog = await text(`${index}.log`)
    const leaks = await text(`${index}.leaks`)
    return {
      file, exitCode, milliseconds, timedOut: exitCode === 137 && milliseconds >= fileTimeoutMs, stdout: await text(`${index}.out`), stderr: await text(`${index}.err`),
      kernelLog: kernelLog + leaks, kernelTrouble: [...troubleIn(kernelLog), ...leaks.split('\n').filter((line) => line.startsWith('unreferenced object'))],
    }
  }

  const limit = performance.now() + 120_000 + files.length * (fileTimeoutMs + 60_000)
  let late = false
  while (running) {
    await Promise.race([done, new Promise((resolve) => { setTimeout(resolve, LOOK_MS) })])
    await collect()
    if (running && performance.now() > limit) {
      late = true
      kill()
    }
  }
  process.removeListener('exit', kill)
  kill()
  await collect()
  const release = (await text('ready')).trim()
  let problem = null
  if (!await exists(join(results, 'finished'))) {
    problem = `user-mode Linux ${late ? 'was stopped' : 'ended early'}; its last words:\n${console.trim().split('\n').slice(-30).join('\n')}`
    const next = finished.length
    if (release !== '' && next < files.length) {
      const broken = await resultOf(/** @type {string} */ (files[next]), next, null, 0)
      broken.kernelLog += console
      broken.kernelTrouble.push(...troubleIn(console))
      finished.push(broken)
      onResult?.(broken)
    }
  }
  return { release, problem, files: finished, bootLog: await text('boot.log') }
}
