// SPDX-License-Identifier: MIT
// The addon's own contract: every call answers a number, negative on failure, or a descriptor; nothing throws and nothing
// is read or written outside the bytes given. Sockets of AF_UNIX need no privilege.

import { execFileSync } from 'node:child_process'
import { closeSync, constants, cpSync, fstatSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants as os, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { addon, check, checkDescriptor, type RawDescriptor } from '../../lib/native.js'

const { EBADF, EINVAL, ENOENT, EAGAIN, EAFNOSUPPORT, ENOTTY, ENOTSOCK } = os.errno
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_DGRAM = 2

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
/** struct sockaddr_un in the abstract namespace: no file is left anywhere. */
const abstract = (name: string): Uint8Array => Uint8Array.from([AF_UNIX, 0, 0, ...bytes(name)])
const openDescriptors = (): number => readdirSync('/proc/self/fd').length

function socket(type: number): RawDescriptor {
  return checkDescriptor(addon.socket(AF_UNIX, type, 0, -1), 'socket')
}

t.test('a descriptor is open until closed, and is not passed on to programs', (t) => {
  const descriptor = socket(SOCK_DGRAM)
  const { fd } = descriptor
  t.ok(fstatSync(fd).isSocket())
  t.match(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), /flags:\s+0?[0-7]*2\d{6}/, 'O_CLOEXEC')
  t.equal(descriptor.close(), 0)
  t.equal(descriptor.fd, -1)
  t.throws(() => fstatSync(fd), { code: 'EBADF' })
  t.end()
})

t.test('everything on a closed descriptor answers EBADF, closing it again does no harm', (t) => {
  const descriptor = socket(SOCK_DGRAM)
  const { fd } = descriptor
  descriptor.close()
  // The number is somebody else's from here on.
  const other = openSync('/dev/null', 'r')
  t.equal(other, fd)
  descriptor.close()
  t.ok(fstatSync(other).isCharacterDevice(), 'the other one stays open')
  const some = new Uint8Array(8)
  const answers = {
    bind: descriptor.bind(some), connect: descriptor.connect(some), listen: descriptor.listen(1), accept: descriptor.accept(),
    localAddress: descriptor.localAddress(some), setOption: descriptor.setOption(1, 2, some), getOption: descriptor.getOption(1, 2, some),
    send: descriptor.send(some, 0), receive: descriptor.receive(some, 0, 0), read: descriptor.read(some, 0), write: descriptor.write(some),
    ioctl: descriptor.ioctl(0x89f0, some), shutdown: descriptor.shutdown(2), watch: descriptor.watch(1, 0, 0),
  }
  for (const [name, answer] of Object.entries(answers)) t.equal(answer, -EBADF, name)
  t.ok(descriptor.arm(1) < 0)
  t.equal(descriptor.take(), null)
  closeSync(other)
  t.end()
})

t.test('datagrams arrive whole, with their true length and their sender', (t) => {
  const server = socket(SOCK_DGRAM)
  const client = socket(SOCK_DGRAM)
  const [here, there] = [abstract(`nfkit-a-${process.pid}`), abstract(`nfkit-b-${process.pid}`)]
  t.equal(server.bind(here), 0)
  t.equal(client.bind(there), 0)
  t.equal(client.send(bytes('hello'), 0, here), 5)
  const into = new Uint8Array(16).fill(0xee)
  const sender = new Uint8Array(128)
  t.equal(server.receive(into, 4, 0, sender), 5)
  t.same([...into.subarray(0, 4)], [0xee, 0xee, 0xee, 0xee], 'nothing before the offset')
  t.equal(new TextDecoder().decode(into.subarray(4, 9)), 'hello')
  t.same([...into.subarray(9)], [0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee], 'nothing after the data')
  t.same([...sender.subarray(0, there.length)], [...there])

  client.send(bytes('a longer one'), 0, here)
  const MSG_TRUNC = 0x20
  t.equal(server.receive(into, 12, MSG_TRUNC), 12, 'the true length')
  t.same([...into.subarray(0, 4)], [0xee, 0xee, 0xee, 0xee])
  t.equal(server.receive(into, 0, 0x40), -EAGAIN, 'MSG_DONTWAIT')

  const address = new Uint8Array(128)
  t.equal(server.localAddress(address), here.length)
  t.same([...address.subarray(0, here.length)], [...here])
  server.close()
  client.close()
  t.end()
})

