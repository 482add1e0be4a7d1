// SPDX-License-Identifier: MIT
// npm start: what nfkit can do, shown on a network of virtual hosts in private namespaces.

import { NfkitError } from 'nfkit'
import { ensurePrivilege } from 'nfkit/lab'
import { bridging } from './bridge.js'
import { firewall } from './firewall.js'
import { type Act, buildNetwork } from './network.js'
import { duration, Printer } from './print.js'

/** In their order. A new act is a file and a line here. */
const ACTS: readonly Act[] = [bridging, firewall]

async function main(): Promise<void> {
  await ensurePrivilege()
  const out = new Printer()
  // Whoever reads has read enough: `npm start | head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  const start = performance.now()
  const network = await buildNetwork()
  const interrupt = () => {
    network.lab.close()
    process.exit(130)
  }
  process.once('SIGINT', interrupt)
  try {
    for (const act of ACTS) {
      out.act(act.title)
      await act.run(network, out)
    }
    out.section('Cleaning up')
    const before = performance.now()
    network.bridge.delete()
    network.lab.close()
    const took = duration(performance.now() - before)
    out.note(`the bridge is deleted and the namespaces are let go of, in ${took}; nothing of it was ever outside them`)
  } finally {
    process.off('SIGINT', interrupt)
    network.lab.close()
  }
  out.line()
  out.note(`all of this took ${duration(performance.now() - start)}`)
}

main().catch((error: unknown) => {
  console.error(error instanceof NfkitError ? `nfkit: ${error.message}` : error)
  process.exitCode = 1
})
