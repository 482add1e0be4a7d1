// SPDX-License-Identifier: MIT
// Hook and `nfkit hook` with the module: every field as it is told at every point, whose a hook is, the paper's module in one call.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { CloneTarget, Hook, type HookPoint, type HookSpec, KernelModule, Netns, PacketMatch } from '../../lib/index.js'
import { HOOK_POINTS } from '../../lib/wire/module/hook-points.js'
import { MAIN, nfkit, Running } from '../support/cli.js'
import { mirrorLab, noModule, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)

const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]

/** The points of this kernel. */
function pointsHere(netns: Netns): HookPoint[] {
  const { features } = KernelModule.info(netns)
  return POINTS.filter((at) => features.includes(at === 'ingress' ? 'hooksIngress' : at === 'egress' ? 'hooksEgress' : at.startsWith('bridge') ? 'hooksBridge' : 'hooks'))
}

/** What every point takes. */
const least = (at: HookPoint): HookSpec => ({ at, verdict: 'accept', ...(at === 'ingress' ? { in: 'eth0' } : at === 'egress' ? { out: 'eth0' } : {}) })

t.test('every field at every point', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  run(netns, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'peer')
  const here = pointsHere(netns)
  t.comment(`points of this kernel: ${here.join(' ')}`)
  for (const at of POINTS) {
    const rules = HOOK_POINTS[at]
    if (!here.includes(at)) {
      t.throws(() => Hook.create({ ...least(at), netns }), { code: 'EOPNOTSUPP', message: new RegExp(`no hook point ${at}`) })
      continue
    }
    using hook = Hook.create({ ...least(at), name: 'h', netns })
    const priority = at.startsWith('bridge-') ? -200 : 0
    const none = { at, family: null, priority, in: null, out: null, physIn: null, physOut: null, mark: null, clone: null, program: null, verdict: 'accept', name: 'h', persistent: false, own: true, matched: 0 }
    const told = (spec: Partial<HookSpec>, state: object) => {
      hook.set({ ...least(at), ...spec })
      const { verdict: _verdict, at: _at, ...devices } = least(at)
      t.match(hook.state(), { ...none, ...devices, ...state }, `${at} ${JSON.stringify(spec).slice(0, 80)}`)
    }
    told({}, {})
    for (const key of ['in', 'out', 'physIn', 'physOut'] as const) if (rules[key] !== 'never') told({ [key]: 'eth0' }, { [key]: 'eth0' })
    if (rules.families) for (const family of ['ipv4', 'ipv6'] as const) told({ family }, { family })
    for (const priority of [-(2 ** 31) + 1, -1, 2 ** 31 - 1]) told({ priority }, { priority })
    told({ verdict: 'drop', clone: 'c', mark: { value: 3, mask: 0xff } }, { verdict: 'drop', clone: 'c', mark: { value: 3, mask: 0xff } })
    told({ verdict: { redirect: 't', onFail: 'drop' } }, { verdict: { redirect: 't', onFail: 'drop' }, clone: null })
    told({ verdict: { redirect: 't' } }, { verdict: { redirect: 't', onFail: 'accept' } })
    if (rules.queue) told({ verdict: { queue: 65535, bypass: true }, clone: 'c' }, { verdict: { queue: 65535, bypass: true }, clone: 'c' })
    told({ verdict: { repeat: 16 }, mark: 0xffffffff }, { verdict: { repeat: 16 }, mark: { value: 0xffffffff, mask: 0xffffffff } })
    for (const link of rules.links) {
      const instructions = PacketMatch.create({ protocol: 'tcp', destinationPort: 80 }).program(link)
      told({ match: { program: instructions, link } }, { program: { link, instructions, undecided: false } })
    }
  }
})

t.test('the longest program', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const program = [...Array.from({ length: 4095 }, () => ({ code: 0x20, jt: 0, jf: 0, k: 0 })), { code: 6, jt: 0, jf: 0, k: 1 }]
  using hook = Hook.create({ at: 'local-in', verdict: 'accept', match: { program, link: 'RAW' }, netns })
  t.same(hook.state().program, { link: 'RAW', instructions: program, undecided: false })
  t.match(hook.name, /^hook-[0-9a-f]{12}$/)
})

