// SPDX-License-Identifier: MIT
// npm start, the acts that need the kernel module, as a program of its own: loads it if it is not there, and unloads it again then. It runs on
// this machine or in a guest, whose output reaches the terminal by other ways: NFKIT_DEMO_TERMINAL=1 says that it does.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KernelModule, NfkitError } from 'nfkit'
import { ensurePrivilege } from 'nfkit/lab'
import { capturing } from './capture.js'
import { hooking } from './hook.js'
import { mirroring } from './mirror.js'
import { buildModuleNetwork, drawNetwork, type ModuleAct } from './module-network.js'
import { duration, Printer } from './print.js'

/** In their order. A new act is a file and a line here. */
const ACTS: readonly ModuleAct[] = [mirroring, hooking, capturing]

/** Answers whether it was loaded by this. */
async function loadModule(): Promise<boolean> {
  const { loaded, loadObstacles } = KernelModule.status()
  if (loaded) return false
  const file = process.env['NFKIT_MODULE']
  if (file === undefined && loadObstacles.some(({ code }) => ['NFKIT_MODULE_NOT_BUILT', 'NFKIT_MODULE_OTHER_KERNEL'].includes(code))) await KernelModule.build()
  await KernelModule.load({ file })
  return true
}

/** Rules and objects of the acts hold it until the kernel has taken its namespaces apart, in the background. */
async function unloadModule(): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await KernelModule.unload()
      return
    } catch (error) {
      if (tries === 100 || !(error instanceof NfkitError) || error.code !== 'EBUSY') throw error
      await new Promise((resolve) => { setTimeout(resolve, 100) })
    }
  }
}

async function main(): Promise<void> {
  await ensurePrivilege()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  const out = process.env['NFKIT_DEMO_TERMINAL'] === '1'
    ? new Printer(Object.assign(Object.create(process.stdout) as NodeJS.WriteStream, { isTTY: true }))
    : new Printer()
  const start = performance.now()
  const journal = mkdtempSync(join(tmpdir(), 'nfkit-demo-'))
  const loaded = await loadModule()
  try {
    out.act('Mirror port, hook and capture')
    out.line()
    const { kernel, version } = KernelModule.status()
    out.note(`kernel ${kernel}, module nfkit ${version ?? ''}${loaded ? ', loaded for this' : ''}`)
    out.line()
    drawNetwork(out)
    const network = await buildModuleNetwork(journal)
    try {
      for (const act of ACTS) {
        out.act(act.title)
        await act.run(network, out)
      }
    } finally {
      network.lab.close()
    }
    out.line()
    out.note(`this took ${duration(performance.now() - start)}`)
  } finally {
    rmSync(journal, { recursive: true, force: true })
    if (loaded) await unloadModule()
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof NfkitError ? `nfkit: ${error.message}` : error)
  process.exitCode = 1
})
