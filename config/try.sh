#!/bin/sh
# The main job on nothing but this machine: installs what building needs, builds, and runs "postrider try".
#   sh config/try.sh                        the built-in cases
#   sh config/try.sh -- php mail.php        your own program, with postrider as its sendmail
set -eu
cd "$(dirname "$0")/.."
exec sh config/build.sh run --bin postrider -- try "$@"
