// SPDX-License-Identifier: MIT
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheRoot, exists, projectRoot, requireTools, run as runCommand, runOrThrow } from '../lib/debian-packages.mjs'
import { npmCommand } from '../lib/dependencies.mjs'
import { ensurePrebuild, floorOf, nativePlatform, prebuildState, PLATFORMS } from '../lib/prebuild.mjs'
import { privateNetwork } from '../lib/private-network.mjs'
import { ensureRuntimes, runtimes } from '../lib/runtimes.mjs'

export const about = 'the packed tarball: its content, installed by npm 11 and 12 without a compiler, imported on every runtime'

/** Where Debian keeps the certificates that the administrator trusts. */
const SYSTEM_CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/** A program of a user, who has nothing but the tarball. */
const PROGRAM = `
import { Bridge, Netns, NfkitError } from 'nfkit'
const ns = Netns.create()
const bridge = Bridge.create('br0', { netns: ns })
bridge.cam.add({ mac: '02:00:00:00:00:01', port: 'br0', state: 'permanent' })
const entry = bridge.cam.lookup('02:00:00:00:00:01')
let code
try { Bridge.open('none', { netns: ns }) } catch (error) { if (error instanceof NfkitError) code = error.code }
ns.close()
const lab = await import('nfkit/lab')
console.log(JSON.stringify({ state: entry.state, code, lab: typeof lab.Lab }))
`
const ANSWER = { state: 'permanent', code: 'ENODEV', lab: 'function' }

/** The same for those who still write CommonJS. */
const REQUIRING = `
const { Bridge, Netns } = require('nfkit')
const ns = Netns.create()
console.log(JSON.stringify({ name: Bridge.create('br0', { netns: ns }).name }))
ns.close()
`

