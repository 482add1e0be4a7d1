// SPDX-License-Identifier: MIT
// npm run prebuilds [-- platform...]: the addons of the package, for all platforms or those named; says what each needs.
import { stat } from 'node:fs/promises'
import { relative } from 'node:path'
import { projectRoot } from './lib/debian-packages.mjs'
import { elfMachine, ensurePrebuild, floorOf, PLATFORMS, prebuildPath } from './lib/prebuild.mjs'
import { logToStderr, main, setUp } from './lib/setup.mjs'

main(async () => {
  await setUp()
  const wanted = process.argv.slice(2)
  for (const platform of wanted.length > 0 ? wanted : Object.keys(PLATFORMS)) {
    await ensurePrebuild(platform, logToStderr)
    const path = prebuildPath(platform)
    const machine = await elfMachine(path)
    if (`linux-${machine}` !== platform) throw new Error(`${path} is for ${machine}`)
    const { needs, tooNew } = await floorOf(platform)
    const floor = Object.entries(needs).map(([library, version]) => `${library} ${version}`).join(', ')
    process.stdout.write(`${relative(projectRoot, path)}  ${(await stat(path)).size} bytes, needs ${floor}\n`)
    if (tooNew.length > 0) throw new Error(`${platform} asks for more than the runtimes do: ${tooNew.join(', ')}`)
  }
})
