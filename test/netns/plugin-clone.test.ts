// SPDX-License-Identifier: MIT
// libxt_CLONE: command lines, help and saved text, up to where the kernel is asked. The rest is the vm ring's.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Netns } from '../../lib/index.js'
import { buildPlugin, noPluginBuild, PLUGIN_SOURCES, pluginDirectory } from '../support/plugin.js'

t.setTimeout(300_000)

const reason = noPluginBuild()
const plugin = reason === false ? buildPlugin() : undefined
t.teardown(() => plugin?.remove())

const PROGRAMS = ['iptables-legacy', 'ip6tables-legacy', 'iptables-nft', 'ip6tables-nft'] as const

function iptables(ns: Netns, command: string, args: readonly string[], input = '') {
  const { status, stdout, stderr, error } = spawnSync('nsenter', [`--net=${ns.path}`, '--', command, ...args], {
    encoding: 'utf8', input, env: { ...process.env, LC_ALL: 'C', XTABLES_LIBDIR: plugin!.directory },
  })
  if (error !== undefined) throw error
  return { status, stdout, stderr: stderr.replace(/^Warning: Extension CLONE revision \d not supported, missing kernel module\?\n/gm, '') }
}

t.test('the plug-in compiles without a warning', { skip: reason }, async (t) => {
  t.notMatch(plugin!.output, /warning/)
  t.ok(statSync(join(plugin!.directory, 'libxt_CLONE.so')).isFile())
})

t.test('make install', { skip: reason }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'nfkit-xtables-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const make = (...args: string[]) => spawnSync('make', ['-C', PLUGIN_SOURCES, `O=${plugin!.directory}`, `DESTDIR=${root}`, ...args], { encoding: 'utf8' })
  t.equal(make('install').status, 0)
  const files = [join(root, pluginDirectory()!, 'libxt_CLONE.so'), join(root, 'usr/share/man/man8/libxt_CLONE.8')]
  for (const file of files) t.equal(statSync(file).mode & 0o777, 0o644, file)
  t.equal(make('uninstall').status, 0)
  for (const file of files) t.notOk(existsSync(file), file)
})

t.test('command lines', { skip: reason }, async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  const bad: [args: string[], said: RegExp][] = [
    [[], /CLONE: option "--mark" must be specified/],
    [['--mark'], /option "--mark" requires an argument/],
    [['--mark', ''], /CLONE: bad value for option "--mark"/],
    [['--mark', '-1'], /CLONE: bad value for option "--mark"/],
    [['--mark', '0x100000000'], /CLONE: bad value for option "--mark", or out of range \(0-4294967295\)/],
    [['--mark', '1/2'], /CLONE: bad value for option "--mark"/],
    [['--mark', 'x'], /CLONE: bad value for option "--mark"/],
    [['--mark', '5', '--mark', '6'], /CLONE: option "--mark" can only be used once/],
    [['!', '--mark', '5'], /CLONE: option "--mark" cannot be inverted/],
    [['--target', 'x'], /unknown option "--target"/],
    [['--set-mark', '5'], /unknown option "--set-mark"/],
  ]
  for (const program of PROGRAMS) {
    for (const [args, said] of bad) {
      const { status, stderr } = iptables(ns, program, ['-t', 'mangle', '-A', 'FORWARD', '-j', 'CLONE', ...args])
      t.equal(status, 2, `${program} ${args.join(' ')}: status`)
      t.match(stderr, said, `${program} ${args.join(' ')}`)
    }
    const help = iptables(ns, program, ['-j', 'CLONE', '--help'])
    t.equal(help.status, 0)
    t.match(help.stdout, /CLONE target options:\n +--mark value/)
  }
})

t.test('marks as they are read and shown', { skip: reason }, async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  // With -v a rule is shown before the kernel is asked.
  for (const program of ['iptables-legacy', 'ip6tables-legacy']) {
    for (const [mark, shown] of [['0', '0x0'], ['5', '0x5'], ['010', '0x8'], ['0x80', '0x80'], ['4294967295', '0xffffffff']]) {
      t.match(iptables(ns, program, ['-v', '-t', 'mangle', '-A', 'FORWARD', '-j', 'CLONE', '--mark', mark!]).stdout, `CLONE mark ${shown}\n`, `${program} --mark ${mark}`)
    }
  }
})

t.test('restore', { skip: reason }, async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  const table = (...rules: string[]) => `*mangle\n${rules.map((rule) => `-A FORWARD ${rule}\n`).join('')}COMMIT\n`
  for (const program of PROGRAMS) {
    const restore = `${program}-restore`
    const good = table('-j CLONE --mark 0x80', '-p tcp -m comment --comment "a mirror" -j CLONE --mark 128')
    t.equal(iptables(ns, restore, ['--test'], good).status, 0, `${restore} --test`)
    const bad = iptables(ns, restore, ['--test'], table('-j CLONE'))
    t.match(bad, { status: 2, stderr: /CLONE: option "--mark" must be specified/ }, `${restore} without mark`)
  }
})

t.test('translation', { skip: reason }, async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  for (const program of ['iptables-translate', 'ip6tables-translate']) {
    const { status, stdout } = iptables(ns, program, ['-t', 'mangle', '-A', 'FORWARD', '-p', 'tcp', '-j', 'CLONE', '--mark', '0x80'])
    t.not(status, null)
    t.equal(stdout.trim(), 'nft # -t mangle -A FORWARD -p tcp -j CLONE --mark 0x80', 'shown as a comment, since nftables has no such thing')
  }
})
