"""The measurements of bulk.sh and their table: what is done to a whole queue, and what a submission costs meanwhile.

For each action the daemon has a queue of COUNT messages that its sender cannot send (nobody listens at its server). While
the action lasts, and at least for a moment, messages are submitted one after the other; each is timed from start to exit.
"""

import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time

COUNT = int(os.environ["COUNT"])
ONLY = os.environ["ONLY"].split()
HERE = os.getcwd()
QUEUE, SOCKET, CONFIG, LOG = (f"{HERE}/{name}" for name in ("queue", "submit.sock", "postrider.toml", "log"))
FULL, CLOCK = f"{HERE}/full", f"{HERE}/ahead"
POSTRIDER, SENDMAIL = f"{HERE}/postrider", f"{HERE}/postrider-sendmail"
TO = "client@example.net"
MESSAGE = (
    "From: <shop@example.com>\nTo: <client@example.net>\nSubject: Order 17\nDate: Thu, 01 Jan 2026 10:00:00 +0000\n"
    "Message-ID: <17@example.com>\n\n" + "A line of the message that is as long as the lines of most messages are.\n" * 25
).encode()
# Ends at once where it is free, and is refused for want of anybody there.
PORT = 9


def write_config():
    with open(CONFIG, "w", encoding="ascii") as file:
        file.write(f'[log]\nto = "{LOG}"\n[queue]\ndirectory = "{QUEUE}"\n[default]\nrelay = "refuse"\n')
        file.write('[[sender]]\nname = "shop"\nfrom = ["shop@example.com"]\nehlo = "localhost"\n')
        file.write(f'server = "smtp+plain://127.0.0.1:{PORT}"\n')
    os.chmod(CONFIG, 0o600)


def surroundings():
    return {"PATH": os.environ["PATH"], "POSTRIDER_SOCKET": SOCKET, "HOME": HERE}


class Daemon:
    def __init__(self):
        command, own = [POSTRIDER, "--config", CONFIG, "serve"], {"LD_PRELOAD": f"{HERE}/clock.so", "CLOCK_FILE": CLOCK}
        set_clock(0)
        self.process = subprocess.Popen(command, env=surroundings() | own, start_new_session=True)
        while not os.path.exists(SOCKET) or run(POSTRIDER, "status").returncode:
            if self.process.poll() is not None:
                sys.exit("the daemon does not start")
            time.sleep(0.02)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def run(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True, env=surroundings())


def submit():
    began = time.perf_counter()
    command = [SENDMAIL, "-i", "-odq", "-f", "shop@example.com", TO]
    done = subprocess.run(command, check=False, capture_output=True, input=MESSAGE, env=surroundings())
    if done.returncode:
        # It gave up waiting: its time is what it waited.
        print(f"a submission failed: {done.stderr}", file=sys.stderr)
    return time.perf_counter() - began


def multiply(base, to):
    """Copies the messages, which have numbers from 1 on, until there are so many; due and accepted over an hour."""
    base.execute("BEGIN")
    while (have := base.execute("SELECT count(*) FROM message").fetchone()[0]) < to:
        by = base.execute("SELECT last FROM state").fetchone()[0]
        few = f"WHERE %s IN (SELECT id FROM message ORDER BY id LIMIT {to - have})"
        new = {
            "text": (few % "id", {"id": f"id + {by}"}),
            "recipient": (few % "message", {"message": f"message + {by}"}),
            "submission": (few % "message", {"id": "lower(hex(randomblob(16)))", "message": f"message + {by}"}),
            "message": (few % "id", {"id": f"id + {by}"}),
        }
        for name, (which, change) in new.items():
            columns = [row[1] for row in base.execute(f"PRAGMA table_info({name})")]
            values = ", ".join(change.get(column, column) for column in columns)
            base.execute(f"INSERT INTO {name} SELECT {values} FROM {name} {which}")
        base.execute("UPDATE state SET queued = (SELECT count(*) FROM message), last = (SELECT max(id) FROM message)")
    now = int(time.time()) * 1000
    # As they come back after attempts: in no order.
    base.create_function("due", 1, lambda number: now + 600_000 + random.Random(number).randrange(3_000_000))
    base.execute("UPDATE message SET due = due(id), created = ?", [now - 3_600_000])
    base.execute("UPDATE recipient SET due = due(message)")
    base.execute("COMMIT")


