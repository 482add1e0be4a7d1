// SPDX-License-Identifier: MIT
// Before npm pack: refuses to pack what is not built, or was built from other sources. Builds nothing itself, since npm
// also runs this for dependencies given as git addresses.
import { isCompiled } from './lib/compile.mjs'
import { nativePlatform, PLATFORMS, prebuildState } from './lib/prebuild.mjs'
import { main } from './lib/setup.mjs'

main(async () => {
  if (!await isCompiled()) throw new Error('dist/ is not what the sources say: run "npm run build"')
  for (const platform of Object.keys(PLATFORMS)) {
    const state = await prebuildState(platform)
    if (state === 'stale' || (state === 'missing' && platform === nativePlatform)) {
      throw new Error(`the addon for ${platform} is ${state}: run "npm run prebuilds -- ${platform}"`)
    }
    if (state === 'missing') process.stderr.write(`nfkit: packing without an addon for ${platform}\n`)
  }
})
