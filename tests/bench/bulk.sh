#!/bin/sh
# Measures what is done to a whole queue (retry, hold, release, delete, a run, a lane that opens, housekeeping), and what a
# submission costs meanwhile, and prints the table of README.md.
#   sh tests/bench/bulk.sh                                      everything
#   COUNT=10000 ONLY="delete hold" sh tests/bench/bulk.sh       a quick look
#   POSTRIDER=target/debug/postrider sh tests/bench/bulk.sh     another build than the release build
set -eu
cd "$(dirname "$0")"
here=$(pwd)
out=${CARGO_TARGET_DIR:-$here/../../target}/bench-bulk
sh ../../config/needs.sh gcc libc6-dev python3
mkdir -p "$out"
if [ -z "${POSTRIDER:-}" ]; then
    sh ../../config/build.sh
    POSTRIDER=$out/../release/postrider
fi
cp "$POSTRIDER" "$out/postrider"
cp "$(dirname "$POSTRIDER")/postrider-sendmail" "$out/postrider-sendmail"
cc -O2 -shared -fPIC -o "$out/clock.so" clock.c
cd "$out"
chmod 700 .
exec env -i PATH="$PATH" COUNT="${COUNT:-100000}" ONLY="${ONLY:-}" python3 "$here/bulk.py"
