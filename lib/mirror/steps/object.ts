// SPDX-License-Identifier: MIT
// Objects of the kernel module that stay without a process.

import { type ModuleDevice, withDevice } from '../../clone/device.js'
import { NfkitError } from '../../errors.js'
import type { StepContext, UndoResult } from '../step.js'

/** Deletes one, if it is there and persistent: else somebody has deleted it, and made one of his own in its place. */
export function deleteObject({ netns }: StepContext['netns'], get: (device: ModuleDevice) => { persistent: boolean }, remove: (device: ModuleDevice) => void): UndoResult {
  try {
    return withDevice(netns, (device) => {
      if (!get(device).persistent) return 'gone'
      remove(device)
      return 'undone'
    })
  } catch (error) {
    // Without the module there are no objects of it.
    if (error instanceof NfkitError && ['ENOENT', 'NFKIT_MODULE_NOT_LOADED'].includes(error.code)) return 'gone'
    throw error
  }
}
