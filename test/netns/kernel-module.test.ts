// SPDX-License-Identifier: MIT
// The kernel module on this machine: what keeps it from being loaded is named. That it loads is the vm ring's.

import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { KernelModule, Netns } from '../../lib/index.js'
import { PACKAGED_SOURCES } from '../../lib/clone/module-build.js'
import { spawnNfkit } from '../support/cli.js'
import { run } from '../support/outside.js'

t.setTimeout(900_000)

t.test('status', async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  const status = KernelModule.status()
  t.equal(status.kernel, run(ns, 'uname', '-r').trim())
  const modules = existsSync('/proc/modules')
  t.equal(status.loadObstacles.some(({ code }) => code === 'NFKIT_NO_LOADABLE_MODULES'), !modules, 'whether this kernel loads modules')
  t.equal(status.headers !== undefined, existsSync(`/lib/modules/${status.kernel}/build/Makefile`))
  t.equal(status.buildObstacles.some(({ code }) => code === 'NFKIT_KERNEL_HEADERS_MISSING'), status.headers === undefined)
  const json = spawnNfkit(undefined, ['module', 'status', '--json'])
  t.same(JSON.parse(json.stdout), status)
  const text = spawnNfkit(undefined, ['module', 'status'])
  t.equal(text.status, 0)
  for (const { code } of [...status.buildObstacles, ...status.loadObstacles]) t.ok(text.stdout.includes(`(${code})`), code)
})

t.test('a kernel that loads no modules', { skip: existsSync('/proc/modules') && 'this kernel loads modules' }, async (t) => {
  for (const call of [() => KernelModule.load(), () => KernelModule.load({ file: '/nonexistent.ko' }), () => KernelModule.unload()]) {
    await t.rejects(call(), { name: 'NfkitError', code: 'NFKIT_NO_LOADABLE_MODULES', message: /without loadable modules/, hint: /boot a kernel/ })
  }
  for (const verb of ['load', 'unload']) {
    const { status, stdout, stderr } = spawnNfkit(undefined, ['module', verb])
    t.match({ status, stdout, stderr }, { status: 1, stdout: '', stderr: /^nfkit: (un)?loading the kernel module: this kernel .*NFKIT_NO_LOADABLE_MODULES\)\n$/ })
  }
})

t.test('building without headers', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-module-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const options = { headers: join(directory, 'none'), directory: join(directory, 'out') }
  await t.rejects(KernelModule.build(options), { name: 'NfkitError', code: /^NFKIT_\w+_MISSING$/, hint: /install|name a directory/ })
  t.notOk(existsSync(options.directory), 'nothing was made')
  t.match(spawnNfkit(undefined, ['module', 'build', '--headers', options.headers, '--directory', options.directory]), { status: 1, stdout: '', stderr: /^nfkit: building the kernel module: .*_MISSING\)\n$/ })
  t.match(spawnNfkit(undefined, ['module', 'build', '--netns', 'x']), { status: 2, stderr: /there is no option "--netns"/ })
})

/** Headers that the vm ring has brought, by kernel; the compiled test is in dist/test/netns. */
function broughtHeaders(): { release: string; headers: string }[] {
  const directory = fileURLToPath(new URL('../../../.cache/debian/', import.meta.url))
  if (!existsSync(directory)) return []
  return readdirSync(directory).flatMap((name) => {
    const release = /^linux-headers-(\d.*)$/.exec(name)?.[1]
    const headers = join(directory, name, 'usr/src', name)
    return release !== undefined && existsSync(join(headers, 'Makefile')) ? [{ release, headers }] : []
  })
}

const brought = broughtHeaders()
t.test('building for another kernel', { skip: brought.length === 0 && 'no headers of a kernel here; npm test -- vm brings them' }, async (t) => {
  const { release, headers } = brought[0]!
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-module-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const out = join(directory, 'out')
  const built = await KernelModule.build({ headers, directory: out })
  t.match(built, { path: join(out, 'nfkit.ko'), kernel: release, signed: false })
  const ns = Netns.create()
  t.teardown(() => ns.close())
  if (existsSync('/usr/sbin/modinfo')) {
    t.equal(run(ns, '/usr/sbin/modinfo', '-F', 'vermagic', built.path).split(' ')[0], release, 'modinfo says so too')
    t.same(run(ns, '/usr/sbin/modinfo', '-F', 'depends', built.path).trim().split(',').filter((name) => name !== ''), built.depends)
  }
  t.same(readdirSync(directory), ['out'], 'nothing else was left')
  t.match(await KernelModule.build({ headers, directory: `${out}/` }), { path: built.path }, 'an earlier build is replaced')
  t.same(readdirSync(directory), ['out'])

  // What somebody else has put somewhere stays.
  const theirs = join(directory, 'theirs')
  cpSync(PACKAGED_SOURCES, theirs, { recursive: true })
  const had = readdirSync(theirs)
  await t.rejects(KernelModule.build({ headers, directory: theirs }), { code: 'ENOTEMPTY', message: /theirs/, hint: /earlier build/ })
  await t.rejects(KernelModule.build({ headers, directory: built.path }), { code: 'ENOTDIR' })
  t.same(readdirSync(theirs), had)
  t.ok(existsSync(built.path))
  rmSync(theirs, { recursive: true })

  // What does not compile leaves what was there.
  const before = readdirSync(out)
  process.env['KCFLAGS'] = '-include no-such-file.h'
  t.teardown(() => { delete process.env['KCFLAGS'] })
  const failure = await KernelModule.build({ headers, directory: out }).then(() => undefined, (error: unknown) => error)
  t.match(failure, { name: 'NfkitError', code: 'NFKIT_MODULE_BUILD_FAILED', message: /building the module failed: .*error/, cause: { message: /no-such-file\.h/ } })
  t.same(readdirSync(out), before)
  t.same(readdirSync(directory), ['out'])
})
