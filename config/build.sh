#!/bin/sh
# Builds the programs that are installed: target/release/postrider and target/release/postrider-sendmail.
#   sh config/build.sh                         OpenSSL linked in, where its static libraries are installed
#   OPENSSL_STATIC=0 sh config/build.sh        the system's shared OpenSSL
# Relocating the shared libraries is half of the program's start. What is linked in is updated by building again: a
# package records which OpenSSL it was built with, and "postrider --version" names it.
set -eu
cd "$(dirname "$0")/.."
# ca-certificates: cargo fetches over HTTPS.
sh config/needs.sh gcc libc6-dev pkg-config libssl-dev ca-certificates
libraries=$(pkg-config --variable=libdir openssl)
if [ "${OPENSSL_STATIC:-1}" = 1 ] && [ -f "$libraries/libssl.a" ] && [ -f "$libraries/libcrypto.a" ]; then
    OPENSSL_STATIC=1
    OPENSSL_LIB_DIR=$libraries
    OPENSSL_INCLUDE_DIR=$(pkg-config --variable=includedir openssl)
    export OPENSSL_STATIC OPENSSL_LIB_DIR OPENSSL_INCLUDE_DIR
fi
# What is left to relocate is packed a hundredfold where the C library can read that: glibc since 2.36.
packed=""
case $(getconf GNU_LIBC_VERSION 2>/dev/null) in
"glibc 2."[012]? | "glibc 2.3"[0-5] | "glibc 2."? | "") ;;
glibc*) packed="-C link-arg=-Wl,-z,pack-relative-relocs" ;;
esac
# shellcheck disable=SC2086
cargo rustc --release --quiet --bin postrider -- $packed
# The small program has neither TLS nor a name service in it, so that it can do without shared libraries altogether.
exec cargo rustc --release --quiet --bin postrider-sendmail -- -C target-feature=+crt-static
