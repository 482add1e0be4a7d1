// SPDX-License-Identifier: MIT
// A file as tcpdump reads it, and as the tools of Wireshark do where they are installed.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeEthernet } from '../../lib/wire/ethernet.js'
import { encodeIpv4 } from '../../lib/wire/ipv4.js'
import { PcapngWriter } from '../../lib/wire/pcapng.js'
import { encodeUdp } from '../../lib/wire/udp.js'
import { noTcpdump } from '../support/outside.js'

const TIME = 1_700_000_000_123_456_789n
const ends = { source: '192.168.0.2', destination: '192.168.0.3' }
const datagram = encodeIpv4({ ...ends, protocol: 17, payload: encodeUdp({ sourcePort: 40000, destinationPort: 9, payload: new Uint8Array(50) }, ends) })
const frame = encodeEthernet({ source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02', vlans: [{ id: 7 }], etherType: 0x0800, payload: datagram })

/** Two interfaces of one link type, since tcpdump reads no file with several; Wireshark's tools do. */
function file(t: Test, mixed: boolean): string {
  const writer = new PcapngWriter({ application: 'nfkit', os: 'Linux', hardware: 'a test', comment: 'made by a test' })
  const eth0 = writer.interface({ name: 'eth0', description: 'first', linkType: 'EN10MB', snaplen: 128 })
  const other = writer.interface({ name: 'eth1', linkType: mixed ? 'RAW' : 'EN10MB', snaplen: 128 })
  writer.packet({ interface: eth0, time: TIME, data: frame, direction: 'in', reception: 'unicast' })
  writer.packet({ interface: eth0, time: TIME + 1n, data: frame.subarray(0, 60), originalLength: frame.length, dropped: 2, comment: 'cut' })
  writer.packet({ interface: other, time: TIME + 1_000_000_001n, data: mixed ? datagram : frame, direction: 'out' })
  writer.statistics({ interface: eth0, time: TIME + 2_000_000_000n, startTime: TIME, endTime: TIME + 2_000_000_000n, received: 4, dropped: 2 })
  writer.statistics({ interface: other, time: TIME + 2_000_000_000n, received: 1, dropped: 0, accepted: 1, systemDropped: 0, delivered: 1 })
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-pcapng-'))
  t.teardown(() => { rmSync(directory, { recursive: true }) })
  const path = join(directory, 'test.pcapng')
  writeFileSync(path, writer.take())
  return path
}

function read(t: Test, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })
  t.equal(status, 0, stderr)
  // tcpdump says what it reads.
  t.equal(stderr.split('\n').filter((line) => line !== '' && !/^reading from file .*, link-type |^Running as user/.test(line)).join('\n'), '', 'no complaint')
  return stdout
}

t.test('tcpdump', { skip: noTcpdump }, async (t) => {
  // From standard input, since tcpdump gives up its privileges before it opens a file.
  const text = read(t, 'sh', '-c', `tcpdump --nano -tt -nn -e -r - < ${file(t, false)}`).trim().split('\n')
  t.equal(text.length, 3)
  t.match(text[0], /^1700000000\.123456789 02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802\.1Q \(0x8100\), length 96: vlan 7, .*192\.168\.0\.2\.40000 > 192\.168\.0\.3\.9: UDP, length 50/)
  t.match(text[1], /^1700000000\.123456790 .* length 96: vlan 7/)
  t.match(text[2], /^1700000001\.123456790 /)
})

const lacksTool = (name: string) => spawnSync(name, ['--version']).error !== undefined && `${name} is not installed`

t.test('capinfos', { skip: lacksTool('capinfos') }, async (t) => {
  const text = read(t, 'capinfos', file(t, true))
  t.match(text, /File type: +Wireshark\/\.\.\. - pcapng/)
  t.match(text, /Number of packets: +3\n/)
  t.match(text, /Capture application: +nfkit/)
  t.match(text, /Name = eth0\n[\s\S]*Encapsulation = Ethernet[\s\S]*Time precision = nanoseconds \(9\)[\s\S]*Number of packets = 2[\s\S]*Name = eth1\n[\s\S]*Encapsulation = Raw IP/)
})

t.test('tshark', { skip: lacksTool('tshark') }, async (t) => {
  const fields = ['frame.interface_name', 'frame.time_epoch', 'frame.len', 'frame.cap_len', 'frame.comment', 'vlan.id', 'udp.dstport']
  const text = read(t, 'tshark', '-r', file(t, true), '-T', 'fields', ...fields.flatMap((field) => ['-e', field])).replaceAll('\t', ' ')
  t.equal(text, 'eth0 1700000000.123456789 96 96  7 9\neth0 1700000000.123456790 96 60 cut 7 9\neth1 1700000001.123456790 78 78   9\n')
})