def fill():
    """The queue that every action begins with."""
    shutil.rmtree(QUEUE, ignore_errors=True)
    daemon = Daemon()
    for _ in range(100):
        submit()
    daemon.stop()
    base = sqlite3.connect(f"{QUEUE}/queue.db", isolation_level=None)
    multiply(base, COUNT)
    base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.close()
    shutil.rmtree(FULL, ignore_errors=True)
    shutil.copytree(QUEUE, FULL)


def changed(sql, *values):
    base = sqlite3.connect(f"{QUEUE}/queue.db", isolation_level=None)
    base.execute(sql, values)
    base.close()


def paused():
    """The lane is paused, for longer than any of its messages waits."""
    until = int(time.time() + 3500) * 1000
    changed("INSERT OR REPLACE INTO lane VALUES ('shop', ?, 'no connection', 6, ?, 0, 0)", until, until - 3_600_000)


def held():
    changed("UPDATE message SET hold = 'a reason'")


def results():
    """As many results and submissions as there are messages, all of them older than they are kept."""
    changed(
        "INSERT INTO history (message, created, ended, lane, recipient, sent, said, via)"
        " SELECT id, 1, 1000 + id, 'shop', 'client@example.net', 1, '250 2.0.0 Ok', 'shop' FROM message"
    )
    changed("INSERT INTO submission SELECT lower(hex(randomblob(16))), -id, 1000 FROM message")


def set_clock(ahead):
    with open(CLOCK, "r+b" if os.path.exists(CLOCK) else "wb") as file:
        file.write(struct.pack("l", ahead))


def step(_daemon):
    """The daemon's clock goes an hour on: until the last message's times have gone with it."""
    set_clock(3600)
    base = sqlite3.connect(f"{QUEUE}/queue.db", isolation_level=None)
    before = base.execute("SELECT created FROM message WHERE id = ?", [COUNT]).fetchone()
    while base.execute("SELECT created FROM message WHERE id = ?", [COUNT]).fetchone() == before:
        time.sleep(0.01)
    base.close()


def housekeeping(_daemon):
    """A daemon does it when it starts: until the old results are gone."""
    base = sqlite3.connect(f"{QUEUE}/queue.db", isolation_level=None)
    while base.execute("SELECT count(*) FROM (SELECT 1 FROM history LIMIT 1)").fetchone()[0]:
        time.sleep(0.01)
    base.close()


def asks(*command):
    def act(_daemon):
        done = run(POSTRIDER, *command)
        if done.returncode:
            sys.exit(f"{command}: {done.stdout}{done.stderr}")

    return act


# What it is called, what makes the queue ready, and what is done.
ACTIONS = {
    "retry": ("`queue retry --all`", None, asks("queue", "retry", "--all")),
    "flush": ("`sendmail -q`", None, asks("sendmail", "-q")),
    "flush-paused": ("`sendmail -q`, the sender paused", paused, asks("sendmail", "-q")),
    "hold": ("`queue hold --all`", None, asks("queue", "hold", "--all")),
    "release": ("`queue release --all`", held, asks("queue", "release", "--all")),
    "delete": ("`queue delete --all`", None, asks("queue", "delete", "--all")),
    "reload": ("`reload`, the sender paused", paused, asks("reload")),
    "pause": ("`senders pause`", None, asks("senders", "pause", "shop")),
    "resume": ("`senders resume`, the sender paused", paused, asks("senders", "resume", "shop")),
    "clock": ("the clock is set an hour on", None, step),
    "history": ("housekeeping: as many results that are too old", results, housekeeping),
}


def measure(name):
    what, ready, act = ACTIONS[name]
    shutil.rmtree(QUEUE, ignore_errors=True)
    shutil.copytree(FULL, QUEUE)
    if ready:
        ready()
    daemon = Daemon()
    if name != "history":
        time.sleep(1)
    times, took = [], []

    def acts():
        began = time.perf_counter()
        act(daemon)
        took.append(time.perf_counter() - began)

    actor = threading.Thread(target=acts)
    actor.start()
    while actor.is_alive():
        times.append(submit())
    for _ in range(30):
        # What the action leaves behind (a log to be emptied) is part of it.
        times.append(submit())
    actor.join()
    daemon.stop()
    times.sort()
    at = times[min(len(times) - 1, round(0.99 * len(times)))]
    return what, took[0], len(times), at * 1000, times[-1] * 1000


def main():
    write_config()
    fill()
    print(f"| with {COUNT:,} queued | s | submissions meanwhile | p99, ms | longest, ms |\n|---|--:|--:|--:|--:|")
    for name in ONLY or ACTIONS:
        what, took, count, at, longest = measure(name)
        print(f"| {what} | {took:.2f} | {count} | {at:.0f} | {longest:.0f} |", flush=True)


main()
