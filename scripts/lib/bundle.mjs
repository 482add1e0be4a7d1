// SPDX-License-Identifier: MIT
/**
 * dist/lib as few files, in dist/bundle: what the package's users import. Loading several hundred modules takes a program
 * longer than everything else that it does at its start.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from './debian-packages.mjs'

/** The modules that package.json lets users reach, below lib/. They share what they have in common. */
const ENTRIES = ['index', 'netfilter/extension', 'lab/index', 'cli/main']

/** Makes dist/bundle anew out of dist/lib. */
export async function bundle () {
  const out = join(projectRoot, 'dist', 'bundle')
  await rm(out, { recursive: true, force: true })
  const { build } = await import('esbuild')
  await build({
    absWorkingDir: projectRoot,
    entryPoints: ENTRIES.map((entry) => `dist/lib/${entry}.js`),
    outbase: 'dist/lib',
    outdir: out,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: true,
    sourcesContent: false,
    // Users see these names in stack traces and util.inspect.
    keepNames: true,
    logLevel: 'error',
  })
}
