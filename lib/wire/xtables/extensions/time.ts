// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, bit, flag, type Not, parseUnsigned, property, type PropertyType, spelling } from '../property.js'

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const
export type Weekday = (typeof DAYS)[number]

/**
 * `-m time` (xt_time_info, include/uapi/linux/netfilter/xt_time.h): when the packet comes. All times are UTC unless `kernelTimezone` is
 * there.
 */
export interface TimeMatch {
  /** From this second of the day on, `hh:mm` or `hh:mm:ss`; `00:00:00` unless told. */
  timeStart?: string
  /** Up to this second; `23:59:59` unless told. When it is before `timeStart`, midnight lies between. */
  timeStop?: string
  /** Days of the month, 1 to 31; read as the days that match, never negated. */
  monthDays?: number[] | Not<number[]>
  /** Read as the days that match, never negated. */
  weekdays?: Weekday[] | Not<Weekday[]>
  /** From this time on, `YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`, 1970 to 2038. */
  dateStart?: string
  /** Up to this time; `2038-01-19T03:14:07` unless told. */
  dateStop?: string
  /** Times are those of the kernel's time zone, which does not know of daylight saving. */
  kernelTimezone?: boolean
  /** Times that go past midnight are one span: the day that counts is the one on which it began. */
  contiguous?: boolean
}

declare module '../extension.js' {
  interface Matches { time: TimeMatch }
}

const DATE_START = 0
const DATE_STOP = 4
const TIME_START = 8
const TIME_STOP = 12
const MONTH_DAYS = 16
const WEEKDAYS = 20
const FLAGS = 21
const FLAG = { kernelTimezone: 1, contiguous: 2 } as const
const LAST_SECOND = 86399
const LAST_DATE = 0x7fffffff
const ALL_MONTH_DAYS = 0xfffffffe
const ALL_WEEKDAYS = 0xfe

const two = (number: number) => String(number).padStart(2, '0')
const formatTime = (seconds: number) => [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(':')
const formatDate = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 19)

/** Undefined for what is no time of day. A missing number counts as 0, as strtoul(3) reads it. */
function parseTime(text: string): number | undefined {
  const match = /^(\d*):(\d*)(?::(\d*))?$/.exec(text)
  if (match === null) return undefined
  const [hour, minute, second] = match.slice(1).map(Number) as [number, number, number]
  if (hour > 23 || minute > 59 || second > 59) return undefined
  return hour * 3600 + minute * 60 + (match[3] === undefined ? 0 : second)
}

/** Undefined for what is no date. Months and days past their end, and 0, run over into the next or the one before, as with mktime(3). */
function parseDate(text: string): number | undefined {
  const match = /^(\d+)(?:-(\d*)(?:-(\d*)(?:T(\d*)(?::(\d*)(?::(\d*))?)?)?)?)?$/.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = [0, 1, 1, 0, 0, 0].map((missing, i) => (match[i + 1] === undefined ? missing : Number(match[i + 1]))) as [number, number, number, number, number, number]
  if (year < 1970 || year > 2038 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 59) return undefined
  const seconds = Date.UTC(year, month - 1, day, hour, minute, second) / 1000
  return seconds < 0 ? undefined : seconds
}

/** A number of seconds with a text of its own; `missing` is what nothing leaves there. */
function moment(at: number, missing: number, parse: (text: string) => number | undefined, format: (seconds: number) => string, expected: string): PropertyType<string> {
  return {
    decode: (p) => (p.u32(at) === missing ? undefined : format(p.u32(at))),
    encode(p, value, name) {
      const seconds = typeof value === 'string' ? parse(value) : undefined
      if (seconds === undefined) throw invalidArgument(name, expected, value)
      p.setU32(at, seconds)
    },
    parse(p, text, option) {
      const seconds = parse(text)
      if (seconds === undefined) throw new RuleError(`${option}: expected ${expected}, got "${text}"`)
      p.setU32(at, seconds)
    },
    print: (p) => format(p.u32(at)),
  }
}

/** A set of days, one bit each. */
interface DaySet<D> {
  /** All days, which is what is there when nothing is told. */
  readonly all: number
  get(p: Payload): number
  set(p: Payload, bits: number): void
  readonly days: (bits: number) => D[]
  /** Undefined for what is no day. */
  readonly bitOf: (day: unknown) => number | undefined
  readonly parse: (text: string) => number | undefined
  readonly expected: string
}

/** A negation comes before the days: it leaves an empty set, and the days are then taken out of all. */
function daySet<D>(set: DaySet<D>): { type: PropertyType<D[]>; invert: Bit } {
  const put = (p: Payload, bits: number, fail: () => Error) => {
    const found = (set.get(p) === 0 ? bits ^ set.all : bits) >>> 0
    // Its text would not be read again.
    if ((found & set.all) === 0) throw fail()
    set.set(p, found)
  }
  return {
    invert: { get: () => false, set: (p) => set.set(p, 0) },
    type: {
      decode: (p) => ((set.get(p) & set.all) >>> 0 === set.all ? undefined : set.days(set.get(p))),
      encode(p, value, name) {
        if (!Array.isArray(value)) throw invalidArgument(name, `a list of ${set.expected}`, value)
        let bits = 0
        for (const one of value as unknown[]) {
          const found = set.bitOf(one)
          if (found === undefined) throw outOfRange(name, set.expected, one)
          bits |= found
        }
        put(p, bits >>> 0, () => outOfRange(name, 'days that are not none', value.join(',')))
      },
      parse(p, text, option) {
        let bits = 0
        // A comma may close the list.
        for (const part of text.replace(/,$/, '').split(',')) {
          const found = set.parse(part)
          if (found === undefined) throw new RuleError(`${option}: expected ${set.expected}, got "${part}"`)
          bits |= found
        }
        put(p, bits >>> 0, () => new RuleError(`${option}: "${text}" leaves no day`))
      },
      print: (p) => set.days(set.get(p)).join(','),
    },
  }
}

