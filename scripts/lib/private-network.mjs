// SPDX-License-Identifier: MIT
/** How to run a program where it can change any network it sees, and that is none of this machine's. */
import { RingUnavailable, requireTools, run } from './debian-packages.mjs'

// A /run of its own keeps names in /run/netns and lock files apart from the machine's; a /sys of its own shows the
// devices of the namespace that it was mounted in.
const SCRIPT = 'mount -t tmpfs -o mode=755 tmpfs /run && mount -t sysfs sysfs /sys 2>/dev/null; exec "$@"'

/**
 * The words to put before a command: new network and mount namespaces, for an ordinary user in a new user namespace.
 * @returns {Promise<string[]>}
 */
export async function privateNetwork () {
  await requireTools(['util-linux'])
  const asUser = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const prefix = ['unshare', ...asUser, '--net', '--mount', '--', 'sh', '-c', SCRIPT, 'sh']
  const { code, stderr } = await run(prefix[0] ?? '', [...prefix.slice(1), 'true'])
  if (code === 0) return prefix
  if (process.getuid?.() === 0) {
    throw new RingUnavailable(`root may not create namespaces here: ${stderr.trim()}`, [], 'docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined ...')
  }
  throw new RingUnavailable(`an ordinary user may not create network namespaces here: ${stderr.trim()}`, [], await howToAllow())
}

/** The command that would let ordinary users do it, by what this kernel has switched off. */
async function howToAllow () {
  const { stdout } = await run('sysctl', ['-e', 'kernel.unprivileged_userns_clone', 'kernel.apparmor_restrict_unprivileged_userns', 'user.max_user_namespaces'])
  if (/unprivileged_userns_clone = 0/.test(stdout)) return 'sudo sysctl kernel.unprivileged_userns_clone=1'
  if (/apparmor_restrict_unprivileged_userns = 1/.test(stdout)) return 'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0'
  if (/max_user_namespaces = 0/.test(stdout)) return 'sudo sysctl user.max_user_namespaces=10000'
  return 'sudo npm test'
}
