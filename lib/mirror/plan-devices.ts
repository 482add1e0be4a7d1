// SPDX-License-Identifier: MIT
// From what is there to the steps of a set-up via `devices`. Asks and changes nothing.

import type { CloneTargetConfig } from '../clone/clone-config.js'
import type { IpFamily } from '../wire/ip.js'
import type { PlannedHook } from './hook-source.js'
import type { PlannedSource } from './source.js'
import type { Step } from './step.js'

/** The rules or the hook name the target, so it is before them and behind them. */
export function planDevices(source: PlannedSource | PlannedHook, families: readonly IpFamily[], target: string, config: CloneTargetConfig): Step[] {
  const steps: Step[] = [{ kind: 'target', target, config }]
  if (!('rules' in source)) return [...steps, { kind: 'hook', hook: target, target, source: source.source }]
  for (const family of families) {
    steps.push({ kind: 'clone-rule', family, table: source.table, chain: source.chain, target, rules: source.rules.get(family)!({ target }) })
  }
  return steps
}
