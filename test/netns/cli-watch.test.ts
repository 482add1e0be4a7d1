// SPDX-License-Identifier: MIT
// nfkit cam watch: lines, NDJSON, and the live table on a terminal.

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { MAIN, Running, withoutVlans } from '../support/cli.js'
import { run } from '../support/outside.js'

t.setTimeout(300_000)

const MAC = (n: number) => `02:00:5e:10:00:${n.toString(16).padStart(2, '0')}`

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'sh', '-ec', `sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link add br0 type bridge ${withoutVlans()}; ip link set br0 up
    for i in 0 1; do ip link add p$i type veth peer name q$i; ip link set p$i up master br0; ip link set q$i up; done
    bridge fdb add ${MAC(1)} dev p0 master static`)
  return netns
}

function start(t: Test, netns: Netns, args: string[], options?: ConstructorParameters<typeof Running>[2]) {
  const running = new Running(netns, args, options)
  t.teardown(() => running.stop())
  return running
}

t.test('NDJSON: what is there, then each change, until the bridge is gone', async (t) => {
  const netns = setup(t)
  const watch = start(t, netns, ['cam', 'watch', 'br0', '--json', '--initial'])
  await watch.until('ready', (text) => text.includes('"ready"'))
  run(netns, 'sh', '-ec', `bridge fdb add ${MAC(2)} dev p0 master static; bridge fdb replace ${MAC(2)} dev p1 master static
    bridge fdb del ${MAC(2)} dev p1 master`)
  await watch.until('removed', (text) => text.includes('"removed"'))
  run(netns, 'ip', 'link', 'del', 'br0')
  t.same(await watch.ended, { status: 0, signal: null })
  t.equal(watch.stderr, 'nfkit: br0 was deleted\n')
  const objects = watch.objects
  const ready = objects.findIndex(({ type }) => type === 'ready')
  t.ok(objects.slice(0, ready).every(({ type }) => type === 'present'))
  t.match(objects.slice(0, ready).find(({ entry }) => entry.mac === MAC(1)), { entry: { port: 'p0', state: 'static' } })
  const changes = objects.filter(({ type, entry }) => entry?.mac === MAC(2) && type !== 'present')
  t.match(changes, [{ type: 'added', entry: { port: 'p0' } }, { type: 'moved', from: 'p0', entry: { port: 'p1' } }, { type: 'removed' }])
  for (const { time } of objects) if (Number.isNaN(Date.parse(time))) t.fail(`${time} is no time`)
})

