// SPDX-License-Identifier: MIT

import { Bridge } from '../bridge/bridge.js'
import type { Invocation } from './action.js'

/** Runs something on a bridge and lets go of the handle. */
export function withBridge<T>({ netns }: Pick<Invocation, 'netns'>, name: string, run: (bridge: Bridge) => T): T {
  const bridge = Bridge.open(name, netns)
  try {
    return run(bridge)
  } finally {
    bridge.close()
  }
}
