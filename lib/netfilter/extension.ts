// SPDX-License-Identifier: MIT
// What a match or target of one's own is made of: `nfkit/extension`. The built-in ones are made of the same. docs/extensions.md is
// the guide.

export { registerExtension, type Extension, type Hook } from '../wire/xtables/extension.js'
export { type Payload, type Resolver, type RuleContext, RuleError } from '../wire/xtables/payload.js'
export {
  bit, type Bit, choice, fixedString, flag, integer, type IntegerPlace, masked, type Masked, type Not, type NumberFormat, parseUnsigned, property,
  type Property, type PropertyOptions, type PropertyType, quoted, range, requireInteger, requireUnsigned,
} from '../wire/xtables/property.js'
export { ports, type PortRange } from '../wire/xtables/types.js'
export type { Input } from '../wire/bytes.js'
export type { IpFamily } from '../wire/ip.js'
export { invalidArgument, outOfRange } from '../errors.js'
// With a star: only then can users add their own by declaration merging.
export * from './extension-types.js'
export * from './extension-values.js'
