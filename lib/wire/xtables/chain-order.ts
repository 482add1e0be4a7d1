// SPDX-License-Identifier: MIT
// The order in which iptables keeps users' chains: that of strcmp(3).

/** What the order looks at. */
interface Chain {
  readonly name: string
  /** Undefined for a user's. */
  readonly hook: unknown
}

const encoder = new TextEncoder()
const ASCII = /^[\0-\x7f]*$/

/** Below 0, 0 or above 0, by the bytes of two names. */
export function compareNames(a: string, b: string): number {
  if (ASCII.test(a) && ASCII.test(b)) return a < b ? -1 : a > b ? 1 : 0
  const [x, y] = [encoder.encode(a), encoder.encode(b)]
  for (let i = 0; i < x.length && i < y.length; i++) if (x[i] !== y[i]) return x[i]! - y[i]!
  return x.length - y.length
}

/** Where a user's chain belongs among chains in their order: behind the built-in ones and before the first that is not below it. */
export function placeOf(chains: readonly Chain[], name: string): number {
  let low = 0
  while (low < chains.length && chains[low]!.hook !== undefined) low++
  let high = chains.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareNames(chains[middle]!.name, name) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** The chains in the order in which iptables-save prints them: one that another tool left out of order is put in its place. */
export function inOrder<T extends Chain>(chains: readonly T[]): readonly T[] {
  const own = chains.filter((chain) => chain.hook === undefined)
  if (own.every((chain, i) => i === 0 || compareNames(own[i - 1]!.name, chain.name) <= 0)) return chains
  return [...chains.filter((chain) => chain.hook !== undefined), ...own.sort((a, b) => compareNames(a.name, b.name))]
}
