// SPDX-License-Identifier: MIT
// What a journal file says of one mirror: what it is, and every step of its set-up that was done or at least begun.

import type { IpFamily } from '../wire/ip.js'
import { bad, Fields } from './fields.js'
import { type MirrorHookSource, readHookSource } from './hook-source.js'
import { isMirrorName } from './name.js'
import type { NamespaceIdentity } from './namespace.js'
import { readStep, type Step } from './step.js'

/** Which rules the copies come from, as text for people; the steps have what is needed to undo them. */
export interface RecordedRules {
  table: string
  chain: string
  /** What selects the packets, as iptables-save has it; one for each rule. */
  rules: string[]
}

/** The process that made a mirror. A process id is given again, a start time with it is not. */
export interface Owner {
  pid: number
  /** In clock ticks since the boot: field 22 of /proc/PID/stat (proc_pid_stat(5)). */
  started: string
}

interface CommonRecord {
  version: 1
  /** Of this very mirror: another one can have its name later. */
  id: string
  name: string
  /** ISO 8601. */
  created: string
  persistent: boolean
  owner: Owner
  namespace: NamespaceIdentity
  /** Of the packets; empty at a hook point of frames. */
  families: IpFamily[]
  /** Names of the mirror ports. */
  to: string[]
  state: 'setting-up' | 'up' | 'removing'
  /** In the order in which they were done; the last one may only have begun. */
  steps: Step[]
}

/** Copies are routed by their mark. */
export interface RerouteRecord extends CommonRecord {
  via: 'reroute'
  from: RecordedRules
  mark: number
  table: number
}

/** Copies leave as frames, by the devices of a clone target. */
export interface DevicesRecord extends CommonRecord {
  via: 'devices'
  from: RecordedRules | MirrorHookSource
  /** Name of the clone target, and of the hook if there is one. */
  target: string
}

export type MirrorRecord = RerouteRecord | DevicesRecord

/** Longer ones are no journal of ours. */
const LONGEST = 1 << 20

export function encodeRecord(record: MirrorRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`
}

/** Reads the bytes of a journal file. @throws NfkitError NFKIT_BAD_JOURNAL for whatever is not one */
export function decodeRecord(bytes: Uint8Array): MirrorRecord {
  if (bytes.length > LONGEST) throw bad(`longer than ${LONGEST} bytes`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw bad('not JSON')
  }
  const fields = new Fields(value, '')
  const version = fields.number('version')
  if (version !== 1) throw bad(`version ${version}, and this nfkit knows version 1`)
  const owner = fields.object('owner')
  const namespace = fields.object('namespace')
  const common: CommonRecord = {
    version,
    id: fields.text('id'),
    name: fields.text('name'),
    created: fields.text('created'),
    persistent: fields.flag('persistent'),
    owner: { pid: owner.number('pid'), started: owner.text('started') },
    namespace: {
      device: namespace.number('device'), inode: namespace.number('inode'), cookie: namespace.orNull('cookie', () => namespace.text('cookie')),
      boot: namespace.text('boot'),
    },
    families: fields.list('families').map((item, i) => new Fields({ [i]: item }, 'families').oneOf(String(i), ['ipv4', 'ipv6'])),
    to: fields.texts('to'),
    state: fields.oneOf('state', ['setting-up', 'up', 'removing']),
    steps: fields.list('steps').map((item, i) => readStep(new Fields(item, `steps[${i}]`))),
  }
  if (!isMirrorName(common.name)) throw bad('name is no name of a mirror')
  const from = fields.object('from')
  // Journals of version 1 had only this one at first.
  return fields.oneOf('via', ['reroute', 'devices']) === 'reroute'
    ? { ...common, via: 'reroute', from: readRules(from), mark: fields.number('mark'), table: fields.number('table') }
    : { ...common, via: 'devices', from: from.has('at') ? readHookSource(from) : readRules(from), target: fields.text('target') }
}

function readRules(from: Fields): RecordedRules {
  return { table: from.text('table'), chain: from.text('chain'), rules: from.texts('rules') }
}
