// SPDX-License-Identifier: MIT
// The hook that gives packets to the mirror's clone target. It stays without a process.

import { type ModuleDevice, withDevice } from '../../clone/device.js'
import { cloneHookOf, type MirrorHookSource, readHookSource } from '../hook-source.js'
import type { StepKind } from '../step.js'
import { deleteObject } from './object.js'

export interface HookStep {
  hook: string
  /** The clone target. */
  target: string
  source: MirrorHookSource
}

export const hook: StepKind<HookStep> = {
  read: (fields) => ({ hook: fields.text('hook'), target: fields.text('target'), source: readHookSource(fields.object('source')) }),

  apply(step, { netns }) {
    withDevice(netns.netns, (device) => make(device, step))
  },

  repair(step, { netns }) {
    return withDevice(netns.netns, (device) => {
      if (device.hookNames().includes(step.hook)) return false
      make(device, step)
      return true
    })
  },

  undo: ({ hook }, { netns }) => deleteObject(netns, (device) => device.hook(hook), (device) => device.deleteHook(hook)),

  describe: ({ hook, source: { at, in: input, out } }) => `hook ${hook} at ${at}${input === undefined ? '' : ` of ${input}`}${out === undefined ? '' : ` to ${out}`}`,
}

function make(device: ModuleDevice, { hook, target, source }: HookStep): void {
  device.setHook(hook, cloneHookOf(source, target), { persistent: true, create: true })
}
