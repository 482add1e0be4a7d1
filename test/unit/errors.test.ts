// SPDX-License-Identifier: MIT

import { constants } from 'node:os'
import t from 'tap'
import { Errno, errnoName, errnoText } from '../../lib/errno.js'
import { invalidArgument, NfkitError, outOfRange } from '../../lib/errors.js'

t.test('errno names agree with those of this machine', (t) => {
  const different = Object.entries(constants.errno).filter(([name, number]) => {
    // Two names for one number: asm-generic has EAGAIN and EOPNOTSUPP first.
    if (name === 'EWOULDBLOCK' || name === 'ENOTSUP' || name === 'EDEADLOCK') return false
    return errnoName(number) !== name
  })
  t.same(different, [])
  for (const [name, number] of Object.entries(Errno)) t.equal(errnoName(number), name)
  t.equal(errnoName(4000), 'E4000')
  t.equal(errnoText(4000), 'error 4000')
  t.end()
})

t.test('an error says what was done, what came back and what to do', (t) => {
  const error = NfkitError.fromErrno(19, 'RTM_NEWLINK', 'changing link eth7', { kernelMessage: 'No such device', attribute: 'IFLA_IFNAME' })
  t.ok(error instanceof Error)
  t.equal(error.name, 'NfkitError')
  t.equal(error.code, 'ENODEV')
  t.equal(error.errno, 19)
  t.equal(error.message, 'changing link eth7: RTM_NEWLINK: ENODEV, no such device (No such device)')
  t.equal(error.hint, undefined)
  t.match(NfkitError.fromErrno(1, 'RTM_NEWLINK').hint, /CAP_NET_ADMIN/)
  t.equal(NfkitError.fromErrno(1, 'setns', undefined, { hint: 'enter it first' }).message, 'setns: EPERM, operation not permitted; enter it first')
  t.end()
})

t.test('toJSON keeps what structuredClone drops', (t) => {
  const error = NfkitError.fromErrno(17, 'RTM_NEWLINK', 'creating bridge br0', { attribute: 'IFLA_IFNAME' })
  const copy = JSON.parse(JSON.stringify(error))
  t.same(copy, {
    name: 'NfkitError', message: 'creating bridge br0: RTM_NEWLINK: EEXIST, file exists', code: 'EEXIST', errno: 17, syscall: 'RTM_NEWLINK',
    attribute: 'IFLA_IFNAME',
  })
  t.equal(JSON.parse(JSON.stringify(new NfkitError('NFKIT_X', 'done, but', { committed: true }))).committed, true, 'what was done is said')
  t.notOk('committed' in error, 'and only then')
  t.equal('code' in structuredClone(error), false, 'which is why toJSON is there')
  t.end()
})

t.test('the cause is kept', (t) => {
  const cause = new Error('below')
  t.equal(new NfkitError('NFKIT_X', 'above', { cause }).cause, cause)
  t.equal('cause' in new NfkitError('NFKIT_X', 'above'), false)
  t.end()
})

t.test('a wrong argument names what was expected and what came', (t) => {
  t.equal(invalidArgument('mac', 'a MAC address', 'x').message, 'mac: expected a MAC address, got "x"')
  t.equal(invalidArgument('mac', 'a MAC address', 5n).message, 'mac: expected a MAC address, got 5n')
  t.equal(invalidArgument('mac', 'a MAC address', null).message, 'mac: expected a MAC address, got null')
  t.equal(invalidArgument('mac', 'a MAC address', [1, 2]).message, 'mac: expected a MAC address, got an array of 2')
  t.equal(invalidArgument('mac', 'a MAC address', {}).message, 'mac: expected a MAC address, got an object')
  t.equal(invalidArgument('mac', 'a MAC address', 'y'.repeat(1000)).message.length < 120, true, 'and is never as long as the argument')
  t.ok(invalidArgument('a', 'b', 1) instanceof TypeError)
  const range = outOfRange('vid', '1 to 4094', 4095)
  t.ok(range instanceof RangeError)
  t.equal(range.message, 'vid: expected 1 to 4094, got 4095')
  t.end()
})
