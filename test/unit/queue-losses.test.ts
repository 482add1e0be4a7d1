// SPDX-License-Identifier: MIT
// The accounts of what a queue lost, against a model of nfnetlink_queue's counters: where real packets cannot lead, such as
// past the 32 bits of their numbers and to a kernel without memory.

import fc from '../support/fast-check.js'
import t from 'tap'
import { QueueLosses } from '../../lib/queue/queue-losses.js'

/** What happens to the next packet, and when the program looks. */
type Step = 'queued' | 'full' | 'undelivered' | 'no memory' | 'answer all' | 'receive' | 'receive one'

/** Counts as the kernel does: numbers are given before delivery, and not to what finds the queue full. */
function play(steps: readonly Step[], firstId: number, { maxLength, failOpen }: { maxLength: number; failOpen: boolean }) {
  let lastId = firstId
  // Who begins late has missed all before.
  let [waiting, dropped, userDropped, lost, sent] = [0, 0, Math.max(0, firstId - 1), 0, 0]
  const socket: number[] = []
  const losses = new QueueLosses(
    { read: () => ({ queue: 1, port: 1, waiting, copyMode: 2, copyRange: 100, dropped, userDropped, lastId }) },
    { maxLength, failOpen, copyRange: 100, receiveBuffer: 1 << 20 },
  )
  let reported = 0
  let before = 0
  let received = 0
  let serial = firstId
  const receive = (most = Infinity): void => {
    for (const id of socket.splice(0, most)) {
      const { step, loss } = losses.passed(id)
      serial += step
      if (serial % 2 ** 32 !== id) throw new Error(`${serial} for ${id}`)
      reported += loss?.count ?? 0
      before += losses.takeBefore()
      received++
    }
    for (const { count } of losses.look()) reported += count
  }
  if (firstId > 0) {
    losses.passed(firstId)
    losses.takeBefore()
  }
  for (const step of steps) {
    if (step === 'receive') receive()
    else if (step === 'receive one') receive(1)
    else if (step === 'answer all') waiting = 0
    else if (step === 'full' || waiting === maxLength) {
      if (waiting < maxLength) continue
      sent++
      lost++
      if (!failOpen) dropped++
    } else {
      sent++
      lastId = (lastId + 1) >>> 0
      if (step === 'queued') { waiting++; socket.push(lastId) }
      else {
        lost++
        if (!failOpen && step === 'undelivered') userDropped++
        else if (!failOpen) dropped++
      }
    }
  }
  receive()
  // One more packet tells of all that is missing before it.
  waiting = 0
  for (let more = 0; more < 2; more++) {
    lastId = (lastId + 1) >>> 0
    sent++
    socket.push(lastId)
    receive()
  }
  return { sent, received, lost, reported, before: before + losses.takeBefore(), dropped }
}

const step = fc.constantFrom<Step>('queued', 'queued', 'queued', 'full', 'undelivered', 'answer all', 'receive', 'receive one')

t.test('all that is lost is reported, and nothing twice', async (t) => {
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(1, 3, 50), (steps, maxLength) => {
    const { sent, received, lost, reported, before } = play(steps, 0, { maxLength, failOpen: false })
    t.equal(received + lost, sent)
    if (reported !== lost || before !== lost) throw new Error(`${lost} lost, ${reported} reported, ${before} before packets`)
  }), { numRuns: 1000 })
})

t.test('beyond the last number', async () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), fc.integer({ min: 2 ** 32 - 60, max: 2 ** 32 - 1 }), (steps, firstId) => {
    const { lost, reported } = play(steps, firstId, { maxLength: 3, failOpen: false })
    if (reported !== lost) throw new Error(`${lost} lost, ${reported} reported`)
  }), { numRuns: 1000 })
})

t.test('with fail-open those that have a number are told', async () => {
  fc.assert(fc.property(fc.array(fc.constantFrom<Step>('queued', 'undelivered', 'receive', 'answer all'), { maxLength: 100 }), (steps) => {
    const { lost, reported } = play(steps, 0, { maxLength: 1000, failOpen: true })
    if (reported !== lost) throw new Error(`${lost} lost, ${reported} reported`)
  }), { numRuns: 1000 })
})

t.test('what a kernel without memory numbered and counted as full is not told twice', async () => {
  fc.assert(fc.property(fc.array(fc.constantFrom<Step>('queued', 'no memory', 'undelivered', 'full', 'receive', 'receive one', 'answer all'), { maxLength: 100 }), (steps) => {
    const { lost, reported } = play(steps, 0, { maxLength: 5, failOpen: false })
    if (reported !== lost) throw new Error(`${lost} lost, ${reported} reported`)
  }), { numRuns: 1000 })
})
