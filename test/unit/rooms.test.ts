// SPDX-License-Identifier: MIT
// The shape of the source tree: who may import whom, licences, and what must not be in a committed file.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** The rooms of lib/ from the ground up; a room may import those above it in this list and nothing below or beside. */
const FLOORS = [
  ['errno', 'package-root'], ['errors'], ['wire'], ['native'], ['events', 'netns'], ['netlink', 'sockopt'], ['net'], ['bridge', 'netfilter', 'queue'],
  ['clone'], ['mirror'], ['lab'], ['cli'],
]
const SOURCES = ['.ci', 'bench', 'demo', 'docs', 'kmod', 'lib', 'scripts', 'src', 'test']

const root = dirname(findUp('package.json'))

function findUp(name: string): string {
  // In the guest of the vm ring and in an installed package there are no sources to look at.
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    const path = join(directory, name)
    if (existsSync(path) && !path.includes('/dist/')) return path
    if (directory === '/') throw new Error(`no ${name} above this test`)
  }
}

function filesBelow(directory: string): string[] {
  const path = join(root, directory)
  if (!existsSync(path)) return []
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !/(^|\/)(node_modules|\.tap)\/|^docs\/api\/|\.tgz$|\.mod(\.c)?$|\.k?o$|\.cmd$/.test(file))
    .sort()
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8')

/** What a module imports: static, re-exported, dynamic, types included. */
function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  // Statements begin a line; in the middle of one "from" can be a word of some text.
  const statements = /^\s*(?:(?:import|export)\b[^'";]*?\bfrom|import)\s*(['"])([^'"\n]+)\1/gm
  const calls = /\b(?:import|require)\s*\(\s*(['"])([^'"\n]+)\1/g
  return [...code.matchAll(statements), ...code.matchAll(calls)].map((match) => match[2]!)
}

/** The room of a file of lib/: the directory below lib/, or the name of the file for those that stand there alone. */
const roomOf = (file: string): string => file.split('/')[1]!.replace(/\.ts$/, '')
const floorOf = (room: string): number => FLOORS.findIndex((rooms) => rooms.includes(room))

t.test('imports in lib/ point down', (t) => {
  const files = filesBelow('lib').filter((file) => file.endsWith('.ts'))
  t.ok(files.length > 10, 'the sources are there')
  for (const file of files) {
    const room = roomOf(file)
    if (file === 'lib/index.ts') continue
    if (floorOf(room) < 0) t.fail(`${file}: ${room} is no room of lib/`)
    for (const specifier of importsOf(read(file))) {
      if (!specifier.startsWith('.')) {
        if (specifier === 'nfkit' || specifier.startsWith('nfkit/')) t.fail(`${file} imports its own package`)
        continue
      }
      const target = posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts')
      if (!target.startsWith('lib/')) { t.fail(`${file} imports ${specifier} from outside lib/`); continue }
      const other = roomOf(target)
      if (other !== room && floorOf(other) >= floorOf(room)) t.fail(`${file} (${room}) imports ${target} (${other}): that points up or sideways`)
    }
  }
  t.end()
})

t.test('wire/ does no input or output', (t) => {
  const harmless = ['node:util', 'node:buffer', 'node:assert']
  for (const file of filesBelow('lib/wire')) {
    const text = read(file)
    for (const specifier of importsOf(text)) {
      if (!specifier.startsWith('.') && !harmless.includes(specifier)) t.fail(`${file} imports ${specifier}`)
    }
    if (/\bprocess\.(?!platform\b|arch\b)|\bsetTimeout\b|\bfetch\(/.test(text)) t.fail(`${file} reaches out of the codec`)
  }
  t.pass('looked')
  t.end()
})

t.test('only native.ts loads the addon', (t) => {
  const loaders = filesBelow('lib').filter((file) => /node-gyp-build|\.node['"]|process\.dlopen/.test(read(file)))
  t.same(loaders, ['lib/native.ts'])
  t.end()
})

t.test('properties take their inputs from one place', (t) => {
  const users = filesBelow('test').filter((file) => file.endsWith('.ts') && importsOf(read(file)).includes('fast-check'))
  t.same(users, ['test/support/fast-check.ts'], 'so that each run of npm test has the same')
  t.end()
})

t.test('the package depends on nothing but the loader of its addon', (t) => {
  const used = new Set(filesBelow('lib').flatMap((file) => importsOf(read(file))).filter((name) => !/^(\.|node:)/.test(name)))
  t.same([...used].sort(), ['node-gyp-build'])
  t.same(Object.keys(JSON.parse(read('package.json')).dependencies), ['node-gyp-build'])
  t.end()
})

t.test('the addon uses Node-API alone', (t) => {
  // libuv through an addon aborts on Bun and goes silent on Deno.
  for (const file of filesBelow('src')) {
    if (/\buv_\w+|<uv\.h>|<v8\.h>|<node\.h>|\bnapi_get_uv_event_loop\b/.test(read(file))) t.fail(`${file} reaches behind Node-API`)
  }
  t.ok(filesBelow('src').length > 0)
  t.end()
})

t.test('every source names its licence', (t) => {
  for (const file of SOURCES.flatMap(filesBelow).filter((file) => /\.(ts|mjs|cc?|h|sh|py)$|\/(Kbuild|Makefile|run)$/.test(file))) {
    const head = read(file).split('\n', 3).join('\n')
    if (!/SPDX-License-Identifier: \S+/.test(head)) t.fail(`${file} has no SPDX line`)
    else if (!file.startsWith('kmod/') && !/SPDX-License-Identifier: MIT\b/.test(head)) t.fail(`${file} is not under MIT`)
  }
  t.pass('looked')
  t.end()
})

t.test('no file names a registry, an archive host or a place on somebody\'s machine', (t) => {
  const hosts = /\b(registry\.(npmjs|yarnpkg|npmmirror)\.\w+|(files\.pythonhosted|pypi|proxy\.golang)\.org|(deb|ftp|snapshot|security)\.debian\.org|npm\.pkg\.github)/i
  const places = /(^|[^\w.])\/(work|root|home\/\w+|Users\/\w+)\/[\w.]/m
  // In a second work tree of git .git is a file that names the place of the first.
  const top = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isFile() && !/^\.git$|\.tgz$/.test(entry.name)).map((entry) => entry.name)
  for (const file of [...top, ...SOURCES.flatMap(filesBelow)]) {
    const text = read(file)
    const found = hosts.exec(text) ?? places.exec(text)
    if (found !== null) t.fail(`${file}: ${found[0].trim()}`)
  }
  t.notOk('resolved' in (Object.values(JSON.parse(read('package-lock.json')).packages)[1] as object), 'the lock file has no addresses')
  t.end()
})

t.test('nothing of the package runs when it is installed', (t) => {
  const { scripts, gypfile, files, private: guarded } = JSON.parse(read('package.json'))
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']) t.notOk(name in scripts, `no ${name}`)
  t.equal(gypfile, false)
  t.notOk(files.some((name: string) => /gyp|src/.test(name)))
  t.equal(guarded, true, 'the name belongs to somebody else on the public registry')
  t.end()
})
