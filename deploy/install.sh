#!/bin/sh
# Installs tope-updater on a device, upgrades it in place, or takes it away. POSIX sh; busybox is enough.
#
# usage: install.sh [--from DIR] [--arch x64|arm64|armv7] [--prefix DIR] [--destdir DIR]
#        install.sh --uninstall [--prefix DIR] [--destdir DIR]
#
# --from     folder with tope-updater-ARCH (or its .xz) and SHA256SUMS; the folder of this script by default
# --arch     default: by uname -m and the word size of the system's own programs
# --prefix   default /opt/tope/updater
# --destdir  prepares a root filesystem in DIR: files only, nothing is started
#
# Promises: nothing is replaced before the new executable's sha256 was checked, and on a live system that it runs; the
# executable is switched by one rename, and a running updater that does not start any more comes back (launch.sh); running it
# again changes nothing; configuration, state, logs and backups stay.
# Manual page and bash completion go to PREFIX/share, and where the system has its folders for them, links lead there.
set -eu
umask 022

die() {
  echo "install.sh: $*" >&2
  exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
FROM=${FROM:-$here}
PREFIX=${PREFIX:-/opt/tope/updater}
DESTDIR=${DESTDIR:-}
UNITDIR=${UNITDIR:-/etc/systemd/system}
INITDIR=${INITDIR:-/etc/init.d}
USRDIR=${USRDIR:-/usr}
ARCH=${ARCH:-}
action=install

while [ $# -gt 0 ]; do
  case "$1" in
    --uninstall) action=uninstall ;;
    --from | --arch | --prefix | --destdir)
      [ $# -ge 2 ] || die "$1 needs a value"
      case "$1" in
        --from) FROM=$2 ;;
        --arch) ARCH=$2 ;;
        --prefix) PREFIX=$2 ;;
        --destdir) DESTDIR=$2 ;;
      esac
      shift
      ;;
    -h | --help)
      sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) die "unknown argument $1 (see --help)" ;;
  esac
  shift
done

