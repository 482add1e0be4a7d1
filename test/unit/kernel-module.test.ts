// SPDX-License-Identifier: MIT
// What keeps the kernel module from being built or loaded: read from trees like those of machines that this one is not.

import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { buildObstacles, planBuild } from '../../lib/clone/module-build.js'
import { readModuleFile } from '../../lib/clone/module-file.js'
import {
  findProgram, installedModule, loadedModule, loadingObstacles, signatureDemand, signatureObstacle,
} from '../../lib/clone/running-kernel.js'
import { KernelModule } from '../../lib/index.js'

const ROOT_STATUS = 'Name:\tnode\nCapEff:\t000001ffffffffff\n'
const DEBIAN = 'NAME="Debian GNU/Linux"\nID=debian\n'

/** A machine: files by path. */
function machine(t: Test, files: Record<string, string | Buffer>): string {
  const root = t.testdir({})
  for (const [path, content] of Object.entries({ 'proc/sys/kernel/osrelease': '6.1.0-49-amd64\n', 'proc/self/uid_map': '         0          0 4294967295\n', ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

const codes = (obstacles: readonly { code: string }[]) => obstacles.map(({ code }) => code)

/** As much of an ELF file as is looked at. */
function ko(strings: readonly string[], signed = false): Buffer {
  const head = Buffer.alloc(64)
  head.write('\x7fELF', 'latin1')
  return Buffer.concat([head, Buffer.from(`\0${strings.join('\0')}\0`), Buffer.from(signed ? 'PKCS7~Module signature appended~\n' : '')])
}

t.test('loading', async (t) => {
  const loadable = { 'proc/modules': '', 'proc/self/status': ROOT_STATUS }
  t.same(loadingObstacles(machine(t, loadable)), [])
  t.same(codes(loadingObstacles(machine(t, { 'proc/self/status': ROOT_STATUS }))), ['NFKIT_NO_LOADABLE_MODULES'])
  t.same(codes(loadingObstacles(machine(t, { ...loadable, 'proc/sys/kernel/modules_disabled': '1\n' }))), ['NFKIT_MODULES_DISABLED'])
  t.same(loadingObstacles(machine(t, { ...loadable, 'proc/sys/kernel/modules_disabled': '0\n' })), [])
  t.same(codes(loadingObstacles(machine(t, { ...loadable, 'proc/self/status': 'CapEff:\t000001fffffeffff\n' }))), ['EPERM'], 'all but CAP_SYS_MODULE')
  t.same(codes(loadingObstacles(machine(t, { ...loadable, 'proc/self/uid_map': '         0       1000          1\n' }))), ['EPERM'], 'root of a user namespace')
  t.same(codes(loadingObstacles(machine(t, {}))), ['NFKIT_NO_LOADABLE_MODULES', 'EPERM'])
})

t.test('signatures', async (t) => {
  t.equal(signatureDemand(machine(t, {})), undefined)
  t.equal(signatureDemand(machine(t, { 'sys/kernel/security/lockdown': '[none] integrity confidentiality\n' })), undefined)
  t.match(signatureDemand(machine(t, { 'sys/kernel/security/lockdown': 'none [integrity] confidentiality\n' })), /lockdown \(integrity\).*Secure Boot/)
  t.match(signatureDemand(machine(t, { 'sys/module/module/parameters/sig_enforce': 'Y\n' })), /sig_enforce/)
  t.equal(signatureDemand(machine(t, { 'sys/module/module/parameters/sig_enforce': 'N\n' })), undefined)
  t.match(signatureObstacle('/x/nfkit.ko', 'lockdown', machine(t, {})), { code: 'NFKIT_MODULE_UNSIGNED', hint: /sign-file .*\/x\/nfkit\.ko/ })
})

t.test('what is loaded', async (t) => {
  const root = machine(t, {
    'proc/modules': 'nfkit 24576 2 - Live 0x0000000000000000 (OE)\nx_tables 61440 3 nfkit,ip_tables,xt_mark, Live 0xffffffffc0a00000\nnfkitten 1 0 - Loading 0x0\n',
  })
  t.same(loadedModule('nfkit', root), { name: 'nfkit', references: 2, usedBy: [], state: 'live' })
  t.same(loadedModule('x_tables', root), { name: 'x_tables', references: 3, usedBy: ['nfkit', 'ip_tables', 'xt_mark'], state: 'live' })
  t.match(loadedModule('nfkitten', root), { state: 'loading' })
  t.equal(loadedModule('xt_mark', root), undefined)
  t.equal(loadedModule('nfkit', machine(t, {})), undefined)
})

t.test('what is installed', async (t) => {
  const root = machine(t, { 'lib/modules/6.1.0-49-amd64/updates/dkms/nfkit.ko.xz': 'x' })
  t.equal(installedModule('nfkit', '6.1.0-49-amd64', root), join(root, 'lib/modules/6.1.0-49-amd64/updates/dkms/nfkit.ko.xz'))
  t.equal(installedModule('nfkit', '6.12.0', root), undefined)
  t.equal(installedModule('nf', '6.1.0-49-amd64', root), undefined)
})

t.test('a module file', async (t) => {
  const directory = t.testdir({
    'a.ko': ko(['license=GPL', 'version=1.2', 'depends=x_tables,nf_conntrack', 'srcversion=ABC', 'vermagic=6.1.0-49-amd64 SMP preempt mod_unload modversions ']),
    'signed.ko': ko(['depends=', 'vermagic=6.1.0-49-amd64 SMP'], true),
    'other': 'text', 'short.ko': '\x7fELF', 'object.o': ko(['license=GPL']),
  })
  t.same(readModuleFile(join(directory, 'a.ko')), { path: join(directory, 'a.ko'), kernel: '6.1.0-49-amd64', version: '1.2', depends: ['x_tables', 'nf_conntrack'], signed: false })
  t.same(readModuleFile(join(directory, 'signed.ko')), { path: join(directory, 'signed.ko'), kernel: '6.1.0-49-amd64', depends: [], signed: true })
  for (const name of ['other', 'short.ko', 'object.o', 'absent', '.']) t.equal(readModuleFile(join(directory, name)), undefined, name)
})

t.test('building', async (t) => {
  const HEADERS = 'lib/modules/6.1.0-49-amd64/build'
  const sources = { 'kmod/Makefile': '', 'kmod/Kbuild': '' }
  const plan = (root: string) => planBuild({ root, sources: join(root, 'kmod') })
  const bare = machine(t, { 'etc/os-release': DEBIAN })
  t.match(buildObstacles(plan(bare), bare).filter(({ code }) => !/MAKE|COMPILER/.test(code)), [
    { code: 'NFKIT_MODULE_SOURCES_MISSING' }, { code: 'NFKIT_KERNEL_HEADERS_MISSING', hint: /^apt-get install linux-headers-6\.1\.0-49-amd64/ }])

  const complete = machine(t, {
    ...sources, 'etc/os-release': DEBIAN, [`${HEADERS}/Makefile`]: '', [`${HEADERS}/include/config/kernel.release`]: '6.1.0-49-amd64\n',
    [`${HEADERS}/include/config/auto.conf`]: 'CONFIG_CC_VERSION_TEXT="no-such-gcc-12 (Debian 12.2.0-14) 12.2.0"\nCONFIG_CC_IS_GCC=y\n',
  })
  t.match(plan(complete), { kernel: '6.1.0-49-amd64', headers: join(complete, HEADERS), wantedCompiler: 'no-such-gcc-12' })
  t.match(buildObstacles({ ...plan(complete), make: undefined, compiler: undefined }, complete), [
    { code: 'NFKIT_MAKE_MISSING', hint: 'apt-get install make' }, { code: 'NFKIT_COMPILER_MISSING', hint: 'apt-get install no-such-gcc-12' }])
  t.same(buildObstacles({ ...plan(complete), make: '/usr/bin/make', compiler: '/usr/bin/gcc' }, complete), [])

  const clang = machine(t, {
    ...sources, [`${HEADERS}/Makefile`]: '', [`${HEADERS}/include/config/auto.conf`]: 'CONFIG_CC_VERSION_TEXT="Debian clang version 16.0.6"\nCONFIG_CC_IS_CLANG=y\n',
  })
  t.equal(plan(clang).wantedCompiler, 'clang')

  const hints = { 'ID=ubuntu\nID_LIKE=debian': /^apt-get install linux-headers-6/, 'ID="rocky"\nID_LIKE="rhel centos fedora"': /^dnf install kernel-devel-6/,
    'ID="opensuse-leap"\nID_LIKE="suse opensuse"': /^zypper install kernel-amd-devel|^zypper install kernel-/, 'ID=arch': /^pacman -S linux-headers/, 'ID=void': /^install the package/, '': /^install/ }
  for (const [text, hint] of Object.entries(hints)) {
    const root = machine(t, { ...sources, 'etc/os-release': text })
    t.match(buildObstacles({ ...plan(root), make: 'x', compiler: 'x' }, root), [{ code: 'NFKIT_KERNEL_HEADERS_MISSING', hint }], text)
  }

  const dangling = machine(t, { ...sources, 'lib/modules/6.1.0-49-amd64/modules.dep': '' })
  symlinkSync('/usr/src/none', join(dangling, HEADERS))
  t.equal(plan(dangling).headers, undefined, 'a link to headers that were removed')
})

t.test('programs', async (t) => {
  const directory = t.testdir({ tool: '#!/bin/sh\n', text: '', 'a directory': {} })
  chmodSync(join(directory, 'tool'), 0o755)
  const before = process.env['PATH']
  t.teardown(() => { process.env['PATH'] = before })
  process.env['PATH'] = `${directory}:${before ?? ''}`
  t.equal(findProgram('tool'), join(directory, 'tool'))
  t.equal(findProgram('text'), undefined)
  t.equal(findProgram('a directory'), undefined)
  process.env['PATH'] = ''
  t.not(findProgram('sh'), undefined, 'without PATH')
})

t.test('wrong arguments', async (t) => {
  await t.rejects(KernelModule.build({ header: '/x' } as never), { name: 'TypeError', message: /options: expected only headers, directory, signal, got "header"/ })
  await t.rejects(KernelModule.build({ headers: 5 as never }), { name: 'TypeError', message: 'headers: expected a path, got 5' })
  await t.rejects(KernelModule.build({ directory: '' }), { name: 'TypeError' })
  await t.rejects(KernelModule.load({ file: 'a\0b' }), { name: 'TypeError' })
  await t.rejects(KernelModule.load('x' as never), { name: 'TypeError' })
  await t.rejects(KernelModule.build({ signal: AbortSignal.abort() }), { name: 'AbortError' })
})
