// SPDX-License-Identifier: MIT

import t from 'tap'
import { Link, Netns } from '../../lib/index.js'
import { rtm, withRoute } from '../../lib/netlink/route.js'
import { NetlinkSocket } from '../../lib/netlink/socket.js'
import { encodeLink, linkShape } from '../../lib/wire/link.js'
import { feed, ipJson, run } from '../support/outside.js'

t.test('the kernel\'s words and the attribute reach the error', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  Link.add({ name: 'br0', kind: 'bridge' }, { netns })
  t.throws(() => Link.set('br0', { mtu: 70000 }, { netns }),
    { code: 'EINVAL', errno: 22, syscall: 'RTM_NEWLINK', kernelMessage: 'mtu greater than device maximum', message: /changing link br0: RTM_NEWLINK: EINVAL/ })
  withRoute(netns, (socket) => {
    const bad = rtm('RTM_NEWLINK', { doing: 'trying', shape: linkShape, write: (w) => { encodeLink(w, { index: 2 }); w.u16(6); w.u16(4); w.u32(5) } })
    t.throws(() => socket.request(bad), { code: 'ERANGE', attribute: 'mtu' })
    const kind = { kind: 'bridge', data: Uint8Array.of(6, 0, 4, 0, 1, 1, 0, 0) }
    const inside = rtm('RTM_NEWLINK', { doing: 'trying', shape: linkShape, write: (w) => encodeLink(w, { index: 2, attributes: { kindInfo: kind } }) })
    t.throws(() => socket.request(inside), { code: 'ERANGE', attribute: 'kindInfo.ageingTime' })
  })
})

t.test('without privilege the error names it', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const script = `import { Link } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)}
    try { Link.add({ name: 'br0', kind: 'bridge' }) } catch (error) { console.log(JSON.stringify(error)) }`
  const said = JSON.parse(feed(netns, '', 'setpriv', '--bounding-set=-all', '--inh-caps=-all', process.execPath, '--input-type=module', '-e', script)) as { code: string; hint: string }
  t.equal(said.code, 'EPERM')
  t.match(said.hint, /CAP_NET_ADMIN/)
})

t.test('a batch goes on after a failure and says which failed', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  Link.add({ name: 'br0', kind: 'bridge' }, { netns })
  const results = withRoute(netns, (socket) => socket.batch(Array.from({ length: 300 }, (_, i) => rtm('RTM_NEWLINK', {
    doing: `change ${i}`, shape: linkShape,
    write: (w) => encodeLink(w, { index: i % 100 === 99 ? 999 : 2, attributes: { alias: `change ${i}` } }),
  }))))
  t.same(results.flatMap((error, i) => (error === undefined ? [] : [`${i} ${error.code}`])), ['99 ENODEV', '199 ENODEV', '299 ENODEV'])
  t.equal(ipJson(netns, 'link', 'show', 'br0')[0].ifalias, 'change 298')
  t.same(withRoute(netns, (socket) => socket.batch([])), [])
})

t.test('a decoder that throws leaves the socket usable', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', 'for i in $(seq 60); do echo "link add v$i type veth"; done | ip -b -')
  const socket = NetlinkSocket.open(0, { netns })
  t.teardown(() => socket.close())
  const dump = rtm('RTM_GETLINK', { doing: 'listing', write: (w) => encodeLink(w, {}) })
  t.throws(() => socket.dump(dump, () => { throw new Error('mine') }), { message: 'mine' })
  t.equal(socket.dump<number>(dump, (_input, msg, into) => { into.push(msg.type) }).length, 121)
})

t.test('an interrupted dump is read again', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', 'for i in $(seq 60); do echo "link add v$i type veth"; done | ip -b -')
  const socket = NetlinkSocket.open(0, { netns })
  t.teardown(() => socket.close())
  const dump = rtm('RTM_GETLINK', { doing: 'listing links', write: (w) => encodeLink(w, {}) })
  let attempts = 0
  let changes = 2
  const seen = new Set<number>()
  const names = socket.dump<number>(dump, (_input, msg, into) => {
    if (into.length === 0) attempts++
    // A change between two parts of the dump: the list of devices has another generation then.
    if (into.length === 0 && changes-- > 0) Link.add({ name: `late${changes}`, kind: 'bridge' }, { netns })
    into.push(msg.start)
    seen.add(msg.start)
  })
  t.ok(attempts >= 2, `${attempts} attempts`)
  t.equal(names.length, 123)
  let endless = 0
  const busy = (_input: unknown, msg: { start: number }, into: number[]) => {
    if (into.length === 0) Link.add({ name: `more${endless++}`, kind: 'bridge' }, { netns })
    into.push(msg.start)
  }
  t.throws(() => socket.dump<number>(dump, busy), { code: 'NFKIT_DUMP_INTERRUPTED' })
  t.equal(endless, 8)
  t.ok(socket.dump<number>(dump, busy, { partial: true }).length > 120)
})
