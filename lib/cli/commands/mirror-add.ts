// SPDX-License-Identifier: MIT
// nfkit mirror add, set

import { Mirror } from '../../mirror/mirror.js'
import type { MirrorSourceLike } from '../../mirror/options.js'
import type { MirrorLimits } from '../../mirror/outputs.js'
import type { PacketMatchSpec } from '../../wire/packet-match/tree.js'
import type { CloneOutput } from '../../wire/module/target.js'
import { HOOK_POINTS, type HookPoint } from '../../wire/module/hook-points.js'
import { action, type OptionValues } from '../action.js'
import { quote } from '../parse.js'
import { UsageError } from '../usage.js'
import { integer, oneOf } from '../values.js'
import { FAMILY_OPTIONS } from '../with-netfilter.js'
import { hex } from './mirror-text.js'
import { devicesOf, DEVICES_SYNTAX } from './target-devices.js'

const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]

/** Which ports, and what leaves by them. */
const PORT_OPTIONS = {
  to: { type: 'value', value: 'PORTS', help: `up to 8, one via reroute: ${DEVICES_SYNTAX}` },
} as const

const LIMIT_OPTIONS = {
  snaplen: { type: 'value', value: 'BYTES', help: 'of each frame at most, 60 to 65535; 0: all' },
  sample: { type: 'value', value: 'N', help: 'one packet in so many; 1: all' },
  random: { type: 'switch', help: 'choose them by chance' },
  rate: { type: 'value', value: 'N', help: 'packets per second on average; 0: no limit' },
  burst: { type: 'value', value: 'N', help: 'packets at once after a pause, with --rate' },
  'queue-limit': { type: 'value', value: 'N', help: 'copies that may wait on each CPU; 0: net.nfkit.queue_limit' },
  'drop-oldest': { type: 'switch', help: 'when the queue is full, drop the oldest copy rather than the newest' },
} as const

function limitsOf(options: OptionValues<typeof LIMIT_OPTIONS>): MirrorLimits {
  const count = (key: 'snaplen' | 'sample' | 'rate' | 'burst' | 'queue-limit') => (options[key] === undefined ? undefined : integer(`--${key}`, options[key]))
  return {
    snaplen: count('snaplen'), sample: count('sample'), random: options.random, rate: count('rate'), burst: count('burst'), queueLimit: count('queue-limit'),
    dropOldest: options['drop-oldest'],
  }
}

/** Plain names where there is nothing else, as both ways take them. */
function portsOf({ to }: OptionValues<typeof PORT_OPTIONS>): (string | CloneOutput)[] | undefined {
  return to === undefined ? undefined : devicesOf(to, '--to').map((output) => (Object.keys(output).length === 1 ? output.device : output))
}

const SOURCE_OPTIONS = {
  from: { type: 'value', value: 'RULE', help: 'which packets, as after iptables -A: "[-t TABLE] CHAIN [MATCHES...]", in quotes' },
  at: { type: 'value', value: 'POINT', help: `or a hook point: ${POINTS.join(', ')}` },
  in: { type: 'value', value: 'DEVICE', help: 'with --at: that they came by; needed at ingress' },
  out: { type: 'value', value: 'DEVICE', help: 'with --at: that they leave by; needed at egress' },
  match: { type: 'value', value: 'JSON', help: 'with --at: which of them, as PacketMatch takes it: \'{"protocol":"tcp","destinationPort":80}\'' },
  priority: { type: 'value', value: 'N', help: 'with --at: hooks are met in the order of this; 0 unless told, which is that of the table filter' },
} as const

