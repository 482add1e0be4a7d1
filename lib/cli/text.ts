// SPDX-License-Identifier: MIT
// Text for people: what the kernel lets into a name must not reach the terminal as it is.

/**
 * Control characters as `\xNN`. The kernel takes an escape sequence as an interface name (dev_valid_name, net/core/dev.c), and
 * a terminal would obey it.
 */
export function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** `queryUseIfaddr` as `query use ifaddr`. */
export function words(name: string): string {
  return name.replace(/[A-Z]+(?![a-z])|[A-Z]/g, (capitals) => ` ${capitals.toLowerCase()}`).trim()
}

const ABBREVIATIONS = /\b(arp|bpdu|eht|fdb|id|igmp|mac|mdb|mld|mrp|mst|mtu|pvid|stp|tcn|vlan)\b/g

/** A field's name for people: `mac` as `MAC`, `maxAge` as `max age`. */
export function label(name: string): string {
  return words(name).replace(ABBREVIATIONS, (abbreviation) => abbreviation.toUpperCase())
}

/** `queryUseIfaddr` as `query-use-ifaddr`; the groups of a path likewise: `stp.maxAge` as `stp-max-age`. */
export function kebab(path: string): string {
  return path.split('.').map((part) => words(part).replaceAll(' ', '-')).join('-')
}

/** Seconds in the fewest characters that tell enough: `0.04`, `7.5`, `312`, `1h05m`, `3d04h`. */
export function shortSeconds(seconds: number): string {
  if (seconds < 10) return seconds.toFixed(2)
  if (seconds < 100) return seconds.toFixed(1)
  const whole = Math.floor(seconds)
  if (whole < 3600) return String(whole)
  const two = (n: number) => String(n).padStart(2, '0')
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`
  return `${Math.floor(whole / 86400)}d${two(Math.floor((whole % 86400) / 3600))}h`
}

/** Orders names as people do: eth2 before eth10. Intl.Collator can do that, but takes 10 ms to load at each start. */
export function byName(a: string, b: string): number {
  const [as, bs] = [a, b].map((name) => name.split(/(\d+)/)) as [string[], string[]]
  for (let i = 0; i < as.length && i < bs.length; i++) {
    // Digits are at the odd places.
    const difference = i % 2 === 1 ? Number(as[i]) - Number(bs[i]) : 0
    if (difference !== 0) return difference
    if (as[i] !== bs[i]) return as[i]! < bs[i]! ? -1 : 1
  }
  return as.length - bs.length
}
