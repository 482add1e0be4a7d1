// SPDX-License-Identifier: MIT
// What people see: tables, colours, names, times; and what programs get: JSON.

import fc from '../support/fast-check.js'
import t from 'tap'
import { toJson } from '../../lib/cli/output.js'
import { painter, wantsColour } from '../../lib/cli/style.js'
import { type Column, formatTable } from '../../lib/cli/table.js'
import { byName, kebab, label, printable, shortSeconds, words } from '../../lib/cli/text.js'

const plain = painter(false)
interface Row { name: string; count: number; note: string }
const COLUMNS: Column<Row>[] = [
  { header: 'NAME', cell: ({ name }) => name, style: () => 'bold' },
  { header: 'N', cell: ({ count }) => String(count), align: 'right' },
  { header: 'NOTE', cell: ({ note }) => note, shrinks: true },
]
const ROWS: Row[] = [{ name: 'a', count: 5, note: '' }, { name: 'longer', count: 12345, note: 'a note that is long enough' }]

t.test('tables are aligned and as wide as their content', (t) => {
  t.same(formatTable(COLUMNS, ROWS, { paint: plain }), [
    'NAME        N  NOTE',
    'a           5',
    'longer  12345  a note that is long enough',
  ])
  t.same(formatTable(COLUMNS, [], { paint: plain }), ['NAME  N  NOTE'])
  t.same(formatTable(COLUMNS, ROWS.slice(0, 1), { paint: plain, indent: 2, hideEmpty: true }), ['  NAME  N', '  a     5'])
  t.end()
})

t.test('tables fit the terminal where they can', (t) => {
  const lines = formatTable(COLUMNS, ROWS, { paint: plain, width: 25 })
  t.same(lines, ['NAME        N  NOTE', 'a           5', 'longer  12345  a note th…'])
  t.equal(formatTable(COLUMNS, ROWS, { paint: plain, width: 5 })[2], 'longer  12345  a not…', 'not narrower than can be read')
  t.end()
})

t.test('colours are outside of the alignment', (t) => {
  const colour = painter(true)
  const lines = formatTable(COLUMNS, ROWS, { paint: colour })
  t.same(lines.map((line) => line.replace(/\x1b\[\d+m/g, '')), formatTable(COLUMNS, ROWS, { paint: plain }))
  t.match(lines[1], /^\x1b\[1ma\x1b\[22m {11}5$/)
  t.end()
})

t.test('any content: one line for each row, no control characters, columns aligned', (t) => {
  fc.assert(fc.property(fc.array(fc.record({ name: fc.string({ unit: 'binary' }), count: fc.nat(), note: fc.string({ unit: 'binary' }) })), fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }), (rows, width) => {
    const lines = formatTable(COLUMNS, rows, { paint: plain, width })
    return lines.length === rows.length + 1 && lines.every((line) => !/[\x00-\x1f\x7f-\x9f]/.test(line))
  }))
  t.end()
})

t.test('when to colour', (t) => {
  const terminal = { isTTY: true }
  t.equal(wantsColour(terminal, {}), true)
  t.equal(wantsColour({}, {}), false, 'not on a pipe')
  t.equal(wantsColour(terminal, { NO_COLOR: '1' }), false)
  t.equal(wantsColour(terminal, { NO_COLOR: '' }), true, 'empty does not count')
  t.equal(wantsColour(terminal, { TERM: 'dumb' }), false)
  t.equal(wantsColour({}, { FORCE_COLOR: '1' }), true)
  t.equal(wantsColour(terminal, { FORCE_COLOR: '0' }), false)
  t.equal(wantsColour({}, { FORCE_COLOR: '1', NO_COLOR: '1' }), true)
  t.end()
})

t.test('names and times', (t) => {
  t.equal(words('queryUseIfaddr'), 'query use ifaddr')
  t.equal(words('callIp6tables'), 'call ip6tables')
  t.equal(kebab('multicast.startupQueryInterval'), 'multicast-startup-query-interval')
  t.equal(label('fdbMaxLearned'), 'FDB max learned')
  t.equal(printable('a\x1b[31m\x00\x9fé'), 'a\\x1b[31m\\x00\\x9fé')
  t.same(['eth10', 'eth9', 'br0', 'eth', 'eth9a', 'eth09'].sort(byName), ['br0', 'eth', 'eth09', 'eth9', 'eth9a', 'eth10'])
  t.same([0, 9.999, 10, 99.94, 312.7, 3599, 3600, 86399, 90061].map(shortSeconds), ['0.00', '10.00', '10.0', '99.9', '312', '3599', '1h00m', '23h59m', '1d01h'])
  t.end()
})

t.test('names are ordered as a total order', (t) => {
  const name = fc.stringMatching(/^[a-z0-9.]{0,6}$/)
  fc.assert(fc.property(name, name, name, (a, b, c) => {
    if (Math.sign(byName(a, b)) !== -Math.sign(byName(b, a))) return false
    return !(byName(a, b) <= 0 && byName(b, c) <= 0) || byName(a, c) <= 0
  }))
  t.end()
})

t.test('JSON', (t) => {
  t.equal(toJson({ bytes: new Uint8Array([1, 255]), buffer: Buffer.from('A'), big: 2n ** 63n, list: [1, null] }), '{"bytes":"01ff","buffer":"41","big":"9223372036854775808","list":[1,null]}')
  t.equal(toJson({ a: 1 }, 2), '{\n  "a": 1\n}')
  t.end()
})
