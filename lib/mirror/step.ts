// SPDX-License-Identifier: MIT
// What a set-up is made of. A step is plain data in the journal; its kind knows how to do it and how to undo it.

import type { LockOptions } from '../netfilter/lock.js'
import type { Netns } from '../netns.js'
import { bad, type Fields } from './fields.js'
import type { MirrorRecord } from './record.js'
import { type ArpStep, arp } from './steps/arp.js'
import { behind, type BehindStep } from './steps/behind.js'
import { blackhole, type BlackholeStep } from './steps/blackhole.js'
import { cloneRule, type CloneRuleStep } from './steps/clone-rule.js'
import { hook, type HookStep } from './steps/hook.js'
import { route, type RouteStep } from './steps/route.js'
import { rule, type RuleStep } from './steps/rule.js'
import { target, type TargetStep } from './steps/target.js'

/**
 * What became of a step: `undone`; `gone`, since somebody else or an earlier attempt had undone it, or it had never been done; `shared`,
 * left as it is since another mirror needs it.
 */
export type UndoResult = 'undone' | 'gone' | 'shared'

/** What a step works with. */
export interface StepContext {
  readonly netns: { readonly netns?: Netns | undefined }
  /** The mirror that the step is of. */
  readonly record: MirrorRecord
  /** All other mirrors of the namespace. */
  readonly others: readonly MirrorRecord[]
  /** Which lock changes of iptables tables take. */
  readonly lock: LockOptions | 'off'
}

/** A kind of step. */
export interface StepKind<S> {
  /** Reads it from a journal. @throws NfkitError NFKIT_BAD_JOURNAL */
  read(fields: Fields): S
  /** Does all of it or nothing, unless the process ends within. */
  apply(step: S, context: StepContext): void | Promise<void>
  /** Does it once more if the kernel has undone it by itself; whether it had. Absent: the kernel does not. */
  repair?(step: S, context: StepContext): boolean
  /**
   * Makes everything as it was before, whether the step was done, done in part or not at all, once or once more: the journal has it
   * before the kernel does.
   */
  undo(step: S, context: StepContext): UndoResult | Promise<UndoResult>
  /** In a few words, for people. */
  describe(step: S): string
}

/** Every step by its kind. */
export interface Steps {
  'arp': ArpStep
  'blackhole': BlackholeStep
  'route': RouteStep
  'rule': RuleStep
  'behind': BehindStep
  'clone-rule': CloneRuleStep
  'target': TargetStep
  'hook': HookStep
}

export type Step = { [K in keyof Steps]: { kind: K } & Steps[K] }[keyof Steps]

/** A new kind is a file in `steps/`, a line above and one here. */
export const STEP_KINDS: { [K in keyof Steps]: StepKind<Steps[K]> } = {
  'arp': arp, 'blackhole': blackhole, 'route': route, 'rule': rule, 'behind': behind, 'clone-rule': cloneRule,
  'target': target, 'hook': hook,
}

const kindOf = (step: Step): StepKind<Step> => STEP_KINDS[step.kind] as StepKind<any>

export function readStep(fields: Fields): Step {
  const kind = fields.text('kind')
  if (!Object.hasOwn(STEP_KINDS, kind)) throw bad(`there is no step ${JSON.stringify(kind.slice(0, 40))}`)
  return { kind, ...STEP_KINDS[kind as keyof Steps].read(fields) } as Step
}

export async function applyStep(step: Step, context: StepContext): Promise<void> {
  await kindOf(step).apply(step, context)
}

export function repairStep(step: Step, context: StepContext): boolean {
  return kindOf(step).repair?.(step, context) ?? false
}

export async function undoStep(step: Step, context: StepContext): Promise<UndoResult> {
  return kindOf(step).undo(step, context)
}

export function describeStep(step: Step): string {
  return kindOf(step).describe(step)
}
