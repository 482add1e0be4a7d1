// SPDX-License-Identifier: MIT
// A process that changes a table again and again, for tests with many of them: namespace, name, number of updates, and either
// rules that each update appends, or with a minus the rule that each replaces.

import { Netfilter } from '../../lib/index.js'

const [netns, name, updates, block] = [process.argv[2]!, process.argv[3]!, Number(process.argv[4]), Number(process.argv[5])]
const nf = Netfilter.open({ netns, lock: { wait: 'forever' } })
console.log('ready')
for (let i = 0; i < updates; i++) {
  const change: Parameters<typeof nf.updateSync>[1] = (table) => {
    if (block < 0) {
      const [match] = table.chain('INPUT').rule(-block).matches!
      if (match?.name !== 'comment' || !('comment' in match) || match.comment !== `${name}-${i}`) throw new Error(`an update was lost: ${JSON.stringify(match)} before ${i + 1}`)
      table.chain('INPUT').replace(-block, { matches: [{ name: 'comment', comment: `${name}-${i + 1}` }] })
    }
    for (let j = 0; j < block; j++) {
      table.chain('INPUT').append({ matches: [{ name: 'comment', comment: `${name}-${i}-${j}` }], counters: { packets: i + 1, bytes: (i + 1) * 100 } })
    }
  }
  if (i % 2 === 0) await nf.update('filter', change)
  else nf.updateSync('filter', change)
}
nf.close()
