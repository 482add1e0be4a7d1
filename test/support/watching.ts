// SPDX-License-Identifier: MIT
// Reading watches in tests: nothing waits for ever.

/** The next items until one is as wanted, that one included; fails after a minute (an emulated guest is slow) with what came instead. */
export async function until<T>(watch: AsyncIterator<T>, wanted: (item: T) => boolean, seconds = 60): Promise<T[]> {
  const seen: T[] = []
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`did not come within ${seconds} s, but: ${brief(seen)}`)), seconds * 1000)
  })
  try {
    for (;;) {
      const { done, value } = await Promise.race([watch.next(), timeout])
      if (done === true) throw new Error(`ended after: ${brief(seen)}`)
      seen.push(value)
      if (wanted(value)) return seen
    }
  } finally {
    clearTimeout(timer)
  }
}

/** What the events of a watch make of a list: for comparing with what is really there. */
export function replay<Name extends string, T>(
  name: Name, key: (item: T) => string, before: readonly T[], events: readonly object[],
): Map<string, T> {
  const model = new Map(before.map((item) => [key(item), item]))
  for (const event of events as readonly ({ type: string } & Record<Name, T>)[]) {
    if (event.type === 'overrun') continue
    const item = event[name]
    if (event.type === 'removed') model.delete(key(item))
    else model.set(key(item), item)
  }
  return model
}

/** The last items, short enough to read. */
function brief(seen: readonly unknown[]): string {
  return `${seen.length} items, the last ${seen.slice(-5).map((item) => JSON.stringify(item).slice(0, 200)).join(' ')}`
}
