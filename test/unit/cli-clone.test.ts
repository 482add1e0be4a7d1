// SPDX-License-Identifier: MIT
// nfkit targets, nfkit hook: what is said wrongly, and devices as a word.

import t from 'tap'
import { devicesOf, deviceText } from '../../lib/cli/commands/target-devices.js'
import { run } from '../../lib/cli/run.js'

/** What the command line says to wrong usage. */
async function complaint(args: readonly string[]): Promise<string> {
  let said = ''
  const stderr = { write: (text: string) => { said += text; return true } } as unknown as NodeJS.WriteStream
  const status = await run(args, { stdout: { write: () => true } as unknown as NodeJS.WriteStream, stderr, env: {} })
  return `${status} ${said.split('\n')[0]}`
}

t.test('devices', async (t) => {
  const text = 'eth5,eth6/vlan=900/priority=3,eth0.7/vlan=0/protocol=802.1ad/destination=02:00:00:00:00:01,eth8/destination=02:00:00:00:00:01'
  const devices = devicesOf(text)
  t.same(devices, [
    { device: 'eth5' }, { device: 'eth6', vlan: { id: 900, priority: 3 } }, { device: 'eth0.7', vlan: { id: 0, protocol: '802.1ad' }, destination: '02:00:00:00:00:01' },
    { device: 'eth8', destination: '02:00:00:00:00:01' },
  ])
  t.equal(devices.map(deviceText).join(','), text)
  t.equal(deviceText({ device: 'a', vlan: { id: 5, priority: 0, protocol: '802.1Q' } }), 'a/vlan=5')
  for (const wrong of ['a/vlan', 'a/vlan=x', 'a/priority=3', 'a/protocol=1', 'a/b', 'a/mtu=3', 'a/vlan=1=2', 'a/vlan=1/vlan=2']) t.throws(() => devicesOf(wrong), { name: 'UsageError' }, wrong)
})

t.test('wrong usage', async (t) => {
  const wrong: [string, RegExp][] = [
    ['targets set x', /^2 nfkit: --devices, --reroute or --capture is missing/], ['targets set x --devices a:b', /^2 nfkit: --devices\[0\]\.device: expected a name of 1 to 15 bytes/], ['mirror add --from INPUT --to a,a', /^2 nfkit: --to: expected different devices/], ['mirror add --from INPUT --to a/vlan=4095', /^2 nfkit: --to\[0\]\.vlan\.id: expected an integer/],
    ['targets set x --devices a,a', /^2 nfkit: --devices: expected different/], ['targets set x --capture --snaplen 5', /^2 nfkit: --snaplen: /],
    ['targets set x/y --capture', /^2 nfkit: NAME: expected a name of/], ['targets set x --capture --queue-limit -1', /^2 nfkit: --queue-limit needs a value/], ['targets show x/y', /^2 nfkit: NAME: /],
    ['hook add x', /^2 nfkit: --at is missing/], ['hook add x --at input', /^2 nfkit: --at: expected prerouting/], ['hook add x --at forward --drop --queue 1', /^2 nfkit: --drop and --queue/],
    ['hook add x --at forward --bypass', /^2 nfkit: --bypass needs --queue/], ['hook add x --at forward --or-drop', /^2 nfkit: --or-drop needs/], ['hook add x --at forward -4 -6', /^2 nfkit: --ipv4 and --ipv6/],
    ['hook add x --at forward --match {', /^2 nfkit: --match: expected JSON/], ['hook add x --at forward --match 5', /^2 nfkit: --match: expected an object/], ['hook add x --at forward --bpf x', /^2 nfkit: --bpf and --link/],
    ['hook add x --at local-out --in eth0', /^2 nfkit: --in: expected nothing at local-out/], ['hook add x --at ingress', /^2 nfkit: --in is missing: the name of a device, which ingress needs$/],
    ['hook add x --at local-out --phys-in eth0', /^2 nfkit: --phys-in: expected nothing at local-out/], ['hook add x --at forward --repeat 3', /^2 nfkit: --mark is missing: a mark beside/], ['hook add x --at forward --mark 1/', /^2 nfkit: --mark: expected a whole number/], ['hook add x --at forward --mark 1/2/3', /^2 nfkit: --mark: expected a whole number, got "2\/3"/],
    ['hook add x --at forward --undecided', /^2 nfkit: --undecided needs --bpf/], ['mirror add --to eth5 --from FORWARD --phys-in eth0', /^2 nfkit: --phys-in: only with --at/],
    ['mirror add --to eth5 --at local-out --phys-in eth0', /^2 nfkit: --phys-in: expected nothing at local-out/], ['mirror add --to eth5 --at forward --bpf x', /^2 nfkit: --bpf and --link/],
    ['mirror add --to eth5 --from FORWARD --via reroute --no-defer', /^2 nfkit: --defer: expected --via devices with it/], ['mirror add --to eth5 --from PREROUTING --via reroute', /^2 nfkit: --from: chain: expected INPUT, FORWARD, OUTPUT or POSTROUTING with --via reroute,/],
    ['capture --from probe --link RAW', /^2 nfkit: --link: which packets a clone target gets/], ['capture --from INPUT --priority 5', /^2 nfkit: --priority: that of a chain/],
    ['capture --from INPUT --ipv4 --ipv6', /^2 nfkit: --ipv4 and --ipv6/], ['capture --from INPUT -w - --json', /^2 nfkit: --json, --write -/], ['capture --from ingress --table raw --in eth0', /^2 nfkit: --table needs a chain/],
    ['hook watch --interval 0', /^2 nfkit: --interval: expected 0.1 to 3600/], ['targets watch --count x', /^2 nfkit: --count: expected a whole number/],
    ['mirror set web', /^2 nfkit: what to set is missing/],
    ['targets events --count 0', /^2 nfkit: --count: expected at least 1/], ['targets events x/y', /^2 nfkit: NAME: expected a name/],
  ]
  for (const [words, said] of wrong) t.match(await complaint(words.split(' ')), said, words)
})
