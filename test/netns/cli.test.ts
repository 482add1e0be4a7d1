// SPDX-License-Identifier: MIT
// nfkit as a process of its own: exit status, namespace, privileges, and the private network of nfkit lab.

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { canColour, MAIN, nfkit, plainEnvironment, Running, spawnNfkit } from '../support/cli.js'
import { run } from '../support/outside.js'

t.setTimeout(300_000)

function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  return netns
}

function names({ status, stdout, stderr }: { status: number | null; stdout: string; stderr: string }): string[] {
  if (status !== 0) throw new Error(`status ${status}: ${stderr}`)
  return JSON.parse(stdout).map(({ name }: any) => name)
}

t.test('the real command', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  const list = spawnNfkit(netns, ['bridge'], { env: { FORCE_COLOR: '1' } })
  t.match(list, { status: 0, stderr: '', stdout: /br0/ })
  if (canColour) t.match(list.stdout, /\x1b\[/, 'FORCE_COLOR colours a pipe')
  t.match(spawnNfkit(netns, ['cam', 'show', 'nope']), { status: 1, stdout: '', stderr: /^nfkit: .*ENODEV/ })
  t.match(spawnNfkit(netns, ['cam', 'show']), { status: 2, stdout: '', stderr: /^nfkit: BRIDGE is missing\nusage: nfkit cam show BRIDGE / })
})

t.test('--netns by path and by name, before and after the command', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  const other = setup(t)
  t.same(names((await nfkit(other, ['bridge', '-j']))), [])
  t.same(names(spawnNfkit(other, ['-j', '-n', netns.path, 'bridge', 'show'])), ['br0'])
  t.match(await nfkit(other, ['bridge', `--netns=${netns.path}`]), { status: 2, stderr: /--netns is given twice/ })
  // Names are the machine's: a mount namespace of its own keeps this one apart.
  const script = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && : > /run/netns/box && mount --bind "$0" /run/netns/box && exec "$@"'
  t.same(names(spawnSync('unshare', ['--mount', 'sh', '-c', script, netns.path, process.execPath, MAIN, 'bridge', '--netns', 'box', '--json'], { encoding: 'utf8', env: plainEnvironment() })), ['br0'])
})

/** An ordinary user, where there is one who may read this. */
const AS = ['--reuid=65534', '--regid=65534', '--clear-groups']
const noUser = spawnSync('setpriv', [...AS, 'test', '-r', MAIN]).status === 0 ? false : 'setpriv cannot become a user who may read this'

t.test('without privilege', { skip: noUser }, async (t) => {
  const netns = setup(t)
  const args = [`--net=${netns.path}`, '--', 'setpriv', ...AS, process.execPath, MAIN, 'bridge']
  const add = spawnSync('nsenter', [...args, 'add', 'br0'], { encoding: 'utf8', env: plainEnvironment() })
  t.match(add, { status: 1, stdout: '', stderr: /^nfkit: .*EPERM.*nfkit lab --/ })
  t.equal(spawnSync('nsenter', args).status, 0, 'reading needs none')
})

t.test('nfkit lab: a private network', async (t) => {
  const netns = setup(t)
  run(netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  const inside = spawnNfkit(netns, ['lab', '--', 'sh', '-c', 'cat; ip -o link; ip link add br1 type bridge && ip netns add x && ls /run/netns; id -u; exit 7'], { input: 'through\n' })
  t.equal(inside.status, 7, 'the status of the command')
  t.notMatch(inside.stdout, /br0/, 'not the network from outside')
  t.match(inside.stdout, /^through\n.*lo: [^]*\nx\n0\n$/)
  t.same(names(await nfkit(netns, ['bridge', '--json'])), ['br0'], 'nothing of it is left')
  t.equal(spawnNfkit(netns, ['lab', '--', 'sh', '-c', 'kill -TERM $$']).signal, 'SIGTERM', 'ends as the command ends')
  t.equal(spawnNfkit(netns, ['lab', '--', 'no-such-command']).status, 127)
})

t.test('nfkit lab passes signals on', async (t) => {
  const netns = setup(t)
  const lab = new Running(netns, ['lab', '--', 'sh', '-c', 'trap "echo asked to end; exit 5" TERM; echo started; while :; do sleep 0.05; done'])
  t.teardown(() => lab.stop())
  await lab.until('started', (text) => text.includes('started'))
  lab.process.kill('SIGTERM')
  t.same(await lab.ended, { status: 5, signal: null })
  t.match(lab.stdout, /asked to end/)
})

const noUserNamespace = noUser !== false ? noUser
  : spawnSync('setpriv', [...AS, 'unshare', '--user', '--map-root-user', '--net', 'true']).status === 0 ? false : 'this kernel gives user namespaces to root only'

t.test('nfkit lab as an ordinary user', { skip: noUserNamespace }, async (t) => {
  const script = `ip link add br0 type bridge && "${process.execPath}" "${MAIN}" bridge --json`
  const ran = spawnSync('setpriv', [...AS, process.execPath, MAIN, 'lab', '--', 'sh', '-c', script], { encoding: 'utf8', env: plainEnvironment() })
  t.same(names(ran), ['br0'], 'options after -- are those of the command')
})
