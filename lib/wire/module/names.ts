// SPDX-License-Identifier: MIT
// Names that the kernel module takes (kmod/uapi/nfkit_object.h, kmod/uapi/xt_CLONE.h). A file of its own since rules have them, too.

/** How many devices a clone target may have (NFKIT_MAX_OUTPUTS). */
export const MAX_OUTPUTS = 8

/** What {@link isObjectName} asks for, in words. */
export const OBJECT_NAME = 'a name of 1 to 31 characters of A-Z a-z 0-9 _ - and dot'

/** Whether a clone target or a hook can have this name. */
export function isObjectName(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Za-z0-9_.-]{1,31}$/.test(name)
}

/** What {@link isDeviceName} asks for, in words. */
export const DEVICE_NAME = 'a name of 1 to 15 bytes without space, slash and colon'

/** Whether a device can have this name (dev_valid_name, net/core/dev.c). */
export function isDeviceName(name: unknown): name is string {
  return typeof name === 'string' && /^[^\s/:\0]+$/.test(name) && name !== '.' && name !== '..' && new TextEncoder().encode(name).length <= 15
}
