// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { isDeviceName, isObjectName, MAX_OUTPUTS, OBJECT_NAME } from '../../module/names.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, fixedString, integer, property, type PropertyType } from '../property.js'

/**
 * `-j CLONE` of the bundled kernel module (xt_clone_info_v1, down to revision 0 with `mark` only, kmod/uapi/xt_CLONE.h): a copy of
 * the packet leaves, while the packet itself goes on. Not a verdict. One of the three.
 */
export interface CloneTarget {
  /** The mark of the copies, 0 to 0xffffffff, by which policy rules route them to the mirror port. */
  mark?: number
  /** Names of 1 to 8 devices that send the copies as frames, with the MAC header that the packet came with (revision 1). */
  devices?: string[]
  /**
   * Name of a clone target of /dev/nfkit, which says where copies go: 1 to 31 characters of A-Z a-z 0-9 _ - and dot (revision 1). A program
   * may define it before or after the rule is there.
   */
  target?: string
}

declare module '../extension.js' {
  interface Targets { CLONE: CloneTarget }
}

registerExtension({
  kind: 'target', name: 'CLONE', revision: 0, size: 4,
  properties: [property({ key: 'mark', options: ['--mark'], type: integer({ offset: 0, width: 4 }, 'hex'), mandatory: true })],
})

/** XT_CLONE_MARK, XT_CLONE_DEVICES, XT_CLONE_TARGET. */
const KIND = { mark: 0, devices: 1, target: 2 } as const
const UNION = 4
const DEVICE_SIZE = 16
const NAME_SIZE = 32
const RULE = 136

const kind = (number: number): Bit => ({ get: (p) => p.u32(0) === number, set: (p) => p.setU32(0, number) })
const fields = Array.from({ length: MAX_OUTPUTS }, (_, i) => fixedString(UNION + i * DEVICE_SIZE, DEVICE_SIZE))

const EXPECTED = `different names of 1 to ${MAX_OUTPUTS} devices, each of 1 to 15 bytes without space, slash, colon and comma`
/** A comma stands between them in the text of rules. */
const isDevice = (name: unknown) => isDeviceName(name) && !name.includes(',')
const areDevices = (names: readonly unknown[]) =>
  names.length >= 1 && names.length <= MAX_OUTPUTS && names.every(isDevice) && new Set(names).size === names.length

const devices: PropertyType<string[]> = {
  decode: (p, ctx) => fields.map((field) => field.decode(p, ctx) ?? '').filter((name) => name !== ''),
  encode(p, value, name, ctx) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'an array of names', value)
    if (!areDevices(value)) throw outOfRange(name, EXPECTED, value.join(','))
    for (const [i, device] of value.entries()) fields[i]!.encode(p, device, name, ctx)
  },
  parse(p, text, option, ctx) {
    const names = text.split(',')
    if (!areDevices(names)) throw new RuleError(`${option}: expected ${EXPECTED}, with commas between them, got "${text}"`)
    for (const [i, device] of names.entries()) fields[i]!.parse(p, device, option, ctx)
  },
  print: (p, ctx) => devices.decode(p, ctx)!.join(','),
}

const name = fixedString(UNION, NAME_SIZE)

const target: PropertyType<string> = {
  ...name,
  encode(p, value, key, ctx) {
    if (!isObjectName(value)) throw (typeof value === 'string' ? outOfRange : invalidArgument)(key, OBJECT_NAME, value)
    name.encode(p, value, key, ctx)
  },
  parse(p, text, option, ctx) {
    if (!isObjectName(text)) throw new RuleError(`${option}: expected ${OBJECT_NAME}, got "${text}"`)
    name.parse(p, text, option, ctx)
  },
  print: (p, ctx) => name.decode(p, ctx)!,
}

const allZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)

/** What the module takes and text can say; everything else stays opaque. */
function recognises(p: Payload): boolean {
  switch (p.u32(0)) {
    case KIND.mark: return allZero(p.slice(UNION + 4, RULE - UNION - 4))
    case KIND.devices: {
      const end = UNION + MAX_OUTPUTS * DEVICE_SIZE
      const names = Array.from({ length: MAX_OUTPUTS }, (_, i) => p.slice(UNION + i * DEVICE_SIZE, DEVICE_SIZE))
      const used = names.findIndex(allZero)
      const count = used < 0 ? MAX_OUTPUTS : used
      const texts = names.slice(0, count).map((bytes) => (bytes.includes(0) ? String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0))) : ''))
      return allZero(p.slice(end, RULE - end)) && names.slice(count).every(allZero) && areDevices(texts) && texts.every((text) => /^[!-~]+$/.test(text)) &&
        texts.every((text, i) => allZero(names[i]!.subarray(text.length)))
    }
    case KIND.target: {
      const bytes = p.slice(UNION, NAME_SIZE)
      const length = bytes.indexOf(0)
      return length > 0 && isObjectName(String.fromCharCode(...bytes.subarray(0, length))) && allZero(p.slice(UNION + length, RULE - UNION - length))
    }
    default: return false
  }
}

registerExtension({
  kind: 'target', name: 'CLONE', revision: 1, size: RULE + 8, userSize: RULE, oneOf: ['mark', 'devices', 'target'], recognises,
  properties: [
    property({ key: 'mark', options: ['--mark'], present: kind(KIND.mark), excludes: ['devices', 'target'], type: integer({ offset: UNION, width: 4 }, 'hex') }),
    property({ key: 'devices', options: ['--dev'], present: kind(KIND.devices), excludes: ['mark', 'target'], type: devices }),
    property({ key: 'target', options: ['--target'], present: kind(KIND.target), excludes: ['mark', 'devices'], type: target }),
  ],
})
