#!/usr/bin/env node
// SPDX-License-Identifier: MIT

import { guardOutput, run } from './run.js'

guardOutput()
process.exitCode = await run(process.argv.slice(2))
