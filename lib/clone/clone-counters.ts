// SPDX-License-Identifier: MIT
// What the kernel module counted, by the mark of the copies: /proc/net/nfkit of a namespace (kmod/counters.c).

import { NfkitError } from '../errors.js'
import { type NetnsLike, readProc } from '../netns.js'
import type { CloneCounters, CloneLoss } from '../wire/module/counters.js'

export type { CloneCounters, CloneLoss }

/**
 * The counters of a namespace by mark; none where the module is not loaded. Needs no privilege.
 * @throws NfkitError EBADMSG when the file is not as expected
 */
export function readCloneCounters(netns?: NetnsLike): Map<number, CloneCounters> {
  try {
    return parseCloneCounters(readProc('nfkit', netns))
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENOENT') return new Map()
    throw error
  }
}

/** The text of the file: a line of names, then a line for each target. @internal */
export function parseCloneCounters(text: string): Map<number, CloneCounters> {
  const [names = [], ...lines] = text.split('\n').filter((line) => line !== '').map((line) => line.split(' '))
  const counters = new Map<number, CloneCounters>()
  for (const [target = '', ...values] of lines) {
    const mark = /^mark:0x([0-9a-f]{1,8})$/.exec(target)?.[1]
    if (mark === undefined) continue
    if (values.length !== names.length - 1 || !values.every((value) => /^\d+$/.test(value))) {
      throw new NfkitError('EBADMSG', `/proc/net/nfkit: a line with ${values.length} counters, expected ${names.length - 1}`)
    }
    const { seen = 0, sampledOut = 0, limited = 0, cloned = 0, sent = 0, bytes = 0, queued = 0, ...rest } =
      Object.fromEntries(names.slice(1).map((name, i) => [camelCase(name), Number(values[i])] as const))
    const lost = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== 0)) as CloneCounters['lost']
    counters.set(Number.parseInt(mark, 16), { seen, sampledOut, limited, cloned, sent, bytes, queued, lost })
  }
  return counters
}

const camelCase = (name: string): string => name.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase())
