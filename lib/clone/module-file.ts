// SPDX-License-Identifier: MIT
// What a kernel module's file says about itself: the strings of its .modinfo section and the signature behind it.

import { readFileSync } from 'node:fs'

/** What can be told of a module without loading it. */
export interface ModuleFileInfo {
  /** Of the file. */
  path: string
  /** The kernel release that it was built for, as `uname -r` there: the first word of `vermagic`. */
  kernel: string
  /** What its sources call themselves (MODULE_VERSION). */
  version?: string
  /** Modules that it needs. */
  depends: string[]
  /** Whether a signature is appended (kernel/module/signing.c); whether the kernel trusts its key only the kernel knows. */
  signed: boolean
}

const SIGNATURE_END = '~Module signature appended~\n'

/**
 * Reads what a `.ko` file says about itself; undefined if there is no such file or it is no module. Compressed modules
 * (`.ko.xz`, `.ko.zst`) are not looked into.
 */
export function readModuleFile(path: string): ModuleFileInfo | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch {
    return undefined
  }
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46) return undefined
  const vermagic = modinfo(bytes, 'vermagic')
  if (vermagic === undefined) return undefined
  const version = modinfo(bytes, 'version')
  return {
    path,
    kernel: vermagic.split(' ', 1)[0]!,
    ...(version === undefined ? {} : { version }),
    depends: (modinfo(bytes, 'depends') ?? '').split(',').filter((name) => name !== ''),
    signed: bytes.subarray(-SIGNATURE_END.length).equals(Buffer.from(SIGNATURE_END)),
  }
}

/** The value of a `name=value` string with a NUL on either side (include/linux/moduleparam.h, __MODULE_INFO). */
function modinfo(bytes: Buffer, name: string): string | undefined {
  const key = Buffer.from(`\0${name}=`)
  const start = bytes.indexOf(key)
  if (start < 0) return undefined
  const end = bytes.indexOf(0, start + key.length)
  return bytes.toString('utf8', start + key.length, end < 0 ? undefined : end)
}
