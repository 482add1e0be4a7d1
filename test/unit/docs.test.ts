// SPDX-License-Identifier: MIT
// The programs in the guides: each is right for the compiler, as it is written, behind those before it in its guide.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

// The compiled test is in dist/test/unit.
const root = fileURLToPath(new URL('../../../', import.meta.url))

interface Block { readonly code: string; readonly line: number }

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```ts\n([^]*?)^```/gm)].map((match) => ({ code: match[1]!, line: text.slice(0, match.index).split('\n').length + 1 }))
}

/** A module of all blocks, each within the one before, so that it sees the names of that and may have the same ones again; the imports are in front. */
function moduleOf(blocks: readonly Block[]): string {
  const imports = new Map<string, Set<string>>()
  const bodies = blocks.map(({ code, line }) => `{ // line ${line}\n${code.replace(/^import \{ (.*) \} from '(.*)'$/gm, (_all, names: string, from: string) => {
    const known = imports.get(from) ?? new Set()
    imports.set(from, known)
    for (const name of names.split(', ')) known.add(name)
    return ''
  })}`)
  const head = [...imports].map(([from, names]) => `import { ${[...names].join(', ')} } from '${from}'`)
  return [...head, 'export {}', ...bodies, '}'.repeat(blocks.length)].join('\n')
}

t.test('the guides', { skip: !existsSync(`${root}docs`) && 'no sources here' }, async (t) => {
  const guides = ['README.md', ...readdirSync(`${root}docs`).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]
  const sources = new Map<string, string>()
  for (const guide of guides) {
    // What declares something for every module is a file by itself.
    const [files, programs] = [blocksOf(readFileSync(root + guide, 'utf8'))].flatMap((all) => [all.filter(({ code }) => /^declare /m.test(code)), all.filter(({ code }) => !/^declare /m.test(code))]) as [Block[], Block[]]
    for (const [i, { code }] of files.entries()) sources.set(`${root}docs/${guide.replace(/\W/g, '_')}_${i}.ts`, code)
    if (programs.length > 0) sources.set(`${root}docs/${guide.replace(/\W/g, '_')}.ts`, moduleOf(programs))
  }
  t.ok(sources.size > 8, `${sources.size} modules`)
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022, lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'], module: ts.ModuleKind.NodeNext, types: ['node'], noEmit: true, strict: true, skipLibCheck: true,
    paths: { 'nfkit': [`${root}dist/lib/index.d.ts`], 'nfkit/lab': [`${root}dist/lib/lab/index.d.ts`], 'nfkit/extension': [`${root}dist/lib/netfilter/extension.d.ts`] },
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  host.getSourceFile = (name, ...rest) => (sources.has(name) ? ts.createSourceFile(name, sources.get(name)!, rest[0]) : getSourceFile(name, ...rest))
  host.fileExists = (name) => sources.has(name) || fileExists(name)
  host.readFile = (name) => sources.get(name) ?? readFile(name)
  const program = ts.createProgram([...sources.keys()], options, host)
  for (const name of sources.keys()) {
    const file = program.getSourceFile(name)!
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ messageText, start }) => {
      const line = start === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line
      return `${ts.flattenDiagnosticMessageText(messageText, ' ')}: ${file.text.split('\n')[line]}`
    })
    t.same(found, [], name.slice(root.length))
  }
})
