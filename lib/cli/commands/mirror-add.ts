// SPDX-License-Identifier: MIT
// nfkit mirror add, set

import { Mirror } from '../../mirror/mirror.js'
import type { MirrorSourceLike } from '../../mirror/options.js'
import type { CloneOutput } from '../../wire/module/target.js'
import { action, type OptionValues } from '../action.js'
import { UsageError } from '../usage.js'
import { oneOf, optionalInteger } from '../values.js'
import { LIMIT_OPTIONS, limitsOf } from './limit-options.js'
import { hexOrNone } from './mirror-text.js'
import { FAMILIES, givenOf, PLACE_OPTIONS, placeOf, POINTS } from './packet-options.js'
import { devicesOf, DEVICES_SYNTAX } from './target-devices.js'

/** Which ports, and what leaves by them. */
const PORT_OPTIONS = {
  to: { type: 'value', value: 'PORTS', help: `up to 8, one via reroute: ${DEVICES_SYNTAX}` },
} as const

/** Plain names where there is nothing else, as both ways take them. */
function portsOf({ to }: OptionValues<typeof PORT_OPTIONS>): (string | CloneOutput)[] | undefined {
  return to === undefined ? undefined : devicesOf(to, '--to').map((output) => (Object.keys(output).length === 1 ? output.device : output))
}

const SOURCE_OPTIONS = {
  from: { type: 'value', value: 'RULE', help: 'which packets, as after iptables -A: "[-t TABLE] CHAIN [MATCHES...]", in quotes' },
  at: { type: 'value', value: 'POINT', help: `or a hook point, with the next ones: ${POINTS.join(', ')}` },
  ...PLACE_OPTIONS,
} as const

function sourceFrom(options: OptionValues<typeof SOURCE_OPTIONS>): MirrorSourceLike {
  const { from, at } = options
  if (at === undefined) {
    if (from === undefined) throw new UsageError('--from or --at is missing: which packets')
    const beside = givenOf(options, PLACE_OPTIONS)
    if (beside !== undefined) throw new UsageError(`${beside}: only with --at; a rule says it by itself`)
    return from
  }
  if (from !== undefined) throw new UsageError('--from, --at: either a rule or a hook point')
  return { at: oneOf('--at', at, POINTS), ...placeOf(options) }
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
    ...FAMILIES, ...LIMIT_OPTIONS,
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
      mark: optionalInteger('--mark', mark), table: optionalInteger('--table', table),
    })
    // Not closed: that would undo it. The process ends now.
    if (json) out.json(mirror.info())
    else out.lines([`${mirror.name}: ${mirror.via === 'devices' ? `clone target ${mirror.target}` : `mark ${hexOrNone(mirror.mark)}, table ${mirror.table}`}`])
  },
})

export const set = action({
  words: 'set', args: 'NAME', summary: 'change ports and limits of a mirror via devices while packets pass; what is not given stays',
  options: { to: { ...PORT_OPTIONS.to, help: `up to 8: ${DEVICES_SYNTAX}` }, ...LIMIT_OPTIONS },
  async run({ args: [name], options, netns, json, out }) {
    const changes = { ...limitsOf(options), to: portsOf(options) }
    if (Object.values(changes).every((value) => value === undefined)) throw new UsageError('what to set is missing')
    const mirror = Mirror.open(name!, netns)
    await mirror.set(changes)
    if (json) out.json(mirror.info())
    await mirror.close()
  },
})
