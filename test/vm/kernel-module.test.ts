// SPDX-License-Identifier: MIT
// KernelModule and nfkit module where modules can be loaded.

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KernelModule, Netfilter, Netns } from '../../lib/index.js'
import { MAIN, plainEnvironment, spawnNfkit } from '../support/cli.js'

const MODULE = process.env['NFKIT_MODULE'] ?? ''
const skip = MODULE === '' && 'only a guest may load the module: npm test -- vm'

t.setTimeout(600_000)

const line = () => readFileSync('/proc/modules', 'utf8').split('\n').find((each) => each.startsWith('nfkit '))

/** A file of the module with some of its bytes replaced by as many others. */
function altered(t: Test, from: string, to: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'nfkit.ko')
  copyFileSync(MODULE, path)
  const bytes = readFileSync(path)
  const at = bytes.indexOf(from)
  if (at < 0 || from.length !== to.length) throw new Error(`cannot put ${to} in the place of ${from}`)
  bytes.write(to, at, 'latin1')
  writeFileSync(path, bytes)
  return path
}

async function settled(unload: () => Promise<unknown>): Promise<void> {
  // The kernel takes namespaces apart in the background, and their rules with them.
  for (let tries = 0; ; tries++) {
    try {
      await unload()
      return
    } catch (error) {
      if (tries === 300 || (error as { code?: string }).code !== 'EBUSY') throw error
      await new Promise((resolve) => { setTimeout(resolve, 100) })
    }
  }
}

t.test('load, look, unload', { skip }, async (t) => {
  t.equal(line(), undefined, 'not loaded at first')
  const before = KernelModule.status()
  t.match(before, { name: 'nfkit', loaded: false, kernel: process.env['NFKIT_GUEST_KERNEL'] ?? before.kernel })
  t.notOk(before.loadObstacles.some(({ code }) => code === 'NFKIT_NO_LOADABLE_MODULES' || code === 'EPERM'))

  const loaded = await KernelModule.load({ file: MODULE })
  t.match(loaded, { loaded: true, references: 0, loadObstacles: [] })
  t.match(line(), /^nfkit \d+ 0 - Live/)
  await t.rejects(KernelModule.load({ file: MODULE }), { code: 'EEXIST', errno: 17, message: /loaded already/ })

  t.match(await KernelModule.unload(), { loaded: false })
  t.equal(line(), undefined)
  await t.rejects(KernelModule.unload(), { code: 'ENOENT', message: /not loaded/ })
})

t.test('rules hold it', { skip }, async (t) => {
  const netns = Netns.create()
  await KernelModule.load({ file: MODULE })
  const nf = Netfilter.open({ family: 'ipv4', netns })
  try {
    nf.updateSync('filter', (table) => {
      table.chain('FORWARD').append('-j CLONE --mark 0x1')
      table.chain('INPUT').append('-j CLONE --mark 0x2')
    })
    t.match(KernelModule.status(), { loaded: true, references: 2 })
    t.match(line(), /^nfkit \d+ 2 /)
    await t.rejects(KernelModule.unload(), { code: 'EBUSY', message: /2 rules and programs hold it/, hint: /delete the rules/ })
    t.ok(line() !== undefined, 'it stayed')
    t.match(spawnNfkit(undefined, ['module', 'unload']), { status: 1, stdout: '', stderr: /^nfkit: unloading nfkit: 2 rules and programs hold it; .*\(EBUSY\)\n$/ })
    t.match(spawnNfkit(undefined, ['module', 'status']).stdout, /module +loaded, held by 2 rules and programs/)
    nf.updateSync('filter', (table) => {
      table.chain('FORWARD').flush()
      table.chain('INPUT').flush()
    })
    t.match(KernelModule.status(), { references: 0 })
  } finally {
    nf.close()
    netns.close()
    await settled(() => KernelModule.unload())
  }
  t.equal(line(), undefined)
})

t.test('files that are not it', { skip }, async (t) => {
  const release = KernelModule.status().kernel
  const other = altered(t, `vermagic=${release}`, `vermagic=${release.replace(/^\d/, '9')}`)
  await t.rejects(KernelModule.load({ file: other }), { code: 'NFKIT_MODULE_OTHER_KERNEL', message: new RegExp(`built for kernel ${release.replace(/^\d/, '9').replaceAll('+', '\\+')}`) })
  // Only the kernel itself looks at what comes behind the release.
  const magic = /vermagic=(\S+ \S+)/.exec(readFileSync(MODULE, 'latin1'))![0]
  await t.rejects(KernelModule.load({ file: altered(t, magic, `${magic.slice(0, -1)}~`) }), { code: 'ENOEXEC', errno: 8, syscall: 'finit_module' })
  await t.rejects(KernelModule.load({ file: '/etc/passwd' }), { code: 'ENOEXEC', message: /not a kernel module/ })
  await t.rejects(KernelModule.load({ file: '/nonexistent.ko' }), { code: 'ENOENT' })
  t.equal(line(), undefined)
})

t.test('the command', { skip }, async (t) => {
  t.match(spawnNfkit(undefined, ['module', 'load', MODULE]), { status: 0, stdout: '', stderr: '' })
  t.match(line(), /^nfkit /)
  t.match(spawnNfkit(undefined, ['module', 'load', MODULE]), { status: 1, stderr: /EEXIST/ })
  const { status, stdout } = spawnNfkit(undefined, ['module', 'unload', '--json'])
  t.equal(status, 0)
  t.match(JSON.parse(stdout), { name: 'nfkit', loaded: false })
  t.equal(line(), undefined)
})

t.test('without the privilege', { skip }, async (t) => {
  const as = (...args: string[]) => spawnSync('setpriv', ['--bounding-set', '-sys_module', '--inh-caps', '-sys_module', process.execPath, MAIN, 'module', ...args], { encoding: 'utf8', env: plainEnvironment() })
  t.match(as('load', MODULE), { status: 1, stderr: /CAP_SYS_MODULE in the initial user namespace; run as root.*\(EPERM\)/ })
  t.match(as('status').stdout, /cannot load: .*CAP_SYS_MODULE.*\(EPERM\)/)
  t.equal(line(), undefined)
})
