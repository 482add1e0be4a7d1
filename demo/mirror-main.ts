// SPDX-License-Identifier: MIT
// npm start, third act, as a program of its own: loads the kernel module if it is not there, and unloads it again then. It runs on this machine
// or in a guest, whose output reaches the terminal by other ways: NFKIT_DEMO_TERMINAL=1 says that it does.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KernelModule, NfkitError } from 'nfkit'
import { ensurePrivilege } from 'nfkit/lab'
import { mirroring, TITLE } from './mirror.js'
import { duration, Printer } from './print.js'

/** Answers whether it was loaded by this. */
async function loadModule(): Promise<boolean> {
  const { loaded, loadObstacles } = KernelModule.status()
  if (loaded) return false
  const file = process.env['NFKIT_MODULE']
  if (file === undefined && loadObstacles.some(({ code }) => ['NFKIT_MODULE_NOT_BUILT', 'NFKIT_MODULE_OTHER_KERNEL'].includes(code))) await KernelModule.build()
  await KernelModule.load({ file })
  return true
}

/** Rules of the act hold it until the kernel has taken its namespaces apart, in the background. */
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
    out.act(TITLE)
    out.line()
    const { kernel, version } = KernelModule.status()
    out.note(`kernel ${kernel}, module nfkit ${version ?? ''}${loaded ? ', loaded for this' : ''}`)
    await mirroring(out, journal)
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
