#!/bin/sh
# Measures postrider beside msmtp, s-nail and a minimal client in one run, and prints the tables of README.md.
#   sh tests/bench/run.sh              everything
#   ROUNDS=1 RUNS=5 sh tests/bench/run.sh   a quick look
# It runs in a network namespace and with a certificate store of its own, so nothing outside sees it. Clients take turns
# in rounds, so that a machine that slows down slows them all.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
out=${CARGO_TARGET_DIR:-$here/../../target}/bench

prepare() {
    sh ../../config/needs.sh gcc libc6-dev pkg-config libssl-dev openssl ca-certificates hyperfine msmtp s-nail strace \
        iproute2 python3 time
    sh ../../config/build.sh
    mkdir -p "$out"
    cp "$out/../release/postrider" "$out/postrider"
    cc -O2 -o "$out/server" server.c -lssl -lcrypto -lpthread
    cc -O2 -o "$out/minimal" minimal.c -lssl -lcrypto
    cc -O2 -static -o "$out/feed" feed.c
    rustc -O -o "$out/empty" empty.rs 
}

# A certificate of an authority of our own, in a store that has the system's authorities beside it.
certificates() {
    cd "$out"
    rm -rf store
    cp -aL /etc/ssl/certs store
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=bench authority" \
        -keyout ca.key -out store/bench-authority.pem 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" -keyout key.pem \
        -out request.pem 2>/dev/null
    echo "subjectAltName=DNS:localhost,IP:127.0.0.1" >names.cnf
    openssl x509 -req -in request.pem -CA store/bench-authority.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile names.cnf -out cert.pem 2>/dev/null
    cat store/bench-authority.pem >>store/ca-certificates.crt
    cp store/bench-authority.pem "store/$(openssl x509 -hash -noout -in store/bench-authority.pem).0"
    fingerprint=$(openssl x509 -in cert.pem -noout -fingerprint -sha256 | cut -d= -f2)
    mount --bind store /etc/ssl/certs
}

messages() {
    {
        printf 'From: Shop <shop@example.com>\nTo: client@example.net\nSubject: Order 17\n'
        printf 'Date: Thu, 01 Jan 2026 10:00:00 +0000\nMessage-ID: <17@example.com>\nMIME-Version: 1.0\n\n'
    } >head.txt
    line='A line of the message that is as long as the lines of most messages are.'
    { cat head.txt; yes "$line" | head -n 25; } >small.eml
    { cat head.txt; yes "$line" | head -n 350000; } >large.eml
    seq -f 'client%g@example.net' 1000 | tr '\n' ' ' >thousand.txt
}

# account NAME SCHEME PORT: the configurations of one server for all programs.
account() {
    {
        printf '[log]\nto = "off"\n[default]\nrelay = "refuse"\n[[sender]]\nname = "shop"\nfrom = "@example.com"\n'
        printf 'server = "%s://localhost:%s"\nehlo = "localhost"\n' "$2" "$3"
        [ "$2" = smtp+plain ] || printf 'user = "shop"\npassword = "secret"\nauth = "plain"\n'
        [ -z "${4:-}" ] || printf 'fingerprint = "%s"\n' "$4"
    } >"$1.toml"
    {
        printf 'account default\nhost localhost\nport %s\nfrom shop@example.com\ndomain localhost\n' "$3"
        case $2 in
        smtp+plain) printf 'auth off\ntls off\n' ;;
        smtp) printf 'auth plain\nuser shop\npassword secret\ntls on\n' ;;
        smtps) printf 'auth plain\nuser shop\npassword secret\ntls on\ntls_starttls off\n' ;;
        esac
    } >"$1.msmtprc"
    chmod 600 "$1.toml" "$1.msmtprc"
}

minimal() { # KIND data|bdat PORT
    echo "./minimal $1 $2 $3 shop secret shop@example.com client@example.net"
}

# s-nail takes its settings as arguments; it reads no file.
snail() { # KIND PORT
    login=shop:secret@
    case $1 in
    plain) login="" more="-S smtp-auth=none -S mta=smtp" ;;
    starttls) more="-S smtp-auth=plain -S smtp-use-starttls -S mta=smtp" ;;
    tls) more="-S smtp-auth=plain -S mta=smtps" ;;
    esac
    echo "s-nail -:/ -S v15-compat -S sendwait -S tls-verify=strict -S from=shop@example.com" \
        "-S hostname=localhost $more://${login}localhost:$2 -t"
}

# port KIND near|far data|bdat: where the server is that offers CHUNKING (bdat) or does not, or the delay before it.
port() {
    case $1 in plain) base=2500 ;; starttls) base=2520 ;; tls) base=2540 ;; esac
    [ "$2" = near ] || base=$((base + 10))
    [ "$3" = bdat ] || base=$((base + 1))
    echo $base
}

