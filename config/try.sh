#!/bin/sh
# The main job on nothing but this machine: installs what building needs, builds, and runs "postrider try".
#   sh config/try.sh                        the built-in cases
#   sh config/try.sh -- php mail.php        your own program, with postrider as its sendmail
set -eu
cd "$(dirname "$0")/.."
sh config/build.sh
exec "${CARGO_TARGET_DIR:-target}/release/postrider" try "$@"
