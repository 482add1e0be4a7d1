// SPDX-License-Identifier: MIT
// Colours, where they are wanted: on a terminal, unless the user says otherwise.

import * as util from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Puts a style around a text, or leaves it plain. */
export type Paint = (style: Style, text: string) => string

type StyleText = (format: string, text: string, options: { validateStream: boolean }) => string

/** Node 20.12 and later have it. */
const styleText = (util as { styleText?: StyleText }).styleText

/**
 * Whether to colour what goes to a stream: FORCE_COLOR (0 and false mean no) before NO_COLOR (any text, https://no-color.org)
 * before whether it is a terminal that knows colours.
 */
export function wantsColour(stream: { isTTY?: boolean | undefined }, env: NodeJS.ProcessEnv): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = env
  if (force !== undefined) return force !== '0' && force !== 'false'
  if (no !== undefined && no !== '') return false
  return stream.isTTY === true && term !== 'dumb'
}

export function painter(colour: boolean): Paint {
  if (!colour || styleText === undefined) return (_style, text) => text
  // The stream was looked at already, and Node's own look at it knows stdout only.
  return (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false }))
}
