#!/usr/bin/env bash
# Tries this repository as a newcomer would, on a bare Debian 12 in a chroot.
#
#   sudo tools/try_bare.sh FOLDER COMMAND...      e.g.  sudo tools/try_bare.sh /var/tmp/bare ./run build
#
# Makes the chroot in FOLDER by mmdebstrap (Debian's minimal variant, the package sources of this machine) unless it is
# there, copies the working tree into it, and runs COMMAND in the copy with an empty environment. Nothing of this machine
# comes along but its own CA certificates and resolv.conf. Mounts live in a namespace that ends with the command, so the
# folder can be removed like any other. The network is this machine's: so are its ports.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "error: a chroot needs root" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "error: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 1; }
mkdir -p "$1"
root=$(readlink -f "$1")
[ "$root" != / ] || { echo "error: the chroot cannot be /" >&2; exit 1; }
shift
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

if [ ! -e "$root/etc/debian_version" ]; then
  sources=/etc/apt/sources.list.d/debian.sources
  [ -s "$sources" ] || sources=/etc/apt/sources.list
  mmdebstrap --variant=minbase --mode=root --skip=check/empty bookworm "$root" "$sources"
  mkdir -p "$root/usr/local/share/ca-certificates"
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$root/usr/local/share/ca-certificates" {} +
fi

mkdir -p "$root/root/autoglm"
git ls-files -z --cached --others --exclude-standard |
  tar --null --files-from=- --ignore-failed-read --create |
  tar --extract --directory "$root/root/autoglm"

terminal=()
[ -z "${TERM:-}" ] || terminal=("TERM=$TERM")
exec unshare --mount --pid --fork --kill-child bash -c '
  root=$1; shift
  mount --make-rprivate /
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "${@:2:$1}" \
    chroot "$root" bash -c "cd /root/autoglm && exec \"\$@\"" bash "${@:$(($1 + 2))}"
' bash "$root" ${#terminal[@]} "${terminal[@]}" "$@"
