// SPDX-License-Identifier: MIT
/**
 * node scripts/vm.mjs [--kernel 6.1|6.12|all] [--timeout SECONDS] [--log] FILE...
 * node scripts/vm.mjs [--kernel 6.1|6.12] --shell
 *
 * Runs compiled test files in a guest on a stock Debian kernel, one after another with plain `node`, and prints what they
 * say, each line after its kernel's version. A test's source (test/vm/x.test.ts) stands for its compiled file. Files
 * outside the project work too; they find the project's node_modules. Tests of test/vm find the kernel module in NFKIT_MODULE.
 *
 *   --kernel   which kernels (all): each is booted once
 *   --timeout  seconds for each file (120)
 *   --log      print the kernels' logs too; without it, only when they tell of a bug
 *   --shell    a shell in the guest instead (the first kernel); `exit` powers it off, Ctrl-A X kills it
 *
 * The exit status is 0 if every file ended with 0 and no kernel had trouble, 1 if not, 2 for a wrong command line, 3 if
 * this machine cannot boot a guest: the message says what would change that.
 *
 * The first run downloads the kernels and makes images under .cache (about half a minute); then a guest is up in
 * about 5 s. Nothing of this machine is touched: the guest has no network card and only reads its disks.
 */
import { relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { RingUnavailable, exists, projectRoot } from './lib/debian-packages.mjs'
import { guestShell, runInGuest } from './lib/guest.mjs'
import { moduleForGuest } from './lib/guest-module.mjs'
import { helped } from './lib/help.mjs'
import { kernelVersions } from './lib/kernels.mjs'

/** @param {string} text @returns {never} */
function usage (text) {
  process.stderr.write(`vm: ${text}\nusage: node scripts/vm.mjs [--kernel ${kernelVersions.join('|')}|all] [--timeout SECONDS] [--log] FILE... | --shell\n`)
  process.exit(2)
}

/** @param {string} text */
const say = (text) => { process.stderr.write(`vm: ${text}\n`) }

/** Prints text with a prefix before each line, whatever pieces it comes in. @param {string} prefix */
function prefixed (prefix) {
  let atStart = true
  return (/** @type {string} */ text) => {
    if (text === '') return
    process.stdout.write((atStart ? prefix : '') + text.replace(/\n(?!$)/g, `\n${prefix}`))
    atStart = text.endsWith('\n')
  }
}

/** The compiled file of a test's source. @param {string} file */
async function compiled (file) {
  const path = resolve(file)
  const below = relative(projectRoot, path)
  const output = /\.ts$/.test(below) && !below.startsWith('..') && !below.startsWith('dist/') ? resolve(projectRoot, 'dist', below.replace(/\.ts$/, '.js')) : path
  if (!await exists(output)) usage(`${relative('', output)} does not exist${output === path ? '' : ': compile first (npm run build)'}`)
  return output
}

function options () {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        kernel: { type: 'string', default: 'all' },
        timeout: { type: 'string', default: '120' },
        log: { type: 'boolean', default: false },
        shell: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error))
  }
}

if (helped()) process.exit()
const { values, positionals } = options()
const kernels = values.kernel === 'all' ? kernelVersions : kernelVersions.filter((version) => version === values.kernel)
if (kernels.length === 0) usage(`no kernel ${values.kernel}`)
const seconds = Number(values.timeout)
if (!(seconds > 0)) usage(`--timeout: expected seconds, got ${values.timeout}`)
if (values.shell !== (positionals.length === 0)) usage(values.shell ? '--shell takes no files' : 'no files')

// What we started ends with us.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => { process.exit(130) })

try {
  if (values.shell) {
    await guestShell({ kernel: /** @type {import('./lib/kernels.mjs').KernelVersion} */ (kernels[0]), log: say })
  } else {
    const files = await Promise.all(positionals.map(compiled))
    for (const kernel of kernels) {
      const print = prefixed(`${kernel} | `)
      const module = files.some((file) => relative(projectRoot, file).startsWith('dist/test/vm/')) ? await moduleForGuest(kernel, say, { hostile: true }) : {}
      const result = await runInGuest({
        kernel,
        ...module,
        files,
        fileTimeoutMs: seconds * 1000,
        log: say,
        onOutput: (text) => { print(text) },
        onResult: ({ file, exitCode, timedOut, milliseconds, kernelTrouble }) => {
          const ending = timedOut ? 'timed out' : exitCode === 0 ? 'ok' : `exit status ${exitCode}`
          const trouble = kernelTrouble.length === 0 ? '' : `, ${kernelTrouble.length} lines of kernel trouble`
          say(`${kernel} ${relative('', file)}: ${ending}${trouble} (${(milliseconds / 1000).toFixed(1)} s)`)
        },
      })
      if (values.log || result.kernelTrouble.length > 0) prefixed(`${kernel} kernel | `)(`${result.kernelLog.trimEnd()}\n`)
      if (result.problem !== null) say(`${kernel}: ${result.problem}`)
      for (const line of result.kernelTrouble) say(`${kernel} kernel trouble: ${line}`)
      say(`${kernel} (${result.release}): ${result.ok ? 'ok' : 'FAILED'}; ${(result.bootMs / 1000).toFixed(1)} s to boot, ${(result.milliseconds / 1000).toFixed(1)} s in all`)
      if (!result.ok) process.exitCode = 1
    }
  }
} catch (error) {
  if (!(error instanceof RingUnavailable)) throw error
  say(error.message)
  process.exitCode = 3
}
