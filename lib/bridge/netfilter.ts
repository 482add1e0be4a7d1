// SPDX-License-Identifier: MIT
// Whether bridged frames pass iptables: the bridge's own switches, and the namespace's (net/bridge/br_netfilter_hooks.c).

import { inspect } from 'node:util'
import { NfkitError } from '../errors.js'
import * as Link from '../net/link.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import { type NetnsLike, readSysctl, writeSysctl } from '../netns.js'
import type { BridgeAttributes } from '../wire/link-kinds/bridge.js'
import { bridgeNetfilterMissing } from './missing.js'
import type { BridgeRef } from './ref.js'
import type { BridgeNetfilterSettings } from './settings.js'

/** The switches of a network namespace: sysctls `net.bridge.bridge-nf-*` (of the whole machine before Linux 5.3). */
export interface NamespaceNetfilterSettings extends BridgeNetfilterSettings {
  /** Whether IPv4, IPv6 and ARP in VLAN-tagged frames count, too. Kernel default false. */
  filterVlanTagged?: boolean | undefined
  /** Whether IPv4 and IPv6 in PPPoE frames count, too. Kernel default false. */
  filterPppoeTagged?: boolean | undefined
  /** Whether tables see the VLAN device on top of the bridge as input instead of the bridge. Kernel default false. */
  passVlanInputDev?: boolean | undefined
}

/** What {@link BridgeNetfilter.status} answers: the switches of the bridge, and those of its namespace. */
export interface BridgeNetfilterStatus extends Required<BridgeNetfilterSettings> {
  callIptables: boolean
  callIp6tables: boolean
  callArptables: boolean
  namespace: { [K in keyof NamespaceNetfilterSettings]-?: boolean }
}

const SYSCTLS: Readonly<Record<keyof NamespaceNetfilterSettings, string>> = {
  callIptables: 'bridge-nf-call-iptables',
  callIp6tables: 'bridge-nf-call-ip6tables',
  callArptables: 'bridge-nf-call-arptables',
  filterVlanTagged: 'bridge-nf-filter-vlan-tagged',
  filterPppoeTagged: 'bridge-nf-filter-pppoe-tagged',
  passVlanInputDev: 'bridge-nf-pass-vlan-input-dev',
}
const NAMES = Object.keys(SYSCTLS) as (keyof NamespaceNetfilterSettings)[]

/**
 * Whether what a bridge forwards passes the tables of iptables, ip6tables and arptables, as `bridge.netfilter`. Frames pass
 * a table when the bridge's switch or the namespace's is on. The kernel needs the module br_netfilter.
 */
export class BridgeNetfilter {
  readonly #bridge: BridgeRef
  readonly #set: (settings: BridgeNetfilterSettings) => void

  /** @param set changes the bridge's own switches */
  constructor(bridge: BridgeRef, set: (settings: BridgeNetfilterSettings) => void) {
    this.#bridge = bridge
    this.#set = set
  }

  /** @throws NfkitError NFKIT_BR_NETFILTER_MISSING when the module is neither built in nor loaded */
  status(): BridgeNetfilterStatus {
    const namespace = readNamespace(this.#bridge.netns)
    const link = Link.get(this.#bridge.index, { netns: this.#bridge.netns })
    const { nfCallIptables, nfCallIp6tables, nfCallArptables } = (link.kindData ?? {}) as Partial<BridgeAttributes>
    return { callIptables: nfCallIptables ?? false, callIp6tables: nfCallIp6tables ?? false, callArptables: nfCallArptables ?? false, namespace }
  }

  /** Changes the switches of this bridge: `bridge.set({ netfilter: ... })`. */
  set(settings: BridgeNetfilterSettings): void {
    this.#set(settings)
  }

  /**
   * Changes the switches of the bridge's namespace, for every bridge in it: all or none. Needs the right to write sysctls
   * there (EACCES otherwise).
   * @throws NfkitError NFKIT_BR_NETFILTER_MISSING when the module is neither built in nor loaded
   */
  setNamespace(settings: NamespaceNetfilterSettings): void {
    checkKeys(settings, NAMES, 'settings')
    for (const name of NAMES) checkBoolean(settings[name], name)
    const { netns } = this.#bridge
    const before = readNamespace(netns)
    const done: (keyof NamespaceNetfilterSettings)[] = []
    try {
      for (const name of NAMES) {
        const value = settings[name]
        if (value === undefined || value === before[name]) continue
        writeSysctl(path(name), value ? 1 : 0, netns)
        done.push(name)
      }
    } catch (error) {
      for (const name of done) writeSysctl(path(name), before[name] ? 1 : 0, netns)
      throw error
    }
  }

  [inspect.custom](): string {
    return `BridgeNetfilter { bridge: '${this.#bridge.name}' }`
  }
}

/** Throws when br_netfilter is neither built in nor loaded: a bridge takes its switches all the same then. */
export function requireBridgeNetfilter(netns: NetnsLike | undefined): void {
  read('callIptables', netns)
}

function readNamespace(netns: NetnsLike | undefined): BridgeNetfilterStatus['namespace'] {
  return Object.fromEntries(NAMES.map((name) => [name, read(name, netns)])) as BridgeNetfilterStatus['namespace']
}

function read(name: keyof NamespaceNetfilterSettings, netns: NetnsLike | undefined): boolean {
  try {
    return readSysctl(path(name), netns) !== '0'
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENOENT') throw bridgeNetfilterMissing(error)
    throw error
  }
}

function path(name: keyof NamespaceNetfilterSettings): string {
  return `net/bridge/${SYSCTLS[name]}`
}
