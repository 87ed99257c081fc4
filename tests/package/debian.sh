#!/bin/sh
# The life of the Debian package in a clean tree: installed, used by PHP and by cron's call through the daemon, upgraded,
# removed, purged. Run by tests/it/package in a mount and process namespace of its own:
#   sh tests/package/debian.sh TREE WORK PACKAGE UPGRADE PORT
# TREE is left as it is: what happens is laid over it below WORK. An SMTP server listens on PORT of the loopback address.
# Sends six messages: two through PHP, two by cron's call, two that waited in the queue.
set -eu
tree=$1 work=$2 package=$3 upgrade=$4 port=$5
# shellcheck source=tests/package/enter.sh
. "$(dirname "$0")/enter.sh"

is_gone() { ! kill -0 "$daemon"; }
end() {
    kill "$daemon"
    soon "the daemon ends" is_gone
}
php() { as www-data php -r 'exit(mail("you@example.org", "from PHP", "hello", "From: shop@example.com") ? 0 : 1);' || die "PHP's mail()"; }
cron() {
    printf 'From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> true\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nX-Cron-Env: <HOME=/root>\n\nhello\n' |
        as daemon /usr/sbin/sendmail -FCronDaemon -i -B8BITMIME -oem root || die "cron's call"
}
waiting() {
    printf 'From: shop@example.com\nSubject: waits\n\nhello\n' | as www-data /usr/sbin/sendmail -i -odq you@example.org ||
        die "a message that waits"
}

cp "$package" "$root/package.deb"
cp "$upgrade" "$root/upgrade.deb"

step "install"
apt install /package.deb
in_tree getent passwd postrider >/dev/null || die "no user"
for name in /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/postrider /usr/bin/mailq /usr/bin/newaliases; do
    in_tree test -x "$name" || die "no $name"
done
in_tree test ! -e /usr/bin/msmtp || die "msmtp belongs to another package"
[ -L "$root/etc/systemd/system/sockets.target.wants/postrider.socket" ] || die "the socket is not enabled"
[ -L "$root/etc/systemd/system/multi-user.target.wants/postrider.service" ] || die "the service is not enabled"
[ "$(in_tree stat -c '%U %a' /var/lib/postrider)" = "postrider 700" ] || die "the queue's directory"
in_tree mailq | grep -q 'Mail queue is empty' || die "mailq"
in_tree newaliases || die "newaliases"
in_tree dpkg --audit | grep . && die "dpkg --audit"

step "unconfigured it refuses, in words"
if printf 'To: you@example.org\n\nhello\n' | as www-data /usr/sbin/sendmail -t 2>"$work/refused"; then die "taken by nobody"; fi
grep -q 'default' "$work/refused" || die "$(cat "$work/refused")"

step "PHP and cron through the daemon"
{
    printf 'domain = "host.example"\nlog = { to = "/var/log/postrider/log" }\n'
    printf '[default]\nserver = "smtp+plain://127.0.0.1:%s"\n' "$port"
    printf '[[sender]]\nname = "shop"\nfrom = "shop@example.com"\nserver = "smtp+plain://127.0.0.1:%s"\n' "$port"
} >"$root/etc/postrider/postrider.toml"
in_tree postrider check --parse-only || die "check"
serve
php
cron
soon "the queue is empty" count_is 0

step "upgrade"
before=$(md5sum <"$root/etc/postrider/postrider.toml")
apt install /upgrade.deb
[ "$before" = "$(md5sum <"$root/etc/postrider/postrider.toml")" ] || die "the configuration changed"
in_tree test ! -e /etc/postrider/postrider.toml.dpkg-dist || die "a question about the configuration"
[ "$(in_tree dpkg-query -W -f='${Version}' postrider)" != "$(dpkg-deb -f "$package" Version)" ] || die "the same version"
in_tree postrider status >/dev/null || die "the daemon went with the upgrade"
end
serve
php
cron
soon "the queue is empty" count_is 0

step "removed with mail in the queue"
waiting
waiting
count_is 2 || die "two wait"
end
apt remove postrider
in_tree test ! -e /usr/sbin/sendmail || die "sendmail is still there"
in_tree test -e /etc/postrider/postrider.toml || die "the configuration went"
in_tree test -e /var/lib/postrider/queue.db || die "the queue went"
apt purge postrider
grep -q 'mail that was not sent stays' "$work/apt.log" || die "the purge says nothing"
in_tree test -e /var/lib/postrider/queue.db || die "the purge took mail"
in_tree test ! -e /etc/postrider || die "the purge leaves /etc/postrider"

step "installed again, it goes on with the queue"
apt install /package.deb
printf '[default]\nserver = "smtp+plain://127.0.0.1:%s"\n[[sender]]\nname = "shop"\nfrom = "shop@example.com"\nserver = "smtp+plain://127.0.0.1:%s"\n' \
    "$port" "$port" >"$root/etc/postrider/postrider.toml"
printf 'hunter2\n' >"$root/etc/postrider/shop.password"
serve
in_tree /usr/sbin/sendmail -q
soon "the queue is empty" count_is 0

step "purged with an empty queue: the daemon said so, or ended before it was asked"
apt remove postrider
in_tree test -e /var/lib/misc/postrider.empty || die "the daemon was not asked"
apt install /package.deb
in_tree test ! -e /var/lib/misc/postrider.empty || die "what holds no longer is still noted"
end
apt remove postrider
apt purge postrider
grep -q 'mail that was not sent' "$work/apt.log" && die "the purge finds mail in an empty queue"
in_tree test ! -e /var/lib/postrider || die "the empty queue stays"
in_tree test ! -e /var/log/postrider || die "logs stay"
in_tree test -e /etc/postrider/shop.password || die "a file of the administrator's went"
if in_tree getent passwd postrider >/dev/null; then die "the user stays"; fi
in_tree find /usr /etc/systemd -name '*postrider*' ! -path '/usr/share/doc/*' | grep . && die "files stay"
echo "all steps done"
