// SPDX-License-Identifier: MIT
// How much of each packet is copied, and of which: the options that clone targets and mirrors share.

import type { CloneTargetConfig } from '../../clone/clone-config.js'
import type { OptionValues } from '../action.js'
import { optionalInteger } from '../values.js'

export const LIMIT_OPTIONS = {
  snaplen: { type: 'value', value: 'BYTES', help: 'of each frame at most, 60 to 65535; 0: all' },
  sample: { type: 'value', value: 'NUMBER', help: 'copy one packet in so many; 1: all' },
  random: { type: 'switch', help: 'with --sample: choose packets by chance, not the first of every so many' },
  rate: { type: 'value', value: 'NUMBER', help: 'copy so many packets per second on average; 0: no limit' },
  burst: { type: 'value', value: 'NUMBER', help: 'with --rate: so many at once after a pause' },
  'queue-limit': { type: 'value', value: 'NUMBER', help: 'how many copies may wait on each CPU; 0: net.nfkit.queue_limit' },
  'drop-oldest': { type: 'switch', help: 'when the queue is full, drop the oldest copy, not the newest' },
  defer: { type: 'switch', help: 'queue every copy, also where it could be sent at once' },
} as const

export function limitsOf(options: OptionValues<typeof LIMIT_OPTIONS>): Omit<CloneTargetConfig, 'devices' | 'reroute' | 'capture'> {
  const count = (name: 'snaplen' | 'sample' | 'rate' | 'burst' | 'queue-limit') => optionalInteger(`--${name}`, options[name])
  return {
    snaplen: count('snaplen'), sample: count('sample'), random: options.random, rate: count('rate'), burst: count('burst'), queueLimit: count('queue-limit'),
    dropOldest: options['drop-oldest'], defer: options.defer,
  }
}
