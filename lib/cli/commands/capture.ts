// SPDX-License-Identifier: MIT
// nfkit capture

import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { Capture, type CaptureStats } from '../../clone/capture.js'
import type { CaptureChain, CaptureSource } from '../../clone/capture-source.js'
import { CloneTarget } from '../../clone/clone-target.js'
import { NfkitError } from '../../errors.js'
import { isHookPoint } from '../../wire/module/hook-points.js'
import { action, type Command, type Invocation } from '../action.js'
import { type Counter, LIVE_OPTIONS, watchCounters } from '../live-counters.js'
import { type Output, toJson } from '../output.js'
import { UsageError } from '../usage.js'
import { oneOf, optionalInteger } from '../values.js'
import { packetText } from './capture-text.js'
import { familyOf, givenOf, PACKET_OPTIONS, placeOf } from './packet-options.js'

const CHAINS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const satisfies readonly CaptureChain['chain'][]
const TARGET = 'target:'
const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const OPTIONS = {
  from: { type: 'value', value: 'WHAT', help: `a hook point (ingress, local-in, bridge-forward, ...), a chain (${CHAINS.join(', ')}) or the name of a clone target` },
  table: { type: 'value', value: 'TABLE', help: 'with a chain: as the first rule of raw, mangle, filter or security would see packets; filter unless told' },
  ...PACKET_OPTIONS,
  write: { type: 'value', value: 'FILE|-', short: 'w', help: 'write them in the format pcapng; - is the standard output' },
  snaplen: { type: 'value', value: 'BYTES', short: 's', help: 'of each packet that are kept, 1 to 262144; all unless told' },
  buffer: { type: 'value', value: 'BYTES', help: 'that the kernel keeps until they are read, 65536 to 67108864; 4194304 unless told' },
  count: { type: 'value', value: 'NUMBER', short: 'c', help: 'stop after so many packets' },
  interval: LIVE_OPTIONS.interval,
} as const
type Options = Invocation<typeof OPTIONS>['options']

function sourceOf(options: Options): CaptureSource {
  const { from, table } = options
  if (from === undefined) throw new UsageError('--from is missing: a hook point, a chain or the name of a clone target')
  const chain = CHAINS.find((one) => one === from)
  if (chain === undefined && table !== undefined) throw new UsageError(`--table needs a chain: --from ${CHAINS.join('|')}`)
  if (chain === undefined && !isHookPoint(from)) {
    const unwanted = givenOf(options, PACKET_OPTIONS)
    if (unwanted !== undefined) throw new UsageError(`${unwanted}: which packets a clone target gets is said by the rules and hooks that name it`)
    return from.startsWith(TARGET) ? from.slice(TARGET.length) : from
  }
  const { priority, ...where } = { family: familyOf(options), ...placeOf(options) }
  if (isHookPoint(from)) return { at: from, priority, ...where }
  if (priority !== undefined) throw new UsageError('--priority: that of a chain is its table\'s')
  return { chain: chain!, ...(table === undefined ? {} : { table: oneOf('--table', table, ['raw', 'mangle', 'filter', 'security']) }), ...where }
}

/** Why no packet may come. */
function doubtOf(target: string, netns: string | undefined): string | undefined {
  try {
    return CloneTarget.get(target, netns).capture ? undefined : `the clone target ${target} is not for captures: it has not the sink capture`
  } catch (error) {
    if (!(error instanceof NfkitError && error.code === 'ENOENT')) throw error
    return `there is no clone target ${target} yet`
  }
}

/** A line for each packet. */
async function print(capture: Capture, count: number, json: boolean, out: Output): Promise<void> {
  let printed = 0
  for await (const batch of capture) {
    for (const packet of batch) {
      if (json) await out.line(toJson(packet))
      else {
        if (packet.lost > 0) await out.line(out.paint('red', `${packet.lost} packets were lost here`))
        await out.line(packetText(packet, out.paint))
      }
      if (++printed === count) return
    }
  }
}

interface Seen extends CaptureStats { readonly name: string }

const COUNTERS: readonly Counter<Seen>[] = [
  { header: 'CAPTURED', of: ({ captured }) => captured }, { header: 'WRITTEN', of: ({ delivered }) => delivered }, { header: 'LOST', of: ({ lost }) => lost },
]

/** A file, with counters as they grow on a terminal, or as JSON, until `ending` is aborted. */
async function write(capture: Capture, to: string, count: number | undefined, { options: { from, interval }, json, out }: Invocation<typeof OPTIONS>, ending: AbortController): Promise<void> {
  if (to === '-') {
    await capture.pipe(process.stdout, { count })
    return
  }
  const file = createWriteStream(to)
  await once(file, 'open')
  const writing = capture.pipe(file, { count }).finally(() => { ending.abort() })
  const watching = json || out.isTerminal
    ? watchCounters(out, json, { interval }, {
      what: ['capture', 'captures'], columns: [{ header: 'FROM', cell: ({ name }) => name }], counters: COUNTERS, read: () => (capture.closed ? [] : [{ name: from!, ...capture.stats() }]),
      until: ending.signal,
    }).finally(() => { capture.stop() })
    : Promise.resolve()
  watching.catch(() => {})
  try {
    // Whoever fails first ends the other, and the terminal is as it was before anything is said.
    await writing.finally(() => watching)
  } finally {
    file.end()
  }
  await once(file, 'close')
}

const capture = action({
  words: '', args: '', summary: 'capture packets until it is interrupted: print them, or write them with -w',
  details: [
    'Needs the kernel module (nfkit module status). Nothing is left when it ends, however it does.',
    'A line for each packet, with --json its bytes, too. With -w counters as they grow, on a terminal (q quits) and with --json.',
    'A clone target is named as it is, or as target:NAME if its name is that of a hook point or chain.',
    'Example: nfkit capture --from INPUT --match \'{"protocol":"tcp"}\' -w - | tshark -r -',
  ],
  options: OPTIONS,
  async run(invocation) {
    const { options, netns: { netns }, json, out } = invocation
    const { write: to, snaplen, buffer, count, interval } = options
    if (interval !== undefined && to === undefined) throw new UsageError('--interval needs --write')
    if (to === '-' && json) throw new UsageError('--json, --write -: the standard output has either the file or JSON')
    const most = optionalInteger('--count', count)
    if (most === 0) throw new UsageError('--count: expected at least 1')
    const from = sourceOf(options)
    const opened = Capture.open({ from, netns, snaplen: optionalInteger('--snaplen', snaplen), buffer: optionalInteger('--buffer', buffer) })
    const ending = new AbortController()
    // What was captured until then is still printed or written; a second signal ends it at once, when the terminal is as it was.
    const stop = () => {
      ending.abort()
      opened.stop()
    }
    for (const signal of STOPPING) process.once(signal, stop)
    try {
      const doubt = typeof from === 'string' ? doubtOf(from, netns) : undefined
      if (doubt !== undefined) out.note(doubt)
      if (to === undefined) await print(opened, most ?? Infinity, json, out)
      else await write(opened, to, most, invocation, ending)
    } finally {
      for (const signal of STOPPING) process.off(signal, stop)
      opened.close()
    }
    const { captured, lost } = opened.stats()
    out.note(`${captured} packet${captured === 1 ? '' : 's'} captured, ${lost} lost`)
  },
})

export const captureCommand: Command = { name: 'capture', actions: [capture] }
