// SPDX-License-Identifier: MIT
// From the start of a program to its first answer.

import { type Bench, type Benchmark, comparison, summary, takeTurns, median, type Row } from '../harness.js'
import { PeerProcess, projectRoot } from '../peer-process.js'
import { hasPeer } from '../peers.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BenchBridge } from '../support/bridge.js'
import { number } from '../table.js'

// By its name, as a user's program would: the package's own exports are found from its root.
const LINKS = "import('nfkit').then(({ Link }) => { if (Link.list().length < 5) process.exit(1) })"
const BRIDGES = "import('nfkit').then(({ Bridge }) => { if (Bridge.list()[0].name !== 'br0') process.exit(1) })"
const NETLINK = `const socket = require('module').createRequire(${JSON.stringify(`${projectRoot}bench/package.json`)})('netlink').createRtNetlink({ ref: true })
socket.getLinks().then((links) => { process.exit(links.length < 5 ? 1 : 0) })`

async function starting(bench: Bench): Promise<void> {
  using _table = new BenchBridge()
  process.chdir(projectRoot)
  using spawner = PeerProcess.node('spawner')
  const node = (code: string) => async () => {
    const request: SpawnRequest = { command: process.execPath, args: ['-e', code], output: 'discard' }
    return (await spawner.ask<SpawnAnswer>(request)).ms
  }
  const programs: Record<string, string> = { 'node -e 0': '0', 'import + Link.list()': LINKS, 'import + Bridge.list()': BRIDGES }
  if (hasPeer(bench, 'npm netlink')) programs['npm netlink + getLinks()'] = NETLINK
  const samples = await takeTurns(bench, Object.entries(programs).map(([name, code]) => (
    { name, sample: node(code), mayFail: name.startsWith('npm') }
  )), bench.quick ? 3 : 31)
  const bare = samples.get('node -e 0')!
  for (const name of ['import + Link.list()', 'import + Bridge.list()']) {
    const ours = samples.get(name)!
    const row: Row = comparison({ what: name, size: 'node -e', ours: summary('ms', ours), peer: { name: 'node -e 0', value: summary('ms', bare) }, reading: 'cost' })
    bench.report(row)
    const own = median(ours) - median(bare)
    bench.report({ what: '  not Node.js\'s own start', size: 'node -e', ours: `${number(own)} ms, ${number((own / median(ours)) * 100)} %` })
  }
  const theirs = samples.get('npm netlink + getLinks()') ?? []
  if (theirs.length > 0) {
    bench.report(comparison({
      what: 'import + Link.list()', size: 'node -e', ours: summary('ms', samples.get('import + Link.list()')!),
      peer: { name: 'npm netlink + getLinks()', value: summary('ms', theirs) }, reading: 'speed',
    }))
  }
}

export default { about: 'node -e: from start to first answer, and the share that is not Node.js\'s own start', run: starting } satisfies Benchmark
