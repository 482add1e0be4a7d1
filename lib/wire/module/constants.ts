// SPDX-License-Identifier: MIT
// The numbers of /dev/nfkit (kmod/uapi/nfkit*.h) by their names there, without prefix. Those of records are in record.ts.

/** _IO(NFKIT_IOCTL_TYPE, number), without direction bits: as x86, ARM, RISC-V and s390 have it, but not MIPS and PowerPC. */
const io = (number: number) => (0xbd << 8) | number

/** NFKIT_*: the commands. */
export const COMMAND = {
  info: io(0x00), netns: io(0x01),
  targetSet: io(0x10), targetDelete: io(0x11), targetGet: io(0x12), targetList: io(0x13),
  hookSet: io(0x20), hookDelete: io(0x21), hookGet: io(0x22), hookList: io(0x23),
  capture: io(0x30), captureStats: io(0x31), events: io(0x32),
} as const

/** NFKIT_*: limits and sizes. Those of objects are this version's; the module tells its own in nfkit_info. */
export const LIMIT = {
  nameSize: 32, deviceSize: 16, maxOutputs: 8, maxTargets: 1024, maxHooks: 256, maxCaptures: 64,
  minBuffer: 64 << 10, maxBuffer: 64 << 20, maxBuffers: 256 << 20, maxSnaplen: 256 << 10, maxInstructions: 4096, maxRepeat: 16,
} as const

/** NFKIT_FEATURE_*. */
export const FEATURE = {
  targets: 0x0001, reroute: 0x0002, devices: 0x0004, capture: 0x0008, limits: 0x0010, hooks: 0x0020, hooksBridge: 0x0040, hooksIngress: 0x0080, hooksEgress: 0x0100,
} as const

/** NFKIT_OUTPUT_*. */
export const OUTPUT_FLAG = { vlan: 0x1, destination: 0x2 } as const

/** NFKIT_TARGET_*. */
export const TARGET_FLAG = {
  persistent: 0x01, create: 0x02, reroute: 0x04, capture: 0x08, random: 0x10, dropOldest: 0x20, defer: 0x40,
} as const

/** NFKIT_HOOK_*. */
export const HOOK_FLAG = { persistent: 0x01, create: 0x02, bypass: 0x04, failDrop: 0x08, mark: 0x10, undecided: 0x20 } as const

/** NFKIT_OWN: the object belongs to the descriptor that asks. */
export const OWN = 0x10000

/** NFKIT_VERDICT_*. */
export const VERDICT = { accept: 0, drop: 1, redirect: 2, queue: 3, repeat: 4 } as const

/** NFKIT_FAMILY_*. */
export const FAMILY = { ipv4: 0x1, ipv6: 0x2 } as const

/** NFKIT_LINK_*, by their names in libpcap. */
export const LINK = { RAW: 101, EN10MB: 1 } as const

/** NFKIT_BPF_UNDECIDED. */
export const BPF_UNDECIDED = 0xfffffffe
