// SPDX-License-Identifier: MIT
import { join } from 'node:path'
import { cacheRoot, projectRoot, requireTools } from '../lib/debian-packages.mjs'
import { privateNetwork } from '../lib/private-network.mjs'
import { runTests } from '../lib/run-tests.mjs'
import { ensureRuntimes, runtimes } from '../lib/runtimes.mjs'

export const about = 'every capability and every way to end, on Node 20, 22, 24, Deno and Bun, with one and the same addon'

const smoke = join(projectRoot, 'dist', 'test', 'runtimes', 'smoke.js')
const leastPrivilege = join(projectRoot, 'dist', 'test', 'runtimes', 'least-privilege.js')
const lifecycle = join(projectRoot, 'dist', 'test', 'lifecycle', 'lifecycle.test.js')

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ report, log }) {
  await requireTools(['iproute2', 'iputils-ping'], { log })
  const prefix = await privateNetwork()
  const all = await runtimes(log)
  const { node, deno } = await ensureRuntimes(log)
  const env = { DENO_DIR: join(cacheRoot, 'deno'), DENO_NO_UPDATE_CHECK: '1' }
  await runTests([
    ...all.map(({ name, command }) => ({ name: `smoke on ${name}`, command: [...prefix, ...command, smoke], env })),
    {
      name: 'Deno with --allow-read --allow-ffi --allow-env',
      command: [...prefix, deno, 'run', '--no-prompt', '--no-lock', '--allow-read', '--allow-ffi', '--allow-env', leastPrivilege],
      env,
    },
    {
      name: 'Node 24 with --permission --allow-addons --allow-fs-read=*',
      command: [...prefix, node['24'], '--no-warnings', '--permission', '--allow-addons', '--allow-fs-read=*', leastPrivilege],
    },
    // This process's own Node.js is the first one; the lifecycle ring has it.
    ...all.slice(1).map(({ name, exposed }) => ({
      name: `lifecycle on ${name}`, command: [...prefix, process.execPath, lifecycle], env: { ...env, NFKIT_RUNTIME: JSON.stringify(exposed) },
    })),
  ], { report, again: log })
}
