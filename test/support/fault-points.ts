// SPDX-License-Identifier: MIT
// The paths of packets that meet the module at some hook points while memory is wanting, in one network.

import t from 'tap'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'
import { FaultNetwork, type Kind, type PathSpec, SINKS } from './fault-paths.js'
import { ANYWHERE, moduleCode, noFaults, quiet, unloadEventually, within } from './faults.js'
import { FAMILIES } from './hooks.js'
import { loadModule } from './module.js'

const KINDS: readonly Kind[] = ['datagram', 'fragments', 'segments']

function sweepAll(name: string, points: readonly HookPoint[], pathsAt: (at: HookPoint) => PathSpec[]): void {
  t.setTimeout(900_000)
  t.test(name, { skip: noFaults }, async (t) => {
    loadModule()
    const network = await FaultNetwork.open(t)
    // Only the module is to lack memory.
    within(moduleCode())
    for (const at of points) {
      await t.test(at, async (t) => {
        let allocations = 0
        for (const path of pathsAt(at)) if (SINKS[path.sink]!.reroute === null || HOOK_POINTS[at].reroute) allocations += await network.sweep(t, path)
        t.ok(allocations > 20, `${allocations} allocations failed`)
        quiet(t)
      })
    }
  })
  t.teardown(async () => {
    if (noFaults !== false) return
    within(ANYWHERE)
    await unloadEventually()
  })
}

/** Rules copy, and hooks where there are no rules. */
export function sweepCopies(points: readonly HookPoint[]): void {
  sweepAll('copies', points, (at) => FAMILIES.flatMap((family) => {
    const hasRules = HOOK_POINTS[at].families
    const paths = KINDS.flatMap((kind) => Object.keys(SINKS).map((sink): PathSpec => ({ at, family, kind, sink, by: hasRules ? 'rule' : 'hook' })))
    return hasRules ? [...paths, { at, family, kind: 'datagram', sink: 'device, capture', by: 'hook' }, { at, family, kind: 'datagram', sink: 'everything', by: 'hook' }] : paths
  }))
}

const REDIRECTED = ['device', 'two devices, one with tag and address', 'a device without segmentation', 'a device, cut', 'a device, waiting, with a tag, cut', 'capture', 'route', 'route, waiting',
  'route, with a smaller MTU', 'everything']

/** Hooks redirect. Pieces of a datagram, taken one by one, are a matter of who puts them together: they are left out. */
export function sweepRedirects(points: readonly HookPoint[]): void {
  sweepAll('redirected packets', points, (at) => FAMILIES.flatMap((family) => (['datagram', 'segments'] as const).flatMap((kind) =>
    REDIRECTED.map((sink): PathSpec => ({ at, family, kind, sink, by: `redirect, else ${family === 'ipv4' ? 'accept' : 'drop'}` })))))
}
