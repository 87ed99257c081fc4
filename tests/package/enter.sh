# Sourced by the scripts that do something in a clean tree, each in a mount and process namespace of its own: lays WORK over
# TREE at $root, with devices, and gives words to act in it. Sets nothing outside of WORK.
# shellcheck shell=sh
root="$work/root"

step() { echo "-- $*"; }
die() {
    echo "FAILED: $*"
    cat "$work/serve.log" "$root/var/log/postrider/log" 2>/dev/null || true
    exit 1
}
in_tree() { chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
apt() { in_tree apt-get -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; die "apt-get $*"; }; }
as() {
    user=$1
    shift
    in_tree setpriv "--reuid=$user" "--regid=$user" --init-groups "$@"
}
soon() {
    what=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || die "never: $what"
        sleep 0.1
    done
}
count_is() { [ "$(in_tree /usr/sbin/sendmail -bP)" = "$1" ]; }

# What systemd does with the units: nothing runs it in the tree.
serve() {
    install -d -m 755 "$root/run/postrider"
    in_tree chown postrider:postrider /run/postrider
    as postrider postrider serve >>"$work/serve.log" 2>&1 &
    soon "the daemon answers" in_tree postrider status
    # Behind the shell that became setpriv and then the daemon.
    daemon=$(in_tree postrider status --json | sed 's/.*"pid":\([0-9]*\).*/\1/')
}

mkdir -p "$work/over" "$work/lower-work" "$root"
mount -t overlay -o "lowerdir=$tree,upperdir=$work/over,workdir=$work/lower-work" overlay "$root"
mount -t proc proc "$root/proc"
# Devices one by one: what a maintainer's script does to a file of /dev must not reach the machine's.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"; done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
# As in any chroot: nothing starts services.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
