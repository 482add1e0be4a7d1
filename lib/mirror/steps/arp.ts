// SPDX-License-Identifier: MIT
// ARP and neighbour discovery off on the mirror port: copies go to addresses that nobody there has.

import { NfkitError } from '../../errors.js'
import * as Link from '../../net/link.js'
import type { StepKind } from '../step.js'

export interface ArpStep {
  /** The port by its index, which it keeps when it is renamed. */
  link: number
  port: string
}

/** Only planned where ARP was on, or another mirror has it in its journal. */
export const arp: StepKind<ArpStep> = {
  read: (fields) => ({ link: fields.number('link'), port: fields.text('port') }),

  apply({ link }, { netns }) {
    if (Link.get(link, netns).arp) Link.set(link, { arp: false }, netns)
  },

  undo({ link }, { netns, others }) {
    if (others.some(({ steps }) => steps.some((step) => step.kind === 'arp' && step.link === link))) return 'shared'
    try {
      if (Link.get(link, netns).arp) return 'gone'
      Link.set(link, { arp: true }, netns)
      return 'undone'
    } catch (error) {
      if (error instanceof NfkitError && error.code === 'ENODEV') return 'gone'
      throw error
    }
  },

  describe: ({ port }) => `ARP off on ${port}`,
}
