// SPDX-License-Identifier: MIT
/**
 * Brings what the test rings need from Debian: tools onto this machine, packages into the project's .cache.
 *
 * Nothing here names an archive host. The mirrors are those of the machine's own apt sources; a suite that the machine
 * does not configure is reached through a private apt configuration under .cache, with the Debian archive keyring, so
 * the machine's own lists stay as they are and no privilege is needed for it.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { access, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's root. */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '')

/** Everything that may be deleted at any time and is made again. Ignored by git. */
export const cacheRoot = join(projectRoot, '.cache')

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const RETRY_DELAYS_MS = [2000, 5000, 15000]
const ADMIN_PATH = '/usr/local/sbin:/usr/sbin:/sbin'

/**
 * @typedef {{ code: number | null, stdout: string, stderr: string }} RunResult
 * @typedef {{ missing: string[], command: string | null, installed: string[], problem: string | null }} ToolsResult
 *   `missing` is empty when everything is there; otherwise `command` is what the user would have to run.
 * @typedef {(text: string) => void} Log
 */

/** @type {Log} */
const logToStderr = (text) => { process.stderr.write(`nfkit: ${text}\n`) }

/** PATH with the administrator's directories, which an ordinary user's often lacks. */
export function toolPath () {
  return `${process.env.PATH ?? '/usr/bin:/bin'}:${ADMIN_PATH}`
}

/**
 * Runs a command to its end; never throws because of what the command answered.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, input?: string }} [options]
 * @returns {Promise<RunResult>}
 */
export function run (command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, PATH: toolPath(), LC_ALL: 'C', ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    /** @type {Buffer[]} */
    const stdout = []
    /** @type {Buffer[]} */
    const stderr = []
    child.stdout?.on('data', (chunk) => { stdout.push(chunk) })
    child.stderr?.on('data', (chunk) => { stderr.push(chunk) })
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input)
    child.on('error', (error) => { resolve({ code: null, stdout: '', stderr: error.message }) })
    child.on('close', (code) => {
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
  })
}

/**
 * Runs a command and returns its standard output, or throws with what it said.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, input?: string }} [options]
 */
export async function runOrThrow (command, args, options = {}) {
  const result = await run(command, args, options)
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-2000)
    throw new Error(`${[command, ...args].join(' ').slice(0, 300)}: exit status ${result.code}\n${said}`)
  }
  return result.stdout
}

/** @param {string} path */
export async function exists (path) {
  return access(path).then(() => true, () => false)
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms) })

/**
 * Runs `action` while holding an exclusive lock between processes. flock(1) holds it for us in a child that ends with
 * its standard input, so the lock is gone with this process, however that ends.
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withLock (name, action) {
  const directory = join(cacheRoot, 'locks')
  await mkdir(directory, { recursive: true })
  const holder = spawn('flock', ['--exclusive', join(directory, name), 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    await new Promise((resolve, reject) => {
      holder.once('error', reject)
      holder.once('exit', (code) => { reject(new Error(`flock ended with status ${code} instead of holding ${name}`)) })
      holder.stdout.once('data', resolve)
    })
    return await action()
  } finally {
    holder.removeAllListeners('exit')
    const ended = new Promise((resolve) => { holder.once('close', resolve) })
    holder.stdin.end()
    if (holder.exitCode === null && holder.pid !== undefined) await ended
  }
}

/**
 * Makes a directory or file by way of a temporary neighbour and a rename, so that nobody ever sees half of it.
 * @param {string} target
 * @param {(temporary: string) => Promise<void>} make
 */
