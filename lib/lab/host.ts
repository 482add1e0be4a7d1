// SPDX-License-Identifier: MIT
// A virtual host: a network namespace of its own, and what can be done from within it.

import type { ChildProcess } from 'node:child_process'
import { inspect } from 'node:util'
import { Bridge, type BridgeOptions } from '../bridge/bridge.js'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import type { Watch } from '../events.js'
import * as Address from '../net/address.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import * as Link from '../net/link.js'
import * as Route from '../net/route.js'
import { Netns } from '../netns.js'
import type { EthernetFrame } from '../wire/ethernet.js'
import type { IpFamily } from '../wire/ip.js'
import type { LinkStatistics } from '../wire/link.js'
import { type CaptureEvent, capture, type CaptureOptions, FrameSender } from './frames.js'
import { ping, type PingOptions, type PingResult } from './ping.js'
import { type RunOptions, type RunResult, runIn, spawnIn, type SpawnOptions } from './program.js'
import { waitUntilFound } from './ready.js'
import { type ConnectOptions, connectTcp, listenTcp, type ListenOptions, type TcpConnection, type TcpListener } from './tcp.js'
import { connectUdp, listenUdp, type UdpConnectOptions, type UdpListenOptions, type UdpSocket } from './udp.js'

/** What the drawing of a lab makes of it: an end station, or the device under test. */
export type HostRole = 'host' | 'box'

export interface HostOptions {
  /**
   * False: no IPv6 at all, so that nothing is sent that was not asked for. True unless told; then link-local addresses can be
   * used at once (no duplicate address detection), and routers are neither asked nor believed.
   */
  ipv6?: boolean | undefined
  /** Forward packets between interfaces, IPv4 and IPv6 (net/ipv4/ip_forward, net/ipv6/conf/all/forwarding). False unless told. */
  forwarding?: boolean | undefined
}

/** An address of a host or that host itself, whose first address is meant then. */
export type Destination = string | Host

interface Closable { close(): void }

/**
 * A host of a {@link Lab}; made by `lab.host()` and `lab.box()`. Its kernel settings are the defaults, but for what
 * {@link HostOptions} says, and that ICMP errors are not limited to one in a second (icmp_ratemask). The kernel has one more limit,
 * for unreachable networks of IPv4 (error_cost, error_burst), that a namespace cannot change: five, then one in a second.
 */
export class Host {
  readonly name: string
  readonly role: HostRole
  /** Its network namespace, for every call of nfkit that takes `{ netns }`. */
  readonly netns: Netns
  /** @internal */
  readonly ipv6: boolean
  readonly #open = new Set<Closable>()
  readonly #programs = new Set<ChildProcess>()
  readonly #sender: FrameSender

  /** @internal */
  constructor(name: string, role: HostRole, options: HostOptions) {
    checkKeys(options, ['ipv6', 'forwarding'], 'options')
    const { ipv6 = true, forwarding = false } = options
    checkBoolean(ipv6, 'ipv6')
    checkBoolean(forwarding, 'forwarding')
    this.name = name
    this.role = role
    this.ipv6 = ipv6
    this.netns = createNetns(name)
    this.#sender = new FrameSender(this.netns)
    try {
      // Not icmp_ratelimit: with 0 it would use up what ip_error (net/ipv4/route.c) counts by.
      this.#set('net/ipv4/icmp_ratemask', 0)
      if (ipv6) this.#prepareIpv6()
      else this.#set('net/ipv6/conf/all/disable_ipv6', 1)
      if (forwarding) {
        this.netns.writeSysctl('net/ipv4/ip_forward', 1)
        if (ipv6) this.netns.writeSysctl('net/ipv6/conf/all/forwarding', 1)
      }
      Link.set('lo', { up: true }, { netns: this.netns })
    } catch (error) {
      this.netns.close()
      throw error
    }
  }

