// SPDX-License-Identifier: MIT
/**
 * Runs compiled test files on another kernel: boots it under QEMU with software emulation, no network and no disk that
 * it could write to, runs the files one after another with plain `node`, and brings back what they said and what the
 * kernel said.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { requireTools, toolPath } from './debian-packages.mjs'
import { GUEST_ROOT, IMAGE_PACKAGES, baseImage, guestPath, initramfs, modulesImage, projectImage, runImage } from './guest-image.mjs'
import { kernel as getKernel } from './kernels.mjs'

/**
 * @typedef {import('./kernels.mjs').KernelVersion} KernelVersion
 *
 * @typedef {object} GuestFile
 * @property {string} file        a path on this machine: of a compiled test
 * @property {string[]} [args]    its arguments
 * @property {number} [timeoutMs] instead of the one for all
 *
 * @typedef {object} GuestOptions
 * @property {KernelVersion} kernel
 * @property {readonly (string | GuestFile)[]} files
 * @property {Readonly<Record<string, string>>} [env]    for the files; NFKIT_GUEST=1, NFKIT_GUEST_KERNEL and a TAP_TIMEOUT
 *   that fits are there
 * @property {readonly string[]} [nodeArgs]
 * @property {number} [fileTimeoutMs]  for each file, in whole seconds of the guest's clock (default 120 s)
 * @property {number} [timeoutMs]      for everything (default: a minute and a half to boot and what the files may take)
 * @property {readonly string[]} [include]  paths below the project's root to bring along, beside dist/ and the addon
 * @property {Readonly<Record<string, string>>} [extra]  more files and directories: path in the guest → path here
 * @property {readonly string[]} [modules]     to load first; those that the kernel does not have are passed over
 * @property {readonly string[]} [commands]    shell commands to run in the guest before the files, such as insmod
 * @property {readonly string[]} [kernelArgs]  more words for the kernel's command line
 * @property {readonly string[]} [qemuArgs]    more arguments for qemu (`-icount ...`); later ones win
 * @property {string} [accel]          qemu's `-accel`, of which the first wins (default: `tcg,thread=multi`)
 * @property {number} [memoryMiB]
 * @property {string} [node]           the node binary to run the files with (default: this one)
 * @property {(text: string, from: { file: string, stream: 'stdout' | 'stderr' }) => void} [onOutput]
 * @property {(result: FileResult) => void} [onResult]  as soon as a file has ended, or the guest during it
 * @property {(text: string) => void} [onConsole]  the kernel's console
 * @property {(text: string) => void} [log]
 *
 * @typedef {object} FileResult
 * @property {string} file             as it was given
 * @property {number | null} exitCode  null: it did not end (the guest died or was stopped), or was not reached
 * @property {boolean} started
 * @property {boolean} timedOut
 * @property {number} milliseconds
 * @property {string} output           standard output and error as they came
 * @property {string} stdout
 * @property {string} stderr
 * @property {string} kernelLog        what the kernel said meanwhile
 * @property {string[]} kernelTrouble  the lines of it that tell of a bug
 *
 * @typedef {object} GuestResult
 * @property {KernelVersion} kernel
 * @property {string} release
 * @property {boolean} ok              every file ended with 0 and the kernel had no trouble
 * @property {string | null} problem   why the guest did not come to its end, if it did not
 * @property {FileResult[]} files
 * @property {string} kernelLog
 * @property {string[]} kernelTrouble
 * @property {string} console          what came over the serial line: warnings and worse, all of a panic
 * @property {number} bootMs           until the first file could start
 * @property {number} milliseconds
 */

const QEMU = 'qemu-system-x86_64'

const FILE_TIMEOUT_MS = 120_000

/** What the rings ask for that no kernel loads by itself, or would load only later than a test looks for it. */
export const DEFAULT_MODULES = [
  'bridge', 'br_netfilter', 'ip_tables', 'ip6_tables', 'nfnetlink', 'x_tables',
]

/** What in a kernel's log tells of a bug. */
const TROUBLE = /\bWARNING:|\bBUG:|\bOops\b|\bUBSAN:|\bKASAN:|\bKCSAN:|\bKFENCE:|Call Trace:|general protection fault|Kernel panic|\bINFO: (?:rcu|task|possible|suspicious)|rcu: INFO|refcount_t:|unregister_netdevice: waiting|possible (?:circular|recursive) locking|kmemleak:|sleeping function called|scheduling while atomic|divide error|unable to handle|stack segment|list_(?:add|del) corruption/

/** An oops has about as many lines. */
const DYING_LINES = 80

/** A program that divides by zero is no trouble of the kernel, which tells of it, too. */
const PROGRAM = /\btraps: \S+\[\d+\] /