export async function makeAtomically (target, make) {
  const temporary = `${target}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`
  await mkdir(dirname(target), { recursive: true })
  try {
    await make(temporary)
    await rm(target, { recursive: true, force: true })
    await rename(temporary, target)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

// ---------------------------------------------------------------------------------------------------------- tools

let updatedLists = false

/** @param {readonly string[]} packages */
async function notInstalled (packages) {
  const { code, stdout } = await run('dpkg-query', ['-W', '-f=${Package} ${db:Status-Status}\n', ...packages])
  if (code === null) return [...packages]
  const installed = new Set(stdout.split('\n').filter((line) => line.endsWith(' installed')).map((line) => line.split(' ')[0]))
  return packages.filter((name) => !installed.has(name))
}

/** @param {readonly string[]} packages */
const installCommand = (packages) => `apt-get update && apt-get install --yes --no-install-recommends ${packages.join(' ')}`

/**
 * Sees to it that Debian packages are installed: installs the missing ones when this is root on Debian (and
 * NFKIT_INSTALL is not `never`), otherwise says what is missing and which command would bring it.
 * @param {readonly string[]} packages  package names, such as `qemu-system-x86`
 * @param {{ install?: boolean, log?: Log }} [options]
 * @returns {Promise<ToolsResult>}
 */
export async function ensureTools (packages, options = {}) {
  const log = options.log ?? logToStderr
  const install = options.install ?? process.env.NFKIT_INSTALL !== 'never'
  let missing = await notInstalled(packages)
  if (missing.length === 0) return { missing, command: null, installed: [], problem: null }

  const hasApt = (await run('apt-get', ['--version'])).code === 0
  if (!hasApt || !install || process.getuid?.() !== 0) {
    const command = process.getuid?.() === 0 ? installCommand(missing) : `sudo sh -c '${installCommand(missing)}'`
    const problem = hasApt ? null : 'this is not a Debian system: install the equivalent of these packages'
    return { missing, command, installed: [], problem }
  }

  return withLock('install', async () => {
    const wanted = missing = await notInstalled(packages)
    if (wanted.length === 0) return { missing, command: null, installed: [], problem: null }
    log(`installing ${wanted.join(' ')}`)
    const env = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'a' }
    let problem = ''
    for (let attempt = 0; attempt <= RETRY_DELAYS_MS.length; attempt++) {
      if (attempt > 0) await sleep(RETRY_DELAYS_MS[attempt - 1])
      if (!updatedLists && (attempt > 0 || !await haveCandidates(wanted))) {
        const update = await run('apt-get', ['-q', 'update', '-o', 'Acquire::Retries=3'], { env })
        updatedLists = update.code === 0
        problem = update.stderr.trim()
      }
      const result = await run('apt-get', ['-q', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=600',
        '-o', 'Acquire::Retries=3', '-o', 'Dpkg::Options::=--force-confold', 'install', ...wanted], { env })
      missing = await notInstalled(wanted)
      if (missing.length === 0) break
      problem = result.stderr.trim() || problem
      log(`apt-get install failed: ${problem.slice(-500)}`)
    }
    const installed = wanted.filter((name) => !missing.includes(name))
    return { missing, command: missing.length > 0 ? installCommand(missing) : null, installed, problem: missing.length > 0 ? problem : null }
  })
}

/** A ring cannot run here, and this is what would change that. */
export class RingUnavailable extends Error {
  /**
   * @param {string} message
   * @param {string[]} missing
   * @param {string | null} command
   */
  constructor (message, missing, command) {
    super(message)
    this.name = 'RingUnavailable'
    this.missing = missing
    this.command = command
  }
}

/**
 * Like `ensureTools`, for those who cannot go on without: throws a RingUnavailable that names the fix.
 * @param {readonly string[]} packages
 * @param {{ install?: boolean, log?: Log }} [options]
 */
export async function requireTools (packages, options = {}) {
  const { missing, command, problem } = await ensureTools(packages, options)
  if (missing.length === 0) return
  const because = problem === null ? '' : ` (${problem.slice(-500)})`
  throw new RingUnavailable(`missing ${missing.join(', ')}${because}. To install: ${command}`, missing, command)
}

/** @param {readonly string[]} packages */
async function haveCandidates (packages) {
  const { stdout } = await run('apt-cache', ['policy', ...packages])
  return (stdout.match(/^ {2}Candidate: (?!\(none\))/gm) ?? []).length === packages.length
}

// ----------------------------------------------------------------------------------------------- the machine's sources

/** @typedef {{ uris: string[], suites: string[], signedBy: string }} AptSource */

/**
 * Reads the machine's apt sources, in both formats.
 * @returns {Promise<AptSource[]>}
 */
async function aptSources () {
  const { stdout } = await run('apt-config', ['shell', 'list', 'Dir::Etc::sourcelist/f', 'parts', 'Dir::Etc::sourceparts/d'])
  const list = /^list='(.*)'$/m.exec(stdout)?.[1] ?? '/etc/apt/sources.list'
  const parts = /^parts='(.*)'$/m.exec(stdout)?.[1] ?? '/etc/apt/sources.list.d/'
  const names = (await readdir(parts).catch(() => /** @type {string[]} */ ([]))).filter((name) => /\.(list|sources)$/.test(name))
  /** @type {AptSource[]} */
  const sources = []
  for (const file of [list, ...names.sort().map((name) => join(parts, name))]) {
    const text = await readFile(file, 'utf8').catch(() => '')
    sources.push(...(file.endsWith('.sources') ? parseStanzas(text) : parseOneLine(text)))
  }
  return sources
}

/** @param {string} text */
function parseOneLine (text) {
  /** @type {AptSource[]} */
  const sources = []
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line)
    if (match === null) continue
    const [, options = '', uri = '', suite = ''] = match
    sources.push({ uris: [uri], suites: [suite], signedBy: /signed-by=(\S+)/i.exec(options)?.[1] ?? '' })
  }
  return sources
}