scheme() {
    case $1 in plain) echo smtp+plain ;; starttls) echo smtp ;; tls) echo smtps ;; esac
}

servers() {
    for kind in plain starttls tls; do
        for mode in data bdat; do
            chunking=$([ $mode = bdat ] || echo nochunking)
            ./server $kind "$(port $kind near $mode)" cert.pem key.pem $chunking >>seen.txt &
            started="$started $!"
            python3 "$here/delay.py" "$(port $kind far $mode)" "$(port $kind near $mode)" 50 &
            started="$started $!"
            for where in near far; do
                account "$kind-$where-$mode" "$(scheme $kind)" "$(port $kind $where $mode)"
            done
        done
    done
    account pinned smtp "$(port starttls near data)" "$fingerprint"
    sleep 1
}

# measure SCENARIO MESSAGE NAME COMMAND [NAME COMMAND ...]: each command once, for its memory and what the server saw of
# it, then all of them in turns for their times.
measure() {
    scenario=$1 message=$2
    shift 2
    while [ $# -gt 0 ]; do
        printf '%s\t%s\n' "$1" "./feed $message $2" >>"$scenario.commands"
        : >seen.txt
        # shellcheck disable=SC2086
        if ! timeout 60 /usr/bin/time -f %M -o memory.txt ./feed $message $2 >said.txt 2>&1; then
            echo "$scenario: $1 failed: $(head -c 300 said.txt)" >&2
            exit 1
        fi
        sleep 0.2
        printf '%s\t%s\t%s\n' "$1" "$(tail -n 1 memory.txt)" "$(head -n 1 seen.txt)" >>"$scenario.facts"
        shift 2
    done
    round=1
    while [ "$round" -le "${ROUNDS:-5}" ]; do
        number=0
        while IFS="$(printf '\t')" read -r name command; do
            number=$((number + 1))
            hyperfine --shell none --style none --warmup 1 --runs "$runs" --command-name "$name" \
                --export-json "$scenario.$number.$round.json" "$command" >hyperfine.txt 2>&1 || cat hyperfine.txt >&2
        done <"$scenario.commands"
        round=$((round + 1))
    done
}

# everybody SCENARIO KIND near|far MESSAGE: postrider with and without CHUNKING, and the peers.
everybody() {
    files=$2-$3-data
    measure "$1" "$4" \
        minimal "$(minimal "$2" data "$(port "$2" "$3" data)")" \
        "minimal, BDAT" "$(minimal "$2" bdat "$(port "$2" "$3" bdat)")" \
        postrider "./postrider --config $files.toml sendmail -t -i" \
        "postrider, CHUNKING offered" "./postrider --config $2-$3-bdat.toml sendmail -t -i" \
        msmtp "msmtp -C $files.msmtprc client@example.net" \
        s-nail "$(snail "$2" "$(port "$2" "$3" data)")"
}

all() {
    ip link set lo up
    certificates
    rm -f ./*.json ./*.commands ./*.facts
    messages
    started=
    # shellcheck disable=SC2086
    trap 'kill $started 2>/dev/null || true' EXIT
    servers
    runs=${RUNS:-10}
    everybody 1-plain plain near small.eml
    everybody 2-starttls starttls near small.eml
    everybody 3-tls tls near small.eml
    runs=$(((${RUNS:-10} + 4) / 5))
    everybody 4-plain-50ms plain far small.eml
    everybody 5-starttls-50ms starttls far small.eml
    everybody 6-tls-50ms tls far small.eml
    everybody 7-large-plain plain near large.eml
    everybody 8-large-starttls starttls near large.eml
    runs=${RUNS:-10}
    measure 9-thousand small.eml \
        minimal "$(minimal plain data "$(port plain near data)") $(sed 's/client1000@example.net//' thousand.txt)" \
        postrider "./postrider --config plain-near-data.toml sendmail -i $(cat thousand.txt)" \
        msmtp "msmtp -C plain-near-data.msmtprc $(cat thousand.txt)"
    # Differences of a tenth of a millisecond need more runs.
    runs=$((${RUNS:-10} * 4))
    measure A-start /dev/null \
        "empty Rust program with libssl" ./empty \
        "postrider --help" "./postrider --help"
    measure B-store small.eml \
        "certificate pinned, no store" "./postrider --config pinned.toml sendmail -t -i" \
        "system's store" "./postrider --config starttls-near-data.toml sendmail -t -i"
    python3 "$here/table.py" .
}

if [ "${1:-}" = inside ]; then
    cd "$out"
    all
else
    prepare
    # No variable of the caller's may choose another certificate store or another locale.
    exec env -i PATH="$PATH" HOME="$HOME" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-}" ROUNDS="${ROUNDS:-5}" RUNS="${RUNS:-10}" \
        unshare --map-root-user --mount --net sh "$here/run.sh" inside
fi