/** @param {string} log */
export const troubleIn = (log) => log.split('\n').filter((line) => TROUBLE.test(line) && !PROGRAM.test(line))

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`

/**
 * Throws a RingUnavailable that names the fix when this machine cannot boot a guest.
 * @param {{ log?: (text: string) => void }} [options]
 */
export async function requireGuest (options = {}) {
  await requireTools(['qemu-system-x86', 'xz-utils', 'zstd', ...IMAGE_PACKAGES], options)
}

/**
 * Boots a guest and runs files in it.
 * @param {GuestOptions} options
 * @returns {Promise<GuestResult>}
 */
export async function runInGuest (options) {
  const log = options.log ?? (() => {})
  const fileTimeoutMs = options.fileTimeoutMs ?? FILE_TIMEOUT_MS
  /** @type {Record<string, string>} */
  const extra = { ...options.extra }
  const mark = randomBytes(16).toString('hex')
  const commands = options.files.map((entry, index) => {
    const { file, args = [], timeoutMs = fileTimeoutMs } = typeof entry === 'string' ? { file: entry } : entry
    const path = resolve(file)
    const { inGuest, isExtra } = guestPath(path, index)
    if (isExtra) extra[inGuest] = path
    const command = ['node', ...options.nodeArgs ?? ['--enable-source-maps'], inGuest, ...args].map(quoted).join(' ')
    return { file, timeoutMs, command: `run ${index} ${Math.ceil(timeoutMs / 1000)} ${command}` }
  })
  const plan = [
    `mark=${mark}`,
    ...prelude(options),
    'say ready',
    'log',
    ...commands.map(({ command }) => command),
    '',
  ].join('\n')

  return withGuest({ ...options, extra }, plan, async ({ args, release }) => {
    const started = performance.now()
    const limit = options.timeoutMs ?? commands.reduce((sum, { timeoutMs }) => sum + timeoutMs + 5000, 90_000)
    const guest = new Conversation(commands.map(({ file, timeoutMs }) => ({ file, timeoutMs })), mark, options)
    log(`booting Linux ${release}`)
    const problem = await boot(args, guest, limit, options.onConsole)
    const { kernelLog, console } = guest
    const kernelTrouble = troubleIn(kernelLog)
    const files = guest.results()
    return {
      kernel: options.kernel,
      release,
      ok: problem === null && kernelTrouble.length === 0 && files.every(({ exitCode }) => exitCode === 0),
      problem,
      files,
      kernelLog,
      kernelTrouble,
      console,
      bootMs: guest.readyAt === null ? 0 : Math.round(guest.readyAt - started),
      milliseconds: Math.round(performance.now() - started),
    }
  })
}

/**
 * Boots a guest with a shell on this terminal.
 * @param {Omit<GuestOptions, 'files'>} options
 */
export async function guestShell (options) {
  const plan = [...prelude({ ...options, files: [] }), `cd ${GUEST_ROOT}`, 'shell', ''].join('\n')
  await withGuest({ ...options, files: [] }, plan, async ({ args }) => {
    const child = spawn(QEMU, [...args, '-serial', 'mon:stdio'], { stdio: 'inherit', env: { ...process.env, PATH: toolPath() } })
    await new Promise((done) => { child.once('close', done) })
  })
}

/** What the plan begins with. @param {GuestOptions} options */
function prelude ({ env = {}, modules = DEFAULT_MODULES, commands = [], fileTimeoutMs = FILE_TIMEOUT_MS }) {
  // tap's own limit of 30 s is for machines; it speaks up shortly before ours.
  const TAP_TIMEOUT = String(Math.max(1, Math.ceil(fileTimeoutMs / 1000) - 5))
  return [
    ...Object.entries({ TAP_TIMEOUT, ...env }).map(([name, value]) => `export ${name}=${quoted(value)}`),
    ...(modules.length > 0 ? [`preload ${modules.join(' ')}`] : []),
    ...commands,
  ]
}

/**
 * Brings together what a guest boots from.
 * @template T
 * @param {GuestOptions} options
 * @param {string} plan
 * @param {(guest: { args: string[], release: string }) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function withGuest (options, plan, use) {
  const log = options.log ?? (() => {})
  await requireGuest({ log })
  const kernel = await getKernel(options.kernel)
  const project = runImage()
  try {
    const [base, modules, initrd] = await Promise.all([
      baseImage({ node: options.node ?? process.execPath, log }),
      modulesImage(kernel, log),
      initramfs(kernel),
      projectImage(project, { plan, include: options.include ?? [], extra: options.extra ?? {} }),
    ])
    const words = [
      'console=ttyS0', 'loglevel=5', 'log_buf_len=4M', 'panic=-1', 'nokaslr', 'mitigations=off', 'tsc=reliable', 'no_timer_check',
      'net.ifnames=0', 'watchdog_thresh=60', 'rcupdate.rcu_cpu_stall_timeout=120', 'apparmor=0', 'selinux=0', 'audit=0', 'random.trust_cpu=on',
      ...options.kernelArgs ?? [],
    ]
    const disk = (/** @type {string} */ file) => ['-drive', `file=${file.replaceAll(',', ',,')},if=virtio,format=raw,readonly=on`]
    const args = [
      '-machine', 'q35', '-accel', options.accel ?? 'tcg,thread=multi', '-cpu', 'max,la57=off', '-smp', '2', '-m', String(options.memoryMiB ?? 1536),
      '-nodefaults', '-no-user-config', '-display', 'none', '-nic', 'none', '-no-reboot',
      '-kernel', kernel.image, '-initrd', initrd, '-append', words.join(' '),
      ...disk(base), ...disk(modules), ...disk(project),
      ...options.qemuArgs ?? [],
    ]
    return await use({ args, release: kernel.release })
  } finally {
    await rm(project, { force: true })
  }
}

/**
 * Runs qemu to its end. It dies with this process, and only this very child is ever killed.
 * @param {string[]} args
 * @param {Conversation} guest
 * @param {number} limit
 * @param {((text: string) => void) | undefined} onConsole
 * @returns {Promise<string | null>} what went wrong, if the guest did not finish
 */
function boot (args, guest, limit, onConsole) {
  return new Promise((done, fail) => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', QEMU, ...args,
      '-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console',
      '-device', 'virtio-serial-pci',
      '-chardev', 'socket,id=out,fd=3', '-device', 'virtserialport,chardev=out,nr=1',
      '-chardev', 'socket,id=err,fd=4', '-device', 'virtserialport,chardev=err,nr=2',
    ], { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'], env: { ...process.env, PATH: toolPath() } })
    let complaints = ''
    /** @type {string | null} */
    let problem = null
    const kill = () => { child.kill('SIGKILL') }
    const timer = setTimeout(() => {
      problem = `the guest was stopped after ${Math.round(limit / 1000)} s`
      kill()
    }, limit)
    process.once('exit', kill)
    child.once('error', fail)
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      guest.console += text.replaceAll('\r', '')
      onConsole?.(text)
    })
    child.stderr?.setEncoding('utf8').on('data', (text) => { complaints += text })
    for (const [fd, stream] of /** @type {const} */ ([[3, 'stdout'], [4, 'stderr']])) {
      const socket = /** @type {import('node:net').Socket} */ (child.stdio[fd])
      socket.on('data', (chunk) => { guest.receive(stream, chunk) })
      socket.on('error', () => {})
    }
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      process.removeListener('exit', kill)
      guest.close()
      if (problem === null && !guest.finished) {
        const lines = guest.console.trim().split('\n')
        // All that a kernel says as it dies, or else the end.
        const trouble = lines.findLastIndex((line, i) => troubleIn(line).length > 0 && !lines.slice(Math.max(0, i - DYING_LINES), i).some((before) => troubleIn(before).length > 0))
        const lastWords = lines.slice(trouble === -1 ? -5 : trouble).slice(0, DYING_LINES).join('\n')
        problem = complaints.trim() !== ''
          ? `qemu: ${complaints.trim()}`
          : `the guest ended early (${signal ?? `status ${code}`}); its last words:\n${lastWords}`
      }
      done(problem)
    })
  })
}

/**
 * What a guest says on its two ports. Between marks there is anything; a mark is 0x1e, 32 hexadecimal digits that only
 * this guest and we know, a blank, words, a line feed (see guest-run.sh).
 */
class Conversation {
  readyAt = /** @type {number | null} */ (null)
  finished = false
  kernelLog = ''
  console = ''
  /** How much of the console had come when the kernel's log was read last. */
  #consoleRead = 0

  /** @type {(FileResult & { timeoutMs: number, parts: { stdout: Buffer[], stderr: Buffer[] } })[]} */
  #files
  #mark
  #options
  #pending = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  /** Which file's output comes now, on each port. */
  #current = { stdout: -1, stderr: -1 }
  #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  /** The ports are read independently: a file has ended when both have said so. */
  #ended = new Map()
  /** @type {Buffer[] | null} */
  #log = null
  #last = -1

  /**
   * @param {{ file: string, timeoutMs: number }[]} files
   * @param {string} mark
   * @param {Pick<GuestOptions, 'onOutput' | 'onResult'>} options
   */
  constructor (files, mark, options) {
    this.#mark = Buffer.from(`\x1e${mark} `)
    this.#options = options
    this.#files = files.map(({ file, timeoutMs }) => ({
      file, timeoutMs, exitCode: null, started: false, timedOut: false, milliseconds: 0, output: '', stdout: '', stderr: '',
      kernelLog: '', kernelTrouble: [], parts: { stdout: [], stderr: [] },
    }))
  }

  /** @param {'stdout' | 'stderr'} stream @param {Buffer} chunk */
  receive (stream, chunk) {
    let bytes = Buffer.concat([this.#pending[stream], chunk])
    for (;;) {
      const at = bytes.indexOf(this.#mark)
      if (at === -1) break
      const end = bytes.indexOf(0x0a, at + this.#mark.length)
      if (end === -1) break
      this.#take(stream, bytes.subarray(0, at))
      const words = bytes.subarray(at + this.#mark.length, end).toString().split(' ')
      bytes = bytes.subarray(end + 1)
      this.#understand(stream, words)
    }
    // What may be the beginning of a mark stays until more has come.
    const at = bytes.lastIndexOf(0x1e)
    const keep = at !== -1 && this.#mark.subarray(0, bytes.length - at).equals(bytes.subarray(at, at + this.#mark.length)) ? at : bytes.length
    this.#take(stream, bytes.subarray(0, keep))
    this.#pending[stream] = Buffer.from(bytes.subarray(keep))
  }

  /** The guest is gone. If it died, what its kernel said last is known from the console only. */
  close () {
    for (const stream of /** @type {const} */ (['stdout', 'stderr'])) this.#take(stream, this.#pending[stream])
    if (this.finished) return
    const text = this.console.slice(this.#consoleRead)
    this.kernelLog += text
    const owner = this.#files.find(({ started, exitCode }) => started && exitCode === null)
    if (owner !== undefined) {
      owner.kernelLog = text
      owner.kernelTrouble = troubleIn(text)
      this.#options.onResult?.(this.#public(owner))
    }
  }

  results () {
    return this.#files.map((file) => this.#public(file))
  }

  /** @param {'stdout' | 'stderr'} stream @param {Buffer} bytes */
  #take (stream, bytes) {
    if (bytes.length === 0) return
    if (stream === 'stdout' && this.#log !== null) {
      this.#log.push(Buffer.from(bytes))
      return
    }
    const file = this.#files[this.#current[stream]]
    if (file === undefined) return
    file.parts[stream].push(Buffer.from(bytes))
    const text = this.#decoders[stream].decode(bytes, { stream: true })
    file.output += text
    if (text !== '') this.#options.onOutput?.(text, { file: file.file, stream })
  }

  /** @param {'stdout' | 'stderr'} stream @param {string[]} words */
  #understand (stream, [word, ...rest]) {
    const [index = -1, code = 0, milliseconds = 0] = rest.map(Number)
    const file = this.#files[index]
    if (word === 'start' && file !== undefined) {
      this.#current[stream] = index
      this.#decoders[stream] = new TextDecoder()
      file.started = true
    } else if (word === 'end' && file !== undefined) {
      this.#current[stream] = -1
      this.#last = index
      file.exitCode = code
      file.milliseconds = milliseconds
      file.timedOut = code === 137 && milliseconds >= Math.ceil(file.timeoutMs / 1000) * 1000
    } else if (stream === 'stdout' && word === 'log') {
      this.#log = []
    } else if (stream === 'stdout' && word === 'quiet' && this.#log !== null) {
      const text = Buffer.concat(this.#log).toString()
      this.#log = null
      this.kernelLog += text
      this.#consoleRead = this.console.length
      const owner = this.#files[this.#last]
      if (owner !== undefined) {
        owner.kernelLog = text
        owner.kernelTrouble = troubleIn(text)
      }
    } else if (stream === 'stdout' && word === 'ready') {
      this.readyAt = performance.now()
    } else if (stream === 'stdout' && word === 'finished') {
      this.finished = true
    }
    // The log of a file follows its end on standard output; standard error's end may come after it.
    if (['end', 'quiet'].includes(word ?? '') && this.#last >= 0) {
      const done = this.#ended.get(this.#last) ?? new Set()
      this.#ended.set(this.#last, done.add(`${stream} ${word}`))
      const owner = this.#files[this.#last]
      if (owner !== undefined && done.has('stdout quiet') && done.has('stderr end') && !done.has('reported')) {
        done.add('reported')
        this.#options.onResult?.(this.#public(owner))
      }
    }
  }

  /** @param {FileResult & { timeoutMs: number, parts: { stdout: Buffer[], stderr: Buffer[] } }} file @returns {FileResult} */
  #public ({ timeoutMs, parts, ...file }) {
    return { ...file, stdout: Buffer.concat(parts.stdout).toString(), stderr: Buffer.concat(parts.stderr).toString() }
  }
}
