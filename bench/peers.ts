// SPDX-License-Identifier: MIT
// Which of those that nfkit is measured against are there. scripts/bench.mjs installs them before and tells what it could not.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench } from './harness.js'
import { projectRoot } from './peer-process.js'

/** Debian's python3-pyroute2 is for Debian's own interpreter, whatever else PATH has. */
export const DEBIAN_PYTHON = '/usr/bin/python3'

/** Where the consumer of packet queues in C is built, in the files of this run. */
export const QUEUE_PEER = join(tmpdir(), 'nfqueue-verdicts')

const PEERS = {
  'npm netlink': {
    install: 'npm ci --prefix bench --ignore-scripts',
    isThere: () => { createRequire(join(projectRoot, 'bench', 'package.json')).resolve('netlink') },
  },
  pyroute2: {
    install: 'apt-get install python3-pyroute2',
    isThere: () => {
      const { error, status, stderr } = spawnSync(DEBIAN_PYTHON, ['-c', 'import pyroute2'], { encoding: 'utf8' })
      if (error !== undefined) throw error
      if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1))
    },
  },
  'python-iptables': {
    install: 'apt-get install python3-iptables',
    isThere: () => {
      const { error, status, stderr } = spawnSync(DEBIAN_PYTHON, ['-c', 'import iptc'], { encoding: 'utf8' })
      if (error !== undefined) throw error
      if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1))
    },
  },
  libnetfilter_queue: {
    install: 'apt-get install gcc libc6-dev libnetfilter-queue-dev',
    isThere: () => {
      const source = join(projectRoot, 'bench', 'peers', 'nfqueue-verdicts.c')
      const { error, status, stderr } = spawnSync('cc', ['-O2', '-o', QUEUE_PEER, source, '-lnetfilter_queue'], { encoding: 'utf8' })
      if (error !== undefined) throw error
      if (status !== 0) throw new Error(stderr.trim().split('\n')[0])
    },
  },
} as const

export type PeerName = keyof typeof PEERS

/** Whether a peer can be measured; if not, a note says why and with which command it could. */
export function hasPeer(bench: Bench, name: PeerName): boolean {
  const { install, isThere } = PEERS[name]
  try {
    isThere()
    return true
  } catch (error) {
    // What set-up met says more than that it is not there now.
    const why = process.env[`NFKIT_BENCH_${name.replace(/[ -]/, '_').toUpperCase()}`] ?? (error instanceof Error ? error.message.split('\n')[0] : error)
    bench.note(`${name} was not measured (${why}). To install it: ${install}`)
    return false
  }
}
