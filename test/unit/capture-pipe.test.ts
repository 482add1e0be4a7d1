// SPDX-License-Identifier: MIT
// Records on their way into a file: reads and writes side by side, in memory that is used again.

import { execFileSync, spawn } from 'node:child_process'
import fs, { closeSync, constants, createWriteStream, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type CaptureFacts, type CaptureReads, writeCapture } from '../../lib/clone/capture-pipe.js'
import { DeviceNames } from '../../lib/clone/device-names.js'
import { watchReads } from '../../lib/events.js'
import { addon, checkDescriptor } from '../../lib/native.js'
import { PACKET_RECORD } from '../../lib/wire/module/record.js'
import { readPcapng } from '../../lib/wire/pcapng-reader.js'
import { packet } from '../support/records.js'

const place = mkdtempSync(join(tmpdir(), 'nfkit-'))
t.teardown(() => rmSync(place, { recursive: true }))

const facts = (): CaptureFacts => ({ since: 0n, snaplen: 0, names: new DeviceNames(undefined) })
/** Of a whole page, so that what is read from a pipe of pages ends with a record. */
const RECORD_BYTES = 4096
const dataOf = (i: number) => new Uint8Array(RECORD_BYTES - PACKET_RECORD.size).fill(i % 251)
const recordOf = (i: number) => packet(dataOf(i), { in: 0, link: 101 })

const packetsOf = (file: Uint8Array) => [...readPcapng(file)].flatMap((block) => (block.type === 'packet' ? [block] : []))

/** What gives these reads, then waits until it is closed. */
function reads(pieces: Uint8Array[]): CaptureReads & { closed: Promise<undefined> } {
  let close = () => {}
  const closed = new Promise<undefined>((resolve) => { close = () => resolve(undefined) })
  return { closed, close, wrote() {}, next: async () => pieces.shift() ?? closed }
}

t.test('one write at a time, whose bytes stay until it is done', async (t) => {
  const capture = reads([recordOf(1), recordOf(2), recordOf(3)])
  let writing = 0
  let most = 0
  const file: Uint8Array[] = []
  await writeCapture(capture, facts(), async (bytes) => {
    most = Math.max(most, ++writing)
    const before = bytes.slice()
    await sleep(5)
    t.same(bytes, before)
    file.push(before)
    writing--
  }, 3)
  t.equal(most, 1)
  t.same(packetsOf(Buffer.concat(file)).map(({ data }) => data[0]), [1, 2, 3])
})

t.test('a write that fails ends it, though no packet comes any more', async (t) => {
  const capture = reads([recordOf(1)])
  let writes = 0
  await t.rejects(writeCapture(capture, facts(), async () => {
    await sleep(5)
    if (++writes === 2) throw new Error('no room')
  }, Infinity), { message: 'no room' })
  await capture.closed
  t.equal(writes, 2)
})

t.test('a stream that fails is told once, as what is thrown', async (t) => {
  // As an event without a listener it would end this program.
  const failing = (fail: (done: (error?: Error | null) => void) => void) => new Writable({ write: (_bytes, _encoding, done) => { fail(done) } })
  const streams = {
    'a full disk': [createWriteStream('/dev/full'), /ENOSPC/],
    'at once': [failing((done) => { done(new Error('broken')) }), /broken/],
    'later': [failing((done) => { setTimeout(done, 5, new Error('broken')) }), /broken/],
  } as const
  for (const [what, [stream, message]] of Object.entries(streams)) {
    const capture = reads([recordOf(1), recordOf(2)])
    await t.rejects(writeCapture(capture, facts(), stream, Infinity), { message }, what)
    await capture.closed
    await sleep(20)
    t.ok(stream.destroyed)
  }

  const idle = failing((done) => { done() })
  const capture = reads([])
  const writing = writeCapture(capture, facts(), idle, Infinity)
  await sleep(5)
  idle.destroy(new Error('gone'))
  await t.rejects(writing, { message: 'gone' }, 'while no packet comes')

  const late = failing((done) => { setTimeout(done, 20, new Error('late')) })
  await t.rejects(writeCapture({ ...reads([]), next: async () => { throw new Error('ended') } }, facts(), late, Infinity), { message: 'ended' }, 'after the capture did')
  await sleep(50)
  t.ok(late.destroyed)
})

t.test('nothing stays on a stream', async (t) => {
  const stream = new Writable({ write: (_bytes, _encoding, done) => { setTimeout(done, 5) } })
  const listeners = () => stream.listenerCount('error')
  const before = listeners()
  await writeCapture(reads([recordOf(1)]), facts(), stream, 1)
  await t.rejects(writeCapture({ ...reads([]), next: async () => { throw new Error('ended') } }, facts(), stream, Infinity))
  await sleep(20)
  t.equal(listeners(), before)
})

t.test('a function that throws at its first call', async (t) => {
  const capture = reads([recordOf(1)])
  await t.rejects(writeCapture(capture, facts(), () => { throw new Error('no') }, Infinity), { message: 'no' })
  await capture.closed
})

t.test('a file that is written from memory used again', async (t) => {
  const path = join(place, 'fifo')
  execFileSync('mkfifo', [path])
  const held = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  // Room for more than a read takes, so that reads are large.
  execFileSync('python3', ['-c', 'import fcntl, sys; fcntl.fcntl(open(sys.argv[1], "r+b", buffering=0), 1031, 1 << 20)', path])
  const N = 3000
  writeFileSync(join(place, 'records'), Buffer.concat(Array.from({ length: N }, (_, i) => recordOf(i))))
  const writer = spawn('dd', [`if=${join(place, 'records')}`, `of=${path}`, 'bs=4096', 'status=none'])
  const watch = watchReads<Uint8Array>(checkDescriptor(addon.open(path, constants.O_RDONLY | constants.O_NONBLOCK, 0, -1), 'open'), (bytes, emit) => { emit(bytes) }, () => new Error('the end'))
  const sizes: number[] = []
  const memory = new Set<ArrayBufferLike>()
  // Reads while much is there, as of a capture that others hold up.
  const capture: CaptureReads = {
    async next() {
      await sleep(2)
      const { value } = await watch.next()
      sizes.push(value.length)
      memory.add(value.buffer)
      return value
    },
    wrote() {},
    close() { void watch.return!() },
  }
  const file = join(place, 'file')
  // A disk that takes its time, during which the next read is made.
  const write = ((...args: Parameters<typeof fs.write>) => { setTimeout(() => fs.write(...args), 10) }) as unknown as typeof fs.write
  const stream = createWriteStream(file, { fs: { open: fs.open, close: fs.close, write } })
  await writeCapture(capture, facts(), stream, N)
  await new Promise((resolve) => stream.end(resolve))
  closeSync(held)
  writer.kill()
  const large = sizes.filter((size) => size > 256 << 10).length
  t.ok(large > 4, `${large} large reads`)
  t.ok(memory.size - (sizes.length - large) <= 3, 'two or three pieces of memory serve them')
  const packets = packetsOf(readFileSync(file))
  t.equal(packets.length, N)
  t.equal(packets.findIndex(({ data }, i) => Buffer.compare(data, dataOf(i)) !== 0), -1, 'each packet as it was')
})
