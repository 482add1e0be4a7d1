// SPDX-License-Identifier: MIT
// What npm start shows.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const program = fileURLToPath(new URL('../../demo/main.js', import.meta.url))
const skip = existsSync(program) ? false : 'the demonstration is not here'

function demo(words: string[], env: NodeJS.ProcessEnv = {}) {
  const start = performance.now()
  const [command, ...args] = [...words, process.execPath, program]
  const { status, stdout, stderr } = spawnSync(command!, args, { encoding: 'utf8', cwd: '/', env: { ...process.env, ...env } })
  return { status, stdout, stderr, took: performance.now() - start }
}

t.test('the demonstration, on a pipe', { skip }, async (t) => {
  const { status, stdout, stderr, took } = demo([])
  t.equal(stderr, '')
  t.equal(status, 0)
  // Five seconds, of which four are the spanning tree's; a guest without KVM takes longer.
  t.ok(took < 60_000, `took ${(took / 1000).toFixed(1)} s`)
  t.notMatch(stdout, /[^\x20-\x7e\n]/, 'plain text')
  t.notMatch(stdout, / $/m)
  t.equal(Math.max(...stdout.split('\n').map((line) => line.length)) <= 130, true)
  for (const [port, last] of [0, 1, 2, 3].entries()) {
    const mac = `02:00:00:00:0${last + 2}:01`
    t.match(stdout, new RegExp(`^ +\\+ ${mac}  eth${port}  learned  \\(host${last + 2}\\)$`, 'm'), 'seen as it was learned')
    t.match(stdout, new RegExp(`^   ${mac}  eth${port}  (   -  )?learned +no +\\d+\\.\\d\\d s  host${last + 2}$`, 'm'), 'in the table')
    t.match(stdout, new RegExp(`^   02:00:00:00:01:0${port + 1}  eth${port}  (   -  )?permanent  yes`, 'm'))
    t.match(stdout, new RegExp(`^   eth${port}  800${port + 1}  forwarding +32 +2  8000\\.02:00:00:00:01:01`, 'm'))
  }
  // A slow guest may come too late for the states before.
  t.match(stdout, /\d s  eth0 forwarding  eth1 forwarding  eth2 forwarding  eth3 forwarding/)
  t.match(stdout, /host2 pings host3 at 192\.168\.0\.3: 3 of 3 replies/)
  t.match(stdout, /host5 sends 1\.0 MB to host2, tcp port 8080: completed, 1\.0 MB in/)
  t.match(stdout, /02:00:5e:10:00:99  eth3  (   -  )?static     no/)
  t.match(stdout, /designated root  8000\.02:00:00:00:01:01/)
  t.match(stdout, /hello +(\d+\.\d\d s|-) .*\n +tcn +- .*\n +topology change +(\d+\.\d\d s|-) .*\n +gc +(\d+\.\d\d s|-) /)
  t.match(stdout, /host3 pings host5 at 192\.168\.0\.5: 2 of 2 replies\n(.*\n)+.*two rules, in one atomic step\n/)
  t.match(stdout, /host3 pings host5 at 192\.168\.0\.5: 0 of 2 replies, 192\.168\.0\.1 says host-prohibited\n/)
  t.match(stdout, /host3 pings 192\.168\.0\.1 \(the bridge itself\): 0 of 2 replies, 192\.168\.0\.1 says host-prohibited\n/)
  t.match(stdout, /^ +INPUT +2 +168  -s 192\.168\.0\.3\/32 -p icmp -j REJECT --reject-with icmp-host-prohibited$/m, 'what the rule counted')
  t.match(stdout, /host3 connects to host5, tcp port 80: completed\n +host3 connects to host5, tcp port 80: refused \(ECONNREFUSED\)\n +host3 connects to host5, tcp port 81: completed\n/)
  t.match(stdout, /host4 pings host5 at 192\.168\.0\.5: 0 of 2 replies, .*\n +host4 pings host2 at 192\.168\.0\.2: 2 of 2 replies\n/)
  t.match(stdout, /^ +\[2:168\] -A INPUT -s 192\.168\.0\.3\/32 -p icmp -j REJECT --reject-with icmp-host-prohibited$/m, 'saved with counters')
  t.match(stdout, /^ +FORWARD +4 +336  -s 192\.168\.0\.3\/32 -p icmp /m, 'restored with its counters, and counting on')
})

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']

function lacksUserNamespaces(): string | false {
  if (process.env['NFKIT_GUEST'] !== undefined) return 'a guest without KVM takes a minute for it; lab-privilege.test.ts tries the same there'
  const { status } = spawnSync(NOBODY[0]!, [...NOBODY.slice(1), 'unshare', '--user', '--map-root-user', '--net', '--mount', 'test', '-r', program])
  return status === 0 ? false : 'an ordinary user has no user namespaces here, or cannot read this program'
}

t.test('as an ordinary user', { skip: skip === false ? lacksUserNamespaces() : skip }, async (t) => {
  const { status, stdout, stderr } = demo(NOBODY, { HOME: '/tmp' })
  t.equal(stderr, '')
  t.equal(status, 0)
  t.match(stdout, /host5 sends 1\.0 MB to host2, tcp port 8080: completed/)
})
