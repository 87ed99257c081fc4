#!/bin/sh
# Runs every fuzz target for that long: sh tests/fuzz/run.sh SECONDS [TARGET...]
# cargo-fuzz is installed where it is missing; where it cannot be had, the targets are skipped and named. What is found
# is kept in tests/fuzz/artifacts; what is learned, in target/corpus, and the seeds stay as they are.
set -eu
cd "$(dirname "$0")"
seconds=${1:?how many seconds for each target}
shift
all="reply ehlo address_list header_block msmtprc toml dialogue server rules php auth control"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all
skip() {
    for target in "$@"; do echo "skipped: fuzz target $target ($reason)"; done
    exit 0
}
sh ../../config/needs.sh gcc g++ libc6-dev pkg-config libssl-dev || { reason="no C++ compiler" && skip "$@"; }
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install --quiet --locked cargo-fuzz || { reason="cargo-fuzz cannot be installed" && skip "$@"; }
fi
# The sanitizer's flags are open to the stable compiler by this alone.
export RUSTC_BOOTSTRAP=1
cargo fuzz build --fuzz-dir .
for target in "$@"; do
    mkdir -p "target/corpus/$target"
    echo "fuzz target $target, $seconds s"
    cargo fuzz run --fuzz-dir . "$target" "target/corpus/$target" "corpus/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        2>target/"$target".log || { tail -n 40 target/"$target".log >&2 && exit 1; }
    grep -E 'number_of_executed_units|peak_rss_mb' target/"$target".log || true
done
