#!/bin/sh
# All tests. Installs what they need: the libraries, and the real programs that postrider is tested against. A program
# that cannot be installed is skipped by the tests, by name.
#   sh config/test.sh                       everything
#   sh config/test.sh php::                 the tests whose name has "php::"
set -eu
cd "$(dirname "$0")/.."
sh config/needs.sh gcc libc6-dev pkg-config libssl-dev openssl
sh config/needs.sh libsasl2-modules sasl2-bin php-cli || echo "some test programs are missing: their tests are skipped" >&2
# Postfix is the receiving server. It is installed without a configuration, so that it does not start, and only where
# that would not replace the mail system that this machine has.
if ! dpkg-query -W -f='${Provides} ${Package} ${Status}\n' 2>/dev/null | grep 'mail-transport-agent' | grep -q 'ok installed'; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then as_root="sudo"; fi
    echo 'postfix postfix/main_mailer_type select No configuration' | $as_root debconf-set-selections || true
    sh config/needs.sh postfix || echo "postfix is missing: its tests are skipped" >&2
fi
exec cargo test --quiet "$@"