/** @param {string} text */
function parseStanzas (text) {
  /** @type {AptSource[]} */
  const sources = []
  for (const stanza of text.split(/\n\s*\n/)) {
    const fields = new Map()
    let name = ''
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#')) continue
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line)
      if (match !== null) fields.set(name = (match[1] ?? '').toLowerCase(), match[2] ?? '')
      else if (name !== '') fields.set(name, `${fields.get(name)} ${line.trim()}`)
    }
    const words = (/** @type {string} */ field) => (fields.get(field) ?? '').split(/\s+/).filter((/** @type {string} */ word) => word !== '')
    if (fields.get('enabled') === 'no' || !words('types').includes('deb')) continue
    sources.push({ uris: words('uris'), suites: words('suites'), signedBy: fields.get('signed-by') ?? '' })
  }
  return sources
}

/**
 * The mirrors of the Debian archive that this machine is set up to use.
 * @returns {Promise<{ main: string[], security: string[] }>}
 */
async function debianMirrors () {
  const main = new Set()
  const security = new Set()
  for (const { uris, suites, signedBy } of await aptSources()) {
    if (signedBy !== '' && !signedBy.includes('debian-archive')) continue
    for (const suite of suites) {
      if (/^(buster|bullseye|bookworm|trixie|forky|sid|oldoldstable|oldstable|stable|testing|unstable)(-updates|-backports)?$/.test(suite)) {
        for (const uri of uris) main.add(uri)
      } else if (/-security$|\/updates$/.test(suite)) {
        for (const uri of uris) security.add(uri)
      }
    }
  }
  return { main: [...main], security: [...security] }
}

// ------------------------------------------------------------------------------------------------- the private archive

/**
 * Suites whose packages a private configuration offers, by release: kernels, headers and tools of one release fit together.
 */
const SUITES = {
  bullseye: { main: ['bullseye'], security: ['bullseye-security'] },
  bookworm: { main: ['bookworm', 'bookworm-backports'], security: ['bookworm-security'] },
  trixie: { main: ['trixie', 'trixie-backports'], security: ['trixie-security'] },
}

/**
 * @typedef {keyof typeof SUITES} Release
 * @typedef {{ log?: Log, release?: Release }} ArchiveOptions  `release`: bookworm unless told
 */

/** @param {Release} release */
const archivePaths = (release) => {
  const directory = release === 'bookworm' ? join(cacheRoot, 'apt') : join(cacheRoot, `apt-${release}`)
  return { archiveDirectory: directory, archiveConfiguration: join(directory, 'apt.conf') }
}

