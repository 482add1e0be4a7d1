// SPDX-License-Identifier: MIT
// nfkit mirror

import { NfkitError } from '../../errors.js'
import { Mirror } from '../../mirror/mirror.js'
import { noSuchMirror } from '../../mirror/undo.js'
import { action, type Command } from '../action.js'
import { UsageError } from '../usage.js'
import { add, set } from './mirror-add.js'
import { COLUMNS, print, withCounters } from './mirror-text.js'
import { watch } from './mirror-watch.js'

const list = action({
  words: 'list', args: '', summary: 'the mirrors, with what they copied; also those that a crash left behind',
  details: [
    'SEEN: packets that the rule matched; SENT: copies that left; LOST: packets without a copy that left, show says why.',
    'KEPT BY itself: persistent. KEPT BY nobody: its process ended without removing it.',
  ],
  options: {},
  run({ netns, json, out }) {
    const mirrors = Mirror.list(netns).map((info) => withCounters(info, netns))
    if (json) out.json(mirrors)
    else if (mirrors.length > 0) out.table(COLUMNS, mirrors)
    if (!json) for (const { name, problem } of mirrors) if (problem !== undefined) out.note(`${name}: ${problem}`)
  },
})

const show = action({
  words: 'show', args: 'NAME', summary: 'one mirror: what it is, what was set up for it, what it counted and why copies were lost',
  options: {},
  run({ args: [name], netns, json, out }) {
    const found = Mirror.list(netns).find((each) => each.name === name)
    if (found === undefined) throw noSuchMirror(name!)
    if (found.problem !== undefined) throw new NfkitError('NFKIT_BAD_JOURNAL', found.problem)
    const mirror = withCounters(found, netns)
    if (json) out.json(mirror)
    else print(out, mirror)
  },
})

const repair = action({
  words: 'repair', args: 'NAME', summary: 'put back what is missing of a mirror: routes, which the kernel deletes when its port is set down; a clone target or hook that was deleted',
  details: ['Says what was missing. Via reroute the port must be up.'],
  options: {},
  async run({ args: [name], netns, json, out }) {
    const mirror = Mirror.open(name!, netns)
    const repaired = await mirror.repair()
    if (json) out.json(repaired)
    else out.lines(repaired.map((step) => `put back: ${step}`))
    await mirror.close()
  },
})

const remove = action({
  words: 'remove', args: '[NAME]', summary: 'undo a mirror, whoever made it and however far that came',
  details: ['What others have changed or undone since is left alone; exit status 1 if there is no mirror NAME.'],
  options: { abandoned: { type: 'flag', help: 'all that are not persistent and whose process is gone' } },
  async run({ args: [name], options: { abandoned }, netns, json, out }) {
    if ((name === undefined) === (abandoned !== true)) throw new UsageError('mirror remove: either NAME or --abandoned')
    const names = name === undefined ? Mirror.list(netns).filter((each) => each.abandoned === true).map((each) => each.name) : [name]
    const removed = []
    for (const each of names) removed.push({ name: each, steps: await Mirror.remove(each, netns) })
    if (json) out.json(removed)
    else for (const { name: each, steps } of removed) for (const { step, result } of steps) if (result !== 'undone') out.note(`${each}: ${step}: ${result === 'gone' ? 'was gone already' : 'left, another mirror needs it'}`)
  },
})

export const mirror: Command = { name: 'mirror', actions: [list, show, watch, add, set, repair, remove] }
