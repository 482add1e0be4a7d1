// SPDX-License-Identifier: MIT
// Checks that clone targets, hooks and captures share.

import { invalidArgument, outOfRange } from '../errors.js'
import { isDeviceName, DEVICE_NAME, isObjectName, OBJECT_NAME } from '../wire/module/names.js'

/** Throws unless a clone target or hook can have the name. */
export function checkObjectName(value: unknown, name: string): asserts value is string {
  if (!isObjectName(value)) throw (typeof value === 'string' ? outOfRange : invalidArgument)(name, OBJECT_NAME, value)
}

/** Throws unless a device can have the name; it need not be there. */
export function checkDeviceName(value: unknown, name: string): asserts value is string {
  if (!isDeviceName(value)) throw (typeof value === 'string' ? outOfRange : invalidArgument)(name, DEVICE_NAME, value)
}