t.test('streams: listen, connect, accept', (t) => {
  const listener = socket(SOCK_STREAM)
  const name = abstract(`nfkit-s-${process.pid}`)
  t.equal(listener.bind(name), 0)
  t.equal(listener.listen(4), 0)
  const client = socket(SOCK_STREAM)
  t.equal(client.connect(name), 0)
  const served = checkDescriptor(listener.accept(), 'accept')
  t.equal(client.write(bytes('abc')), 3)
  const into = new Uint8Array(8)
  t.equal(served.read(into, 2), 3)
  t.same([...into], [0, 0, 97, 98, 99, 0, 0, 0])
  t.equal(client.shutdown(1), 0)
  t.equal(served.read(into, 0), 0, 'the end')
  for (const each of [listener, client, served]) each.close()
  t.end()
})

t.test('options', (t) => {
  const descriptor = socket(SOCK_DGRAM)
  const [SOL_SOCKET, SO_TYPE, SO_PASSCRED] = [1, 3, 16]
  const value = new Uint8Array(8)
  t.equal(descriptor.getOption(SOL_SOCKET, SO_TYPE, value), 4)
  t.equal(new DataView(value.buffer).getInt32(0, true), SOCK_DGRAM)
  t.equal(descriptor.setOption(SOL_SOCKET, SO_PASSCRED, Uint8Array.of(1, 0, 0, 0)), 0)
  t.equal(descriptor.getOption(SOL_SOCKET, SO_PASSCRED, value), 4)
  t.equal(value[0], 1)
  t.ok(descriptor.setOption(999, 999, value) < 0)
  descriptor.close()
  t.end()
})

t.test('files', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'some file')
  const file = checkDescriptor(addon.open(path, constants.O_CREAT | constants.O_RDWR, 0o600, -1), 'open')
  t.equal(file.write(bytes('0123')), 4)
  t.equal(readFileSync(path, 'utf8'), '0123')
  t.equal(file.receive(new Uint8Array(4), 0, 0), -ENOTSOCK)
  file.close()
  t.equal(addon.open(join(directory, 'none'), constants.O_RDONLY, 0, -1), -ENOENT)
  t.equal(addon.open(`${path}\0x`, constants.O_RDONLY, 0, -1), -EINVAL, 'not cut at the NUL')
  t.end()
})

t.test('refusals of the kernel come back as they are', (t) => {
  t.equal(addon.socket(250, SOCK_DGRAM, 0, -1), -EAFNOSUPPORT)
  t.ok((addon.socket(AF_UNIX, 77, 0, -1) as number) < 0)
  const descriptor = socket(SOCK_DGRAM)
  t.ok((addon.socket(AF_UNIX, SOCK_DGRAM, 0, descriptor.fd) as number) < 0, 'a socket is no namespace')
  t.ok((addon.socket(AF_UNIX, SOCK_DGRAM, 0, 1 << 20) as number) < 0)
  descriptor.close()
  t.throws(() => check(-ENOTTY, 'ioctl', 'asking'), { name: 'NfkitError', code: 'ENOTTY', syscall: 'ioctl', errno: ENOTTY })
  t.equal(check(7, 'read'), 7)
  t.throws(() => checkDescriptor(-ENOENT, 'open', '/x'), { code: 'ENOENT' })
  t.end()
})

