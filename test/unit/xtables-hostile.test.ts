// SPDX-License-Identifier: MIT
// Blobs of tables with changed bytes, as a broken kernel or another program's mistake would give them: an answer or a typed error.
// NFKIT_FUZZ is how many, half of them of each family.

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import '../../lib/wire/xtables/extensions/index.js'
import { inspectTable } from '../../lib/netfilter/inspect.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { restoreText } from '../../lib/wire/xtables/restore.js'
import { decodeRule, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'
import { saveTable } from '../../lib/wire/xtables/save.js'
import { assembleTable } from '../../lib/wire/xtables/assemble.js'
import { type TableInfo, TableImage } from '../../lib/wire/xtables/table.js'
import { initialTable } from '../../lib/wire/xtables/tables.js'

const RUNS = Math.ceil(Number(process.env['NFKIT_FUZZ'] ?? 4000) / 2)
if (process.env['NFKIT_FUZZ'] !== undefined) t.setTimeout(0)

const resolver: Resolver = {
  servicePort: () => undefined, protocolNumber: () => undefined, protocolName: () => undefined, hostAddresses: () => [], userId: () => undefined,
  userName: () => undefined, groupId: () => undefined, groupName: () => undefined, lookup: () => undefined, lookupName: () => undefined,
}

/** Matches and targets with structs of many kinds; ADDRESS, UNREACHABLE and ICMP are the family's. */
const RULES = [
  '-A INPUT -s ADDRESS -i eth0 -p tcp -m tcp --dport 80 -m comment --comment "a b" -j first', '-A INPUT -p udp -m multiport --dports 1,2:3,9 -j second',
  '-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -m limit --limit 3/min -j LOG --log-prefix "x y"', '-A INPUT -m string --string "abc" --algo bm -j DROP',
  '-A INPUT -m u32 --u32 "0>>22&0x3C@8=0x1:0x5,7&&4=3" -j NFLOG --nflog-group 3', '-A INPUT -p tcp -m tcp --syn -m connlimit --connlimit-above 3 -j REJECT --reject-with tcp-reset',
  '-A FORWARD -m hashlimit --hashlimit-above 5/sec --hashlimit-name h --hashlimit-mode srcip -g first', '-A FORWARD -m recent --name r --set -j REJECT --reject-with UNREACHABLE', '-A FORWARD -p ICMP -m mark --mark 0x1/0xff -j ACCEPT',
  '-A FORWARD -m time --timestart 01:00 --timestop 02:00 --weekdays Mon -j NFQUEUE --queue-balance 1:4', '-A OUTPUT -m owner --uid-owner 5 -m statistic --mode nth --every 3 --packet 0 -j RETURN',
  '-A OUTPUT -m policy --dir out --pol ipsec --strict --reqid 5 --next --reqid 6 -j DROP', '-A OUTPUT -m bpf --bytecode "2,48 0 0 9,6 0 0 1" -j TEE --gateway ADDRESS',
  '-A first -m physdev --physdev-in eth1 --physdev-is-bridged -j second', '-A first -m iprange --src-range ADDRESS-ADDRESS -j RETURN', '-A second -p sctp -m sctp --dport 5 --chunk-types any DATA,INIT -j DROP',
]

interface Sample { readonly family: IpFamily; readonly info: TableInfo; readonly blob: Uint8Array }

function sample(family: IpFamily, texts: readonly string[]): Sample {
  const words = family === 'ipv4' ? { ADDRESS: '10.0.0.1', UNREACHABLE: 'icmp-net-prohibited', ICMP: 'icmp' } : { ADDRESS: 'fd00::1', UNREACHABLE: 'icmp6-no-route', ICMP: 'ipv6-icmp' }
  const rules = texts.map((rule) => rule.replace(/ADDRESS|UNREACHABLE|ICMP/g, (word) => words[word as keyof typeof words]))
  const open = () => {
    const { info, blob } = initialTable(family, 'filter')
    return new TableImage(family, info, blob)
  }
  const { image } = restoreText(['*filter', ':first - [0:0]', ':second - [0:0]', ...rules, 'COMMIT', ''].join('\n'), { family, resolver, open })[0]!
  const { blob, entries, hookEntries, underflows } = assembleTable(image, image.chains)
  return { family, blob, info: { ...image.info, entries, hookEntries, underflows, size: blob.length } }
}

/** Small tables, so that a change is seldom far from where it matters. */
const samples = (family: IpFamily): Sample[] => [0, 4, 8, 12].map((from) => sample(family, RULES.slice(from, from + 4)))

/** Everything that is done with a table that was read. */
function readAll({ family, info, blob }: Sample): void {
  const environment: RuleEnvironment = { family, resolver, table: info.name }
  const image = new TableImage(family, info, blob)
  for (const { pieces } of image.chains) {
    for (const piece of pieces) if ('from' in piece) for (let entry = piece.from; entry < piece.to; entry++) JSON.stringify(decodeRule(image.rule(entry), environment))
  }
  saveTable(image, environment, true)
  inspectTable(image)
  assembleTable(image, image.chains)
}

for (const family of ['ipv4', 'ipv6'] as const) {
  t.test(`${family}: a table with changed bytes, or cut short`, async (t) => {
    const tables = samples(family)
    for (const { info, blob } of tables) {
      t.equal(new TableImage(family, info, blob.slice()).chains.length, 5)
      readAll({ family, info, blob: blob.slice() })
    }
    const change = fc.tuple(fc.nat(9999), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)), fc.constantFrom(1, 1, 1, 2, 4))
    const part = fc.oneof({ weight: 19, arbitrary: fc.constant(9999) }, { weight: 1, arbitrary: fc.nat(9999) })
    let read = 0
    let slowest = 0
    fc.assert(fc.property(fc.constantFrom(...tables), fc.array(change, { minLength: 1, maxLength: 5 }), part, fc.nat(5), (good, changes, cut, headers) => {
      const place = (at: number) => Math.floor(at / 9999 * good.blob.length)
      const blob = good.blob.slice(0, place(cut))
      for (const [at, value, width] of changes) blob.fill(value, place(at), place(at) + width)
      let { info } = good
      if (headers === 0) {
        // What GET_INFO says can be wrong, too.
        const [at, value] = changes[0]!
        const wrong = (offsets: readonly number[], which: number) => offsets.map((offset, i) => (i === which ? place(at) : offset))
        info = { ...info, hookEntries: wrong(info.hookEntries, at % 5), underflows: wrong(info.underflows, value % 5), entries: info.entries + (value % 3) - 1 }
      }
      const start = process.cpuUsage().user
      try {
        readAll({ family, info: { ...info, size: blob.length }, blob })
        read++
      } catch (error) {
        if (!(error instanceof NfkitError)) throw error
      }
      slowest = Math.max(slowest, (process.cpuUsage().user - start) / 1000)
    }), { numRuns: RUNS })
    t.ok(read > 0, `${read} of ${RUNS} could still be read; the slowest took ${slowest.toFixed(1)} ms of processor time`)
  })

  t.test(`${family}: any bytes as a table`, async (t) => {
    const { info } = samples(family)[0]!
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (blob) => {
      try {
        readAll({ family, info: { ...info, size: blob.length }, blob })
      } catch (error) {
        if (!(error instanceof NfkitError)) throw error
      }
    }), { numRuns: RUNS })
    t.pass(`${RUNS}`)
  })
}
