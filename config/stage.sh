#!/bin/sh
# Lays the files of an installation out below a directory: the assets of [package.metadata.deb] in Cargo.toml, manual
# pages and the changelog compressed. The programs must have been built (config/build.sh).
#   sh config/stage.sh DIRECTORY
#   PROFILE=debug sh config/stage.sh DIRECTORY     what a plain cargo build made
set -eu
root=$1
mkdir -p "$root"
root=$(cd "$root" && pwd)
cd "$(dirname "$0")/.."
built="${CARGO_TARGET_DIR:-target}/${PROFILE:-release}"

# Each asset on a line of its own: ["source", "target", "mode"].
awk -F'"' '/^assets = \[/ { on = 1; next } /^\]/ { on = 0 } on && NF >= 7 { print $2, $4, $6 }' Cargo.toml |
    while read -r source target mode; do
        case $source in
        target/release/*) source="$built/${source#target/release/}" ;;
        esac
        if [ -L "$source" ]; then
            mkdir -p "$(dirname "$root/$target")"
            cp -P "$source" "$root/$target"
            continue
        fi
        install -D -m "$mode" "$source" "$root/$target"
        case $target in
        # Links of the source tree lead to where these files are now.
        usr/share/doc/postrider/README.md)
            sed -i -e 's|](config/guides/|](guides/|g' -e 's|](config/postrider.toml)|](examples/postrider.toml)|g' \
                -e 's|](config/apparmor/postrider)|](/etc/apparmor.d/postrider)|g' \
                -e 's|](config/logrotate/postrider)|](/etc/logrotate.d/postrider)|g' \
                -e 's|](config/fail2ban/filter.conf)|](/etc/fail2ban/filter.d/postrider.conf)|g' \
                -e 's|](config/fail2ban/jail.conf)|](examples/fail2ban/jail.conf)|g' \
                -e 's|\[\(config/container/Containerfile\)\]([^)]*)|\1 of the source|' \
                -e 's|, see \[LICENSE\](LICENSE)||' "$root/$target"
            ;;
        usr/share/man/* | usr/share/doc/*/changelog) gzip -9nf "$root/$target" ;;
        usr/bin/* | usr/sbin/*) if [ "${PROFILE:-release}" != release ]; then strip "$root/$target"; fi ;;
        esac
    done
