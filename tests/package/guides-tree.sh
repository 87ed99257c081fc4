#!/bin/sh
# Makes the clean tree that the guides of config/guides are run in, once: sh tests/package/guides-tree.sh BASE DIRECTORY
# BASE is the tree of tree.sh. Added to it: the web servers, PHP in both, a database with WordPress in it, Symfony's mailer
# (which Laravel sends by), and the packages of the mail programs that people come from, not installed yet.
set -eu
base=$1 tree=$2
[ ! -e "$tree/var/www/html/wp-load.php" ] || exit 0
here=$(cd "$(dirname "$0")" && pwd)
new="$tree.new"
rm -rf "$new"
cp -a "$base" "$new"
cp /etc/resolv.conf "$new/etc/resolv.conf"
in_tree() { chroot "$new" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
apt() { in_tree apt-get -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >>"$tree.log" 2>&1 || { tail -n 5 "$tree.log" >&2; exit 1; }; }
ended() { umount "$new/proc"; }
trap ended EXIT
mount -t proc proc "$new/proc"
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
chmod 755 "$new/usr/sbin/policy-rc.d"
: >"$tree.log"
apt update
apt install apache2 curl iproute2 libapache2-mod-php mariadb-server nginx-light openssl php-fpm php-mbstring php-mysql \
    php-symfony-mailer socat sudo
# Theirs are in each other's way; each is installed by the guide's run that needs it.
for package in msmtp-mta nullmailer postfix ssmtp; do apt install --download-only "$package"; done

# WordPress without the packages that it wants: a web server and a database are there.
in_tree sh -c 'cd /tmp && apt-get -qq download wordpress && dpkg-deb --extract wordpress_*.deb wp && rm wordpress_*.deb
    rm -rf /var/www/html && cp -rL wp/usr/share/wordpress /var/www/html 2>/dev/null; rm -rf wp' || true
rm -f "$new/var/www/html/wp-config.php"
cp "$here/wordpress/wp-config.php" "$new/var/www/html/"
cp "$here/wordpress/install.php" "$new/tmp/"
in_tree sh -eu -c 'service mariadb start >/dev/null
    mariadb -e "CREATE DATABASE wordpress; CREATE USER wordpress@localhost IDENTIFIED BY \"wordpress\"; GRANT ALL ON wordpress.* TO wordpress@localhost"
    php /tmp/install.php
    service mariadb stop >/dev/null' >>"$tree.log" 2>&1 || { tail -n 5 "$tree.log" >&2; exit 1; }
trap - EXIT
ended
mv "$new" "$tree"
