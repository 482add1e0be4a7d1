// SPDX-License-Identifier: MIT
// Reading what is no socket: a FIFO, which needs no privilege.

import { execFileSync, spawn } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { constants as os, tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { watchReads } from '../../lib/events.js'
import { addon, checkDescriptor, WatchMode } from '../../lib/native.js'

const { ENOTSOCK } = os.errno
const place = mkdtempSync(join(tmpdir(), 'nfkit-'))
t.teardown(() => rmSync(place, { recursive: true }))

function fifo(name: string) {
  const path = join(place, name)
  execFileSync('mkfifo', [path])
  // Both ends, so that it opens at once.
  const writer = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  return { reader: checkDescriptor(addon.open(path, constants.O_RDONLY | constants.O_NONBLOCK, 0, -1), 'open'), writer }
}

class Ended extends Error {
  constructor(readonly errno: number) { super(`ended by ${errno}`) }
}
const failed = (errno: number) => new Ended(errno)
const whole = (bytes: Uint8Array, emit: (item: Uint8Array) => void) => { emit(bytes) }

t.test('bytes in their order, and the end', async (t) => {
  const { reader, writer } = fifo('order')
  const watch = watchReads(reader, whole, failed)
  writeSync(writer, 'one')
  const first = (await watch.next()).value as Uint8Array
  t.equal(Buffer.from(first).toString(), 'one')
  const waiting = watch.next()
  writeSync(writer, 'two')
  let text = Buffer.from((await waiting).value as Uint8Array).toString()
  writeSync(writer, 'three')
  closeSync(writer)
  await t.rejects(async () => { for await (const item of watch) text += Buffer.from(item).toString() }, { message: 'ended by 0' })
  t.equal(text, 'twothree')
  t.equal(Buffer.from(first).toString(), 'one', 'what was given stays')
  t.equal(reader.fd, -1)
})

t.test('much at once, and nothing but what was asked for', async (t) => {
  const { reader, writer } = fifo('much')
  const watch = watchReads(reader, whole, failed)
  t.teardown(() => watch.return!())
  const block = new Uint8Array(4096)
  const fill = () => {
    for (let wrote = 0; ; wrote += block.length) {
      try {
        block.fill((wrote >> 12) & 0xff)
        writeSync(writer, block)
      } catch (error) {
        t.equal((error as NodeJS.ErrnoException).code, 'EAGAIN')
        return wrote
      }
    }
  }
  const room = fill()
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(fill(), 0, 'nobody has asked')
  let got = 0
  while (got < room) {
    const piece = (await watch.next()).value as Uint8Array
    for (let i = 0; i < piece.length; i++) if (piece[i] !== (((got + i) >> 12) & 0xff)) return t.fail(`byte ${got + i} is ${piece[i]}`)
    got += piece.length
  }
  t.equal(got, room)
  closeSync(writer)
})

t.test('one that never runs empty leaves others their turn', async (t) => {
  const { reader, writer } = fifo('endless')
  const child = spawn('dd', ['if=/dev/zero', `of=${join(place, 'endless')}`, 'bs=64k'], { stdio: 'ignore' })
  t.teardown(() => { child.kill('SIGKILL') })
  let fired = false
  setTimeout(() => { fired = true }, 20)
  let reads = 0
  for await (const _ of watchReads(reader, whole, failed)) {
    reads++
    if (fired) break
  }
  t.ok(reads > 0)
  closeSync(writer)
})

t.test('signals', async (t) => {
  const { reader, writer } = fifo('signal')
  const controller = new AbortController()
  const { signal } = controller
  const watch = watchReads(reader, whole, failed, { signal, onClose: () => { t.ok(reader.fd >= 0, 'told while it is open') } })
  controller.abort(new Error('enough'))
  t.equal(reader.fd, -1)
  await watch.return!()
  t.same(await watch.next(), { done: true, value: undefined }, 'over, whoever ended it first')
  closeSync(writer)

  let closed = 0
  const names = ['object', 'number', 'text', 'null', 'aborted']
  for (const [i, [given, message]] of ([[{}, 'signal: expected an AbortSignal, got an object'], [5, /got 5/], ['x', /got "x"/], [null, /got null/], [signal, 'enough']] as const).entries()) {
    const { reader, writer } = fifo(`signal-${names[i]}`)
    t.throws(() => watchReads(reader, whole, failed, { signal: given as AbortSignal, onClose: () => { closed++ } }), { message })
    t.equal(reader.fd, -1, 'nothing is left open')
    closeSync(writer)
  }
  t.equal(closed, names.length)
})

t.test('never into a queue', (t) => {
  const { reader, writer } = fifo('queue')
  for (const mode of [WatchMode.pause, WatchMode.drop]) t.equal(reader.watch(1, mode, 65536), -ENOTSOCK)
  reader.close()
  closeSync(writer)
  t.end()
})