case "$PREFIX" in
  /*[!A-Za-z0-9_./-]*) die "--prefix $PREFIX: only letters, digits, '_', '-', '.' and '/' can be in it" ;;
  /?*) ;;
  *) die "--prefix $PREFIX: must be an absolute path" ;;
esac
DESTDIR=${DESTDIR%/}
target=$DESTDIR$PREFIX
[ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die 'must be run by root (or with --destdir)'
# Two installers in one place would each take away what is the other's.
if command -v dpkg-query >/dev/null 2>&1 &&
  owner=$(dpkg-query --admindir="$DESTDIR/var/lib/dpkg" --search "$PREFIX/tope-updater" 2>/dev/null); then
  die "$target/tope-updater belongs to the package ${owner%%:*}: apt installs, upgrades and removes it"
fi

# Does systemd run this very system?
has_systemd() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

# 64-bit kernels run 32-bit systems too, so the system's own shell is asked: byte 4 of an ELF file is 1 for 32 bits.
machine_arch() {
  machine=$(uname -m)
  bits=$(dd if=/bin/sh bs=1 skip=4 count=1 2>/dev/null | od -An -tu1 | tr -d ' \n')
  case "$machine" in
    x86_64 | amd64) echo x64 ;;
    aarch64 | arm64) if [ "$bits" = 1 ]; then echo armv7; else echo arm64; fi ;;
    armv7* | armv8*) echo armv7 ;;
    *) die "there is no executable for a $machine" ;;
  esac
}

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

listed_sum() {
  [ -r "$FROM/SHA256SUMS" ] || die "$FROM/SHA256SUMS is missing"
  sum=$(sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$FROM/SHA256SUMS")
  [ -n "$sum" ] || die "$FROM/SHA256SUMS does not list $1"
  echo "$sum"
}

# Puts the checked executable at $target/.tope-updater.new: same filesystem as its final place.
stage() {
  name=tope-updater-$ARCH
  staged=$target/.tope-updater.new
  trap 'rm -f "$staged"' EXIT
  if [ -f "$FROM/$name" ]; then
    cp "$FROM/$name" "$staged"
  elif [ -f "$FROM/$name.xz" ]; then
    command -v xz >/dev/null 2>&1 || die "$FROM/$name.xz: xz is not installed"
    xz -dc "$FROM/$name.xz" >"$staged"
  else
    die "neither $name nor $name.xz is in $FROM (make dist makes them)"
  fi
  expected=$(listed_sum "$name")
  actual=$(sha256_of "$staged")
  [ "$actual" = "$expected" ] || die "$name: sha256 is $actual, SHA256SUMS says $expected"
  chmod 755 "$staged"
  if [ -z "$DESTDIR" ]; then
    version=$("$staged" --version) || die "$name does not run here (it needs glibc 2.28, libstdc++6 and libatomic1)"
    echo "$name: $version"
  fi
}

# The new executable has to prove itself (launch.sh): the one before comes back where it fails three starts. Where one is on
# probation already, what comes back is still the one before that.
begin_probation() {
  previous=$target/tope-updater.previous
  if [ ! -f "$target/probation" ] || [ ! -x "$previous" ]; then
    rm -f "$previous"
    ln "$target/tope-updater" "$previous" 2>/dev/null || cp -p "$target/tope-updater" "$previous"
  fi
  : >"$target/probation"
}

# Writes a file of ours with the prefix in it, only where it differs.
put() {
  from=$1 to=$2 mode=$3
  mkdir -p "$(dirname "$to")"
  sed "s#/opt/tope/updater#$PREFIX#g" "$from" >"$to.new"
  chmod "$mode" "$to.new"
  if cmp -s "$to.new" "$to"; then rm -f "$to.new"; else mv -f "$to.new" "$to"; fi
}

install() {
  [ -n "$ARCH" ] || ARCH=$(machine_arch)
  for file in launch.sh tope-updater.service tope-updater-recover.service tope-updater.init; do
    [ -r "$here/$file" ] || die "$here/$file is missing"
  done
  for folder in "$target" "$target/tmp" "$target/logs" "$target/backups"; do
    mkdir -p "$folder"
    chmod 755 "$folder"
  done
  stage
  put "$here/launch.sh" "$target/tope-updater-launch" 755
  changed=no
  if cmp -s "$staged" "$target/tope-updater"; then
    rm -f "$staged"
  else
    if [ -z "$DESTDIR" ] && [ -x "$target/tope-updater" ]; then begin_probation; fi
    sync
    mv -f "$staged" "$target/tope-updater"
    changed=yes
  fi
  if has_systemd; then
    install_unit
  elif [ -n "$DESTDIR" ]; then
    put "$here/tope-updater.service" "$DESTDIR$UNITDIR/tope-updater.service" 644
    mkdir -p "$DESTDIR$UNITDIR/multi-user.target.wants"
    ln -sf ../tope-updater.service "$DESTDIR$UNITDIR/multi-user.target.wants/tope-updater.service"
    put "$here/tope-updater-recover.service" "$DESTDIR$UNITDIR/tope-updater-recover.service" 644
    mkdir -p "$DESTDIR$UNITDIR/sysinit.target.wants"
    ln -sf ../tope-updater-recover.service "$DESTDIR$UNITDIR/sysinit.target.wants/tope-updater-recover.service"
    put "$here/tope-updater.init" "$DESTDIR$INITDIR/tope-updater" 755
  else
    install_init_script
  fi
  install_pages
  sync
  echo "tope-updater is installed in $target"
}

install_unit() {
  put "$here/tope-updater.service" "$UNITDIR/tope-updater.service" 644
  put "$here/tope-updater-recover.service" "$UNITDIR/tope-updater-recover.service" 644
  systemctl daemon-reload
  systemctl enable --quiet tope-updater tope-updater-recover
  if [ "$changed" = yes ]; then systemctl restart tope-updater; else systemctl start tope-updater; fi
}

install_init_script() {
  put "$here/tope-updater.init" "$INITDIR/tope-updater" 755
  if command -v update-rc.d >/dev/null 2>&1; then
    update-rc.d tope-updater defaults >/dev/null
  elif command -v rc-update >/dev/null 2>&1; then
    rc-update add tope-updater default >/dev/null
  elif [ -f "$INITDIR/rcS" ]; then
    ln -sf tope-updater "$INITDIR/S90tope-updater"
    ln -sf tope-updater "$INITDIR/S02tope-updater-recover"
  else
    echo "note: $INITDIR/tope-updater is in place; have it started at boot in this system's way"
  fi
  if [ "$changed" = yes ]; then "$INITDIR/tope-updater" restart; else "$INITDIR/tope-updater" start; fi
}

# Every page as: its file in a release, its place below PREFIX/share, the system's folder for its kind.
pages() {
  echo tope-updater.8 man/man8/tope-updater.8 "$USRDIR/local/share/man"
  echo completion.bash bash-completion/completions/tope-updater "$USRDIR/share/bash-completion"
}

# make_link TARGET LINK FOLDER WHAT: where the folder is there. What has that name already and is another's stays, and is named; a link that leads
# nowhere is nobody's. One that cannot be made (a read-only /usr, say) does not fail the installation.
make_link() {
  [ -d "$3" ] || return 0
  there=$2
  if [ -L "$2" ]; then
    there=$(readlink "$2")
    [ "$there" != "$1" ] || return 0
    case "$there" in /*) there=$DESTDIR$there ;; *) there=${2%/*}/$there ;; esac
  fi
  if [ -e "$there" ]; then
    echo "note: $2 is another's and stays; $4 is $1"
  else
    { mkdir -p "${2%/*}" && ln -sf "$1" "$2"; } 2>/dev/null || echo "note: $2 cannot be made; $4 is $1"
  fi
}

unlink_ours() { if [ "$(readlink "$2" 2>/dev/null)" = "$1" ]; then rm -f "$2"; fi; }

# What people read and type by.
install_pages() {
  make_link "$PREFIX/tope-updater" "$DESTDIR$USRDIR/local/bin/tope-updater" "$DESTDIR$USRDIR/local/bin" 'the program'
  pages | while read -r file place folder; do
    [ -r "$here/$file" ] || continue
    put "$here/$file" "$target/share/$place" 644
    make_link "$PREFIX/share/$place" "$DESTDIR${folder%/*}/$place" "$DESTDIR$folder" 'the page'
  done
}

remove_pages() {
  unlink_ours "$PREFIX/tope-updater" "$DESTDIR$USRDIR/local/bin/tope-updater"
  pages | while read -r file place folder; do
    unlink_ours "$PREFIX/share/$place" "$DESTDIR${folder%/*}/$place"
    emptied=$target/share/$place
    rm -f "$emptied"
    while emptied=${emptied%/*} && [ "$emptied" != "$target" ]; do rmdir "$emptied" 2>/dev/null || break; done
  done
}

uninstall() {
  if has_systemd; then
    systemctl disable --quiet --now tope-updater tope-updater-recover 2>/dev/null || true
  elif [ -z "$DESTDIR" ] && [ -x "$INITDIR/tope-updater" ]; then
    "$INITDIR/tope-updater" stop
    if command -v update-rc.d >/dev/null 2>&1; then update-rc.d -f tope-updater remove >/dev/null; fi
    if command -v rc-update >/dev/null 2>&1; then rc-update del tope-updater >/dev/null 2>&1 || true; fi
  fi
  rm -f "$DESTDIR$UNITDIR/tope-updater.service" "$DESTDIR$UNITDIR/multi-user.target.wants/tope-updater.service" \
    "$DESTDIR$UNITDIR/tope-updater-recover.service" \
    "$DESTDIR$UNITDIR/sysinit.target.wants/tope-updater-recover.service" "$DESTDIR$INITDIR/S02tope-updater-recover" \
    "$DESTDIR$INITDIR/tope-updater" "$DESTDIR$INITDIR/S90tope-updater" \
    "$target/tope-updater" "$target/.tope-updater.new" "$target/tope-updater-launch" \
    "$target/tope-updater.previous" "$target/probation" "$target/journal"
  remove_pages
  if has_systemd; then systemctl daemon-reload; fi
  # Folders that never held anything go, all others stay with what is in them.
  for folder in "$target/tmp" "$target/logs" "$target/backups" "$target"; do
    rmdir "$folder" 2>/dev/null || true
  done
  if [ -d "$target" ]; then
    echo "tope-updater is uninstalled; configuration, state and backups stay in $target"
  else
    echo 'tope-updater is uninstalled'
  fi
}

$action
