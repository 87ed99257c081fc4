#!/bin/sh
# The entry of a container: the daemon alone, or beside a command.
#   postrider-entry                      postrider serve, until SIGTERM
#   postrider-entry COMMAND ARGUMENT...  the command, whose sendmail hands over to the daemon; when it ends, or SIGTERM
#                                        ended it, what is queued is delivered, and its status is the status
# At the end everything that is queued is tried once more, for $POSTRIDER_DRAIN (8s; docker stop waits 10s). Mail that is
# left then makes a status of 0 into 69: keep the queue in a volume. Started by root, the daemon runs as postrider.
set -eu
: "${POSTRIDER_LOG:=stderr}"
export POSTRIDER_LOG
drain=${POSTRIDER_DRAIN:-8s}

is_root() { [ "$(id -u)" = 0 ] && id postrider >/dev/null 2>&1; }

# Secrets are often mounted so that everybody may read them, which postrider refuses; the daemon gets a copy of its own.
if [ -n "${POSTRIDER_PASSWORD_FILE:-}" ] && [ -r "$POSTRIDER_PASSWORD_FILE" ]; then
    private=$(mktemp -d)
    (umask 077 && cat "$POSTRIDER_PASSWORD_FILE" >"$private/password")
    if is_root; then chown -R postrider:postrider "$private"; fi
    POSTRIDER_PASSWORD_FILE=$private/password
    export POSTRIDER_PASSWORD_FILE
fi

# Words before the daemon's and not a function, whose shell would get the signals in the daemon's place.
if is_root; then
    install -d -m 755 -o postrider -g postrider /run/postrider
    as="setpriv --reuid=postrider --regid=postrider --init-groups"
else
    as=""
fi
if [ $# -eq 0 ]; then
    # shellcheck disable=SC2086
    exec $as postrider serve --drain "$drain"
fi

# shellcheck disable=SC2086
$as postrider serve --drain "$drain" &
daemon=$!
# The command finds the daemon there; a daemon that does not start ends the container, with its reason on standard error.
until postrider status >/dev/null 2>&1; do
    if ! kill -0 "$daemon" 2>/dev/null; then
        status=0
        wait "$daemon" || status=$?
        exit "$status"
    fi
    sleep 0.1
done

"$@" &
command=$!
trap 'kill -TERM "$command" 2>/dev/null' TERM INT HUP QUIT
status=0
wait "$command" || status=$?
# A signal ends the first wait early.
while kill -0 "$command" 2>/dev/null; do
    status=0
    wait "$command" || status=$?
done
kill -TERM "$daemon" 2>/dev/null || true
left=0
wait "$daemon" || left=$?
[ "$status" -ne 0 ] || status=$left
exit "$status"
