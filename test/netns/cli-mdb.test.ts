// SPDX-License-Identifier: MIT
// nfkit mdb, compared with bridge(8).

import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { nfkit, nfkitJson, Running } from '../support/cli.js'
import { bridgeJson, run } from '../support/outside.js'

t.setTimeout(300_000)

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', `sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link add br0 type bridge; ip link set br0 up
    for i in 0 1; do ip link add p$i type veth peer name q$i; ip link set p$i up master br0; ip link set q$i up; done`)
  return netns
}

const outside = (netns: Netns) => bridgeJson(netns, 'mdb', 'show', 'dev', 'br0')[0].mdb.map((e: any) => `${e.grp} ${e.port} ${e.src ?? '-'} ${e.state}`)

t.test('add, show, delete, flush, and watch', async (t) => {
  const netns = setup(t)
  const quiet = async (...args: string[]) => t.match(await nfkit(netns, ['mdb', ...args]), { status: 0, stdout: '', stderr: '' }, args.join(' '))
  const watch = new Running(netns, ['mdb', 'watch', 'br0', '--json', '--initial'])
  t.teardown(() => watch.stop())
  await watch.until('ready', (text) => text.includes('ready'))
  await quiet('add', 'br0', 'p0', '239.1.1.1')
  await quiet('add', 'br0', 'p1', '239.1.1.1', '--temporary')
  await quiet('add', 'br0', 'p1', '239.1.1.2', '--source', '10.0.0.7')
  t.same(outside(netns).sort(), ['239.1.1.1 p0 - permanent', '239.1.1.1 p1 - temp', '239.1.1.2 p1 10.0.0.7 permanent'])
  t.same((await nfkitJson(netns, 'mdb', 'show', 'br0')).entries.map((e: any) => `${e.group} ${e.port} ${e.source ?? '-'} ${e.state}`),
    ['239.1.1.1 p0 - permanent', '239.1.1.1 p1 - temporary', '239.1.1.2 p1 10.0.0.7 permanent'])
  t.match((await nfkit(netns, ['mdb', 'show', 'br0', '--group', '239.1.1.2'])).stdout, /^GROUP +PORT +SOURCE +VLAN +STATE +EXPIRES\n239\.1\.1\.2 +p1 +10\.0\.0\.7 +- +permanent +-\n$/)
  t.match(await nfkit(netns, ['mdb', 'add', 'br0', 'p0', '239.1.1.1']), { status: 1, stderr: /EEXIST/ })
  t.match(await nfkit(netns, ['mdb', 'add', 'br0', 'p0', '10.0.0.1']), { status: 2, stderr: /^nfkit: GROUP: expected / })
  await quiet('delete', 'br0', 'p0', '239.1.1.1')
  t.same(outside(netns).sort(), ['239.1.1.1 p1 - temp', '239.1.1.2 p1 10.0.0.7 permanent'])
  await quiet('flush', 'br0', '--state', 'permanent')
  t.same(outside(netns), ['239.1.1.1 p1 - temp'])
  await watch.until('flushed', (text) => text.split('"removed"').length > 2)
  const seen = watch.objects.filter(({ entry }) => entry?.group.startsWith('239.1.')).map(({ type, entry }) => `${type} ${entry.group} ${entry.port}`)
  t.same(seen, ['added 239.1.1.1 p0', 'added 239.1.1.1 p1', 'added 239.1.1.2 p1', 'removed 239.1.1.1 p0', 'removed 239.1.1.2 p1'])
})
