// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors.js'
import { TABLE_NAMES } from '../wire/xtables/tables.js'

/** Throws unless a name can be a table's (XT_TABLE_MAXNAMELEN). */
export function checkTableName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,31}$/.test(name)) throw invalidArgument('table', `a table such as ${TABLE_NAMES.join(', ')}`, name)
}
