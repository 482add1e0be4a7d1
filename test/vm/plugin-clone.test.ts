// SPDX-License-Identifier: MIT
// libxt_CLONE and the kernel: what iptables-legacy sends is what nfkit sends, and what iptables-nft saves can be restored.

import t from 'tap'
import { Netns } from '../../lib/index.js'
import type { HookName } from '../../lib/wire/xtables/table.js'
import { loadModule, noModule, withModule } from '../support/module.js'
import { feed, run, tryRun } from '../support/outside.js'
import { judge } from '../support/xtables.js'

t.setTimeout(600_000)
withModule(t)

const FAMILIES = ['ipv4', 'ipv6'] as const
const prefix = (family: typeof FAMILIES[number]) => (family === 'ipv6' ? 'ip6tables' : 'iptables')

function namespace(t: { teardown(action: () => void): void }): Netns {
  loadModule()
  const ns = Netns.create()
  t.teardown(() => ns.close())
  return ns
}

t.test('bytes, text and values are those of iptables-legacy', { skip: noModule }, async (t) => {
  const ns = namespace(t)
  for (const family of FAMILIES) {
    for (const [table, chain] of [['mangle', 'FORWARD'], ['filter', 'INPUT'], ['raw', 'OUTPUT'], ['mangle', 'POSTROUTING']] as const satisfies [string, HookName][]) {
      judge(t, ns, family, table, chain, ['-j CLONE --dev eth5', '-p udp -j CLONE --dev eth0.7,br-lan,a23456789012345', '-j CLONE --dev a,b,c,d,e,f,g,h'])
      judge(t, ns, family, table, chain, ['-j CLONE --target probe', '-p tcp -j CLONE --target A-z_0.9', `-j CLONE --target ${'x'.repeat(31)}`])
      judge(t, ns, family, table, chain, ['-j CLONE --mark 0x80', '-j CLONE --mark 0', '-p tcp -m comment --comment mirror -j CLONE --mark 4294967295', '-m mark --mark 0x1 -j CLONE --mark 010'])
    }
    judge(t, ns, family, 'raw', 'PREROUTING', ['-j CLONE --dev eth5,eth6'])
  }
})

t.test('devices and targets that iptables refuses', { skip: noModule }, async (t) => {
  const ns = namespace(t)
  for (const [args, said] of [
    [['--dev', 'a,,b'], /names of devices/], [['--dev', 'a,'], /names of devices/], [['--dev', 'a23456789012345x'], /names of devices/], [['--dev', 'a,b,a'], /a device twice/],
    [['--dev', 'a,b,c,d,e,f,g,h,i'], /up to 8 devices/], [['--dev', 'a', '--mark', '1'], /--dev|--mark/], [[], /--mark, --dev or --target is required/],
    [['--target', ''], /1 to 31 characters/], [['--target', 'x'.repeat(32)], /1 to 31 characters/], [['--target', 'a b'], /1 to 31 characters/], [['--target', 'ä'], /1 to 31 characters/],
    [['--target', 'a', '--target', 'b'], /only be used once/], [['--target', 'a', '--dev', 'b'], /--dev|--target/], [['--target', 'a', '--mark', '1'], /--mark|--target/], [['!', '--target', 'a'], /cannot be inverted/],
  ] as const) {
    const { status, stderr } = tryRun(ns, 'iptables-legacy', '-A', 'INPUT', '-j', 'CLONE', ...args)
    t.equal(status, 2, args.join(' '))
    t.match(stderr, said)
  }
})

t.test('nft has no words for them, and iptables-translate says so by a comment', { skip: noModule }, async (t) => {
  const ns = namespace(t)
  for (const args of ['--mark 0x80', '--dev eth5,eth6', '--target probe']) {
    const rule = `-A FORWARD -p tcp -j CLONE ${args}`
    t.match(tryRun(ns, 'iptables-translate', ...rule.split(' ')), { status: 0, stdout: `nft # ${rule}` })
  }
})

t.test('save and restore by iptables-legacy and iptables-nft', { skip: noModule }, async (t) => {
  for (const family of FAMILIES) {
    for (const variant of ['legacy', 'nft']) {
      const ns = namespace(t)
      const command = `${prefix(family)}-${variant}`
      const rules = ['-A FORWARD -j CLONE --mark 0x80', '-A FORWARD -p tcp -m comment --comment "a mirror" -j CLONE --mark 0xffffffff', '-A own -j CLONE --mark 0x0', '-A own -j CLONE --dev eth5,eth0.7', '-A own -p udp -j CLONE --target probe', '-A FORWARD -j own']
      feed(ns, ['*mangle', ':own - [0:0]', ...rules, 'COMMIT', ''].join('\n'), `${command}-restore`)
      const ruleLines = () => run(ns, `${command}-save`, '-t', 'mangle').split('\n').filter((line) => line.startsWith('-A '))
      const saved = run(ns, `${command}-save`, '-t', 'mangle')
      t.same(ruleLines().sort(), [...rules].sort(), `${command}-save`)
      feed(ns, saved, `${command}-restore`)
      t.same(ruleLines().sort(), [...rules].sort(), `${command}-restore of it`)
      t.match(run(ns, command, '-t', 'mangle', '-nL', 'FORWARD'), /CLONE .* CLONE mark 0x80\n/, `${command} -L`)
      run(ns, command, '-t', 'mangle', '-C', 'FORWARD', '-j', 'CLONE', '--mark', '128')
      // ip6tables-legacy takes rules for the same whose targets differ in their data only, MARK's too (seen with 1.8.9).
      if (command !== 'ip6tables-legacy') {
        t.not(tryRun(ns, command, '-t', 'mangle', '-C', 'FORWARD', '-j', 'CLONE', '--mark', '129').status, 0, `${command} -C: another mark is another rule`)
      }
      run(ns, command, '-t', 'mangle', '-D', 'FORWARD', '-j', 'CLONE', '--mark', '128')
      t.equal(ruleLines().length, rules.length - 1, `${command} -D`)
    }
  }
})