const TYPED = `
import { Bridge, type CamEntry, Link, Netns, NfkitError } from 'nfkit'
import { Lab } from 'nfkit/lab'
export const entries: CamEntry[] = Bridge.open('br0', { netns: Netns.current() }).cam.entries({ state: 'learned' })
export const mtu: number = Link.get('eth0').mtu
export const code: string = new NfkitError('EPERM', 'x').code
export const lab: typeof Lab = Lab
`

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ report, log }) {
  await requireTools(['binutils'], { log })
  const { node, npm } = await ensureRuntimes(log)
  const prefix = await privateNetwork()
  const all = await runtimes(log)
  const work = await mkdtemp(join(tmpdir(), 'nfkit-package-'))
  const checks = new Checks(report)
  try {
    const packed = join(cacheRoot, 'package')
    await checks.group('npm pack', async (check) => {
      await check('the addon of this machine is built ahead', () => ensurePrebuild(nativePlatform, log))
      for (const platform of Object.keys(PLATFORMS)) {
        if (await prebuildState(platform) !== 'current') continue
        await check(`${platform}: asks for no newer libraries than the runtimes do`, async () => { expect((await floorOf(platform)).tooNew, []) })
      }
      // One for a platform that is no longer what the sources say must not get into the tarball; npm run prebuilds makes it again.
      for (const platform of Object.keys(PLATFORMS)) {
        if (await prebuildState(platform) === 'stale') await rm(join(projectRoot, 'prebuilds', platform), { recursive: true })
      }
      await rm(packed, { recursive: true, force: true })
      await mkdir(packed, { recursive: true })
      await check('packs', async () => {
        const [command, ...before] = npmCommand()
        await runOrThrow(command, [...before, 'pack', `--pack-destination=${packed}`, '--loglevel=error'], { cwd: projectRoot })
      })
    })
    const tarball = join(packed, (await readdir(packed)).find((name) => name.endsWith('.tgz')) ?? 'none.tgz')
    if (!await exists(tarball)) return

    await checks.group('its content', async (check) => {
      const files = (await runOrThrow('tar', ['-tzf', tarball])).trim().split('\n').map((path) => path.replace(/^package\//, ''))
      for (const file of [
        'package.json', 'LICENSE', 'README.md', 'dist/bundle/index.js', 'dist/lib/index.d.ts', 'dist/bundle/lab/index.js', 'dist/lib/lab/index.d.ts',
        'dist/bundle/cli/main.js', `prebuilds/${nativePlatform}/nfkit.glibc.node`,
      ]) await check(`has ${file}`, () => { expect(files.includes(file), true) })
      if ((await readdir(join(projectRoot, 'kmod')).catch(() => [])).length > 0) {
        await check('has the sources of the module', () => { expect(files.some((file) => /^kmod\/.*\.c$/.test(file)), true) })
      }
      await check('and nothing that is not for users', () => {
        expect(files.filter((file) => !/^(dist\/bundle\/|dist\/lib\/.*\.d\.ts$|prebuilds\/|kmod\/|docs\/[^/]+\.md$|package\.json$|LICENSE$|README\.md$)/.test(file)), [])
        expect(files.filter((file) => /\.gyp$|\.test\.|\.ko$|\.o$|tsbuildinfo/.test(file)), [])
      })
      await check('what users import is there with its types', async () => {
        /** @type {{ exports: Record<string, { types: string, default: string } | string> }} */
        const { exports } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8'))
        const paths = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)))
        expect(paths.map((path) => path.replace('./', '')).filter((path) => !files.includes(path)), [])
      })
    })

    for (const [version, runner] of /** @type {const} */ ([['11', node['20']], ['12', node['24']]])) {
      const place = join(work, `npm-${version}`)
      await checks.group(`installed by npm ${version} into an empty folder`, async (check) => {
        await mkdir(join(place, 'bin'), { recursive: true })
        // Nothing in PATH but node and a shell: no compiler, no make, no python.
        await symlink(runner, join(place, 'bin', 'node'))
        await symlink('/bin/sh', join(place, 'bin', 'sh'))
        await mkdir(join(place, 'home'))
        await mkdir(join(place, 'app'))
        await writeFile(join(place, 'app', 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n')
        await check('installs', async () => {
          const env = {
            PATH: join(place, 'bin'), HOME: join(place, 'home'), npm_config_cache: join(cacheRoot, 'npm'),
            // A node that does not come from the distribution knows its own certificates only, not those of the system.
            ...(await exists(SYSTEM_CERTIFICATES) ? { NODE_EXTRA_CA_CERTS: SYSTEM_CERTIFICATES } : {}),
            ...pick('NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'),
          }
          await runOrThrow('env', ['-i', ...Object.entries(env).map(([name, value]) => `${name}=${value}`), runner, npm[version], 'install',
            '--no-audit', '--no-fund', '--loglevel=warn', tarball], { cwd: join(place, 'app') })
        })
        await check('builds nothing, and brings one dependency', async () => {
          expect((await readdir(join(place, 'app', 'node_modules'))).filter((name) => !name.startsWith('.')).sort(), ['nfkit', 'node-gyp-build'])
          expect(await exists(join(place, 'app', 'node_modules', 'nfkit', 'build')), false)
        })
        await writeFile(join(place, 'app', 'program.js'), PROGRAM)
        await writeFile(join(place, 'app', 'requiring.cjs'), REQUIRING)
        /** @param {readonly string[]} command @param {string} file @param {object} answer */
        const answers = async (command, file, answer) => {
          const words = [...prefix, ...command, file]
          const output = await runOrThrow(words[0] ?? '', words.slice(1), { cwd: join(place, 'app'), env: { DENO_DIR: join(cacheRoot, 'deno'), NODE_NO_WARNINGS: '1' } })
          expect(JSON.parse(output), answer)
        }
        for (const { name, command } of all) await check(`import on ${name}`, () => answers(command, 'program.js', ANSWER))
        for (const path of Object.values(node)) {
          await check(`require on Node ${(await runOrThrow(path, ['--version'])).trim().slice(1)}`, () => answers([path], 'requiring.cjs', { name: 'br0' }))
        }
        await check('the command', async () => {
          const nfkit = join(place, 'app', 'node_modules', '.bin', 'nfkit')
          const { code, stdout, stderr } = await runCommand(process.execPath, [nfkit, '--help'])
          expect({ code, stderr, said: /nfkit/.test(stdout) }, { code: 0, stderr: '', said: true })
        })
      })
    }

    await checks.group('types and manifest', async (check) => {
      const app = join(work, 'npm-11', 'app')
      await writeFile(join(app, 'typed.ts'), TYPED)
      await symlink(join(projectRoot, 'node_modules', '@types'), join(app, 'node_modules', '@types')).catch(() => {})
      await symlink(join(projectRoot, 'node_modules', 'undici-types'), join(app, 'node_modules', 'undici-types')).catch(() => {})
      for (const [module, resolution] of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
        await check(`a user's program with moduleResolution ${resolution} and skipLibCheck off`, () => runOrThrow(process.execPath, [
          join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022',
          '--lib', 'es2023,esnext.disposable', '--types', 'node', '--module', module ?? '', '--moduleResolution', resolution ?? '', 'typed.ts',
        ], { cwd: app }))
      }
      await check('the reference builds without a warning', () => runOrThrow(process.execPath, [
        join(projectRoot, 'node_modules', 'typedoc', 'bin', 'typedoc'), '--out', join(work, 'reference'),
      ], { cwd: projectRoot }))
      const tools = join(cacheRoot, 'runtimes', 'node_modules')
      await check('publint', async () => {
        const { stdout } = await runCommand(node['24'], [join(tools, 'publint', 'src', 'cli.js'), tarball, '--strict'], { env: { NO_COLOR: '1' } })
        expect(/All good!/.test(stdout) ? '' : stdout, '')
      })
      await check('@arethetypeswrong/cli --profile esm-only', async () => {
        const bin = JSON.parse(await readFile(join(tools, '@arethetypeswrong', 'cli', 'package.json'), 'utf8')).bin.attw
        await runOrThrow(node['24'], [join(tools, '@arethetypeswrong', 'cli', bin), tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color'])
      })
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** @param {string[]} names */
function pick (...names) {
  return Object.fromEntries(names.flatMap((name) => process.env[name] === undefined ? [] : [[name, process.env[name]]]))
}

/** @param {unknown} found @param {unknown} wanted */
function expect (found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`found ${a?.slice(0, 2000)}, wanted ${b?.slice(0, 500)}`)
}

/** Checks of this ring, reported in groups as test files are. */
class Checks {
  /** @param {import('../test.mjs').RingContext['report']} report */
  constructor (report) { this.report = report }

  /**
   * @param {string} name
   * @param {(check: (what: string, body: () => unknown) => Promise<void>) => Promise<void>} body
   */
  async group (name, body) {
    const started = performance.now()
    /** @type {import('../lib/tap-result.mjs').TestResult} */
    const result = { name, passed: 0, failed: 0, skipped: 0, failures: [], reasons: [], milliseconds: 0 }
    await body(async (what, check) => {
      try {
        await check()
        result.passed++
      } catch (error) {
        result.failed++
        result.failures.push(`${what}\n  ${error instanceof Error ? error.message : error}`)
      }
    })
    result.milliseconds = performance.now() - started
    this.report(result)
  }
}
