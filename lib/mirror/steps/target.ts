// SPDX-License-Identifier: MIT
// The clone target that the mirror's rule or hook names: the ports that copies leave by. It stays without a process.

import { CLONE_CONFIG_KEYS, cloneConfigOf, type CloneTargetConfig } from '../../clone/clone-config.js'
import { withDevice } from '../../clone/device.js'
import { checkKeys } from '../../net/check.js'
import { bad } from '../fields.js'
import { nameOfPort } from '../outputs.js'
import type { StepKind } from '../step.js'
import { deleteObject } from './object.js'

export interface TargetStep {
  target: string
  config: CloneTargetConfig
}

export const target: StepKind<TargetStep> = {
  read(fields) {
    const config: CloneTargetConfig = fields.object('config').raw
    try {
      checkKeys(config, CLONE_CONFIG_KEYS, 'config')
      cloneConfigOf(config)
    } catch (error) {
      throw bad(`a clone target: ${(error as Error).message}`)
    }
    return { target: fields.text('target'), config }
  },

  apply({ target, config }, { netns }) {
    withDevice(netns.netns, (device) => device.setTarget(target, cloneConfigOf(config), { persistent: true, create: true }))
  },

  /** Gone when somebody deleted it, or the module was taken out and put in again. */
  repair({ target, config }, { netns }) {
    return withDevice(netns.netns, (device) => {
      if (device.targetNames().includes(target)) return false
      device.setTarget(target, cloneConfigOf(config), { persistent: true, create: true })
      return true
    })
  },

  undo: ({ target }, { netns }) => deleteObject(netns, (device) => device.target(target), (device) => device.deleteTarget(target)),

  describe: ({ target, config }) => `clone target ${target}: ${(config.devices ?? []).map(nameOfPort).join(', ')}`,
}
