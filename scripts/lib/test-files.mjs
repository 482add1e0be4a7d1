// SPDX-License-Identifier: MIT
/** The test files: their sources say which there are, dist/ holds what runs. */
import { join, relative } from 'node:path'
import { projectRoot } from './debian-packages.mjs'
import { filesBelow } from './fingerprint.mjs'

/**
 * @typedef {object} TestFile
 * @property {string} source    such as test/unit/mac.test.ts
 * @property {string} compiled  an absolute path
 */

/**
 * The test files of a directory of test/, all or those that the user asked for.
 * @param {string} directory
 * @param {readonly string[]} wanted  parts of a path; none means all
 * @returns {Promise<TestFile[]>}
 */
export async function testFiles (directory, wanted) {
  const sources = (await filesBelow(join(projectRoot, 'test', directory), /\.test\.ts$/)).map((file) => relative(projectRoot, file))
  const plain = wanted.map(plainName)
  return sources.filter((source) => plain.length === 0 || plain.some((part) => plainName(source).includes(part)))
    .map((source) => ({ source, compiled: join(projectRoot, 'dist', source.replace(/\.ts$/, '.js')) }))
}

/** What source and compiled file have in common. @param {string} path */
function plainName (path) {
  return (path.startsWith('/') ? relative(projectRoot, path) : path).replace(/^\.\//, '').replace(/^dist\//, '').replace(/\.(ts|js)$/, '')
}
