#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's initramfs: finds the three disks, lays them over one another and hands over to guest-run.sh.
export PATH=/bin
b=/bin/busybox
die () { echo "nfkit: $*" >/dev/console; $b sleep 1; $b poweroff -f; }

$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
while read -r module; do $b insmod "/modules/$module" || die "cannot load $module"; done </modules/order

tries=0
until [ -b /dev/vda ] && [ -b /dev/vdb ] && [ -b /dev/vdc ]; do
  tries=$((tries + 1))
  [ $tries -lt 600 ] || die 'no disks'
  $b usleep 50000
done
$b mount -t ext4 -o ro,noatime /dev/vda /m/base || die 'cannot mount the base image'
$b mount -t ext4 -o ro,noatime /dev/vdb /m/modules || die 'cannot mount the image of modules'
$b mount -t ext4 -o ro,noatime /dev/vdc /m/project || die 'cannot mount the project image'
$b mount -t tmpfs -o size=50% writes /m/writes
$b mkdir /m/writes/upper /m/writes/work
$b mount -t overlay -o lowerdir=/m/project:/m/modules:/m/base,upperdir=/m/writes/upper,workdir=/m/writes/work overlay /root || die 'cannot mount the overlay'
for directory in proc sys dev; do $b mount --move /$directory /root/$directory; done
exec $b switch_root /root /bin/busybox sh /.nfkit/run