/** Writes the private apt configuration of a release; returns false when nothing in it changed. @param {Release} release */
async function configureArchive (release) {
  const { archiveDirectory, archiveConfiguration } = archivePaths(release)
  const mirrors = await debianMirrors()
  if (mirrors.main.length === 0) throw new RingUnavailable('no Debian archive among the apt sources of this machine: see sources.list(5)', [], null)
  if (!await exists(KEYRING)) throw new RingUnavailable(`${KEYRING} is missing`, ['debian-archive-keyring'], installCommand(['debian-archive-keyring']))

  const stanza = (/** @type {string[]} */ uris, /** @type {string[]} */ suites) => uris.length === 0 ? '' : [
    'Types: deb', `URIs: ${uris.join(' ')}`, `Suites: ${suites.join(' ')}`, 'Components: main', 'Architectures: amd64', `Signed-By: ${KEYRING}`, '', '',
  ].join('\n')
  const sources = stanza(mirrors.main, SUITES[release].main) + stanza(mirrors.security, SUITES[release].security)

  // The machine's way to the network (proxies and the like) stays; its hooks, pins and extra indexes do not.
  const { stdout } = await run('apt-config', ['dump'])
  const acquire = stdout.split('\n').filter((line) => /^Acquire::/.test(line) && !/^Acquire::(IndexTargets|Languages|AllowInsecure|AllowWeak|AllowDowngrade|GzipIndexes|Retries)/.test(line))
  const configuration = [
    ...acquire,
    'Dir::Etc::main "/dev/null";',
    'Dir::Etc::parts "/dev/null";',
    `Dir::Etc::sourcelist "${join(archiveDirectory, 'debian.sources')}";`,
    'Dir::Etc::sourceparts "/dev/null";',
    'Dir::Etc::preferences "/dev/null";',
    'Dir::Etc::preferencesparts "/dev/null";',
    `Dir::State "${join(archiveDirectory, 'state')}";`,
    `Dir::State::status "${join(archiveDirectory, 'status')}";`,
    `Dir::Cache "${join(archiveDirectory, 'cache')}";`,
    'APT::Architecture "amd64";',
    'APT::Architectures { "amd64"; };',
    'APT::Sandbox::User "root";',
    'APT::Update::Error-Mode "any";',
    'Acquire::Languages "none";',
    'Acquire::Retries "3";',
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::AllowWeakRepositories "false";',
    'Acquire::AllowDowngradeToInsecureRepositories "false";',
    '',
  ].join('\n')

  const before = await readFile(archiveConfiguration, 'utf8').catch(() => '') + await readFile(join(archiveDirectory, 'debian.sources'), 'utf8').catch(() => '')
  if (before === configuration + sources) return false
  for (const directory of ['state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(archiveDirectory, directory), { recursive: true })
  }
  await writeFile(join(archiveDirectory, 'status'), '')
  await writeFile(join(archiveDirectory, 'debian.sources'), sources)
  await writeFile(archiveConfiguration, configuration)
  await rm(join(archiveDirectory, 'updated'), { force: true })
  return true
}

/**
 * Runs `action` with the archive's lists at hand, and again with fresh lists after a failure: a mirror forgets
 * superseded packages, and networks fail.
 * @template T
 * @param {(env: Record<string, string>) => Promise<T>} action
 * @param {ArchiveOptions} options
 * @returns {Promise<T>}
 */
async function withArchive (action, { log = logToStderr, release = 'bookworm' }) {
  const { archiveDirectory, archiveConfiguration } = archivePaths(release)
  const archiveEnvironment = { APT_CONFIG: archiveConfiguration }
  return withLock(release === 'bookworm' ? 'apt' : `apt-${release}`, async () => {
    const stamp = join(archiveDirectory, 'updated')
    let problem = ''
    for (let attempt = 0; ; attempt++) {
      try {
        await configureArchive(release)
        if (attempt > 0 || !await exists(stamp)) {
          const update = await run('apt-get', ['-q', 'update'], { env: archiveEnvironment })
          if (update.code === 0) await writeFile(stamp, '')
          else problem = update.stderr.trim()
          // Towards the end what lists there are must do: a suite may be gone that is not needed.
          if (update.code !== 0 && attempt < 2) throw new Error(problem)
        }
        return await action(archiveEnvironment)
      } catch (error) {
        if (error instanceof RingUnavailable) throw error
        const said = error instanceof Error ? error.message : String(error)
        const delay = RETRY_DELAYS_MS[attempt]
        if (delay === undefined) {
          throw new RingUnavailable(`the Debian archive does not give what is needed: ${[said, problem].filter((text) => text !== '').join('\n').slice(0, 2000)}`, [], null)
        }
        log(`${said.split('\n').slice(0, 4).join(' | ')}; trying again in ${delay / 1000} s`)
        await sleep(delay)
      }
    }
  })
}

/**
 * The names of the archive's packages that begin with a prefix.
 * @param {string} prefix
 * @param {ArchiveOptions} [options]
 */
export async function packageNames (prefix, options = {}) {
  return withArchive(async (env) => {
    const output = await runOrThrow('apt-cache', ['pkgnames', prefix], { env })
    const names = output.split('\n').filter((name) => name !== '').sort()
    if (names.length === 0) throw new Error(`the Debian archive has no package whose name begins with ${prefix}`)
    return names
  }, options)
}

/**
 * The fields of a package in the archive, or null when there is no such package.
 * @param {string} name
 * @param {ArchiveOptions} [options]
 * @returns {Promise<Map<string, string> | null>}
 */
export async function packageFields (name, options = {}) {
  return withArchive(async (env) => {
    const { code, stdout } = await run('apt-cache', ['show', '--no-all-versions', name], { env })
    if (code !== 0 || stdout === '') return null
    return new Map([...stdout.matchAll(/^([A-Za-z0-9-]+): (.*)$/gm)].map(([, field = '', value = '']) => [field, value]))
  }, options)
}

/**
 * Downloads packages and unpacks them together into `directory`, without installing them. A directory that already
 * holds exactly these is left alone.
 * @param {readonly string[]} packages  `name` or `name=version`
 * @param {string} directory
 * @param {ArchiveOptions & { depends?: boolean, finish?: (directory: string) => Promise<void> }} [options]  `depends`: bring
 *   all that they depend on, too; `finish` changes the unpacked tree before anybody sees it
 * @returns {Promise<string>} the directory
 */
export async function downloadPackages (packages, directory, options = {}) {
  const log = options.log ?? logToStderr
  const stamp = '.packages.json'
  const wanted = JSON.stringify([...packages].sort())
  const isThere = async () => await readFile(join(directory, stamp), 'utf8').catch(() => '') === wanted
  if (await isThere()) return directory

  const key = createHash('sha256').update(directory).digest('hex').slice(0, 16)
  return withLock(`download-${key}`, async () => {
    if (await isThere()) return directory
    log(`downloading ${packages.join(' ')}`)
    await makeAtomically(directory, async (temporary) => {
      const archives = join(temporary, '.archives')
      await withArchive(async (env) => {
        await rm(archives, { recursive: true, force: true })
        await mkdir(archives, { recursive: true })
        const args = options.depends === true
          ? ['-y', '--no-install-recommends', '--download-only', '-o', 'Debug::NoLocking=1', '-o', `Dir::Cache::archives=${archives}`, 'install']
          : ['download']
        await runOrThrow('apt-get', ['-q', ...args, ...packages], { cwd: archives, env })
      }, { ...options, log })
      for (const archive of (await readdir(archives)).filter((name) => name.endsWith('.deb')).sort()) await runOrThrow('dpkg-deb', ['-x', join(archives, archive), temporary])
      await rm(archives, { recursive: true, force: true })
      await options.finish?.(temporary)
      await writeFile(join(temporary, stamp), wanted)
    })
    return directory
  })
}

/** When a file or directory was last changed, or 0 when it is not there. @param {string} path */
export async function changedAt (path) {
  return stat(path).then((stats) => stats.mtimeMs, () => 0)
}
