#!/bin/sh
# Builds the Debian package from [package.metadata.deb] in Cargo.toml: target/debian/postrider_VERSION-1_ARCH.deb. It is
# what `cargo deb` would make of it, with what is linked in on record, and without installing another tool.
#   sh config/deb.sh                     programs of config/build.sh
#   PROFILE=debug sh config/deb.sh       programs of a plain cargo build, to try the package out
#   VERSION=0.2.0 sh config/deb.sh       another version than Cargo.toml's
#   POSTRIDER_MAINTAINER="Anna <anna@example.com>" sh config/deb.sh     who answers for this build; else Cargo.toml's
set -eu
cd "$(dirname "$0")/.."
sh config/needs.sh dpkg-dev
target="${CARGO_TARGET_DIR:-target}"
if [ "${PROFILE:-release}" = release ]; then
    sh config/build.sh
elif [ "${BUILT:-0}" != 1 ]; then
    cargo build --quiet --bins
fi

# The value of a key of [package.metadata.deb], or of [package]: one line, in quotes.
key() {
    awk -v table="$1" -v key="$2" '
        /^\[/ { on = ($0 == "[" table "]") }
        on && index($0, key " = \"") == 1 { sub("^[^\"]*\"", ""); sub("\"[^\"]*$", ""); print; exit }' Cargo.toml
}
deb() { key package.metadata.deb "$1"; }

maintainer="${POSTRIDER_MAINTAINER:-$(deb maintainer)}"
version="${VERSION:-$(key package version)}-1"
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"
PROFILE="${PROFILE:-release}" sh config/stage.sh "$root"

doc="$root/usr/share/doc/postrider"
{
    echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
    echo 'Upstream-Name: postrider'
    echo
    echo 'Files: *'
    sed -n 's/^Copyright (c) /Copyright: /p' LICENSE
    echo 'License: MIT'
    sed -e '1,/^Copyright/d' -e 's/^$/./' -e 's/^/ /' LICENSE | sed '1{/^ \.$/d}'
} >"$doc/copyright"
{
    printf 'postrider (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n' "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")"
} | gzip -9n >"$doc/changelog.Debian.gz"
chmod 644 "$doc"/*
# Of the umask and of the links nothing is taken over.
find "$root" -type d -exec chmod 755 {} +
chmod 644 "$doc"/copyright "$doc"/changelog.Debian.gz "$doc"/*.md

# The shared libraries that the programs need; dpkg-shlibdeps asks for a source package's control file.
mkdir -p "$work/source/debian"
printf 'Source: postrider\n\nPackage: postrider\nArchitecture: any\n' >"$work/source/debian/control"
libraries=$(cd "$work/source" && dpkg-shlibdeps -O "$root/usr/bin/postrider" "$root/usr/sbin/sendmail" 2>/dev/null | sed 's/^shlibs:Depends=//')
[ -n "$libraries" ] || { echo "dpkg-shlibdeps does not say what the programs need" >&2; exit 1; }

# What is linked in rather than depended on.
built_using() {
    source_of() { dpkg-query -W -f='${source:Package} (= ${source:Version})' "$1"; }
    needs() { readelf -d "$root/$1" | grep -q "NEEDED.*$2"; }
    needs usr/bin/postrider libssl || { source_of libssl-dev; echo; }
    needs usr/sbin/sendmail libc || { source_of libc6-dev; echo; }
}

mkdir "$root/DEBIAN"
depends=$(deb depends)
{
    echo "Package: postrider"
    echo "Version: $version"
    echo "Architecture: $architecture"
    echo "Maintainer: $maintainer"
    echo "Installed-Size: $(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)"
    # shellcheck disable=SC2016
    echo "Depends: $libraries${depends#'$auto'}"
    for field in Recommends Suggests Provides Conflicts Replaces Section Priority; do
        echo "$field: $(deb "$(echo $field | tr '[:upper:]' '[:lower:]')")"
    done
    linked=$(built_using | paste -sd, | sed 's/,/, /g')
    [ -z "$linked" ] || echo "Built-Using: $linked"
    echo "Description: $(key package description | sed 's/^A //')"
    deb extended-description | fold -s -w 78 | sed 's/ *$//; s/^/ /'
} >"$root/DEBIAN/control"
sed -n 's/^conf-files = \[\(.*\)\]$/\1/p' Cargo.toml | tr -d '" ' | tr ',' '\n' >"$root/DEBIAN/conffiles"
scripts=$(deb maintainer-scripts)
install -m 755 "$scripts/postinst" "$scripts/prerm" "$scripts/postrm" "$root/DEBIAN/"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$work/md5sums"
install -m 644 "$work/md5sums" "$root/DEBIAN/md5sums"

mkdir -p "$target/debian"
# Of another version none is left: "postrider_*.deb" is this one.
rm -f "$target"/debian/postrider_*.deb
package="$target/debian/postrider_${version}_$architecture.deb"
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$package" >/dev/null
echo "$package"
