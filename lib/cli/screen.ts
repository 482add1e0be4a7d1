// SPDX-License-Identifier: MIT
// A terminal that a command has to itself: lines drawn in place, single keys read, everything put back at the end.

/** ECMA-48 and xterm's private modes. */
const ESC = '\x1b['
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`
const HOME = `${ESC}H`
const CLEAR_LINE = `${ESC}K`
const CLEAR_BELOW = `${ESC}J`

const CTRL_C = '\x03'
const CTRL_Z = '\x1a'
const FATAL = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class Screen {
  readonly #onKey: (key: string) => void
  readonly #redraw: () => void
  readonly #signals: readonly NodeJS.Signals[]
  #shown = false

  /**
   * `onKey` gets each key, `q` for Ctrl-C too; `redraw` is called when the size has changed or the screen is back. `dies`: signals end the program,
   * which somebody else sees to if not.
   */
  constructor(onKey: (key: string) => void, redraw: () => void, { dies = true }: { dies?: boolean } = {}) {
    this.#onKey = onKey
    this.#redraw = redraw
    this.#signals = dies ? FATAL : []
  }

  /** A terminal that does not know its size says 0. */
  get rows(): number { return process.stdout.rows > 0 ? process.stdout.rows : 24 }

  open(): void {
    process.stdout.on('resize', this.#redraw)
    process.on('SIGCONT', this.#resume)
    process.on('exit', this.#hide)
    for (const signal of this.#signals) process.on(signal, this.#die)
    process.stdin.on('data', this.#read)
    this.#show()
  }

  /** Draws lines over what is there; those that do not fit are cut. */
  draw(lines: readonly string[]): void {
    if (!this.#shown) return
    // Synchronised output (mode 2026) keeps terminals that know it from showing half a picture.
    const body = lines.slice(0, this.rows).map((line) => `${line}${CLEAR_LINE}`).join('\r\n')
    process.stdout.write(`${ESC}?2026h${HOME}${body}${CLEAR_BELOW}${ESC}?2026l`)
  }

  close(): void {
    process.stdout.off('resize', this.#redraw)
    process.off('SIGCONT', this.#resume)
    process.off('exit', this.#hide)
    for (const signal of this.#signals) process.off(signal, this.#die)
    process.stdin.off('data', this.#read)
    this.#hide()
    process.stdin.unref?.()
  }

  #show(): void {
    if (this.#shown) return
    this.#shown = true
    process.stdout.write(ENTER)
    if (process.stdin.isTTY) process.stdin.setRawMode(true).resume()
  }

  readonly #hide = (): void => {
    if (!this.#shown) return
    this.#shown = false
    if (process.stdin.isTTY) process.stdin.setRawMode(false).pause()
    process.stdout.write(LEAVE)
  }

  readonly #read = (data: Buffer): void => {
    for (const key of data.toString('latin1')) {
      if (key === CTRL_Z) {
        this.#hide()
        process.kill(process.pid, 'SIGSTOP')
      } else this.#onKey(key === CTRL_C ? 'q' : key)
    }
  }

  readonly #resume = (): void => {
    this.#show()
    this.#redraw()
  }

  /** The terminal first, then what the signal does by itself: a shell sees how the command ended. */
  readonly #die = (signal: NodeJS.Signals): void => {
    this.close()
    process.kill(process.pid, signal)
  }
}