t.test('lines on a pipe, only of one port', async (t) => {
  const netns = setup(t)
  const watch = start(t, netns, ['cam', 'watch', 'br0', '--initial', '--port', 'p1'])
  await watch.until('ready', (text) => text.includes('ready'))
  run(netns, 'sh', '-ec', `bridge fdb add ${MAC(3)} dev p0 master static; bridge fdb add ${MAC(2)} dev p1 master static; bridge fdb replace ${MAC(2)} dev p0 master static sticky`)
  await watch.until('moved', (text) => text.includes('moved'))
  watch.process.kill('SIGINT')
  t.same(await watch.ended, { status: null, signal: 'SIGINT' }, 'which a shell reports as 130')
  t.equal(watch.stderr, '')
  const lines = watch.stdout.trimEnd().split('\n').filter((line) => / (added|moved) /.test(line))
  t.equal(lines.length, 2, 'nothing of the other port')
  t.match(lines[0], new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z  added    ${MAC(2)}  p1  static$`))
  t.match(lines[1], new RegExp(`  moved    ${MAC(2)}  p0  from p1  static  sticky$`))
})

t.test('a wrong port or bridge is refused at once', async (t) => {
  const netns = setup(t)
  for (const [args, status] of [[['nope'], 1], [['br0', '--port', 'nope'], 1], [['br0', '--vlan', '0'], 2]] as const) {
    const watch = start(t, netns, ['cam', 'watch', ...args])
    t.equal((await watch.ended).status, status, args.join(' '))
  }
})

const noTerminal = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0 ? false : 'there is no script(1) to make a terminal'

/** Under script(1), which gives it a terminal of 80 by 12. */
function onTerminal(t: Test, netns: Netns, args: string) {
  const inner = `stty rows 12 cols 80; exec "${process.execPath}" "${MAIN}" ${args}`
  return start(t, netns, ['-qec', inner, '/dev/null'], { command: ['script'], env: { TERM: 'xterm' } })
}

/** The lines of the last picture, without what colours them. */
function picture(stdout: string): string[] {
  return stdout.split('\x1b[H').at(-1)!.replace(/\x1b\[[?\d;]*[A-Za-z]/g, '').split(/\r?\n/)
}

t.test('the live table', { skip: noTerminal }, async (t) => {
  const netns = setup(t)
  const watch = onTerminal(t, netns, 'cam watch br0')
  await watch.until('first picture', (text) => text.includes('q quits'))
  t.ok(watch.stdout.includes('\x1b[?1049h\x1b[?25l'), 'a screen of its own, no cursor')
  t.match(picture(watch.stdout)[0], /^br0: \d+ entries, 0 learned, 0 added/)
  t.match(picture(watch.stdout)[1], /^MAC +PORT +VLAN +STATE +AGE +LAST CHANGE/)
  run(netns, 'sh', '-ec', `bridge fdb add ${MAC(2)} dev p0 master static; bridge fdb replace ${MAC(2)} dev p1 master static`)
  await watch.until('moved', (text) => /moved from p0/.test(text))
  t.match(picture(watch.stdout)[2], new RegExp(`^${MAC(2)} +p1 +- +static +\\d\\.\\d\\d +moved from p0 \\d s ago`), 'the last change is on top')
  run(netns, 'bridge', 'fdb', 'del', MAC(2), 'dev', 'p1', 'master')
  await watch.until('removed', (text) => /removed \d s ago/.test(text))
  for (let n = 10; n < 40; n++) run(netns, 'bridge', 'fdb', 'add', MAC(n), 'dev', 'p0', 'master', 'static')
  await watch.until('more than fits', (text) => / more; q quits/.test(text))
  t.equal(picture(watch.stdout).length, 12, 'exactly the terminal')
  run(netns, 'bridge', 'fdb', 'replace', MAC(1), 'dev', 'p1', 'master', 'static')
  await watch.until('moved up', (text) => picture(text)[2]?.startsWith(MAC(1)) === true)
  watch.process.stdin!.write('xq')
  t.same(await watch.ended, { status: 0, signal: null })
  t.ok(watch.stdout.includes('\x1b[?25h\x1b[?1049l'), 'the terminal as it was')
  t.match(watch.stdout.split('\x1b[?1049l')[1], /^(\x1b\[\d+m)?br0/, 'the last picture stays')
})

t.test('Ctrl-C ends the live table, and so does the bridge', { skip: noTerminal }, async (t) => {
  const netns = setup(t)
  const first = onTerminal(t, netns, 'cam watch br0')
  await first.until('first picture', (text) => text.includes('q quits'))
  first.process.stdin!.write('\x03')
  t.equal((await first.ended).status, 0)
  const second = onTerminal(t, netns, 'cam watch br0')
  await second.until('first picture', (text) => text.includes('q quits'))
  run(netns, 'ip', 'link', 'del', 'br0')
  t.equal((await second.ended).status, 0)
  t.match(second.stdout, /\x1b\[\?1049l[^]*nfkit: br0 was deleted/)
})

t.test('--lines and --json need no live table on a terminal', { skip: noTerminal }, async (t) => {
  const netns = setup(t)
  const watch = onTerminal(t, netns, 'cam watch br0 --lines --initial')
  await watch.until('ready', (text) => text.includes('ready'))
  t.notOk(watch.stdout.includes('\x1b[?1049h'))
  t.ok(watch.stdout.includes('\x1b[1m') || watch.stdout.includes('\x1b[2m'), 'but coloured')
})
