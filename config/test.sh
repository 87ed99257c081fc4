#!/bin/sh
# All tests. Installs what they need: the libraries, and the real programs that postrider is tested against. A program
# that cannot be installed is skipped by the tests, by name.
#   sh config/test.sh                       everything
#   sh config/test.sh php::                 the tests whose name has "php::"
# Tests that wait for a minute (cron) run with CI=true or POSTRIDER_SLOW_TESTS=1 only.
set -eu
cd "$(dirname "$0")/.."
sh config/needs.sh gcc libc6-dev pkg-config libssl-dev openssl
# Each group by itself, so that one that this release does not carry takes no other with it.
group() {
    sh config/needs.sh "$@" || echo "missing, so that their tests are skipped: $*" >&2
}
group libsasl2-modules sasl2-bin
group php-cli php-mbstring php-intl libphp-phpmailer
group php-symfony-mailer
group php-mail php-pear
group perl libemail-sender-perl libmime-lite-perl
group ruby ruby-mail
group nodejs
command -v npm >/dev/null 2>&1 || group npm
group emacs-nox
# Postfix is the receiving server. It is installed without a configuration, so that it does not start, and only where
# that would not replace the mail system that this machine has.
has_mail_system() {
    dpkg-query -W -f='${Provides} ${Package} ${Status}\n' 2>/dev/null | grep 'mail-transport-agent' | grep -q 'ok installed'
}
if ! has_mail_system; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then as_root="sudo"; fi
    echo 'postfix postfix/main_mailer_type select No configuration' | $as_root debconf-set-selections || true
    group postfix
fi
# These need some mail system, and would bring one of their choice where there is none.
if has_mail_system; then
    group bsd-mailx
    group mailutils
fi
group s-nail
group swaks
group python3
group mutt
group nmh
group cron
group at
group anacron
group sudo
group apparmor
group logrotate
group strace
# Ports below 1024 without root.
group iproute2 libcap2-bin
group authbind
group nftables
group groff
group fish
group zsh
group tzdata
group dpkg-dev debootstrap
group rpm
git send-email --dump-aliases </dev/null >/dev/null 2>&1 || group git git-email
# What no package carries, or only one that would replace another: kept below target/.
fetched="${CARGO_TARGET_DIR:-target}/tmp"
mkdir -p "$fetched"
if [ ! -d "$fetched/nodemailer/node_modules/nodemailer" ]; then
    npm install --silent --no-audit --no-fund --prefix "$fetched/nodemailer" nodemailer@7.0.13 ||
        echo "missing, so that its test is skipped: nodemailer" >&2
fi
# Debian's busybox has no crond, busybox-static has; it is unpacked, not installed, because it replaces the other.
if [ ! -x "$fetched/busybox/bin/busybox" ]; then
    (
        mkdir -p "$fetched/busybox" && cd "$fetched/busybox" && apt-get download -qq busybox-static 2>/dev/null &&
            dpkg-deb --extract busybox-static_*.deb . && rm busybox-static_*.deb
    ) || echo "missing, so that its test is skipped: busybox-static" >&2
fi
exec cargo test --quiet "$@"
