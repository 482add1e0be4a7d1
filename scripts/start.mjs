// SPDX-License-Identifier: MIT
// npm start: builds what is not built yet, then runs the demo.
import { demoModule } from './lib/demo-module.mjs'
import { runCompiled } from './lib/run-compiled.mjs'
import { logToStderr, main, setUp } from './lib/setup.mjs'

main(async () => {
  await setUp()
  await runCompiled('demo/main.js', process.argv.slice(2))
  if (process.exitCode === 0) await demoModule(logToStderr)
})
