// SPDX-License-Identifier: MIT
// The headers of /dev/nfkit, as text and as a C compiler sees them.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../lib/package-root.js'

const DIRECTORY = join(packageRoot, 'kmod/uapi')

export const noHeader = !existsSync(join(DIRECTORY, 'nfkit.h')) && 'the header is not here'
export const noCompiler = spawnSync('cc', ['--version']).status !== 0 && 'no C compiler (cc) here'

/** All of them, one behind the other. */
export const header = noHeader === false
  ? readdirSync(DIRECTORY).filter((name) => name.startsWith('nfkit')).map((name) => readFileSync(join(DIRECTORY, name), 'utf8')).join('\n')
  : ''

/** Names of the header's numbers. */
export const headerNumbers = (): string[] => [...header.matchAll(/^#define\s+(NFKIT_\w+)|^\s*(NFKIT_\w+)\s*=/gm)].map((match) => (match[1] ?? match[2])!)

/** A struct: its name, and those of its fields. */
export interface StructNames { name: string; fields: string[] }

/** The header's structs, by name. */
export const headerStructs = (): StructNames[] => byName([...header.matchAll(/^struct (nfkit_\w+) \{([\s\S]*?)^\};/gm)].map(([, name, body]) => ({
  name: name!, fields: [...body!.matchAll(/^\s+(?:struct )?\w+ (\w+)(?:\[\w+\])?;/gm)].map((match) => match[1]!),
})))

/** Structs as {@link headerStructs} has them. */
export const byName = (structs: readonly StructNames[]): StructNames[] => [...structs].sort((a, b) => (a.name < b.name ? -1 : 1))

interface Layout { readonly name: string; readonly size: number; readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>> }

/** What {@link compiledLayouts} answers if the compiler agrees. */
export const layouts = (structs: readonly Layout[], numbers: Readonly<Record<string, number>>): string[] => [
  ...structs.flatMap(({ name, size, fields }) => [`${name} ${size}`, ...Object.entries(fields).map(([field, place]) => `${name}.${field} ${place.offset} ${place.size}`)]),
  ...Object.entries(numbers).map(([name, number]) => `${name} ${number}`),
]

/** Sizes, offsets and numbers as a C compiler with these flags sees them; its complaints where it cannot. */
export function compiledLayouts(structs: readonly Layout[], numbers: Readonly<Record<string, number>>, flags: readonly string[] = []): { lines: string[] } | { complaints: string } {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-uapi-'))
  try {
    const source = join(directory, 'layouts.c')
    writeFileSync(source, `#include <stddef.h>
#include <stdio.h>
#include "nfkit.h"
int main(void)
{
${structs.flatMap(({ name, fields }) => [
    `printf("${name} %zu\\n", sizeof(struct ${name}));`,
    ...Object.keys(fields).map((field) => `printf("${name}.${field} %zu %zu\\n", offsetof(struct ${name}, ${field}), sizeof(((struct ${name} *)0)->${field}));`),
  ]).join('\n')}
${Object.keys(numbers).map((name) => `printf("${name} %u\\n", (unsigned int)${name});`).join('\n')}
return 0;
}
`)
    const program = join(directory, 'layouts')
    const compiled = spawnSync('cc', [...flags, '-Wall', '-Werror', '-I', DIRECTORY, '-o', program, source], { encoding: 'utf8' })
    if (compiled.status !== 0) return { complaints: compiled.stderr }
    return { lines: spawnSync(program, { encoding: 'utf8' }).stdout.trim().split('\n') }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
