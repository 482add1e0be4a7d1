// SPDX-License-Identifier: MIT
// The ways to copy packets that are measured, ours and others'. A new row is one entry here.

import { CloneTarget, Hook, type HookOptions, type Netns } from '../../lib/index.js'
import { GATEWAY, MARK, type Output, type Path, type Setup } from './network.js'

/** What a way is to be compared with, and what its cost is to be at most, as a multiple of the peer's. */
export interface Comparison {
  readonly peer: string
  readonly atMost?: number
}

export interface Way {
  readonly name: string
  /** Where the copies go; each device there gets every packet once. */
  readonly outputs: readonly Output[]
  /** Where it can be; both unless told. */
  readonly paths?: readonly Path[]
  /** The box that it is in, and the one without it: `plain` unless told, and the same unless told. */
  readonly setup?: Setup
  readonly without?: Setup
  /** Shell commands in the box that begin and end it. */
  readonly up?: (path: Path) => readonly string[]
  readonly down?: (path: Path) => readonly string[]
  /** For what is begun by a call of the library; it is disposed of at the end. */
  readonly open?: (box: Netns, path: Path) => Disposable
  /** Which peers its cost is set beside. */
  readonly against?: Partial<Readonly<Record<Path, readonly Comparison[]>>>
  /** A file whose absence in the guest means that it cannot be measured there. */
  readonly needs?: string
}

/** The rule of an iptables chain, put before all others. */
const rule = (text: string) => ({
  up: (path: Path) => [`iptables-legacy -I ${path} ${text}`],
  down: (path: Path) => [`iptables-legacy -D ${path} ${text}`],
})

/** A filter at the ingress of eth0 with an action for each output. */
const mirred = (outputs: readonly Output[]) => ({
  outputs,
  up: () => ['tc qdisc add dev eth0 clsact', `tc filter add dev eth0 ingress matchall ${outputs.map((dev) => `action mirred egress mirror dev ${dev}`).join(' ')}`],
  down: () => ['tc qdisc del dev eth0 clsact'],
})

const NFT = '/usr/lib/nfkit/nft'

/** A chain of nf_tables with one rule. */
const nft = (family: string, chain: (path: Path) => string, text: string) => ({
  needs: NFT,
  up: (path: Path) => [`${NFT} 'add table ${family} bench; add chain ${family} bench one { ${chain(path)}; }; add rule ${family} bench one ${text}'`],
  down: () => [`${NFT} delete table ${family} bench`],
})

/** A clone target of devices, and a hook that copies to it. */
const ingressHook = (outputs: readonly Output[]) => ({
  outputs,
  open(box: Netns): Disposable {
    const target = CloneTarget.create({ name: 'bench', devices: [...outputs], netns: box })
    const hook = Hook.create({ at: 'ingress', in: 'eth0', verdict: 'accept', clone: 'bench', netns: box })
    return { [Symbol.dispose]() { hook.close(); target.close() } }
  },
})

const idle: Pick<HookOptions, 'match' | 'verdict'> = { match: { protocol: 254 }, verdict: 'drop' }

export const WAYS: readonly Way[] = [
  { name: 'xt_TEE', outputs: ['gw'], ...rule(`-j TEE --gateway ${GATEWAY}`) },
  { name: 'nft dup', outputs: ['gw'], ...nft('ip', (path) => `type filter hook ${path.toLowerCase()} priority -1`, `dup to ${GATEWAY} device gw`) },
  { name: 'nft dup at ingress', outputs: ['m0'], ...nft('netdev', () => 'type filter hook ingress device eth0 priority 0', 'dup to m0') },
  { name: 'tc mirred', ...mirred(['m0']) },
  { name: 'tc mirred, three outputs', ...mirred(['m0', 'm1', 'm2']) },
  {
    name: 'CLONE --mark',
    outputs: ['m0'],
    setup: 'routed',
    ...rule(`-j CLONE --mark ${MARK}`),
    against: { FORWARD: [{ peer: 'xt_TEE', atMost: 1 }, { peer: 'nft dup' }], INPUT: [{ peer: 'xt_TEE', atMost: 1 }, { peer: 'nft dup' }] },
  },
  {
    name: 'CLONE --dev',
    outputs: ['m0'],
    ...rule('-j CLONE --dev m0'),
    against: {
      FORWARD: [{ peer: 'xt_TEE', atMost: 1 }, { peer: 'tc mirred' }, { peer: 'nft dup at ingress' }],
      INPUT: [{ peer: 'xt_TEE', atMost: 0.4 }, { peer: 'tc mirred', atMost: 1 }, { peer: 'nft dup at ingress' }],
    },
  },
  {
    name: 'CLONE --dev, three outputs',
    outputs: ['m0', 'm1', 'm2'],
    ...rule('-j CLONE --dev m0,m1,m2'),
    against: {
      FORWARD: [{ peer: 'tc mirred, three outputs', atMost: 1 }],
      INPUT: [{ peer: 'tc mirred, three outputs', atMost: 1 }],
    },
  },
  {
    name: 'CLONE --target, one device',
    outputs: ['m0'],
    ...rule('-j CLONE --target bench'),
    open: (box) => CloneTarget.create({ name: 'bench', devices: ['m0'], netns: box }),
    against: {
      FORWARD: [{ peer: 'xt_TEE', atMost: 1 }, { peer: 'CLONE --dev' }],
      INPUT: [{ peer: 'xt_TEE', atMost: 0.4 }, { peer: 'tc mirred', atMost: 1 }, { peer: 'CLONE --dev' }],
    },
  },
  {
    name: 'hook at ingress',
    ...ingressHook(['m0']),
    against: {
      FORWARD: [{ peer: 'tc mirred', atMost: 0.75 }, { peer: 'nft dup at ingress' }],
      INPUT: [{ peer: 'tc mirred', atMost: 0.75 }, { peer: 'nft dup at ingress' }],
    },
  },
  {
    name: 'hook at ingress, three outputs',
    ...ingressHook(['m0', 'm1', 'm2']),
    against: {
      FORWARD: [{ peer: 'tc mirred, three outputs', atMost: 1 }],
      INPUT: [{ peer: 'tc mirred, three outputs', atMost: 1 }],
    },
  },
  // What --mark needs costs every packet, copied or not.
  { name: 'policy rules for --mark', outputs: [], setup: 'routed', without: 'plain' },
  { name: 'iptables rule that matches nothing', outputs: [], ...rule('-p 254 -j DROP') },
  {
    name: 'hook that matches nothing',
    outputs: [],
    open: (box, path) => Hook.create({ at: path === 'INPUT' ? 'local-in' : 'forward', ...idle, netns: box }),
    against: {
      FORWARD: [{ peer: 'iptables rule that matches nothing' }],
      INPUT: [{ peer: 'iptables rule that matches nothing' }],
    },
  },
]
