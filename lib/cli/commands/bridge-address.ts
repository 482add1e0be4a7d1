// SPDX-License-Identifier: MIT
// nfkit bridge address

import { action } from '../action.js'
import { withBridge } from '../with-bridge.js'

export const addressAdd = action({
  words: 'address add', args: 'BRIDGE ADDRESS', summary: 'give the bridge itself an address such as 192.168.0.1/24', options: {},
  run(invocation) {
    const { args: [name, address], json, out } = invocation
    withBridge(invocation, name!, (bridge) => {
      bridge.addAddress(address!)
      if (json) out.json(bridge.addresses())
    })
  },
})

export const addressDelete = action({
  words: 'address delete', args: 'BRIDGE ADDRESS', summary: 'take an address from the bridge', options: {},
  run(invocation) {
    const { args: [name, address], json, out } = invocation
    withBridge(invocation, name!, (bridge) => {
      bridge.removeAddress(address!)
      if (json) out.json(bridge.addresses())
    })
  },
})
