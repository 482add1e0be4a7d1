// SPDX-License-Identifier: MIT
/** Whether a step is up to date: by the content of what goes in, since git and copies do not keep times. */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { projectRoot } from './debian-packages.mjs'

/**
 * Every file below `directory` whose name matches, sorted, with absolute paths; installed packages are not ours.
 * @param {string} directory
 * @param {RegExp} pattern
 * @returns {Promise<string[]>}
 */
export async function filesBelow (directory, pattern) {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !relative(directory, path).split('/').includes('node_modules')).sort()
}

/**
 * One line for the content of files and whatever else the outcome depends on.
 * @param {readonly string[]} files  absolute paths; one that is missing counts as missing
 * @param {readonly string[]} [more]
 */
export async function fingerprint (files, more = []) {
  const hash = createHash('sha256')
  for (const text of more) hash.update(`${text}\0`)
  for (const file of files) {
    const content = await readFile(file).catch(() => null)
    hash.update(`${relative(projectRoot, file)}\0${content === null ? -1 : content.length}\0`)
    if (content !== null) hash.update(content)
  }
  return hash.digest('hex')
}

/** @param {string} stamp @param {string} value */
export async function isStamped (stamp, value) {
  return (await readFile(stamp, 'utf8').catch(() => '')).trim() === value
}

/** @param {string} stamp @param {string} value */
export async function writeStamp (stamp, value) {
  await mkdir(dirname(stamp), { recursive: true })
  await writeFile(stamp, `${value}\n`)
}

/**
 * The version of an installed dependency.
 * @param {string} name
 */
export async function installedVersion (name) {
  const text = await readFile(join(projectRoot, 'node_modules', name, 'package.json'), 'utf8').catch(() => '{}')
  return `${name}@${JSON.parse(text).version}`
}
