#!/bin/sh
# Installs the Debian or Ubuntu packages named as arguments, those that are missing and no others. Asks for sudo where
# the user is not root. The other scripts of config/ and of tests/ use it.
set -eu
missing=""
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "not a Debian system; what these packages have is needed here: $*" >&2
    exit 0
fi
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "these packages are needed, and there is no apt-get to install them:$missing" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then as_root="sudo"; fi
echo "installing:$missing" >&2
# The lists are fetched once an hour, not once a call.
lists=/var/lib/apt/lists
if [ -z "$(find $lists -maxdepth 1 -name '*Packages*' 2>/dev/null | head -n 1)" ] ||
    [ -z "$(find $lists/partial -maxdepth 0 -mmin -60 2>/dev/null)" ]; then
    $as_root apt-get update -qq
fi
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
