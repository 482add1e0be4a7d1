// SPDX-License-Identifier: MIT
// The errors of kernels that lack something.

import { NfkitError } from '../errors.js'

/** The kernel was built without VLAN filtering. */
export function noVlanFiltering(cause?: unknown): NfkitError {
  return new NfkitError('NFKIT_NO_VLAN_FILTERING', 'this kernel cannot filter VLANs on bridges',
    { hint: 'it needs CONFIG_BRIDGE_VLAN_FILTERING', ...(cause === undefined ? {} : { cause }) })
}

/** br_netfilter is neither built in nor loaded. */
export function bridgeNetfilterMissing(cause?: unknown): NfkitError {
  return new NfkitError('NFKIT_BR_NETFILTER_MISSING', 'bridged frames do not pass iptables on this kernel',
    { hint: 'it needs the module br_netfilter (modprobe br_netfilter), CONFIG_BRIDGE_NETFILTER', ...(cause === undefined ? {} : { cause }) })
}

/** The kernel was built without bridges, or the module is not loaded and cannot be. */
export function noBridge(cause: unknown): NfkitError {
  const hint = 'it needs the module bridge (modprobe bridge), CONFIG_BRIDGE'
  return new NfkitError('NFKIT_NO_BRIDGE', 'this kernel has no bridges', { hint, cause })
}