t.test('whose it is, and a clone target without routes', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const create = (options: Partial<HookSpec> & { name?: string; persistent?: boolean } = {}) => () => Hook.create({ at: 'local-in', verdict: 'accept', name: 'mine', netns, ...options })
  const mine = create()()
  t.throws(create(), { code: 'EEXIST' })
  t.throws(create({ persistent: true }), { code: 'EPERM', message: /belongs to another program/ })
  t.throws(() => Hook.delete('mine', netns), { code: 'EPERM' })
  t.throws(() => Hook.get('other', netns), { code: 'ENOENT' })
  create({ name: 'stays', persistent: true })().close()
  const again = create({ name: 'stays', persistent: true, at: 'forward', verdict: 'drop' })()
  again.set({ at: 'local-in', verdict: 'accept', clone: 'x' })
  again.close()
  t.same(Hook.list(netns), ['mine', 'stays'])
  t.match(Hook.get('stays', netns), { persistent: true, own: false, at: 'local-in', clone: 'x' })
  Hook.delete('stays', netns)
  mine.close()
  mine.close()
  t.same(Hook.list(netns), [])
  t.throws(() => mine.stats(), { code: 'NFKIT_CLOSED' })
  t.throws(() => mine.state(), { code: 'NFKIT_CLOSED' })

  using _routes = CloneTarget.create({ name: 'routes', reroute: 5, netns })
  t.throws(create({ at: 'prerouting', clone: 'routes' }), { code: 'EINVAL', message: /routes reroutes copies, and packets have no route at prerouting/ })
  t.throws(create({ at: 'prerouting', verdict: { redirect: 'routes' } }), { code: 'EINVAL', message: /routes reroutes copies/ })
  using devices = CloneTarget.create({ name: 'devices', devices: ['eth0'], netns })
  using _hook = create({ at: 'prerouting', clone: 'devices' })()
  t.throws(() => devices.set({ reroute: 5 }), { code: 'EINVAL' })
})

t.test('handles that nobody refers to', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  // A process of its own, since they stay until it ends. Its event loop closes the descriptors that the collector found.
  const text = run(netns, process.execPath, '--expose-gc', '--input-type=module', '-e', `
    const { CloneTarget, Hook } = await import(${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)})
    for (let i = 0; i < 5; i++) Hook.create({ at: 'local-in', verdict: 'drop' })
    for (let i = 0; i < 5; i++) CloneTarget.create({ name: 't' + i, capture: true })
    for (let i = 0; i < 3; i++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    console.log(Hook.list().length, CloneTarget.list().length)`)
  t.equal(text, '5 5\n')
  t.same([Hook.list(netns), CloneTarget.list(netns)], [[], []], 'they go with the process')
})

t.test('the paper\'s module: packets of 100 bytes to this box', { skip: noModule }, async (t) => {
  const { h1, box } = await mirrorLab(t, { routed: false })
  const { netns } = box
  // The payload that makes an IPv4 packet of so many bytes: behind 20 of IPv4 and 8 of ICMP.
  const ping = (length: number) => spawnSync('nsenter', [`--net=${h1.netns.path}`, 'ping', '-c', '2', '-i', '0.2', '-W', '1', '-s', String(length - 28), '192.168.1.254']).status
  if (ping(101) !== 0) throw new Error('no answer at all')
  {
    using hook = Hook.create({ at: 'local-in', match: { length: 100 }, verdict: 'drop', netns })
    t.not(ping(100), 0, 'no answer')
    t.equal(ping(99), 0)
    t.equal(ping(101), 0)
    await until(() => hook.stats().matched >= 2)
    const { dropped, matched, bytes, ...others } = hook.stats()
    t.same([dropped, matched, bytes], [2, 2, 200])
    t.same(Object.keys(others).sort(), [
      'accepted', 'noHeader', 'noMemory', 'notTaken', 'queued', 'redirected', 'repeated', 'seen', 'undecided', 'unfinished', 'unroutable',
    ], 'counters, and nothing else')
    t.match(hook.state(), { at: 'local-in', dropped, matched, bytes, program: { link: 'RAW' } })
  }
  t.equal(ping(100), 0, 'as before')
})

