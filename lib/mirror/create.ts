// SPDX-License-Identifier: MIT
// Setting a mirror up, step by step, with the journal ahead of the kernel.

import { randomUUID } from 'node:crypto'
import { requireLoaded } from '../clone/kernel-module.js'
import { NfkitError } from '../errors.js'
import { isHookSource, planHook } from './hook-source.js'
import { objectNameOf } from './name.js'
import type { DevicesRequest, MirrorRequest, RerouteRequest } from './options.js'
import { nameOfPort } from './outputs.js'
import { thisOwner } from './owner.js'
import type { Place } from './place.js'
import { planDevices } from './plan-devices.js'
import { planReroute } from './plan-reroute.js'
import type { DevicesRecord, MirrorRecord, RerouteRecord } from './record.js'
import { planSource } from './source.js'
import { applyStep, type Step } from './step.js'
import { chooseFamilies, requireChain, requireFramePorts, requireFreeObjects, requirePort, survey } from './survey.js'
import { undo } from './undo.js'

/** What is of the way that copies take, and the steps. */
type Plan = Pick<RerouteRecord, 'via' | 'families' | 'from' | 'to' | 'mark' | 'table' | 'steps'> | Pick<DevicesRecord, 'via' | 'families' | 'from' | 'to' | 'target' | 'steps'>

/** Does all of it, or changes nothing. */
export async function setUp(request: MirrorRequest, place: Place): Promise<MirrorRecord> {
  requireLoaded('mirroring')
  return place.store.locked(async () => {
    const { records: others, damaged } = place.store.read()
    const name = freeName(request.name, [...others, ...damaged])
    const { steps, ...plan } = request.via === 'reroute' ? rerouted(request, name, place, others) : byDevices(request, name, place)
    const record: MirrorRecord = {
      version: 1, id: randomUUID(), name, created: new Date().toISOString(), persistent: request.persistent, owner: thisOwner(),
      namespace: place.store.namespace, ...plan, state: 'setting-up', steps: [],
    }
    const context = { netns: place.netns, record, others, lock: place.lock }
    try {
      for (const step of steps) await begin(step, record, place, context)
      record.state = 'up'
      place.store.write(record)
    } catch (cause) {
      await undo(place.store, context, cause)
      throw cause
    }
    return record
  })
}

async function begin(step: Step, record: MirrorRecord, { store }: Place, context: Parameters<typeof applyStep>[1]): Promise<void> {
  record.steps.push(step)
  store.write(record)
  try {
    await applyStep(step, context)
  } catch (error) {
    // What is there is somebody else's, who came in this moment: it is not ours to undo.
    if (error instanceof NfkitError && error.code === 'EEXIST') record.steps.pop()
    throw error
  }
}

function freeName(asked: string | undefined, others: readonly { name: string }[]): string {
  const isFree = (name: string) => !others.some((other) => other.name === name)
  if (asked === undefined) for (let i = 1; ; i++) if (isFree(`mirror${i}`)) return `mirror${i}`
  if (isFree(asked)) return asked
  throw new NfkitError('NFKIT_MIRROR_EXISTS', `there is a mirror ${asked} already`, { hint: `take another name, or remove it with Mirror.remove('${asked}') or "nfkit mirror remove ${asked}"` })
}

function rerouted({ from, families: asked, port, mark, table }: RerouteRequest, name: string, { netns, lock }: Place, others: readonly MirrorRecord[]): Plan {
  const link = requirePort(port, netns)
  const source = planSource(from, name, asked, 'reroute')
  const families = chooseFamilies(source, asked, port, netns)
  const plan = planReroute({ source, families, mark, table }, survey(link, source, families, others, netns, lock))
  return { via: 'reroute', families, from: { table: source.table, chain: source.chain, rules: source.selectors }, to: [port], ...plan }
}

function byDevices({ from, families: asked, clone }: DevicesRequest, name: string, { netns, lock }: Place): Plan {
  const to = clone.devices!.map(nameOfPort)
  requireFramePorts(to, netns)
  const target = objectNameOf(name)
  requireFreeObjects(target, isHookSource(from), netns)
  const common = { via: 'devices', to, target } as const
  if (isHookSource(from)) {
    const hook = planHook(from, asked, target)
    return { ...common, families: hook.families, from: hook.source, steps: planDevices(hook, hook.families, target, clone) }
  }
  const source = planSource(from, name, asked, 'devices')
  const families = chooseFamilies(source, asked, undefined, netns)
  requireChain(source, families, netns, lock)
  return { ...common, families, from: { table: source.table, chain: source.chain, rules: source.selectors }, steps: planDevices(source, families, target, clone) }
}
