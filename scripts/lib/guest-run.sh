# SPDX-License-Identifier: MIT
# Process 1 of a guest. Runs the commands of /.nfkit/plan one after another and answers on two virtio ports: the first
# has standard output and, between two marks that no output can guess, what else there is to say; the second standard
# error. busybox sh.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8 NFKIT_GUEST=1

mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p /dev/pts /dev/shm /run/nfkit /run/netns
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
[ -e /dev/stdin ] || { ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr; }
hostname nfkit
ip link set lo up
echo /sbin/modprobe >/proc/sys/kernel/modprobe
NFKIT_GUEST_KERNEL=$(uname -r)
export NFKIT_GUEST_KERNEL

milliseconds () { read -r up _ </proc/uptime; up=${up%.*}${up#*.}0; echo "${up#"${up%%[!0]*}"}"; }

# say WORD...: one mark, on both ports
say () { printf '\036%s %s\n' "$mark" "$*" >&3; printf '\036%s %s\n' "$mark" "$*" >&4; }

# log: what the kernel has said since the last time
log () { say log; dmesg -c >&3; say quiet; }

# preload MODULE...: those that this kernel has; missing ones are no error, the rings find out what is missing
preload () { modprobe -a -q "$@" 2>/dev/null; }

# run INDEX SECONDS COMMAND...
run () {
  index=$1 limit=$2 group=/sys/fs/cgroup/$1
  shift 2
  mkfifo /run/nfkit/out /run/nfkit/err
  say start "$index"
  cat /run/nfkit/out >&3 & out=$!
  cat /run/nfkit/err >&4 & err=$!
  began=$(milliseconds)
  mkdir "$group"
  (echo 0 >"$group/cgroup.procs" && cd /nfkit && exec setsid timeout -s KILL "$limit" "$@") \
    </dev/null >/run/nfkit/out 2>/run/nfkit/err 3>&- 4>&-
  code=$?
  took=$(($(milliseconds) - began))
  echo 1 >"$group/cgroup.kill" # what it left running
  wait $out $err
  tries=0
  until rmdir "$group" 2>/dev/null || [ $((tries += 1)) -gt 100 ]; do usleep 20000; done
  rm /run/nfkit/out /run/nfkit/err
  say end "$index" "$code" "$took"
  log
}

# shell: an interactive one on the console
shell () { dmesg -n 1; setsid cttyhack bash -i </dev/ttyS0 >/dev/ttyS0 2>&1; }

finish () { say finished; sync; poweroff -f; }

if [ -c /dev/vport0p1 ]; then exec 3>/dev/vport0p1 4>/dev/vport0p2; else exec 3>/dev/null 4>/dev/null; fi
. /.nfkit/plan
finish
