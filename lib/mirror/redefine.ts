// SPDX-License-Identifier: MIT
// Other ports and limits for a mirror that is there.

import { cloneConfigOf, type CloneTargetConfig } from '../clone/clone-config.js'
import { withDevice } from '../clone/device.js'
import { NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import type { Netns } from '../netns.js'
import { LIMIT_KEYS, listPorts, type MirrorLimits, type MirrorPorts, pickLimits } from './outputs.js'
import type { MirrorRecord } from './record.js'
import type { JournalStore } from './store.js'
import { requireFramePorts } from './survey.js'

/** What {@link Mirror.set} changes. */
export interface MirrorChanges extends MirrorLimits {
  /** The mirror ports, all of them. */
  to?: MirrorPorts | undefined
}

/** Checks what stands on its own. @throws TypeError, RangeError */
export function readChanges(changes: MirrorChanges): CloneTargetConfig {
  checkKeys(changes, ['to', ...LIMIT_KEYS], 'changes')
  return { ...pickLimits(changes), ...(changes.to === undefined ? {} : { devices: listPorts(changes.to) }) }
}

/** The journal has it before the kernel does; what undoes it is the same for both. */
export function redefine(record: MirrorRecord, changes: CloneTargetConfig, store: JournalStore, netns: { readonly netns?: Netns | undefined }): void {
  const step = record.steps.find((one) => one.kind === 'target')
  if (step === undefined) {
    throw new NfkitError('EOPNOTSUPP', `mirror ${record.name} is via ${record.via}, whose port is its route's`, { hint: 'remove it and make it again' })
  }
  const before = { config: step.config, to: record.to }
  // A burst is that of a rate.
  const { burst, ...rest } = step.config
  const config = { ...rest, ...(burst === undefined || changes.rate !== undefined ? {} : { burst }), ...changes }
  const checked = cloneConfigOf(config, 'to')
  const to = checked.devices.map(({ device }) => device)
  requireFramePorts(to, netns)
  withDevice(netns.netns, (device) => {
    // It must be there: else it would be made anew, without anybody who knows.
    device.target(step.target)
    step.config = config
    record.to = to
    store.write(record)
    try {
      device.setTarget(step.target, checked, { persistent: true, create: false })
    } catch (error) {
      step.config = before.config
      record.to = before.to
      store.write(record)
      throw error
    }
  })
}
