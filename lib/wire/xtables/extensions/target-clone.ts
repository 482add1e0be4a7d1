// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { isOutputName, isTargetName, MAX_OUTPUTS, TARGET_NAME } from '../../module/names.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, fixedString, integer, property, type PropertyType } from '../property.js'

/**
 * `-j CLONE` of the bundled kernel module (xt_clone_info_v1, down to revision 0 with `mark` only, kmod/uapi/xt_CLONE.h): a copy of
 * the packet leaves, while the packet itself goes on. Not a verdict.
 */
export type CloneTarget =
  /** The mark of the copies, 0 to 0xffffffff, by which policy rules route them to the mirror port. */
  | { mark: number; target?: undefined; devices?: undefined }
  /** A clone target that a program defines, before or after: 1 to 31 characters of A-Z a-z 0-9 _ - and dot (revision 1). */
  | { target: string; mark?: undefined; devices?: undefined }
  /** Names of 1 to 8 devices that send the copies, with their MAC header (revision 1). */
  | { devices: string[]; mark?: undefined; target?: undefined }

declare module '../extension.js' {
  interface Targets { CLONE: CloneTarget }
}

registerExtension({
  kind: 'target', name: 'CLONE', revision: 0, size: 4,
  properties: [property({ key: 'mark', options: ['--mark'], type: integer({ offset: 0, width: 4 }, 'hex'), mandatory: true })],
})

/** XT_CLONE_MARK, XT_CLONE_TARGET, XT_CLONE_DEVICES. */
const KIND = { mark: 0, target: 1, devices: 2 } as const
const NAME = 8
const NAME_SIZE = 128
const END = NAME + NAME_SIZE

const kind = (number: number): Bit => ({ get: (p) => p.u32(0) === number, set: (p) => p.setU32(0, number) })
const string = fixedString(NAME, NAME_SIZE)

const target: PropertyType<string> = {
  ...string,
  encode(p, value, name, ctx) {
    if (!isTargetName(value)) throw (typeof value === 'string' ? outOfRange : invalidArgument)(name, TARGET_NAME, value)
    string.encode(p, value, name, ctx)
  },
  parse(p, text, option, ctx) {
    if (!isTargetName(text)) throw new RuleError(`${option}: expected ${TARGET_NAME}, got "${text}"`)
    string.parse(p, text, option, ctx)
  },
  print: (p, ctx) => string.decode(p, ctx),
}

const DEVICES = `different names of 1 to ${MAX_OUTPUTS} devices, each of 1 to 15 bytes without space, slash, colon and comma`
const areDevices = (names: readonly unknown[]) =>
  names.length >= 1 && names.length <= MAX_OUTPUTS && names.every(isOutputName) && new Set(names).size === names.length

const devices: PropertyType<string[]> = {
  decode: (p, ctx) => string.decode(p, ctx)?.split(','),
  encode(p, value, name, ctx) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'an array of names', value)
    if (!areDevices(value)) throw outOfRange(name, DEVICES, value.join(','))
    string.encode(p, value.join(','), name, ctx)
  },
  parse(p, text, option, ctx) {
    if (!areDevices(text.split(','))) throw new RuleError(`${option}: expected ${DEVICES}, with commas between them, got "${text}"`)
    string.parse(p, text, option, ctx)
  },
  print: (p, ctx) => string.decode(p, ctx),
}

/** What the module takes: everything else stays opaque. */
function recognises(p: Payload): boolean {
  const bytes = p.slice(NAME, NAME_SIZE)
  const length = bytes.indexOf(0)
  if (length < 0 || bytes.subarray(length).some((byte) => byte !== 0)) return false
  const name = String.fromCharCode(...bytes.subarray(0, length))
  switch (p.u32(0)) {
    case KIND.mark: return length === 0
    case KIND.target: return p.u32(4) === 0 && isTargetName(name)
    case KIND.devices: return p.u32(4) === 0 && /^[\x21-\x7e]*$/.test(name) && areDevices(name.split(','))
    default: return false
  }
}

registerExtension({
  kind: 'target', name: 'CLONE', revision: 1, size: END + 8, userSize: END, oneOf: ['mark', 'target', 'devices'], recognises,
  properties: [
    property({ key: 'mark', options: ['--mark'], present: kind(KIND.mark), excludes: ['target', 'devices'], type: integer({ offset: 4, width: 4 }, 'hex') }),
    property({ key: 'target', options: ['--target'], present: kind(KIND.target), excludes: ['mark', 'devices'], type: target }),
    property({ key: 'devices', options: ['--dev'], present: kind(KIND.devices), excludes: ['mark', 'target'], type: devices }),
  ],
})
