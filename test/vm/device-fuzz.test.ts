// SPDX-License-Identifier: MIT
// /dev/nfkit called wrongly: each field, size and address by itself, and all of it by chance.

import t from 'tap'
import { hostile, noHostile } from '../support/hostile.js'
import { withModule } from '../support/module.js'

withModule(t)
t.setTimeout(4 * 3_600_000)

/** How many calls by chance; NFKIT_FUZZ=1000000 for the long form. Those of NFKIT_FUZZ_SEED can be had again. Each grace period is long under emulation. */
const CALLS = Number(process.env['NFKIT_FUZZ'] ?? (process.env['NFKIT_SANITIZE'] === undefined ? 8_000 : 20_000))
const SEED = Number(process.env['NFKIT_FUZZ_SEED'] ?? Date.now() % 1_000_000_007)
const THREADS = 4

t.test('each field wrong by itself: its errno, and nothing changes', { skip: noHostile }, (t) => hostile(t, 'fields'))
t.test('one object more than there may be', { skip: noHostile }, (t) => hostile(t, 'limits'))
t.test('structs and elements of each size up to four pages', { skip: noHostile }, (t) => hostile(t, 'sizes'))
t.test('addresses where nothing is', { skip: noHostile }, (t) => hostile(t, 'pointers'))
t.test('read and poll with wrong buffers', { skip: noHostile }, (t) => hostile(t, 'reading'))
t.test(`${CALLS} calls by chance from ${THREADS} threads, seed ${SEED}`, { skip: noHostile }, (t) => hostile(t, 'fuzz', CALLS, SEED, THREADS))
