// SPDX-License-Identifier: MIT
// Which packets of a hook point: the options that hooks, captures and mirrors share.

import { readFileSync } from 'node:fs'
import type { HookSpec } from '../../clone/hook-config.js'
import type { HookMatch } from '../../clone/hook-match.js'
import type { IpFamily } from '../../wire/ip.js'
import { HOOK_POINTS, type HookPoint } from '../../wire/module/hook-points.js'
import type { OptionValues } from '../action.js'
import { UsageError } from '../usage.js'
import { integer, oneOf } from '../values.js'
import { FAMILY_OPTIONS } from '../with-netfilter.js'

export const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]

export const FAMILIES = {
  ipv4: { ...FAMILY_OPTIONS.ipv4, help: 'packets of IPv4 alone' },
  ipv6: { ...FAMILY_OPTIONS.ipv6, help: 'packets of IPv6 alone' },
} as const

export const PLACE_OPTIONS = {
  priority: { type: 'value', value: 'NUMBER', help: 'hooks are met in the order of this; 0 unless told, as the table filter, -200 at points of the bridge; --priority=-300 before' },
  in: { type: 'value', value: 'DEVICE', help: 'packets that came by it; needed at ingress' },
  out: { type: 'value', value: 'DEVICE', help: 'packets that leave by it; needed at egress' },
  'phys-in': { type: 'value', value: 'PORT', help: 'packets that came by this port of a bridge' },
  'phys-out': { type: 'value', value: 'PORT', help: 'packets that leave by this port of a bridge' },
  match: { type: 'value', value: 'JSON', help: 'which packets, as PacketMatch takes it: \'{"protocol":"tcp","destinationPort":80}\'; every one unless told' },
  bpf: { type: 'value', value: 'FILE', help: 'which packets, as a program that tcpdump -ddd printed; - is the standard input' },
  link: { type: 'value', value: 'RAW|EN10MB', help: 'with --bpf: what tcpdump got with -y' },
  undecided: { type: 'flag', help: 'with --bpf: its answer 4294967294 means that it cannot decide, which is counted' },
} as const

export const PACKET_OPTIONS = { ...FAMILIES, ...PLACE_OPTIONS } as const

type PlaceOptions = OptionValues<typeof PLACE_OPTIONS>

/** @throws UsageError when both are given */
export function familyOf({ ipv4, ipv6 }: OptionValues<typeof FAMILIES>): IpFamily | undefined {
  if (ipv4 === true && ipv6 === true) throw new UsageError('--ipv4 and --ipv6: both is what there is without them')
  return ipv4 === true ? 'ipv4' : ipv6 === true ? 'ipv6' : undefined
}

/** What the options say beside the point and the family. @throws UsageError */
export function placeOf(options: PlaceOptions): Pick<HookSpec, 'priority' | 'in' | 'out' | 'physIn' | 'physOut' | 'match'> {
  const { priority, in: input, out, 'phys-in': physIn, 'phys-out': physOut } = options
  return { priority: priorityOf(priority), in: input, out, physIn, physOut, match: matchOf(options) }
}

/** The first of the options that was given, as it was typed. */
export function givenOf(options: Readonly<Record<string, unknown>>, specs: object): string | undefined {
  const name = Object.keys(specs).find((one) => options[one] !== undefined)
  return name === undefined ? undefined : `--${name}`
}

function priorityOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return text.startsWith('-') ? -integer('--priority', text.slice(1)) : integer('--priority', text)
}

function matchOf({ match, bpf, link, undecided }: PlaceOptions): HookMatch | undefined {
  if (match !== undefined && bpf !== undefined) throw new UsageError('--match and --bpf cannot be given together')
  if ((bpf === undefined) !== (link === undefined)) throw new UsageError('--bpf and --link go together')
  if (undecided === true && bpf === undefined) throw new UsageError('--undecided needs --bpf')
  if (bpf !== undefined) return { program: readFileSync(bpf === '-' ? 0 : bpf, 'utf8'), link: oneOf('--link', link!, ['RAW', 'EN10MB']), undecided }
  if (match === undefined) return undefined
  try {
    return JSON.parse(match) as HookMatch
  } catch (error) {
    throw new UsageError(`--match: expected JSON such as {"protocol":"tcp"}: ${(error as Error).message}`)
  }
}
