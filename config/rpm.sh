#!/bin/sh
# Builds the RPM of config/rpm/postrider.spec below target/rpm. Needs rpmbuild.
#   sh config/rpm.sh                     programs of config/build.sh
#   PROFILE=debug sh config/rpm.sh       programs of a plain cargo build, to try the package out
#   sh config/rpm.sh --nodeps            further words go to rpmbuild
#   POSTRIDER_MAINTAINER="Anna <anna@example.com>" sh config/rpm.sh     who answers for this build, as its Packager
set -eu
cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
# Of another version none is left: "postrider-*.rpm" is this one.
rm -f "$target"/rpm/RPMS/*/postrider-*.rpm
[ -z "${POSTRIDER_MAINTAINER:-}" ] || set -- --define "packager $POSTRIDER_MAINTAINER" "$@"
rpmbuild -bb --quiet --build-in-place --define "_topdir $target/rpm" --define "profile ${PROFILE:-release}" "$@" \
    config/rpm/postrider.spec
find "$target/rpm/RPMS" -name 'postrider-*.rpm'
