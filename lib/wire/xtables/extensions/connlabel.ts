// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, flag, type Not, parseUnsigned, property, type PropertyType, requireInteger } from '../property.js'

/** `-m connlabel` (xt_connlabel_mtinfo, include/uapi/linux/netfilter/xt_connlabel.h): a bit of the connection. */
export interface ConnlabelMatch {
  /** 0 to 127, or a name of /etc/xtables/connlabel.conf; read as a number. */
  label: number | string | Not<number | string>
  /** Set the label on the connection, too. */
  set?: boolean
}

declare module '../extension.js' {
  interface Matches { connlabel: ConnlabelMatch }
}

const FILE = '/etc/xtables/connlabel.conf'
const MOST = 127

const label: PropertyType<number | string> = {
  decode: (p) => p.u16(0),
  encode(p, value, name, ctx) {
    const number = typeof value === 'string' ? ctx.resolver.lookup(FILE, value) : value
    if (number === undefined) throw outOfRange(name, `a name of ${FILE} or a number from 0 to ${MOST}`, value)
    requireInteger(number, name, 0, MOST)
    p.setU16(0, number)
  },
  parse(p, text, option, ctx) {
    const number = parseUnsigned(text) ?? ctx.resolver.lookup(FILE, text)
    if (number === undefined || number > MOST) {
      throw new RuleError(`${option}: expected a number from 0 to ${MOST} or a name of ${FILE}, got "${text}"`)
    }
    p.setU16(0, number)
  },
  print: (p, ctx) => `"${ctx.resolver.lookupName(FILE, p.u16(0)) ?? p.u16(0)}"`,
}

// iptables gives no byte of it to comparisons, so that it deletes rules of other labels, too; here the whole struct counts.
registerExtension({
  kind: 'match', name: 'connlabel', revision: 0, size: 4,
  properties: [
    property({ key: 'label', options: ['--label'], type: label, invert: bit(2, 1, 2), mandatory: true }),
    property({ key: 'set', options: ['--set'], type: flag(bit(2, 2, 2)), arguments: 0 }),
  ],
})
