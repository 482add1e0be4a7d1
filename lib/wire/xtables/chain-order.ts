// SPDX-License-Identifier: MIT
// The order in which iptables keeps users' chains: that of strcmp(3).

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
export function placeOf(chains: readonly { readonly name: string; readonly hook: unknown }[], name: string): number {
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
