#!/bin/sh
# The life of the RPM in a clean tree: installed, used by PHP through the daemon, upgraded, erased. Run by tests/it/package in
# a mount and process namespace of its own:
#   sh tests/package/rpm.sh TREE WORK PACKAGE UPGRADE PORT
# TREE is Debian's, as a tree of rpm's own world is not to be had everywhere: what the package requires is there under other
# names, and update-alternatives stands in for alternatives, whose words it takes.
# Sends two messages to an SMTP server on PORT of the loopback address.
set -eu
tree=$1 work=$2 package=$3 upgrade=$4 port=$5
# shellcheck source=tests/package/enter.sh
. "$(dirname "$0")/enter.sh"

rpm_in_tree() { rpm --root "$root" --nodeps "$@" >"$work/rpm.log" 2>&1 || die "rpm $*: $(cat "$work/rpm.log")"; }
php() { as www-data php -r 'exit(mail("you@example.org", "from PHP", "hello", "From: shop@example.com") ? 0 : 1);' || die "PHP's mail()"; }
programs="/usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases"

ln -s /usr/bin/update-alternatives "$root/usr/sbin/alternatives"
rpm --root "$root" --initdb

step "install"
rpm_in_tree -i "$package"
rpm_in_tree -V postrider
for name in $programs /usr/share/man/man8/sendmail.8.gz /usr/share/man/man1/mailq.1.gz; do
    in_tree test -e "$name" || die "no $name"
done
in_tree getent passwd postrider | grep -q ':/var/lib/postrider:/usr/sbin/nologin$' || die "no user"
[ "$(in_tree stat -c '%U %G %a' /var/lib/postrider)" = "postrider postrider 700" ] || die "the queue's directory"
[ "$(in_tree stat -c '%U %G %a' /var/log/postrider)" = "postrider postrider 750" ] || die "the directory of logs"
in_tree mailq | grep -q 'Mail queue is empty' || die "mailq"
in_tree newaliases || die "newaliases"

step "PHP through the daemon"
printf '[default]\nserver = "smtp+plain://127.0.0.1:%s"\n' "$port" >"$root/etc/postrider/postrider.toml"
serve
php
soon "the queue is empty" count_is 0

step "upgrade"
before=$(md5sum <"$root/etc/postrider/postrider.toml")
rpm_in_tree -U "$upgrade"
[ "$before" = "$(md5sum <"$root/etc/postrider/postrider.toml")" ] || die "the configuration changed"
for name in $programs; do
    in_tree test -x "$name" || die "the upgrade took $name"
done
in_tree postrider status >/dev/null || die "the daemon went with the upgrade"
php
soon "the queue is empty" count_is 0

step "erase"
printf 'hunter2\n' >"$root/etc/postrider/shop.password"
kill "$daemon"
rpm_in_tree -e postrider
for name in $programs; do
    in_tree test ! -L "$name" || die "$name stays"
done
for kept in /etc/postrider/postrider.toml.rpmsave /etc/postrider/shop.password /var/lib/postrider/queue.db; do
    in_tree test -e "$kept" || die "$kept went"
done
in_tree find /usr -name '*postrider*' | grep . && die "files stay"
echo "all steps done"