const monthDays = daySet<number>({
  all: ALL_MONTH_DAYS,
  get: (p) => p.u32(MONTH_DAYS),
  set: (p, bits) => p.setU32(MONTH_DAYS, bits),
  days: (bits) => Array.from({ length: 31 }, (_, i) => i + 1).filter((day) => ((bits >>> day) & 1) !== 0),
  bitOf: (day) => (typeof day === 'number' && Number.isInteger(day) && day >= 1 && day <= 31 ? 2 ** day : undefined),
  // iptables passes over what follows two characters.
  parse(text) {
    const day = text.length > 2 ? undefined : parseUnsigned(text, 1, 31)
    return day === undefined ? undefined : 2 ** day
  },
  expected: 'days from 1 to 31',
})

const weekdays = daySet<Weekday>({
  all: ALL_WEEKDAYS,
  get: (p) => p.u8(WEEKDAYS),
  set: (p, bits) => p.setU8(WEEKDAYS, bits),
  days: (bits) => DAYS.filter((_, i) => ((bits >> (i + 1)) & 1) !== 0),
  bitOf: (day) => (DAYS.includes(day as Weekday) ? 2 << DAYS.indexOf(day as Weekday) : undefined),
  // Of a name the first two letters are compared.
  parse(text) {
    const index = parseUnsigned(text, 1, 7) ?? DAYS.findIndex((day) => text.startsWith(day.slice(0, 2))) + 1
    return index === 0 ? undefined : 1 << index
  },
  expected: `days ${DAYS.join(', ')} or 1 to 7`,
})

const TIME = 'a time of day hh:mm[:ss]'
const DATE = 'a date YYYY[-MM[-DD[Thh[:mm[:ss]]]]] of 1970 to 2038'
const timeStart = moment(TIME_START, 0, parseTime, formatTime, TIME)
const timeStop = moment(TIME_STOP, LAST_SECOND, parseTime, formatTime, TIME)
const dateStart = moment(DATE_START, 0, parseDate, formatDate, DATE)
const dateStop = moment(DATE_STOP, LAST_DATE, parseDate, formatDate, DATE)
const kernelTimezone = bit(FLAGS, FLAG.kernelTimezone)
const contiguous = bit(FLAGS, FLAG.contiguous)

/** The last date is printed even when it was not given: iptables takes it for a default only if a long is as wide. */
function print(p: Payload): string {
  const times = p.u32(TIME_START) === 0 && p.u32(TIME_STOP) === LAST_SECOND ? '' : ` --timestart ${formatTime(p.u32(TIME_START))} --timestop ${formatTime(p.u32(TIME_STOP))}`
  const days = p.u32(MONTH_DAYS) === ALL_MONTH_DAYS ? '' : ` --monthdays ${monthDays.type.print(p, undefined as never)}`
  const week = p.u8(WEEKDAYS) === ALL_WEEKDAYS ? '' : ` --weekdays ${weekdays.type.print(p, undefined as never)}`
  const date = (at: number, option: string) => (p.u32(at) === 0 ? '' : ` ${option} ${formatDate(p.u32(at))}`)
  return `${times}${days}${week}${date(DATE_START, '--datestart')}${date(DATE_STOP, '--datestop')}${kernelTimezone.get(p) ? ' --kerneltz' : ''}${contiguous.get(p) ? ' --contiguous' : ''}`
}

function check(p: Payload): void {
  if (contiguous.get(p) && p.u32(TIME_START) < p.u32(TIME_STOP)) throw new RuleError('time: --contiguous is for a --timestop before --timestart')
}

registerExtension({
  kind: 'match', name: 'time', revision: 0, size: 24, print, check,
  init(p) {
    p.setU32(DATE_STOP, LAST_DATE)
    p.setU32(TIME_STOP, LAST_SECOND)
    p.setU32(MONTH_DAYS, ALL_MONTH_DAYS)
    p.setU8(WEEKDAYS, ALL_WEEKDAYS)
  },
  properties: [
    property({ key: 'timeStart', options: ['--timestart'], type: timeStart }),
    property({ key: 'timeStop', options: ['--timestop'], type: timeStop }),
    property({ key: 'monthDays', options: ['--monthdays'], ...monthDays }),
    property({ key: 'weekdays', options: ['--weekdays'], ...weekdays }),
    property({ key: 'dateStart', options: ['--datestart'], type: dateStart }),
    property({ key: 'dateStop', options: ['--datestop'], type: dateStop }),
    property({ key: 'kernelTimezone', options: ['--kerneltz'], type: flag(kernelTimezone), arguments: 0 }),
    property({ key: 'kernelTimezone', options: ['--localtz'], alias: true, arguments: 0, type: spelling((p) => kernelTimezone.set(p)) }),
    property({ key: 'kernelTimezone', options: ['--utc'], alias: true, arguments: 0, type: spelling(() => {}) }),
    property({ key: 'contiguous', options: ['--contiguous'], type: flag(contiguous), arguments: 0 }),
  ],
})
