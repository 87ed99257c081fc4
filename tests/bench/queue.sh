#!/bin/sh
# Measures postrider's queue beside Postfix, dma, nullmailer and Exim in one run, and prints the tables of README.md.
#   sh tests/bench/queue.sh                              everything
#   RUNS=5 COUNTS="1000:4" STUCK=10000 sh tests/bench/queue.sh   a quick look
#   POSTRIDER=target/debug/postrider sh tests/bench/queue.sh     another build than the release build
# The peers exclude each other as packages, so they are downloaded and unpacked, not installed: everything runs as root
# in a mount and network namespace of its own, where /usr and /etc have them laid over the system's and /var is empty.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
out=${CARGO_TARGET_DIR:-$here/../../target}/bench-queue
# The last one is a library that Exim needs and others bring.
peers="postfix dma nullmailer exim4-base exim4-daemon-light libidn12"

prepare() {
    sh ../../config/needs.sh gcc libc6-dev iproute2 python3 apt dpkg
    mkdir -p "$out/packages"
    if [ -z "${POSTRIDER:-}" ]; then
        sh ../../config/build.sh
        POSTRIDER=$out/../release/postrider
    fi
    cp "$POSTRIDER" "$out/postrider"
    cp "$(dirname "$POSTRIDER")/postrider-sendmail" "$out/postrider-sendmail"
    cc -O2 -static -o "$out/bare" bare.c
    cc -O2 -static -o "$out/many" many.c
    cc -O2 -o "$out/sink" sink.c -lpthread
    for package in $peers; do
        ls "$out/packages/$package"_*.deb >/dev/null 2>&1 || (cd "$out/packages" && apt-get download -qq "$package")
    done
}

# All of them in one tree: each one's sendmail under a name of its own.
unpack() {
    rm -rf tree var
    mkdir -p tree/etc tree/usr
    for package in $peers; do
        rm -rf one
        dpkg-deb -x packages/"$package"_*.deb one
        case $package in
        postfix | nullmailer) mv one/usr/sbin/sendmail "one/usr/sbin/$package-sendmail" ;;
        esac
        rm -f one/usr/sbin/sendmail one/usr/bin/mailq
        cp -a one/usr/. tree/usr/
        [ ! -d one/etc ] || cp -a one/etc/. tree/etc/
    done
    rm -rf one
    accounts
    postfix_files
    printf 'SMARTHOST 127.0.0.1\nPORT 2600\nMAILNAME localhost\n' >tree/etc/dma/dma.conf
    mkdir -p tree/etc/nullmailer
    echo '127.0.0.1 smtp --port=2600' >tree/etc/nullmailer/remotes
    echo localhost | tee tree/etc/nullmailer/me tree/etc/nullmailer/defaultdomain tree/etc/mailname >tree/etc/nullmailer/idhost
    exim_files
}

# Users that the packages would have made.
accounts() {
    cp /etc/passwd /etc/group tree/etc/
    for user in postfix:7001 Debian-exim:7002 dma:7003; do
        grep -q "^${user%:*}:" tree/etc/passwd || {
            echo "${user%:*}:x:${user#*:}:${user#*:}::/:/usr/sbin/nologin" >>tree/etc/passwd
            echo "${user%:*}:x:${user#*:}:" >>tree/etc/group
        }
    done
    grep -q '^postdrop:' tree/etc/group || echo 'postdrop:x:7004:' >>tree/etc/group
}

postfix_files() {
    {
        printf 'compatibility_level = 3.6\nmyhostname = localhost\nmydestination =\nrelayhost = [127.0.0.1]:2600\n'
        printf 'inet_interfaces = loopback-only\ninet_protocols = ipv4\nsmtp_tls_security_level = none\nmaillog_file =\n'
        printf 'smtp_host_lookup = native\nalias_maps =\nalias_database =\nmynetworks_style = host\nappend_dot_mydomain = no\n'
        # A server that is back is tried at once, as it is by the others.
        printf 'minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nsyslog_name = postfix\n'
    } >tree/etc/postfix/main.cf
    grep -v '^ *#' tree/usr/share/postfix/master.cf.dist | sed 's/^smtp  *inet/#&/' >tree/etc/postfix/master.cf
}

exim_files() {
    rm -rf tree/etc/exim4
    mkdir -p tree/etc/exim4
    cat >tree/etc/exim4/exim4.conf <<END
primary_hostname = localhost
log_selector = -all
log_file_path = /var/log/exim4/%slog
daemon_smtp_ports = 2699
queue_run_max = 4
begin routers
relay:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1
  self = send
begin transports
out:
  driver = smtp
  port = 2600
  hosts_avoid_tls = *
  allow_localhost
begin retry
* * F,4d,1m
END
}

spools() {
    mkdir -p var/spool/postfix var/lib/postfix var/log/exim4 var/spool/exim4 var/spool/dma var/tmp \
        var/spool/nullmailer/queue var/spool/nullmailer/tmp var/spool/nullmailer/failed var/mail var/bare var/postrider
    ln -s /run var/run
    mkfifo var/spool/nullmailer/trigger
    chown -R mail var/spool/nullmailer
    chown postfix var/lib/postfix
    chown -R Debian-exim:Debian-exim var/log/exim4 var/spool/exim4
    chown root:mail var/spool/dma
    chmod 2775 var/spool/dma
    chmod 700 var/postrider
}

inside() {
    cd "$out"
    ip link set lo up
    unpack
    mount -t overlay overlay -o "lowerdir=$out/tree/usr:/usr" /usr
    mount -t overlay overlay -o "lowerdir=$out/tree/etc:/etc" /etc
    mount -t tmpfs tmpfs /run
    spools
    mount --bind var /var
    # Postfix's own start makes the directories of its queue.
    chown root:postdrop tree/usr/sbin/postdrop tree/usr/sbin/postqueue 2>/dev/null || true
    # Not exec: this shell, the first process here, takes leave of what deliveries leave behind.
    python3 "$here/queue.py"
}

if [ "${1:-}" = inside ]; then
    inside
else
    if [ "$(id -u)" -ne 0 ]; then
        echo "this needs root: mail systems change users" >&2
        exit 77
    fi
    prepare
    exec env -i PATH="$PATH" HOME=/root CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-}" RUNS="${RUNS:-20}" \
        COUNTS="${COUNTS:-1000:1 1000:4 1000:16 5000:1 5000:4 5000:16}" STUCK="${STUCK:-100000}" FLUSH="${FLUSH:-10000}" \
        ONLY="${ONLY:-}" unshare --mount --net --pid --fork --kill-child --mount-proc sh "$here/queue.sh" inside
fi
