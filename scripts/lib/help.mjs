// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs'

/** If it is asked for, prints the comment at the head of the script that runs, which says how it is used. Whether it was. */
export function helped () {
  if (!process.argv.slice(2).some((word) => word === '--help' || word === '-h')) return false
  const text = readFileSync(process.argv[1] ?? '', 'utf8')
  const comment = /^\/\*\*\n([^]*?)\n? \*\/$/m.exec(text)?.[1] ?? /^(?!\/\/ SPDX)\/\/.*(?:\n\/\/.*)*/m.exec(text)?.[0] ?? ''
  process.stdout.write(`${comment.replace(/^(?: \*|\/\/) ?/gm, '')}\n`)
  return true
}
