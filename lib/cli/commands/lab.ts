// SPDX-License-Identifier: MIT
// nfkit lab

import { endAs, runPrivately } from '../../lab/reexec.js'
import { action, type Command } from '../action.js'

const run = action({
  words: '', args: '-- COMMAND [ARG...]', summary: 'run a command in a private network, as root of its own', bare: true, options: {},
  details: [
    'The command gets a network namespace with only a loopback, and an empty /run: what it does there touches nothing of this',
    'machine and is gone when it ends. An ordinary user becomes root in a user namespace, where the kernel allows it.',
    'Ends with the exit status of the command, or as the signal ended it; 127 if there is no such command.',
  ],
  async run({ args: [command, ...args] }) {
    endAs(await runPrivately(command!, args))
  },
})

export const lab: Command = { name: 'lab', actions: [run] }
