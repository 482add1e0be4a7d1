// SPDX-License-Identifier: MIT
// Everything `npm start` and `npm test` need, and nothing more: dependencies, addon, compiled TypeScript.
import { main, setUp } from './lib/setup.mjs'

main(async () => { await setUp() })
