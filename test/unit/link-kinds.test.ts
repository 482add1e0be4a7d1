// SPDX-License-Identifier: MIT
// What the types of link kinds promise; a mistake here does not compile.

import t from 'tap'
import { Link, type LinkInfo, type LinkKind, type LinkSpec } from '../../lib/index.js'

// As a user does it, who writes 'nfkit' for the module.
declare module '../../lib/index.js' {
  interface LinkKinds {
    wireguard: LinkKind<{ data?: Uint8Array }, Uint8Array>
  }
}

// Were the namespace looked for before the arguments, the error would be another one.
const nowhere = { netns: '/no/such/namespace' }

t.test('a kind of the user\'s own takes bytes', async (t) => {
  const spec: LinkSpec = { kind: 'wireguard', name: 'wg0', data: new Uint8Array([5, 0, 1, 0, 1, 0, 0, 0]) }
  t.throws(() => Link.add(spec, nowhere), { code: 'ENOENT' }, 'the arguments are in order')
  // @ts-expect-error: this kind's attributes are bytes
  t.throws(() => Link.add({ kind: 'wireguard', name: 'wg0', data: { port: 1 } }, nowhere), { name: 'TypeError' })
})

t.test('each kind has its own fields', async (t) => {
  // @ts-expect-error: a vlan has a lower link
  t.throws(() => Link.add({ kind: 'vlan', name: 'v5', data: { id: 5000 } }, nowhere), { name: 'RangeError' })
  // @ts-expect-error: a vlan has an id
  t.throws(() => Link.add({ kind: 'vlan', name: 'v5', link: 'eth0', data: { protocol: '802.1q' } }, nowhere), { name: 'TypeError' })
  // @ts-expect-error: a dummy has no peer
  t.throws(() => Link.add({ kind: 'dummy', name: 'd0', peer: { name: 'x' } }, nowhere), { name: 'TypeError' })
  // @ts-expect-error: there is no such mode
  t.throws(() => Link.add({ kind: 'macvlan', name: 'm0', link: 'eth0', data: { mode: 'routed' } }, nowhere), { name: 'TypeError' })
})

t.test('a link\'s kind tells the type of its attributes', async (t) => {
  const link = { name: 'v5', kind: 'vlan', kindData: { id: 5 } } as LinkInfo
  t.equal(Link.isKind(link, 'vlan') ? link.kindData.id : undefined, 5)
  t.equal(Link.isKind(link, 'macvlan') ? link.kindData.mode : 'another', 'another')
  const ids = () => Link.list({ ...nowhere, kind: 'vlan' }).map(({ kindData }): number | undefined => kindData.id)
  const counters = () => Link.list({ ...nowhere, bigint: true }).map(({ statistics }): bigint | undefined => statistics?.rxBytes)
  t.throws(ids, { code: 'ENOENT' })
  t.throws(counters, { code: 'ENOENT' })
})
