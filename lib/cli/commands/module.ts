// SPDX-License-Identifier: MIT
// nfkit module

import * as KernelModule from '../../clone/kernel-module.js'
import type { ModuleStatus } from '../../clone/kernel-module.js'
import { NfkitError } from '../../errors.js'
import { action, type Command, COMMON, type Invocation } from '../action.js'
import type { Output } from '../output.js'
import { printable } from '../text.js'

/** The module is the machine's: no network namespace is asked for. */
const JSON_ONLY = { json: COMMON['json']! } as const

/** A line for each fact, and below it what is in the way. */
function printStatus(out: Output, status: ModuleStatus): void {
  const { name, kernel, loaded, version, references = 0, file, headers, buildObstacles, loadObstacles } = status
  const paint = out.paint
  const facts: [string, string][] = [
    ['kernel', kernel],
    ['module', loaded ? `loaded${references === 0 ? '' : `, held by ${references === 1 ? 'a rule or program' : `${references} rules and programs`}`}` : 'not loaded'],
    ...(version === undefined ? [] : [['version', version] as [string, string]]),
    ['file', file === undefined ? 'none' : `${file.path} (${file.origin}, for ${file.kernel}${file.signed ? ', signed' : ''})`],
    ['headers', headers ?? 'none'],
  ]
  out.lines([paint('bold', name), ...facts.map(([key, value]) => `  ${key.padEnd(8)} ${printable(value)}`)])
  for (const [doing, obstacles] of [['build', buildObstacles], ['load', loadObstacles]] as const) {
    for (const { message, hint, code } of obstacles) out.lines([`  ${paint('yellow', `cannot ${doing}:`)} ${printable(message)}; ${printable(hint)} (${code})`])
  }
}

const show = action({
  words: 'status', args: '', summary: 'whether the module is loaded, and what keeps it from being built or loaded', bare: true,
  options: JSON_ONLY,
  run({ json, out }) {
    const status = KernelModule.status()
    if (json) out.json(status)
    else printStatus(out, status)
  },
})

const info = action({
  words: 'info', args: '', summary: 'what the loaded module can do, and how much of what it may have in a network namespace there is',
  details: ['Needs CAP_NET_ADMIN there and access to /dev/nfkit. What the kernel has no hook points for, the module does not have either.'],
  options: {},
  run({ netns: { netns }, json, out }) {
    const found = KernelModule.info(netns)
    if (json) return out.json(found)
    const { features, targets, maxTargets, hooks, maxHooks, captures, maxCaptures, maxDevices } = found
    const facts: [string, string][] = [
      ['features', features.join(' ')], ['targets', `${targets} of ${maxTargets}, each with up to ${maxDevices} devices`], ['hooks', `${hooks} of ${maxHooks}`], ['captures', `${captures} of ${maxCaptures}`],
    ]
    out.lines(facts.map(([key, value]) => `${key.padEnd(8)}  ${value}`))
  },
})

const BUILD_OPTIONS = {
  ...JSON_ONLY,
  headers: { type: 'value', value: 'DIRECTORY', help: 'the headers of the kernel to build for; those of the running one unless told' },
  directory: { type: 'value', value: 'DIRECTORY', help: 'where to build; an earlier build there is replaced' },
} as const

const build = action({
  words: 'build', args: '', summary: 'build the module for the running kernel, or for the one whose headers are given', bare: true,
  details: [
    'Needs make, the compiler that the kernel was built with, and the kernel\'s headers; what is missing is named.',
    'Builds in /var/cache/nfkit/module for root and in ~/.cache/nfkit/module for others, where load looks.',
  ],
  options: BUILD_OPTIONS,
  async run({ options: { headers, directory }, json, out }) {
    const built = await KernelModule.build({ headers, directory }).catch((error: unknown) => {
      if (error instanceof NfkitError && error.cause instanceof Error) for (const line of error.cause.message.split('\n')) out.note(line)
      throw error
    })
    if (json) out.json(built)
    else out.lines([`${printable(built.path)}: built for ${built.kernel}`])
  },
})

const load = action({
  words: 'load', args: '[FILE]', summary: 'load the module: FILE, the one that was built, or the one that is installed', bare: true,
  details: ['Needs CAP_SYS_MODULE.'],
  options: JSON_ONLY,
  async run({ args: [file], json, out }: Invocation) {
    const status = await KernelModule.load({ file })
    if (json) out.json(status)
  },
})

const unload = action({
  words: 'unload', args: '', summary: 'unload the module; refused while rules and programs hold it', bare: true,
  details: ['Needs CAP_SYS_MODULE.'],
  options: JSON_ONLY,
  async run({ json, out }) {
    const status = await KernelModule.unload()
    if (json) out.json(status)
  },
})

export const module: Command = { name: 'module', actions: [show, info, build, load, unload] }
