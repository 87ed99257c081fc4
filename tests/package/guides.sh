#!/bin/sh
# Does what a guide of config/guides says, in a clean tree without a network; run by tests/it/package/guides.rs in a mount,
# process, network and host name namespace of its own:
#   sh tests/package/guides.sh TREE WORK PACKAGE BEFORE STEPS OUTSIDE
# BEFORE is a shell script that makes the tree what the guide starts from; STEPS is the guide as one. OUTSIDE holds the
# sockets smtps and submission of smtp.example.com, and ca.pem, which is trusted in the tree.
# What stands in for what: the daemon is started here, not by systemd; `nano` is a script that writes the line "secret".
set -eu
tree=$1 work=$2 package=$3 before=$4 steps=$5 outside=$6
# shellcheck source=tests/package/enter.sh
. "$(dirname "$0")/enter.sh"

in_tree ip link set lo up
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# What the units of the services have systemd make.
mkdir -m 1777 "$root/run/lock"
mkdir -m 755 "$root/run/php"
mkdir "$root/outside"
mount --bind "$outside" "$root/outside"
cp "$outside/ca.pem" "$root/usr/local/share/ca-certificates/outside.crt"
in_tree update-ca-certificates >/dev/null 2>&1
in_tree hostname host
printf '127.0.0.1 localhost smtp.example.com\n127.0.1.1 host.example.com host\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
for port in 465:smtps 587:submission; do
    in_tree socat "TCP-LISTEN:${port%:*},fork,reuseaddr" "UNIX-CONNECT:/outside/${port#*:}" &
done
printf '#!/bin/sh\nprintf "secret\\n" >"$1"\n' >"$root/usr/local/bin/nano"
chmod 755 "$root/usr/local/bin/nano"
cp "$package" "$root/root/"
cp -r "$(dirname "$0")/stand-ins" "$root/stand-ins"

# Called before every block of the guide: where the package is installed, systemd would have the daemon run, or start it when
# somebody connects.
cat >"$root/usr/local/sbin/as-systemd-does" <<'END'
#!/bin/sh
[ -x /usr/bin/postrider ] || exit 0
touch /run/serve
for _ in $(seq 100); do
    ! postrider status >/dev/null 2>&1 || exit 0
    sleep 0.1
done
END
chmod 755 "$root/usr/local/sbin/as-systemd-does"
(
    until [ -e "$root/run/serve" ]; do sleep 0.1; done
    install -d -m 755 "$root/run/postrider"
    in_tree chown postrider:postrider /run/postrider
    while :; do
        as postrider postrider serve >>"$work/serve.log" 2>&1 || sleep 0.2
    done
) &

play() {
    cp "$1" "$root/script"
    in_tree sh -euc 'cd /root; . /script' 2>&1 || die "$1"
}
step "before"
play "$before"
step "the guide"
play "$steps"
step "the queue"
soon "the queue is empty" count_is 0
echo "all steps done"