function sourceFrom({ from, at, in: input, out, match, priority }: OptionValues<typeof SOURCE_OPTIONS>): MirrorSourceLike {
  const beside = Object.entries({ in: input, out, match, priority }).find(([, value]) => value !== undefined)?.[0]
  if (at === undefined) {
    if (from === undefined) throw new UsageError('--from or --at is missing: which packets')
    if (beside !== undefined) throw new UsageError(`--${beside}: only with --at; a rule says it by itself`)
    return from
  }
  if (from !== undefined) throw new UsageError('--from, --at: either a rule or a hook point')
  return {
    at: oneOf('--at', at, POINTS), in: input, out, match: match === undefined ? undefined : matchFrom(match),
    priority: priority === undefined ? undefined : signed('--priority', priority),
  }
}

const signed = (what: string, text: string): number => (text.startsWith('-') ? -integer(what, text.slice(1)) : integer(what, text))

function matchFrom(text: string): PacketMatchSpec {
  try {
    return JSON.parse(text) as PacketMatchSpec
  } catch {
    throw new UsageError(`--match: expected JSON, got ${quote(text)}`)
  }
}

export const add = action({
  words: 'add', args: '', summary: 'set up a mirror; it stays until it is removed or the system goes down',
  details: [
    'Copies of the packets leave by the ports, the packets go on as without: whole frames with the MAC header that they came with,',
    'or via reroute by a mark and policy routing. Without --ipv4 and --ipv6 both, as far as the rule can be written for them.',
    'Needs the kernel module (nfkit module status).',
    'Examples: nfkit mirror add --from "FORWARD -p tcp --dport 80" --to eth5,eth6 --name web',
    '          nfkit mirror add --at ingress --in eth0 --to eth5/vlan=900',
  ],
  options: {
    ...SOURCE_OPTIONS, ...PORT_OPTIONS,
    via: { type: 'value', value: 'devices|reroute', help: 'how copies get to the ports; devices unless told' },
    name: { type: 'value', value: 'NAME', help: 'its name, also in the comment of its rules; mirror1 and so on unless told' },
    ipv4: { ...FAMILY_OPTIONS.ipv4, help: 'packets of IPv4 alone' },
    ipv6: { ...FAMILY_OPTIONS.ipv6, help: 'packets of IPv6 alone' },
    ...LIMIT_OPTIONS,
    mark: { type: 'value', value: 'MARK', help: 'via reroute: the mark of the copies; a free one unless told' },
    table: { type: 'value', value: 'NUMBER', help: 'via reroute: the routing table; a free one unless told' },
    persistent: { type: 'flag', help: 'it is meant to stay: list does not say that nobody keeps it, and remove --abandoned passes it over' },
  },
  async run({ options, netns, json, out }) {
    const { via, name, ipv4, ipv6, mark, table, persistent } = options
    const source = sourceFrom(options)
    const to = portsOf(options)
    if (to === undefined) throw new UsageError('--to is missing: the mirror port')
    const mirror = await Mirror.create({
      ...netns, ...limitsOf(options), from: source, to, name, persistent,
      via: via === undefined ? undefined : oneOf('--via', via, ['devices', 'reroute']),
      family: ipv4 === ipv6 ? (ipv4 === true ? 'both' : undefined) : ipv4 === true ? 'ipv4' : 'ipv6',
      mark: mark === undefined ? undefined : integer('--mark', mark), table: table === undefined ? undefined : integer('--table', table),
    })
    // Not closed: that would undo it. The process ends now.
    if (json) out.json(mirror.info())
    else out.lines([`${mirror.name}: ${mirror.via === 'devices' ? `clone target ${mirror.target}` : `mark ${hex(mirror.mark)}, table ${mirror.table}`}`])
  },
})

export const set = action({
  words: 'set', args: 'NAME', summary: 'change ports and limits of a mirror via devices while packets pass; what is not given stays',
  options: { ...PORT_OPTIONS, ...LIMIT_OPTIONS },
  async run({ args: [name], options, netns, json, out }) {
    const mirror = Mirror.open(name!, netns)
    await mirror.set({ ...limitsOf(options), to: portsOf(options) })
    if (json) out.json(mirror.info())
    await mirror.close()
  },
})
