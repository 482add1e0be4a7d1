// SPDX-License-Identifier: MIT
// What the epoll thread reads of a descriptor that is no socket: a FIFO, which needs no privilege.

import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { constants as os, tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { forEachRecord, watchDescriptor } from '../../lib/events.js'
import { addon, checkDescriptor, WatchMode } from '../../lib/native.js'

const { EINVAL } = os.errno
/** cannot send after transport endpoint shutdown */
const ESHUTDOWN = 108
const place = mkdtempSync(join(tmpdir(), 'nfkit-'))
t.teardown(() => rmSync(place, { recursive: true }))

function fifo(name: string, flags = constants.O_NONBLOCK) {
  const path = join(place, name)
  execFileSync('mkfifo', [path])
  // Both ends, so that it opens at once.
  const writer = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  return { reader: checkDescriptor(addon.open(path, constants.O_RDONLY | flags, 0, -1), 'open'), writer }
}

/** The bytes of records, and the errno that ends them. */
const decode = (chunk: Uint8Array, emit: (item: Uint8Array | number) => void) => forEachRecord(chunk, (record) => {
  if (record.kind === 'data') emit(record.input.bytes.slice(record.start, record.end))
  else if (record.kind === 'error') emit(record.errno)
})

t.test('bytes in their order, and the end', async (t) => {
  const { reader, writer } = fifo('order')
  const watch = watchDescriptor(reader, 'pause', 65536, decode)
  writeSync(writer, 'one')
  t.same(Buffer.from((await watch.next()).value as Uint8Array).toString(), 'one')
  writeSync(writer, 'two')
  writeSync(writer, 'three')
  closeSync(writer)
  let text = ''
  let errno = 0
  for await (const item of watch) {
    if (typeof item === 'number') { errno = item; break }
    text += Buffer.from(item).toString()
  }
  t.equal(text, 'twothree')
  t.equal(errno, ESHUTDOWN)
})

t.test('what is not taken stays where it is', async (t) => {
  const { reader, writer } = fifo('full')
  const watch = watchDescriptor(reader, 'pause', 65536, decode)
  t.teardown(() => watch.return!())
  const block = new Uint8Array(4096)
  let wrote = 0
  // As much as waits in this process and in the FIFO (64 KiB), until there is no room for a while.
  for (let full = 0; full < 20;) {
    try {
      block.fill(wrote & 0xff)
      wrote += writeSync(writer, block)
      full = 0
    } catch (error) {
      t.equal((error as NodeJS.ErrnoException).code, 'EAGAIN')
      full++
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  t.ok(wrote < 1 << 20, `${wrote} bytes`)
  let got = 0
  while (got < wrote) {
    const { value } = await watch.next()
    const piece = value as Uint8Array
    for (let i = 0; i < piece.length; i++) if (piece[i] !== (((got + i) & ~4095) & 0xff)) return t.fail(`byte ${got + i} is ${piece[i]}`)
    got += piece.length
  }
  t.equal(got, wrote)
  closeSync(writer)
})

t.test('never one whose reads would wait, nor one from which something could be dropped', (t) => {
  const waits = fifo('waits', 0)
  t.equal(waits.reader.watch(1, WatchMode.pause, 65536), -EINVAL)
  const drops = fifo('drops')
  t.equal(drops.reader.watch(1, WatchMode.drop, 65536), -EINVAL)
  for (const { reader, writer } of [waits, drops]) {
    reader.close()
    closeSync(writer)
  }
  t.end()
})
