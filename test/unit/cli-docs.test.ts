// SPDX-License-Identifier: MIT
// docs/cli.md has the usage of every action, as it is; and the commands in all guides are such.

import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { usageLine } from '../../lib/cli/help.js'
import { chooseAction, parseFor, survey } from '../../lib/cli/parse.js'
import { COMMANDS } from '../../lib/cli/registry.js'

t.test('docs/cli.md', async (t) => {
  // The compiled test is in dist/test/unit.
  const lines = new Set(readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8').split('\n').map((line) => line.trim()))
  const known = new Set<string>()
  for (const { name, load } of COMMANDS) {
    for (const action of (await load()).actions) {
      const usage = usageLine(name, action)
      known.add(usage)
      t.ok(lines.has(usage), usage)
    }
  }
  for (const line of lines) if (/^nfkit \w+.* \[--json\]$/.test(line)) t.ok(known.has(line), `${line} still exists`)
})

/** The commands `nfkit ...` in the blocks of a guide, without what a shell takes by itself; not usages, which have placeholders, and not what is printed. */
function commandsOf(text: string): string[] {
  const indented = [...text.matchAll(/^(?: {4}(?:\$ )?|Exec\w+=-?\/usr\/bin\/)(.*)$/gm)]
  const fenced = [...text.matchAll(/^```sh\n([^]*?)^```/gm)]
  return [...indented, ...fenced].flatMap((match) => match[1]!.split('\n')).flatMap((line) => {
    const command = /(?:^|\| )(nfkit [a-z][^[|]*?)(?: (?:[|>#]|<<).*| +#.*)?$/.exec(line)?.[1]
    return command === undefined || / NAME|COMMAND|\[|tells more$/.test(command) ? [] : [command]
  })
}

t.test('the commands of the guides', async (t) => {
  const root = new URL('../../../', import.meta.url)
  let count = 0
  for (const name of ['README.md', ...readdirSync(new URL('docs', root)).filter((file) => file.endsWith('.md')).map((file) => `docs/${file}`)]) {
    for (const text of commandsOf(readFileSync(new URL(name, root), 'utf8'))) {
      const [, command = '', ...words] = [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain ?? '')
      const entry = COMMANDS.find((each) => each.name === command)
      t.ok(entry, text)
      const loaded = await entry!.load()
      t.doesNotThrow(() => parseFor(chooseAction(loaded, survey(loaded, words).positionals), words), `${name}: ${text}`)
      count++
    }
  }
  t.ok(count > 50, `${count} commands`)
})
