// SPDX-License-Identifier: MIT
// nfkit netfilter

import type { NetfilterFinding } from '../../netfilter/check.js'
import { action, type Command } from '../action.js'
import { printable } from '../text.js'
import { FAMILY_OPTIONS, withNetfilter } from '../with-netfilter.js'

const MARK = { true: ['green', 'ok'], false: ['yellow', 'note'], undefined: ['dim', 'unknown'] } as const

const markOf = ({ ok }: NetfilterFinding) => MARK[String(ok) as keyof typeof MARK]

const check = action({
  words: 'check', args: '', summary: 'why rules may not do what is expected: tables, rules of nft, bridges, the lock',
  details: ['Changes nothing. What cannot be looked at without privilege says so. The exit status is 0 whatever was found.'],
  options: FAMILY_OPTIONS,
  async run(invocation) {
    const { json, out } = invocation
    const report = await withNetfilter(invocation, (nf) => nf.check())
    if (json) return out.json(report)
    for (const finding of report.findings) {
      const [style, word] = markOf(finding)
      out.lines([`${out.paint(style, word.padEnd(7))} ${finding.about.padEnd(6)} ${printable(finding.text)}`])
      if (finding.hint !== undefined) out.lines([`${' '.repeat(15)}${printable(finding.hint)}`])
    }
  },
})

export const netfilter: Command = { name: 'netfilter', actions: [check] }