  #prepareIpv6(): void {
    this.#set('net/ipv6/icmp/ratelimit', 0)
    for (const name of ['accept_dad', 'accept_ra', 'router_solicitations']) this.#set(`net/ipv6/conf/default/${name}`, 0)
  }

  /** Sets what this kernel has: without IPv6, there is nothing to be set about it. */
  #set(name: string, value: number): void {
    try {
      this.netns.writeSysctl(name, value)
    } catch (error) {
      if (!(error instanceof NfkitError) || error.errno !== Errno.ENOENT) throw error
    }
  }

  /** Its interfaces, the loopback first. */
  interfaces(): Link.LinkInfo[] {
    return Link.list({ netns: this.netns })
  }

  /** Counters of an interface since it was made. @throws NfkitError ENODEV */
  statistics(device: string): LinkStatistics {
    const { statistics } = Link.get(device, { netns: this.netns })
    if (statistics === undefined) throw new NfkitError('ENODATA', `the kernel gives no statistics of ${device}`)
    return statistics
  }

  /**
   * Gives an interface an address, for example `192.168.0.2/24` or `fd00::2/64`, which can be used at once.
   * @throws TypeError for what is no address; NfkitError EEXIST, ENODEV
   */
  addAddress(device: string, address: string): void {
    const isIpv6 = typeof address === 'string' && address.includes(':')
    Address.add({ link: device, address, flags: isIpv6 ? ['nodad'] : [] }, { netns: this.netns })
    if (isIpv6 && Link.get(device, { netns: this.netns }).up) waitUntilFound(this.netns, device, [address])
  }

  /**
   * Adds a route, for example `{ destination: 'default', gateway: '192.168.0.1' }`.
   * @throws TypeError for a wrong route; NfkitError EEXIST, ENETUNREACH when the gateway is not on a link
   */
  addRoute(route: Route.RouteSpec): void {
    Route.add(route, { netns: this.netns })
  }

  /** Its addresses, those of the loopback last; IPv4 before IPv6, link-local ones behind. */
  addresses(options: { family?: IpFamily; interface?: string } = {}): Address.AddressInfo[] {
    checkKeys(options, ['family', 'interface'], 'options')
    const { family, interface: device } = options
    const order = (info: Address.AddressInfo) => (info.scope === 'host' ? 2 : info.scope === 'link' ? 1 : 0)
    return Address.list({ netns: this.netns, family, link: device }).sort((a, b) => order(a) - order(b))
  }

  /**
   * Its first address that others can reach, without the prefix length.
   * @throws NfkitError EADDRNOTAVAIL when it has none
   */
  address(family?: IpFamily): string {
    const info = this.addresses(family === undefined ? {} : { family }).find(({ scope }) => scope !== 'host' && scope !== 'link')
    if (info === undefined) {
      throw new NfkitError('EADDRNOTAVAIL', `host ${this.name} has no ${family ?? 'IP'} address that others can reach`)
    }
    return info.address.slice(0, info.address.indexOf('/'))
  }

  /** Creates a bridge here: {@link Bridge.create} with this host's namespace. */
  bridge(name: string, options: Omit<BridgeOptions, 'netns'> = {}): Bridge {
    const bridge = Bridge.create(name, { ...options, netns: this.netns })
    this.#open.add(bridge)
    return bridge
  }

  /**
   * Sends echo requests and collects the answers. That nobody answers is a result, not an exception.
   * @throws TypeError, RangeError for a wrong argument; NfkitError ENODEV, EADDRNOTAVAIL for a source that is not its own
   */
  ping(to: Destination, options: PingOptions = {}): Promise<PingResult> {
    return this.#whileOpen(options.signal, (signal) => {
      checkKeys(options, ['count', 'size', 'interval', 'timeout', 'ttl', 'dontFragment', 'source', 'interface', 'signal'], 'options')
      return ping(this.netns, addressOf(to), { ...options, signal })
    })
  }

  /** Listens on a TCP port. @throws NfkitError EADDRINUSE, EADDRNOTAVAIL */
  listen(options: { protocol?: 'tcp' } & ListenOptions): TcpListener
  /** Opens a UDP port. @throws NfkitError EADDRINUSE, EADDRNOTAVAIL */
  listen(options: { protocol: 'udp' } & UdpListenOptions): UdpSocket
  listen(options: { protocol?: 'tcp' | 'udp' } & (ListenOptions | UdpListenOptions)): TcpListener | UdpSocket {
    const { protocol = 'tcp', ...rest } = options
    checkProtocol(protocol)
    checkKeys(rest, ['port', 'address', 'interface', 'serve', ...(protocol === 'tcp' ? ['backlog'] : [])], 'options')
    const socket = protocol === 'tcp'
      ? listenTcp(this.netns, rest as ListenOptions, (closed) => this.#open.delete(closed))
      : listenUdp(this.netns, rest as UdpListenOptions, (closed) => this.#open.delete(closed))
    this.#open.add(socket)
    return socket
  }

  /**
   * Opens a TCP connection.
   * @throws NfkitError ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES or EPERM as the network answers; ETIMEDOUT when it does not
   */
  connect(options: { protocol?: 'tcp'; address: Destination } & Omit<ConnectOptions, 'address'>): Promise<TcpConnection>
  /** Opens a UDP socket to one address. @throws NfkitError ENETUNREACH */
  connect(options: { protocol: 'udp'; address: Destination } & Omit<UdpConnectOptions, 'address'>): Promise<UdpSocket>
  connect(options: { protocol?: 'tcp' | 'udp'; address: Destination; port: number }): Promise<TcpConnection | UdpSocket> {
    return this.#whileOpen<TcpConnection | UdpSocket>((options as ConnectOptions).signal, async (signal) => {
      const { protocol = 'tcp', address: to, ...rest } = options
      checkProtocol(protocol)
      checkKeys(rest, ['port', 'source', 'sourcePort', 'interface', ...(protocol === 'tcp' ? ['timeout', 'signal'] : [])], 'options')
      const target = { ...rest, address: addressOf(to) }
      const socket = protocol === 'tcp'
        ? await connectTcp(this.netns, { ...target, signal }, (closed) => this.#open.delete(closed))
        : connectUdp(this.netns, target, (closed) => this.#open.delete(closed))
      this.#open.add(socket)
      return socket
    })
  }

  /**
   * Sends one Ethernet frame as it is, bytes or fields.
   * @throws TypeError, RangeError for a wrong argument; NfkitError ENODEV, ENETDOWN, EMSGSIZE
   */
  sendFrame(device: string, frame: Uint8Array | EthernetFrame): void {
    this.#sender.send(device, frame)
  }

  /**
   * Captures the frames of an interface, from this call on. Losses are items of their own; ending it takes some 17 ms.
   *
   *     for await (const item of h1.capture('eth0', { etherType: EtherType.arp })) ...
   *
   * @throws TypeError, RangeError for a wrong argument; NfkitError ENODEV
   */
  capture(device: string, options: CaptureOptions = {}): Watch<CaptureEvent> {
    checkKeys(options, ['etherType', 'direction', 'promiscuous', 'filter', 'signal', 'maxQueue'], 'options')
    const open: Closable = { close: () => { void watch.return!() } }
    const watch = capture(this.netns, device, options, () => this.#open.delete(open))
    this.#open.add(open)
    return watch
  }

  /**
   * Runs a program in the host's namespace to its end, by nsenter(1). Files, users and processes are this machine's.
   * @throws NfkitError NFKIT_COMMAND_FAILED with the exit status and what it wrote to stderr, ETIMEDOUT
   */
  run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    return this.#whileOpen(options.signal,
      (signal) => runIn(this.netns, command, args, { ...options, signal }, (child) => this.#keep(child)))
  }

  /** Starts a program in the host's namespace. It is killed when the lab is closed or this process ends, in whatever way. */
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const child = spawnIn(this.netns, command, args, options)
    this.#keep(child)
    return child
  }

  /** Runs something that ends with the caller's signal and when the host is closed. What throws at once rejects. */
  async #whileOpen<T>(outer: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const abort = () => controller.abort(outer!.reason)
    const open: Closable = { close: () => controller.abort(new NfkitError('NFKIT_CLOSED', `host ${this.name} was closed`)) }
    if (outer?.aborted === true) abort()
    outer?.addEventListener('abort', abort, { once: true })
    this.#open.add(open)
    try {
      return await run(controller.signal)
    } finally {
      this.#open.delete(open)
      outer?.removeEventListener('abort', abort)
    }
  }

  #keep(child: ChildProcess): void {
    this.#programs.add(child)
    child.once('exit', () => this.#programs.delete(child))
    child.once('error', () => this.#programs.delete(child))
  }

  /** Ends everything that goes on in it. The namespace and its interfaces go when the last program in it has. Idempotent. */
  close(): void {
    for (const child of this.#programs) child.kill('SIGKILL')
    for (const socket of this.#open) socket.close()
    this.#open.clear()
    this.#sender.close()
    this.netns.close()
  }

  [inspect.custom](): string {
    return `Host { name: '${this.name}', role: '${this.role}', netns: ${inspect(this.netns)} }`
  }
}

function createNetns(name: string): Netns {
  try {
    return Netns.create()
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'EPERM') {
      throw NfkitError.fromErrno(Errno.EPERM, 'unshare', `creating host ${name}`, {
        hint: 'run as root, under "nfkit lab --", or begin the program with "await ensurePrivilege()" of nfkit/lab', cause: error,
      })
    }
    throw error
  }
}

function addressOf(to: Destination): string {
  return to instanceof Host ? to.address() : to
}

function checkProtocol(protocol: unknown): void {
  if (protocol !== 'tcp' && protocol !== 'udp') throw invalidArgument('protocol', 'tcp or udp', protocol)
}

/** Checks the name of a host. */
export function checkHostName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/.test(name)) {
    throw invalidArgument('name', 'a host name of 1 to 32 letters, digits, dots, dashes and underscores', name)
  }
}
