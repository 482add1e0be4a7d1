// SPDX-License-Identifier: MIT
// A network of virtual hosts in namespaces of their own.

import { inspect } from 'node:util'
import { invalidArgument, NfkitError } from '../errors.js'
import type { LinkInfo } from '../net/link.js'
import { keepStamping } from './clock.js'
import { flow, type FlowOptions, type FlowResult } from './flow.js'
import { checkHostName, Host, type HostOptions, type HostRole } from './host.js'
import { checkEnd, checkWireOptions, plug, type PlugSpec, type Wire, type WireEndSpec, type WireOptions } from './wire.js'

/** A lab as plain data. */
export interface Topology {
  hosts: {
    name: string
    role: HostRole
    /** Without the loopback. */
    interfaces: {
      name: string
      kind?: string
      mac?: string
      up: boolean
      /** Name of the bridge that it is a port of. */
      master?: string
      addresses: string[]
    }[]
  }[]
  /** Both ends of each, as `[host, interface]`. */
  wires: [[string, string], [string, string]][]
}

/**
 * A network in private namespaces, for scripted tests: hosts, wires between them, and a box under test with bridges and rules.
 *
 *     const lab = await Lab.create()
 *     try {
 *       const box = lab.box('box')
 *       const bridge = box.bridge('br0')
 *       for (const n of [1, 2]) {
 *         const host = lab.host(`h${n}`)
 *         lab.wire({ host, name: 'eth0', addresses: [`192.168.0.${n}/24`] }, { host: box, name: `eth${n}` })
 *         bridge.addPort(`eth${n}`)
 *       }
 *       const { received } = await lab.find('h1').ping('192.168.0.2')
 *     } finally {
 *       lab.close()
 *     }
 *
 * The namespaces have no name and are held by open descriptors: nothing of a lab is left behind when the process ends, in
 * whatever way. Nothing outside them is touched, and no packet leaves them. Needs CAP_SYS_ADMIN in the user namespace, as root
 * has; an ordinary user gets it from {@link ensurePrivilege} or `nfkit lab -- PROGRAM`.
 */
export class Lab implements AsyncDisposable {
  readonly #hosts = new Map<string, Host>()
  readonly #wires = new Set<Wire>()
  /** How many interfaces each host has been given: what MAC addresses are numbered by. */
  readonly #plugged = new Map<Host, number>()
  #nextIndex = FIRST_INDEX
  readonly #stamping: { close(): void }
  #closed = false

  private constructor(stamping: { close(): void }) {
    this.#stamping = stamping
  }

  /**
   * Makes an empty lab.
   * @throws NfkitError EPERM without the privilege to create network namespaces
   */
  static async create(): Promise<Lab> {
    // Better to hear of a missing privilege here than somewhere in the script.
    const probe = new Host('probe', 'host', {})
    try {
      return new Lab(keepStamping(probe.netns))
    } finally {
      probe.close()
    }
  }

