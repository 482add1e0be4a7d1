// SPDX-License-Identifier: MIT
// Programs that begin again in a user namespace.

import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isPrivileged, runPrivately } from '../../lib/lab/index.js'

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--']
const UNSHARE = ['unshare', '--user', '--map-root-user', '--net', '--mount']

function lacksUserNamespaces(): string | false {
  if (process.getuid?.() !== 0) return 'becoming another user needs root'
  // As nobody, the program must also be able to read itself.
  const words = [...NOBODY.slice(1), ...UNSHARE, 'test', '-r', fileURLToPath(import.meta.url)]
  const { status, stderr } = spawnSync(NOBODY[0]!, words, { encoding: 'utf8' })
  return status === 0 ? false : `an ordinary user has no user namespaces here: ${stderr.trim()}`
}
const skip = lacksUserNamespaces()

const PROGRAM = `
  import { ensurePrivilege, Lab } from '${new URL('../../lib/lab/index.js', import.meta.url).href}'
  await ensurePrivilege()
  const lab = await Lab.create()
`

const WORK = `
  const h1 = lab.host('h1')
  lab.wire({ host: h1, addresses: ['10.0.0.1/24'] }, { host: lab.host('h2'), addresses: ['10.0.0.2/24'] })
  const { received } = await h1.ping('10.0.0.2')
  const { stdout } = await h1.run('ip', ['-o', 'link'])
  process.stdin.setEncoding('utf8').on('data', (input) => {
    console.log(JSON.stringify([process.getuid(), received, stdout.trim().split('\\n').length, process.argv.slice(1), process.execArgv.length, input]))
    process.exit(7)
  })
`

function start(program: string, args: string[] = [], env: NodeJS.ProcessEnv = {}, user = NOBODY) {
  const words = [...user, process.execPath, '--no-warnings', '--input-type=module', '-e', program, '--', ...args]
  return spawn(words[0]!, words.slice(1), { cwd: '/', env: { ...process.env, HOME: '/tmp', ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
}

async function finish(child: ReturnType<typeof start>) {
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [status, signal] = await new Promise<[number | null, string | null]>((resolve) => { child.once('close', (...both) => resolve(both)) })
  return { status, signal, stdout, stderr }
}

t.test('an ordinary user has a lab, and the program ends as the second one does', { skip }, async (t) => {
  const child = start(PROGRAM + WORK, ['one', 'two words', ''])
  child.stdin.end('what it reads')
  const { status, stdout, stderr } = await finish(child)
  t.equal(stderr, '')
  t.equal(status, 7)
  t.same(JSON.parse(stdout), [0, 1, 2, ['one', 'two words', ''], 4, 'what it reads'])
  t.match(await finish(start(`${PROGRAM} process.kill(process.pid, 'SIGUSR2')`)), { status: null, signal: 'SIGUSR2' })
})

/** The process below `pid` at the end of the chain. */
function last(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return children === '' ? pid : last(Number(children.split(' ')[0]))
}
const alive = (pid: number) => { try { return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')) } catch { return false } }

t.test('signals are passed on, and the second program does not outlive the first', { skip }, async (t) => {
  const WAIT = `${PROGRAM}
    process.once('SIGTERM', () => { console.log('got it'); process.exit(3) })
    setInterval(() => {}, 1000)
    console.log('ready')`
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const child = start(WAIT)
    const ended = finish(child)
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (text) => { if (String(text).includes('ready')) resolve() })
    })
    const second = last(child.pid!)
    t.not(second, child.pid)
    child.kill(signal)
    const { status, stdout } = await ended
    if (signal === 'SIGTERM') t.match([status, stdout], [3, /got it/])
    for (let i = 0; i < 100 && alive(second); i++) await sleep(20)
    t.notOk(alive(second), `gone after ${signal}`)
  }
})

t.test('it says what forbids it, and does not try for ever', { skip }, async (t) => {
  const guarded = await finish(start(PROGRAM, [], { NFKIT_LAB: '1' }))
  t.match(guarded, { status: 1, stderr: /NFKIT_USER_NAMESPACES/ })
  // In a user namespace whose limit is 0, as with user.max_user_namespaces=0 of the machine.
  const script = 'echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
  const limited = [...NOBODY, 'unshare', '--user', '--map-root-user', '--', 'sh', '-c', script, 'sh']
  const refused = await finish(start(PROGRAM, [], {}, limited))
  t.match(refused, { status: 1, stderr: /NFKIT_USER_NAMESPACES/ })
  t.match(refused.stderr, /sysctl -w user\.max_user_namespaces=/)
  const missing = await finish(start(PROGRAM, [], {}, [...NOBODY, 'env', 'PATH=/nowhere']))
  t.match(missing, { status: 1, stderr: /unshare cannot be started; it comes with util-linux/ })
})

t.test('a worker cannot begin the program again', { skip }, async (t) => {
  const worker = `import { Worker } from 'node:worker_threads'
    new Worker(${JSON.stringify(PROGRAM)}, { eval: true, execArgv: ['--input-type=module'] })
      .on('error', (error) => console.log(error.code, error.message))`
  t.match((await finish(start(worker))).stdout, /NFKIT_WORKER|main thread/)
})

t.test('a program in a private network', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async (t) => {
  t.equal(isPrivileged(), true)
  const alone = 'test "$(ip -o link | wc -l)" = 1 && mkdir /run/netns && test -e /sys/class/net/lo'
  t.same(await runPrivately('sh', ['-c', alone]), { status: 0, signal: null })
  t.same(await runPrivately('sh', ['-c', 'exit 5']), { status: 5, signal: null })
  t.same(await runPrivately('sh', ['-c', 'kill -9 $$']), { status: null, signal: 'SIGKILL' })
  await t.rejects(runPrivately(''), { name: 'TypeError' })
  await t.rejects(runPrivately('true', [5 as never]), { name: 'TypeError' })
})
