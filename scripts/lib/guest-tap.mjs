// SPDX-License-Identifier: MIT
/**
 * tap in one file. Importing tap reads and resolves some 200 modules, which takes several seconds for each test file in an
 * emulated guest. Here its CommonJS build and all that it requires are written one after another into one file, with
 * V8's code cache beside it. Each module is a function with the file name that it has in node_modules: what it requires
 * by a computed name, or reads, comes from there. Processor time to load it, on the host: 0.04 s instead of 0.24 s.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { runOrThrow } from './debian-packages.mjs'

/** index.cjs: compiles the modules beside it, from V8's code cache if that is there and fits. */
const LOADER = `// SPDX-License-Identifier: MIT
const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const vm = require('node:vm')
const filename = join(__dirname, 'modules.js')
const cache = join(__dirname, 'modules.cache')
let cachedData
try { cachedData = readFileSync(cache) } catch {}
const script = new vm.Script(readFileSync(filename, 'latin1'), {
  filename, cachedData, importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
})
module.exports = script.runInThisContext()(require, __dirname)
if (process.env.NFKIT_MAKE_CODE_CACHE === '1') {
  writeFileSync(cache, script.createCachedData())
  process.exit()
}
`

/** What modules.js ends with. */
const RUNTIME = `
const { createRequire } = require('node:module')
const { join, dirname } = require('node:path')
const loaded = new Map()
function load (id) {
  const known = loaded.get(id)
  if (known !== undefined) return known.exports
  const [wanted, body] = modules[id]
  if (wanted === null) {
    loaded.set(id, { exports: body })
    return body
  }
  const filename = join(root, names[id])
  let fromThere
  const outside = () => fromThere ??= createRequire(filename)
  const inner = (name) => Object.hasOwn(wanted, name) ? load(wanted[name]) : outside()(name)
  inner.resolve = (...args) => outside().resolve(...args)
  inner.main = require.main
  inner.cache = require.cache
  inner.extensions = require.extensions
  const module = { id: filename, path: dirname(filename), exports: {}, filename, loaded: false, children: [], paths: [], parent: null, require: inner }
  loaded.set(id, module)
  try {
    body.call(module.exports, module.exports, inner, module, filename, dirname(filename))
  } catch (error) {
    loaded.delete(id)
    throw error
  }
  module.loaded = true
  return module.exports
}
return load(0)
})
`

/**
 * A CommonJS module and all that it requires, as the text of a script whose value is a function of `require` and of the
 * directory that the modules' file names are relative to.
 * @param {string} entry
 * @param {string} root
 */
async function bundleCommonJs (entry, root) {
  /** @type {Map<string, number>} */
  const ids = new Map()
  /** @type {string[]} */
  const bodies = []
  /** @param {string} file @returns {Promise<number>} */
  const add = async (file) => {
    const known = ids.get(file)
    if (known !== undefined) return known
    const id = ids.size
    ids.set(file, id)
    const text = (await readFile(file, 'utf8')).replace(/^#!.*/, '').replace(/^\/\/# sourceMappingURL=.*$/gm, '')
    if (file.endsWith('.json')) {
      bodies[id] = `[null, ${text}]`
      return id
    }
    const require = createRequire(file)
    /** @type {Record<string, number>} */
    const wanted = {}
    for (const [, name] of text.matchAll(/\brequire\(\s*["']([^"'\n]+)["']\s*\)/g)) {
      if (name === undefined || isBuiltin(name) || Object.hasOwn(wanted, name)) continue
      let path
      try {
        path = require.resolve(name)
      } catch {
        continue // Such as an optional dependency: its require fails there as it would here.
      }
      if (/\.(c?js|json)$/.test(path)) wanted[name] = await add(path)
    }
    bodies[id] = `[${JSON.stringify(wanted)}, function (exports, require, module, __filename, __dirname) {${text}\n}]`
    return id
  }
  await add(entry)
  const names = [...ids.keys()].map((file) => relative(root, file))
  return `// Made by guest-tap.mjs out of the packages named below; their own licenses apply.
(function (require, root) {
const names = ${JSON.stringify(names)}
const modules = [
${bodies.join(',\n')}
]${RUNTIME}`
}

/**
 * Puts the one file into a copy of node_modules and tap's entry in front of it. It lives in the scope of tap's own
 * packages, whose frames tap leaves out of stack traces.
 * @param {string} nodeModules  that this machine has
 * @param {string} copy         of it
 * @param {string} node         the binary that will run it: the code cache is good for that one only
 */
export async function putTapInOneFile (nodeModules, copy, node) {
  const manifest = JSON.parse(await readFile(join(nodeModules, 'tap', 'package.json'), 'utf8'))
  const { import: { default: esm }, require: { default: commonJs } } = manifest.exports['.']
  const entry = join(nodeModules, 'tap', commonJs)
  const scope = join('@tapjs', 'one-file')
  await mkdir(join(copy, scope), { recursive: true })
  // In ASCII, which is quicker to read and takes half the memory.
  const text = (await bundleCommonJs(entry, join(nodeModules, scope)))
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  await writeFile(join(copy, scope, 'modules.js'), text)
  await writeFile(join(copy, scope, 'index.cjs'), LOADER)
  // In processes of their own: tap takes hold of the one that loads it.
  const names = JSON.parse(await runOrThrow(process.execPath, ['-e',
    'const names = Object.keys(require(process.argv[1])); process.stdout.write(JSON.stringify(names)); process.exit()', entry]))
  await runOrThrow(node, [join(copy, scope, 'index.cjs')], { env: { NFKIT_MAKE_CODE_CACHE: '1' } })

  const named = names.filter((/** @type {string} */ name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default')
  await writeFile(join(copy, 'tap', esm), [
    '// SPDX-License-Identifier: MIT',
    `import tap from ${JSON.stringify(relative(dirname(join('tap', esm)), join(scope, 'index.cjs')))}`,
    `export const { ${named.join(', ')} } = tap`,
    'export default tap.default',
    '',
  ].join('\n'))
}