  /**
   * Adds a host.
   * @throws TypeError for a wrong name; NfkitError EEXIST when the lab has one of that name
   */
  host(name: string, options: HostOptions = {}): Host { return this.#add(name, 'host', options) }

  /** Adds a device under test. It is a host like any other; only drawings make a difference. */
  box(name: string, options: HostOptions = {}): Host { return this.#add(name, 'box', options) }

  #add(name: string, role: HostRole, options: HostOptions): Host {
    checkHostName(name)
    if (this.#closed) throw new NfkitError('NFKIT_CLOSED', 'the lab is closed')
    if (this.#hosts.has(name)) throw new NfkitError('EEXIST', `the lab has a host named ${name}`)
    const host = new Host(name, role, options)
    this.#hosts.set(name, host)
    return host
  }

  /** The host of a name. @throws NfkitError ENOENT */
  find(name: string): Host {
    const host = this.#hosts.get(name)
    if (host === undefined) throw new NfkitError('ENOENT', `the lab has no host named ${name}`)
    return host
  }

  /** The hosts and boxes in the order they were added. */
  hosts(): Host[] { return [...this.#hosts.values()] }

  /** The wires in the order they were added. */
  wires(): Wire[] { return [...this.#wires] }

  /**
   * Connects two hosts: an interface at each, up unless told otherwise. It is complete or not there at all.
   *
   *     lab.wire('h1:eth0', 'box:eth3')
   *     lab.wire({ host: h1, addresses: ['192.168.0.2/24'] }, { host: box, name: 'eth3', mac: '02:00:5e:10:00:01' }, { mtu: 9000 })
   *
   * @throws TypeError, RangeError for a wrong argument; NfkitError ENOENT for an unknown host, EEXIST for a name that is taken
   */
  wire(a: WireEndSpec | string, b: WireEndSpec | string, options: WireOptions = {}): Wire {
    const find = (name: string) => this.find(name)
    const specs = [checkEnd(a, 'a', find), checkEnd(b, 'b', find)] as const
    for (const { host } of specs) if (this.#hosts.get(host.name) !== host) throw invalidArgument('host', 'a host of this lab', host.name)
    const wanted = checkWireOptions(options)
    const first = this.#decide(specs[0], undefined)
    const second = this.#decide(specs[1], first)
    const wire = plug([first, second], wanted, (deleted) => this.#wires.delete(deleted))
    for (const { host } of specs) this.#plugged.set(host, (this.#plugged.get(host) ?? 0) + 1)
    this.#wires.add(wire)
    return wire
  }

  /** Fills in the name and the MAC address of an end; `other` is the wire's other end. */
  #decide({ host, name, mac, addresses = [] }: WireEndSpec & { host: Host }, other: PlugSpec | undefined): PlugSpec {
    const same = other?.host === host
    const taken = new Set(name === undefined ? host.interfaces().map((link) => link.name) : [])
    if (same) taken.add(other.name)
    let free = 0
    while (taken.has(`eth${free}`)) free++
    const number = [...this.#hosts.keys()].indexOf(host.name) + 1
    const count = (this.#plugged.get(host) ?? 0) + (same ? 2 : 1)
    return { host, name: name ?? `eth${free}`, mac: mac ?? numberedMac(number, count), index: this.#nextIndex++, addresses }
  }

  /** Sends bytes from one host to another and tells what became of them; see {@link FlowOptions}. */
  flow(options: FlowOptions): Promise<FlowResult> { return flow(options) }

  /** Everything that there is now, read from the kernel, as plain data. */
  topology(): Topology {
    return {
      hosts: this.hosts().map((host) => {
        const links = host.interfaces()
        const addresses = host.addresses()
        const interfaces = links.filter((link) => !link.loopback).map((link) => interfaceOf(link, links, addresses))
        return { name: host.name, role: host.role, interfaces }
      }),
      wires: this.wires().map(({ ends: [a, b] }) => [[a.host.name, a.name], [b.host.name, b.name]]),
    }
  }

  /**
   * Ends everything that goes on in the lab and lets go of its hosts. The kernel takes their interfaces away in the background.
   * Idempotent.
   */
  close(): void {
    this.#closed = true
    for (const host of this.#hosts.values()) host.close()
    this.#hosts.clear()
    this.#wires.clear()
    this.#stamping.close()
  }

  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string {
    return `Lab { hosts: [${[...this.#hosts.keys()].join(', ')}], wires: ${this.#wires.size} }`
  }
}

/**
 * Interface indexes are unique in a lab, above those that the kernel chooses: an interface whose peer has the same index comes up
 * a second late (linkwatch_urgent_event, net/core/link_watch.c).
 */
const FIRST_INDEX = 1001

/** Locally administered, and readable in a dump. */
function numberedMac(host: number, count: number): string {
  const hex = (value: number) => (value & 0xff).toString(16).padStart(2, '0')
  return `02:00:${hex(count >> 8)}:${hex(host >> 8)}:${hex(host)}:${hex(count)}`
}

type Interface = Topology['hosts'][number]['interfaces'][number]

function interfaceOf(link: LinkInfo, links: LinkInfo[], addresses: ReturnType<Host['addresses']>): Interface {
  const master = links.find(({ index }) => index === link.master)
  return {
    name: link.name,
    ...(link.kind === undefined ? {} : { kind: link.kind }),
    ...(link.mac === undefined ? {} : { mac: link.mac }),
    up: link.up,
    ...(master === undefined ? {} : { master: master.name }),
    addresses: addresses.filter((address) => address.link === link.index).map(({ address }) => address),
  }
}
