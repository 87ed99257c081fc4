#!/bin/sh
# All tests. Installs what they need: the libraries, and the real programs that postrider is tested against. A program
# that cannot be installed is skipped by the tests, by name.
#   sh config/test.sh                       everything
#   sh config/test.sh php::                 the tests whose name has "php::"
# Tests that wait for a minute (cron) run with CI=true or POSTRIDER_SLOW_TESTS=1 only.
set -eu
cd "$(dirname "$0")/.."
sh config/needs.sh gcc libc6-dev pkg-config libssl-dev ca-certificates openssl
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
group fail2ban
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
# Unpacks packages together in a directory of that name; nothing is installed.
unpacked() {
    name=$1
    shift
    [ ! -d "$fetched/$name/usr" ] || return 0
    (
        rm -rf "$fetched/$name.new" && mkdir -p "$fetched/$name.new" && cd "$fetched/$name.new" &&
            apt-get download -qq "$@" 2>/dev/null && for package in *.deb; do dpkg-deb --extract "$package" .; done &&
            rm -- *.deb && rm -rf "../$(basename "$name")" && mv "../$(basename "$name").new" "../$(basename "$name")"
    ) || echo "missing, so that its tests are skipped: $name" >&2
}
# Debian's busybox has no crond, busybox-static has, and replaces the other.
unpacked busybox busybox-static
# The programs that postrider imports from: each would take the place of the machine's sendmail.
unpacked originals/ssmtp ssmtp libgnutls-openssl27
unpacked originals/nullmailer nullmailer
unpacked originals/dma dma
unpacked originals/esmtp esmtp libesmtp6
unpacked originals/msmtp msmtp libgsasl18 libntlm0 libsecret-1-0
exec cargo test --quiet "$@"
