// SPDX-License-Identifier: MIT
// Properties over the same inputs in each run of npm test, so that it tells of changes of the code only; over new ones where their
// number is asked for by NFKIT_FUZZ. NFKIT_FUZZ_SEED says which.

import fc from 'fast-check'

/** Where the inputs begin. */
export const SEED = Number(process.env['NFKIT_FUZZ_SEED'] ?? (process.env['NFKIT_FUZZ'] === undefined ? 20 : Date.now() % 1_000_000_007))

fc.configureGlobal({ seed: SEED })

export default fc
