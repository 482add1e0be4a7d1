# SPDX-License-Identifier: MIT
#
# sh -e kmod-install.sh install|dkms RELEASE HEADERS COMPILER, in a directory with the sources of the module, in a tree of kernel-trees.mjs: installs
# the module as docs/module.md says, looks whether modprobe finds it, and takes it away again. What is written to lies in memory, in a mount
# namespace that ends with this shell, so that the tree stays as it is. What is wrong is said in lines that begin with "error:".

way=$1 release=$2 headers=$3 compiler=$4
modules=/lib/modules/$release
wrong () { echo "error: $*" >&2; }

mount -t tmpfs tmpfs /lib/modules
mkdir "$modules"
ln -s "$headers" "$modules/build"
# As where the kernel is installed; newer DKMS tells that by the list being there.
depmod "$release" 2> /dev/null
mount -t tmpfs tmpfs /usr/local
mkdir /usr/local/include
mount -t tmpfs tmpfs /var/lib/dkms
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)

# Of the module that modprobe would load by any of its names: the file, and that it is for this kernel and of this version.
found () {
  file=$(modinfo -k "$release" -F filename nfkit) || { wrong 'modinfo finds no nfkit'; return; }
  case $file in $1|$1.xz|$1.zst|$1.gz) ;; *) wrong "it is $file, not $1" ;; esac
  for name in nfkit ipt_CLONE ip6t_CLONE; do
    modprobe -S "$release" --show-depends "$name" | grep -q "^insmod $file" || wrong "modprobe $name does not load it"
  done
  case $(modinfo -F vermagic "$file") in "$release "*) ;; *) wrong "vermagic is $(modinfo -F vermagic "$file")" ;; esac
  test "$(modinfo -F version "$file")" = "$version" || wrong "dkms.conf has version $version, the module $(modinfo -F version "$file")"
}

# Nothing of it is left, in the directories told.
gone () {
  if modinfo -k "$release" nfkit > /dev/null 2>&1; then wrong 'modinfo still finds nfkit'; fi
  left=$(find "$@" -name '*nfkit*' 2> /dev/null) || :
  test -z "$left" || wrong "left: $left"
}

case $way in
install)
  make KVER="$release" CC="$compiler" install
  found "$modules/updates/nfkit.ko"
  for header in uapi/*.h; do cmp "$header" "/usr/local/include/nfkit/${header##*/}"; done
  make KVER="$release" uninstall
  gone "$modules/updates" /usr/local
  # A package's root: depmod is for whoever installs the package.
  make KVER="$release" CC="$compiler" DESTDIR=/usr/local/root PREFIX=/usr install
  gone "$modules"
  list=$(cd /usr/local/root && find . -type f | sed 's/\.\(xz\|zst\|gz\)$//' | sort)
  wanted=$( (echo "./lib/modules/$release/updates/nfkit.ko"; for header in uapi/*.h; do echo "./usr/include/nfkit/${header##*/}"; done) | sort)
  test "$list" = "$wanted" || wrong "in DESTDIR is:" $list
  depmod -b /usr/local/root "$release" 2> /dev/null
  modprobe -d /usr/local/root -S "$release" --show-depends ipt_CLONE | grep -q '/updates/nfkit\.ko' || wrong 'modprobe does not find it in DESTDIR'
  ;;
dkms)
  # The sources go to /usr/src, where the headers are.
  mkdir -p /usr/local/src
  mount --bind /usr/src /usr/local/src
  sources=/usr/src/nfkit-$version
  here=$(pwd)
  mount -t tmpfs tmpfs /usr/src
  for entry in /usr/local/src/*; do
    if test -L "$entry"; then cp -P "$entry" /usr/src
    elif test -d "$entry"; then mkdir "/usr/src/${entry##*/}"; mount --bind "$entry" "/usr/src/${entry##*/}"; fi
  done
  cp -r "$here" "$sources"
  is () { dkms status -m nfkit -v "$version" | grep -q "$release.*: $1" || wrong "not $1: $(dkms status)"; }
  # Each command that a user or the kernel's package gives.
  dkms add "nfkit/$version"
  dkms install "nfkit/$version" -k "$release" || { cat "/var/lib/dkms/nfkit/$version/build/make.log"; exit 1; }
  is installed
  found "$modules/updates/dkms/nfkit.ko"
  dkms uninstall "nfkit/$version" -k "$release"
  gone "$modules/updates"
  is built
  # Without any module left DKMS took the list for that of a kernel that is gone.
  depmod "$release" 2> /dev/null
  dkms autoinstall -k "$release"
  is installed
  found "$modules/updates/dkms/nfkit.ko"
  dkms remove "nfkit/$version" --all
  gone "$modules/updates"
  test -z "$(dkms status)" || wrong "still known: $(dkms status)"
  ;;
esac
