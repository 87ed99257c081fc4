#!/bin/sh
# Makes a clean Debian tree with PHP and cron below a directory, once: sh tests/package/tree.sh DIRECTORY
# From the archive that this machine installs from, in its release. Needs root, debootstrap and the network.
set -eu
tree=$1
[ ! -e "$tree/etc/debian_version" ] || exit 0
# shellcheck source=/dev/null
. /etc/os-release
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Codename: $VERSION_CODENAME" |
    head -n 1)
[ -n "$archive" ] || { echo "this machine installs from no Debian archive" >&2; exit 1; }
rm -rf "$tree.new"
mkdir -p "$(dirname "$tree")"
debootstrap --variant=minbase --include=adduser,ca-certificates,cron,php-cli "$VERSION_CODENAME" "$tree.new" "$archive" >"$tree.log" 2>&1 ||
    { tail -n 5 "$tree.log" >&2; exit 1; }
rm -rf "$tree.new/var/cache/apt/archives/"*.deb
mv "$tree.new" "$tree"
