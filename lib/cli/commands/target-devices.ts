// SPDX-License-Identifier: MIT
// The devices of a clone target as a word: eth5,eth6/vlan=900/destination=02:00:5e:10:00:01

import type { CloneOutput, CloneVlan } from '../../wire/module/target.js'
import { quote } from '../parse.js'
import { UsageError } from '../usage.js'
import { integer, oneOf } from '../values.js'

export const DEVICES_SYNTAX = 'names with commas between, each with /vlan=ID, /priority=0..7, /protocol=802.1Q or 802.1ad, /destination=MAC'

const KEYS = ['vlan', 'priority', 'protocol', 'destination'] as const

/** @throws UsageError */
export function devicesOf(text: string, option = '--devices'): CloneOutput[] {
  return text.split(',').map((one) => deviceOf(one, option))
}

function deviceOf(text: string, option: string): CloneOutput {
  const [device = '', ...words] = text.split('/')
  const output: CloneOutput = { device }
  const vlan: Partial<CloneVlan> = {}
  const given = new Set<string>()
  for (const word of words) {
    const [, key = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    if (given.has(key)) throw new UsageError(`${option}: ${key} is given twice`)
    given.add(key)
    switch (KEYS.find((one) => one === key)) {
      case 'vlan': vlan.id = integer(`${option}: vlan`, value ?? ''); break
      case 'priority': vlan.priority = integer(`${option}: priority`, value ?? ''); break
      case 'protocol': vlan.protocol = oneOf(`${option}: protocol`, value ?? '', ['802.1Q', '802.1ad']); break
      case 'destination': output.destination = value ?? ''; break
      default: throw new UsageError(`${option}: expected ${DEVICES_SYNTAX}, got ${quote(word)}`)
    }
  }
  const { id, ...rest } = vlan
  if (id !== undefined) output.vlan = { id, ...rest }
  else if (Object.keys(rest).length > 0) throw new UsageError(`${option}: ${Object.keys(rest)[0]} needs vlan beside it`)
  return output
}

export function deviceText({ device, vlan, destination }: CloneOutput): string {
  const parts = [device]
  if (vlan !== undefined) {
    parts.push(`vlan=${vlan.id}`)
    if (vlan.priority !== undefined && vlan.priority !== 0) parts.push(`priority=${vlan.priority}`)
    if (vlan.protocol !== undefined && vlan.protocol !== '802.1Q') parts.push(`protocol=${vlan.protocol}`)
  }
  if (destination !== undefined) parts.push(`destination=${destination}`)
  return parts.join('/')
}