t.test('as many as there may be', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const { maxHooks } = KernelModule.info(netns)
  const hooks = Array.from({ length: maxHooks }, () => Hook.create({ at: 'local-in', verdict: 'accept', netns }))
  t.throws(() => Hook.create({ at: 'local-in', verdict: 'accept', netns }), { code: 'ENOSPC' })
  t.equal(Hook.list(netns).length, maxHooks)
  for (const hook of hooks) hook.close()
  t.same(Hook.list(netns), [])
})

t.test('nfkit hook', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const say = async (...args: string[]) => {
    const { status, stdout, stderr } = await nfkit(netns, ['hook', ...args])
    if (status !== 0) throw new Error(stderr)
    return stdout
  }
  t.equal(await say('list'), '')
  t.equal(await say('add', 'hundred', '--at', 'local-in', '--match', '{"length":100}', '--drop', '--priority=-5', '--ipv4', '--clone', 'probe'), '')
  const count = Hook.get('hundred', netns).program!.instructions.length
  t.equal(await say('list'),
    `NAME     AT             PRIORITY  MATCH                 VERDICT            KEPT BY  SEEN  MATCHED  BYTES\nhundred  local-in ipv4        -5  RAW, ${count} instructions  drop, clone probe  itself      0        0      0\n`)
  t.match(await say('show', 'hundred'), new RegExp(`^hundred\\n {2}at +local-in\\n[^]*\\n {2}${count}\\n( {2}\\d+ \\d+ \\d+ \\d+\\n){${count}}$`))
  const file = `/tmp/hook-${process.pid}.bpf`
  writeFileSync(file, '2\n40 0 0 12\n6 0 0 1\n')
  t.match(JSON.parse(await say('add', 'hundred', '--at', 'prerouting', '--bpf', file, '--link', 'EN10MB', '--redirect', 'probe', '--or-drop', '--mark', '1/0xf', '--json')), {
    name: 'hundred', at: 'prerouting', family: null, verdict: { redirect: 'probe', onFail: 'drop' }, mark: { value: 1, mask: 15 }, persistent: true,
    program: { link: 'EN10MB', instructions: [{ code: 40, jt: 0, jf: 0, k: 12 }, { code: 6, jt: 0, jf: 0, k: 1 }] },
  })
  t.match(await say('watch', 'hundred', '--count', '1'), /^\S+Z {2}hundred {2}seen \d+ {2}matched \d+ {2}bytes \d+\n$/)
  t.equal(await say('remove', 'hundred'), '')
  t.match(await nfkit(netns, ['hook', 'remove', 'hundred']), { status: 1, stderr: /ENOENT/ })
})

const noTerminal = noModule || (spawnSync('script', ['-qec', 'true', '/dev/null']).status !== 0 && 'there is no script(1) to make a terminal')

t.test('the live table', { skip: noTerminal }, async (t) => {
  const { h1, box } = await mirrorLab(t, { routed: false })
  using hook = Hook.create({ name: 'pings', at: 'local-in', match: { icmp: { type: 8 } }, verdict: 'accept', netns: box.netns })
  const watch = new Running(box.netns, ['-qec', `stty rows 12 cols 80; exec "${process.execPath}" "${MAIN}" hook watch --interval 0.2`, '/dev/null'], { command: ['script'], env: { TERM: 'xterm' } })
  t.teardown(() => watch.stop())
  await watch.until('first picture', (text) => text.includes('q quits'))
  run(h1.netns, 'ping', '-c', '3', '-i', '0.2', '192.168.1.254')
  await until(() => hook.stats().matched === 3)
  const lines = () => watch.stdout.split('\x1b[H').at(-1)!.replace(/\x1b\[[?\d;]*[A-Za-z]/g, '').split(/[\r\n]+/)
  await watch.until('counted', () => /^pings +local-in +accept +\d+ +\d+ +3 +\d+ +/.test(lines()[2] ?? ''))
  t.match(lines(), [/^1 hook$/, /^NAME +AT +VERDICT +SEEN +\/S +MATCHED +\/S +BYTES +\/S$/, /^pings/, /^q quits$/])
  watch.process.stdin!.write('q')
  t.same(await watch.ended, { status: 0, signal: null })
  t.ok(watch.stdout.includes('\x1b[?25h\x1b[?1049l'), 'the terminal as it was')
})
