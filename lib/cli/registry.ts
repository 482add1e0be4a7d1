// SPDX-License-Identifier: MIT
// The commands. Each is loaded, with what it needs of the library, when it is used.

import type { Command } from './action.js'

export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<Command>
}

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'bridge', summary: 'bridges and their ports',
    load: async () => (await import('./commands/bridge.js')).bridge,
  },
  {
    name: 'cam', summary: 'the CAM table of a bridge: what was learned and what was set',
    load: async () => (await import('./commands/cam.js')).cam,
  },
  {
    name: 'vlan', summary: 'the VLANs of the ports of a bridge',
    load: async () => (await import('./commands/vlan.js')).vlan,
  },
  {
    name: 'mdb', summary: 'the multicast database of a bridge: which port wants which group',
    load: async () => (await import('./commands/mdb.js')).mdb,
  },
  {
    name: 'rules', summary: 'the rules of the iptables tables',
    load: async () => (await import('./commands/rules.js')).rulesCommand,
  },
  {
    name: 'save', summary: 'the iptables tables as text',
    load: async () => (await import('./commands/save.js')).saveCommand,
  },
  {
    name: 'restore', summary: 'the iptables tables from text',
    load: async () => (await import('./commands/restore.js')).restoreCommand,
  },
  {
    name: 'netfilter', summary: 'why rules may not do what is expected',
    load: async () => (await import('./commands/netfilter.js')).netfilter,
  },
  {
    name: 'mirror', summary: 'mirror ports: copies of packets for a monitor',
    load: async () => (await import('./commands/mirror.js')).mirror,
  },
  {
    name: 'targets', summary: 'clone targets: where copies go of the packets that rules and hooks hand over',
    load: async () => (await import('./commands/targets.js')).targets,
  },
  {
    name: 'hook', summary: 'hooks: which packets at which hook point, and what becomes of them',
    load: async () => (await import('./commands/hook.js')).hook,
  },
  {
    name: 'capture', summary: 'packets of clone targets, hook points and chains: printed, or written for Wireshark',
    load: async () => (await import('./commands/capture.js')).captureCommand,
  },
  {
    name: 'module', summary: 'the kernel module: is it there, build it, load it',
    load: async () => (await import('./commands/module.js')).module,
  },
  {
    name: 'lab', summary: 'run a command in a private network, as root of its own',
    load: async () => (await import('./commands/lab.js')).lab,
  },
]
