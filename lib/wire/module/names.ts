// SPDX-License-Identifier: MIT
// Names that the kernel module takes (kmod/uapi/nfkit.h, kmod/uapi/xt_CLONE.h). A file of its own since rules have them, too.

/** How many devices a clone target may have (NFKIT_MAX_OUTPUTS). */
export const MAX_OUTPUTS = 8

/** What {@link isTargetName} asks for, in words. */
export const TARGET_NAME = 'a name of 1 to 31 characters of A-Z a-z 0-9 _ - and dot'

/** Whether a clone target can have this name (nfkit_target_name_valid, kmod/device.c). */
export function isTargetName(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Za-z0-9_.-]{1,31}$/.test(name)
}

/** Whether a clone target can have a device of this name (dev_valid_name, net/core/dev.c), which may have no comma either. */
export function isOutputName(name: unknown): name is string {
  return typeof name === 'string' && /^[^\s/:,\0]+$/.test(name) && name !== '.' && name !== '..' && new TextEncoder().encode(name).length <= 15
}
