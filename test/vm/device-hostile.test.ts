// SPDX-License-Identifier: MIT
// /dev/nfkit in the hands of who may not use it, of who has lost its network namespace, and of everybody at once.

import t from 'tap'
import { hostile, noHostile } from '../support/hostile.js'
import { withModule } from '../support/module.js'

withModule(t)
t.setTimeout(600_000)

/** Seconds of everything at once. */
const SECONDS = Number(process.env['NFKIT_STRESS_SECONDS'] ?? 5)
const SEED = Number(process.env['NFKIT_FUZZ_SEED'] ?? Date.now() % 1_000_000_007)

t.test('callers and openers without the capability', { skip: noHostile }, (t) => hostile(t, 'callers'))
t.test('which network namespace a descriptor has, also when that is gone', { skip: noHostile }, (t) => hostile(t, 'namespaces'))
t.test('devices come, go, move and are renamed meanwhile', { skip: noHostile }, (t) => hostile(t, 'moving', SECONDS, Date.now() % 1_000_000))
t.test('defined anew, deleted and closed while packets pass and are read', { skip: noHostile }, (t) => hostile(t, 'stress', SECONDS))
t.test('four threads on one descriptor and on their own, each call answered as if it were alone', { skip: noHostile }, (t) => hostile(t, 'together', SECONDS, SEED))
