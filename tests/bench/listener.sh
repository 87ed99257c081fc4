#!/bin/sh
# Measures the SMTP listener beside Postfix's own smtpd in one run: smtp-source sends messages over several connections to
# each, and every one must come out at a sink. Prints a table.
#   sh tests/bench/listener.sh                          10,000 messages over 1, 10 and 50 connections
#   COUNT=500 CONNECTIONS="10" sh tests/bench/listener.sh                 a quick look
#   POSTRIDER=target/debug/postrider sh tests/bench/listener.sh           another build than the release build
# Needs root: Postfix changes users. Everything runs in a mount, network and process namespace of its own; Postfix is
# downloaded and unpacked, not installed.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
out=${CARGO_TARGET_DIR:-$here/../../target}/bench-listener

prepare() {
    sh ../../config/needs.sh gcc libc6-dev iproute2 python3 apt dpkg
    mkdir -p "$out/packages"
    if [ -z "${POSTRIDER:-}" ]; then
        sh ../../config/build.sh
        POSTRIDER=$out/../release/postrider
    fi
    cp "$POSTRIDER" "$out/postrider"
    cc -O2 -o "$out/sink" sink.c -lpthread
    ls "$out/packages"/postfix_*.deb >/dev/null 2>&1 || (cd "$out/packages" && apt-get download -qq postfix)
}

unpack() {
    rm -rf tree var
    mkdir -p tree/etc/postfix tree/usr
    rm -rf one
    dpkg-deb -x packages/postfix_*.deb one
    cp -a one/usr/. tree/usr/
    cp -a one/etc/. tree/etc/
    rm -rf one
    cp /etc/passwd /etc/group tree/etc/
    grep -q '^postfix:' tree/etc/passwd || echo 'postfix:x:7001:7001::/:/usr/sbin/nologin' >>tree/etc/passwd
    grep -q '^postfix:' tree/etc/group || echo 'postfix:x:7001:' >>tree/etc/group
    grep -q '^postdrop:' tree/etc/group || echo 'postdrop:x:7004:' >>tree/etc/group
    {
        printf 'compatibility_level = 3.6\nmyhostname = localhost\nmydestination =\nrelayhost = [127.0.0.1]:2600\n'
        printf 'inet_interfaces = loopback-only\ninet_protocols = ipv4\nsmtp_tls_security_level = none\nmaillog_file =\n'
        printf 'smtp_host_lookup = native\nalias_maps =\nalias_database =\nmynetworks_style = host\n'
        printf 'smtpd_tls_security_level = none\nsmtpd_client_connection_count_limit = 0\nsyslog_name = postfix\n'
    } >tree/etc/postfix/main.cf
    grep -v '^ *#' tree/usr/share/postfix/master.cf.dist | sed 's/^smtp  *inet/2526 inet/' >tree/etc/postfix/master.cf
    mkdir -p var/spool/postfix var/lib/postfix var/tmp var/postrider
    ln -s /run var/run
    chown postfix var/lib/postfix 2>/dev/null || chown 7001 var/lib/postfix
    chmod 700 var/postrider
}

inside() {
    cd "$out"
    ip link set lo up
    unpack
    mount -t overlay overlay -o "lowerdir=$out/tree/usr:/usr" /usr
    mount -t overlay overlay -o "lowerdir=$out/tree/etc:/etc" /etc
    mount -t tmpfs tmpfs /run
    mount --bind var /var
    chown root:postdrop tree/usr/sbin/postdrop tree/usr/sbin/postqueue 2>/dev/null || true
    python3 "$here/listener.py"
}

if [ "${1:-}" = inside ]; then
    inside
else
    if [ "$(id -u)" -ne 0 ]; then
        echo "this needs root: Postfix changes users" >&2
        exit 77
    fi
    prepare
    exec env -i PATH="$PATH" HOME=/root CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-}" COUNT="${COUNT:-10000}" \
        CONNECTIONS="${CONNECTIONS:-1 10 50}" unshare --mount --net --pid --fork --kill-child --mount-proc \
        sh "$here/listener.sh" inside
fi
