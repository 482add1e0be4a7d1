#!/bin/sh
# SPDX-License-Identifier: MIT
# Process 1 of user-mode Linux: sees the machine's files, read-only, and writes what happens to the directory that the kernel's
# command line names. NFKIT_RESULTS and NFKIT_PROJECT come from there, too.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8
export PATH HOME TERM LANG

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
for directory in /tmp /run /var/tmp /root; do mount -t tmpfs -o mode=1777 tmpfs "$directory"; done
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /run/netns
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
[ -e /dev/stdin ] || { ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr; }
# What lies below one of those directories is hidden now.
if [ ! -d "$NFKIT_PROJECT/dist" ]; then mkdir -p "$NFKIT_PROJECT" && mount -t hostfs -o "$NFKIT_PROJECT" none "$NFKIT_PROJECT"; fi
results=/run/results
mkdir -p $results
mount -t hostfs -o "$NFKIT_RESULTS" none $results || exec busybox poweroff -f
ip link set lo up
leaks=/sys/kernel/debug/kmemleak

milliseconds () { read -r up _ </proc/uptime; up=${up%.*}${up#*.}0; echo "${up#"${up%%[!0]*}"}"; }

# run INDEX SECONDS COMMAND...: what it says, its exit status, the kernel's log, and what it left allocated that nobody knows.
run () {
  index=$1 limit=$2
  shift 2
  began=$(milliseconds)
  (cd "$NFKIT_PROJECT" && exec setsid timeout -s KILL "$limit" "$@") </dev/null >$results/"$index".out 2>$results/"$index".err
  code=$?
  took=$(($(milliseconds) - began))
  # Only what is older than five seconds counts (mm/kmemleak.c, MSECS_MIN_AGE); what is still in a list on some stack is not seen twice.
  sleep 6
  echo scan >$leaks
  echo scan >$leaks
  cat $leaks >$results/"$index".leaks
  echo clear >$leaks
  dmesg -c >$results/"$index".log
  echo "$code $took" >$results/"$index".code
}

echo scan >$leaks
echo clear >$leaks
dmesg -c >$results/boot.log
uname -r >$results/ready
. $results/plan
: >$results/finished
exec busybox poweroff -f
