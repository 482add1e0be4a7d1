// SPDX-License-Identifier: MIT
// nfkit vlan, compared with bridge(8).

import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { nfkit, nfkitJson, Running } from '../support/cli.js'
import { bridgeJson, lacks, run } from '../support/outside.js'

t.setTimeout(300_000)

const skip = lacks('vlan-filtering')

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', `ip link add br0 type bridge ${skip === false ? 'vlan_filtering 1 vlan_stats_enabled 1' : ''}; ip link set br0 up
    for i in 0 1; do ip link add p$i type veth peer name q$i; ip link set p$i up master br0; ip link set q$i up; done`)
  return netns
}

const vlans = (netns: Netns, port: string) => bridgeJson(netns, 'vlan', 'show', 'dev', port)[0]?.vlans.map((v: any) => `${v.vlan}${v.vlanEnd === undefined ? '' : `-${v.vlanEnd}`}${(v.flags ?? []).map((flag: string) => ` ${flag}`).join('')}`)

t.test('add, show, set, delete', { skip }, async (t) => {
  const netns = setup(t)
  const quiet = async (...args: string[]) => t.match(await nfkit(netns, ['vlan', ...args]), { status: 0, stdout: '', stderr: '' }, args.join(' '))
  await quiet('add', 'br0', 'p0', '10-19')
  await quiet('add', 'br0', 'p0', '30', '--pvid', '--untagged')
  await quiet('add', 'br0', 'self', '30')
  t.same(vlans(netns, 'p0'), ['1 Egress Untagged', '10-19', '30 PVID Egress Untagged'])
  t.ok(vlans(netns, 'br0').includes('30'))
  const { stdout } = await nfkit(netns, ['vlan', 'show', 'br0', '--port', 'p0'])
  t.match(stdout, /^PORT +VLAN +PVID +EGRESS +STATE\n/)
  t.match(stdout, /^p0 +10-19 +tagged +forwarding$/m)
  t.match(stdout, /^p0 +30 +yes +untagged +forwarding$/m)
  t.match((await nfkitJson(netns, 'vlan', 'show', 'br0', '--port', 'p0'))[1], { port: 'p0', vid: 10, vidEnd: 19, pvid: false })
  await quiet('set', 'br0', 'p0', '12', '--state', 'blocking')
  t.match((await nfkit(netns, ['vlan', 'show', 'br0', '--port', 'p0'])).stdout, /^p0 +12 +tagged +blocking$/m)
  t.match(await nfkit(netns, ['vlan', 'add', 'br0', 'p0', '10']), { status: 1, stderr: /EEXIST/ })
  await quiet('delete', 'br0', 'p0', '10-19')
  t.same(vlans(netns, 'p0'), ['1 Egress Untagged', '30 PVID Egress Untagged'])
  t.match(await nfkit(netns, ['vlan', 'delete', 'br0', 'p0', '10']), { status: 1, stderr: /ENOENT/ })
  t.match((await nfkit(netns, ['vlan', 'show', 'br0', '--statistics'])).stdout, /^PORT +VLAN +RX PACKETS/)
})

t.test('watch', { skip }, async (t) => {
  const netns = setup(t)
  const watch = new Running(netns, ['vlan', 'watch', 'br0', '--initial'])
  t.teardown(() => watch.stop())
  await watch.until('ready', (text) => text.includes('ready'))
  run(netns, 'bridge', 'vlan', 'add', 'dev', 'p1', 'vid', '200-210')
  await watch.until('range', (text) => /Z {2}added {4}p1 {2}200-210 {2}tagged {2}forwarding$/m.test(text))
  run(netns, 'ip', 'link', 'del', 'br0')
  t.same(await watch.ended, { status: 0, signal: null })
})

t.test('what is refused', async (t) => {
  const netns = setup(t)
  for (const vlan of ['x', '10-', '10-5', '0', '4095', '1,2']) {
    t.match(await nfkit(netns, ['vlan', 'add', 'br0', 'p0', vlan]), { status: 2, stdout: '', stderr: /^nfkit: / }, vlan)
  }
  if (skip !== false) t.match(await nfkit(netns, ['vlan', 'show', 'br0']), { status: 1, stderr: /CONFIG_BRIDGE_VLAN_FILTERING.*\(NFKIT_NO_VLAN_FILTERING\)/ })
})