t.test('wrong kinds of arguments are EINVAL, whatever they are', (t) => {
  const before = openDescriptors()
  const descriptor = socket(SOCK_DGRAM)
  const wrong: unknown[] = [
    undefined, null, 'x', 1.5, Number.NaN, Infinity, -1, 2 ** 40, {}, [], () => {}, 5n, Symbol('s'), true, new Uint16Array(4), new ArrayBuffer(8),
    new DataView(new ArrayBuffer(8)), { get length() { throw new Error('touched') } },
    new Proxy({}, { get() { throw new Error('touched') } }),
  ]
  const any = descriptor as unknown as Record<string, (...args: unknown[]) => unknown>
  const door = addon as unknown as Record<string, (...args: unknown[]) => unknown>
  const calls: [string, (value: unknown) => unknown][] = [
    ['bind', (value) => any.bind!(value)],
    ['connect', (value) => any.connect!(value)],
    ['localAddress', (value) => any.localAddress!(value)],
    ['setOption', (value) => any.setOption!(1, 2, value)],
    ['getOption', (value) => any.getOption!(1, 2, value)],
    ['ioctl', (value) => any.ioctl!(0x89f0, value)],
    ['ioctl with pointers', (value) => Array.isArray(value) || value == null ? -EINVAL : any.ioctl!(0x89f0, new Uint8Array(40), value)],
    ['ioctl with pointers in', (value) => any.ioctl!(0x89f0, new Uint8Array(40), [value, 0, new Uint8Array(8)])],
    ['ioctl with pointers to', (value) => any.ioctl!(0x89f0, new Uint8Array(40), [new Uint8Array(8), 0, value])],
    ['send', (value) => any.send!(value, 0)],
    ['receive', (value) => any.receive!(value, 0, 0x40)],
    ['read', (value) => any.read!(value, 0)],
    ['write', (value) => any.write!(value)],
    ['open', (value) => typeof value === 'string' ? -EINVAL : door.open!(value, 0, 0, -1)],
    ['socket', (value) => typeof value === 'number' ? -EINVAL : door.socket!(value, SOCK_DGRAM, 0, -1)],
    ['unmount', (value) => typeof value === 'string' ? -EINVAL : door.unmount!(value, 0)],
    ['mount', (value) => typeof value === 'string' ? -EINVAL : door.mount!(value, '/', 'none', 0)],
  ]
  for (const [name, call] of calls) {
    for (const value of wrong) {
      let answer
      try { answer = call(value) } catch (error) { t.fail(`${name}(${typeof value}) threw ${error}`); continue }
      if (typeof answer !== 'number' || answer >= 0) t.fail(`${name}(${typeof value}) answered ${answer}`)
    }
  }
  for (const offset of [-1, 9, 1.5 - 3, 2 ** 32, Number.NaN]) {
    t.equal(descriptor.receive(new Uint8Array(8), offset, 0x40), -EINVAL, `receive at ${offset}`)
    t.equal(descriptor.read(new Uint8Array(8), offset), -EINVAL, `read at ${offset}`)
  }
  for (const offset of [-1, 1, 8, 2 ** 40, Number.NaN]) {
    t.equal(descriptor.ioctl(0x89f0, new Uint8Array(40), [new Uint8Array(8), offset, new Uint8Array(8)]), -EINVAL, `a pointer at ${offset}`)
  }
  t.equal(descriptor.ioctl(0x89f0, new Uint8Array(40), [new Uint8Array(8), 0]), -EINVAL, 'pointers that are not threes')
  // Methods on a foreign object must not take it for a descriptor.
  for (const name of ['close', 'take', 'send', 'receive', 'watch', 'arm']) {
    try {
      const answer = any[name]!.call({}, new Uint8Array(4), 0, 0)
      t.ok(answer === null || answer === undefined || (typeof answer === 'number' && answer < 0), `${name} of a foreign object`)
    } catch (error) {
      t.ok(error instanceof TypeError, `${name} of a foreign object`)
    }
  }
  descriptor.close()
  t.equal(openDescriptors(), before, 'nothing was left open')
  t.end()
})

t.test('a detached or empty buffer is no danger', (t) => {
  const descriptor = socket(SOCK_DGRAM)
  descriptor.bind(abstract(`nfkit-d-${process.pid}`))
  const gone = new Uint8Array(64)
  structuredClone(gone.buffer, { transfer: [gone.buffer] })
  t.equal(gone.length, 0)
  t.ok(descriptor.receive(gone, 0, 0x40) < 0)
  t.ok(descriptor.receive(new Uint8Array(0), 0, 0x40) < 0)
  descriptor.close()
  t.end()
})


t.test('when it cannot be loaded, the error says what would help', (t) => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const place = mkdtempSync(join(tmpdir(), 'nfkit-'))
  t.teardown(() => rmSync(place, { recursive: true }))
  // A checkout that is not built, with Node.js finding the one dependency above it.
  cpSync(join(root, 'lib'), join(place, 'node_modules/nfkit/dist/lib'), { recursive: true })
  cpSync(loaderOf(root), join(place, 'node_modules/node-gyp-build'), { recursive: true })
  writeFileSync(join(place, 'node_modules/nfkit/package.json'), '{ "name": "nfkit", "type": "module" }')
  const load = `import('./node_modules/nfkit/dist/lib/index.js').catch((error) => { console.log(JSON.stringify(error)) })`
  const failure = () => JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', load], { cwd: place, encoding: 'utf8' }))

  t.match(failure(), { name: 'NfkitError', code: 'NFKIT_ADDON_MISSING', hint: /packed without one .*npm run prebuilds/ })
  writeFileSync(join(place, 'node_modules/nfkit/binding.gyp'), '{}')
  t.match(failure(), { code: 'NFKIT_ADDON_MISSING', hint: /"npm run build" in .*nfkit/ })
  t.end()
})

/** The directory of node-gyp-build, as the library finds it. */
function loaderOf(from: string): string {
  return dirname(createRequire(join(from, 'lib/native.js')).resolve('node-gyp-build/package.json'))
}
