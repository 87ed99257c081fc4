"""The measurements of queue.sh, from within its namespace, and their tables.

Every program has its turn in every scenario, one after the other, against the same server (sink). What is asked of each
is in its row of PROGRAMS.
"""

import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time

PORT = "2600"
RUNS = int(os.environ["RUNS"])
COUNTS = [tuple(map(int, pair.split(":"))) for pair in os.environ["COUNTS"].split()]
STUCK, FLUSH = int(os.environ["STUCK"]), int(os.environ["FLUSH"])
ONLY = os.environ["ONLY"].split()
QUEUE = "/var/postrider/queue"
SOCKET = "/var/postrider/submit.sock"
CONFIG = "/var/postrider/postrider.toml"
TO = "client@example.net"


def run(*command, **more):
    return subprocess.run(command, check=False, capture_output=True, text=True, **more)


class Sink:
    """The server, and what it has counted."""

    def __init__(self, port=PORT):
        self.file = f"/var/sink.{port}"
        if os.path.exists(self.file):
            os.unlink(self.file)
        self.process = subprocess.Popen(["./sink", port, self.file])
        while not os.path.exists(self.file):
            time.sleep(0.01)
        time.sleep(0.1)

    def counts(self):
        with open(self.file, encoding="ascii") as file:
            fields = file.read().split()
        if len(fields) != 4:
            return "0", 0, 0.0
        return f"{fields[0]}, {fields[3]} at once", int(fields[1]), float(fields[2])

    def wait_for(self, messages, patience=60):
        """Until so many have come; gives up when nothing comes for a while."""
        before, since = -1, time.time()
        while (now := self.counts())[1] < messages:
            if now[1] != before:
                before, since = now[1], time.time()
            if time.time() - since > patience:
                break
            time.sleep(0.02)
        return self.counts()

    def stop(self):
        self.process.kill()
        self.process.wait()


class Program:
    """A queue: how it is started, given a message, asked to deliver what it has."""

    daemon = None

    def __init__(self, name, submit, start=None, stop=None, flush=None, mailq=None):
        self.name, self.submit, self.begin, self.end = name, submit, start, stop
        self.flush, self.mailq = flush, mailq

    def start(self):
        if isinstance(self.begin, list):
            self.daemon = subprocess.Popen(self.begin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
        elif self.begin:
            done = run("sh", "-c", self.begin)
            if done.returncode:
                sys.exit(f"{self.name}: {done.stdout}{done.stderr}")

    def stop(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()
            self.daemon = None
        elif self.end:
            run("sh", "-c", self.end)

    def many(self, count, parallel):
        done = run("./many", str(count), str(parallel), "message.eml", *self.submit)
        seconds, failed, median, began = done.stdout.split()
        if int(failed):
            print(f"{self.name}: {failed} of {count} failed: {done.stderr[:300]}", file=sys.stderr)
        return float(seconds), float(median), float(began)

    def memory(self, what):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"{what}:\s+(\d+)", file.read())[1]) / 1024


POSTRIDER = Program(
    "postrider",
    ["./postrider-sendmail", "-i", "-f", "shop@example.com", TO],
    ["./postrider", "--config", CONFIG, "serve"],
    flush=["./postrider", "sendmail", "-q"],
    mailq=["./postrider", "mailq"],
)
PEERS = [
    Program(
        "postfix",
        ["postfix-sendmail", "-i", "-f", "shop@example.com", TO],
        "postfix start",
        "postfix stop",
        flush=["postqueue", "-f"],
    ),
    Program("dma", ["dma", "-i", "-f", "shop@example.com", TO]),
    Program("nullmailer", ["nullmailer-sendmail", "-i", "-f", "shop@example.com", TO], ["nullmailer-send"]),
    Program("exim", ["exim4", "-odb", "-i", "-f", "shop@example.com", TO]),
]
BARE = Program("bare program", ["./bare", "/var/bare"])


def prepare():
    os.environ["POSTRIDER_SOCKET"] = SOCKET
    with open(CONFIG, "w", encoding="ascii") as file:
        file.write(f'[log]\nto = "off"\n[queue]\ndirectory = "{QUEUE}"\n[default]\nrelay = "refuse"\n')
        for name, port in (("shop", PORT), ("other", "2601")):
            file.write(f'[[sender]]\nname = "{name}"\nfrom = ["{name}@example.com"]\nehlo = "localhost"\n')
            file.write(f'server = "smtp+plain://127.0.0.1:{port}"\n')
    os.chmod(CONFIG, 0o600)
    for name, sender in (("message", "shop"), ("other", "other")):
        with open(f"{name}.eml", "w", encoding="ascii") as file:
            file.write(f"From: <{sender}@example.com>\nTo: <{TO}>\nSubject: Order 17\n")
            file.write(f"Date: Thu, 01 Jan 2026 10:00:00 +0000\nMessage-ID: <17@example.com>\n\n")
            file.write("A line of the message that is as long as the lines of most messages are.\n" * 25)


def table(title, heads, rows):
    print(f"\n### {title}\n\n| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |", flush=True)


def usable(program):
    """Whether it delivers one message at all, unpacked as it is."""
    sink = Sink()
    program.start()
    program.many(1, 1)
    arrived = sink.wait_for(1, patience=5)[1] == 1
    program.stop()
    sink.stop()
    return arrived


def one_message(programs):
    """Submit until exit 0, in rounds, the machine otherwise idle: the server takes what comes."""
    times = {program.name: [] for program in programs}
    for program in programs:
        program.start()
    sink = Sink()
    for _ in range(3):
        for program in programs:
            program.many(2, 1)
            time.sleep(0.2)
            times[program.name].append(program.many(RUNS, 1)[1])
            time.sleep(0.5)
    sink.stop()
    for program in programs:
        program.stop()
    medians = {name: statistics.median(all) for name, all in times.items()}
    rows = [(name, f"{ms:.2f}", f"{ms / medians[BARE.name]:.2f}") for name, ms in medians.items()]
    table("One message of 2 KB: submitted until exit 0", ("program", "ms", "of the bare program"), rows)


def load(programs):
    rows, memory = [], None
    for count, parallel in COUNTS:
        for program in programs:
            sink = Sink()
            program.start()
            idle = program.memory("VmRSS") if program is POSTRIDER else 0
            seconds, _, began = program.many(count, parallel)
            connections, arrived, last = sink.wait_for(count)
            delivered = f"{arrived / (last - began):.0f}" if arrived == count else f"{arrived} of {count} came"
            rows.append((f"{count:,} by {parallel}", program.name, f"{count / seconds:.0f}", delivered, connections))
            if program is POSTRIDER:
                memory = (idle, max(program.memory("VmHWM"), memory[1] if memory else 0))
            program.stop()
            sink.stop()
    heads = ("messages, submitters", "program", "accepted a second", "delivered a second", "connections")
    table("Many messages, one process each", heads, rows)
    if memory:
        row = [(f"{memory[0]:.1f}", f"{memory[1]:.1f}")]
        table("Memory of the daemon", ("idle, MB", "most in that load, MB"), row)


def multiply(to):
    """Copies the messages of the queue, which the daemon has closed, until there are so many; due in an hour."""
    base = sqlite3.connect(f"{QUEUE}/queue.db", isolation_level=None)
    due = (int(time.time()) + 3600) * 1000
    base.execute("BEGIN")
    while (have := base.execute("SELECT count(*) FROM message").fetchone()[0]) < to:
        by = base.execute("SELECT last FROM state").fetchone()[0]
        few = f"WHERE %s IN (SELECT id FROM message ORDER BY id LIMIT {to - have})"
        new = {
            "text": (few % "id", {"id": f"id + {by}"}),
            "recipient": (few % "message", {"message": f"message + {by}"}),
            "submission": (few % "message", {"id": f"id || '.{by}'", "message": f"message + {by}"}),
            "message": (few % "id", {"id": f"id + {by}"}),
        }
        for name, (which, change) in new.items():
            columns = [row[1] for row in base.execute(f"PRAGMA table_info({name})")]
            values = ", ".join(change.get(column, column) for column in columns)
            base.execute(f"INSERT INTO {name} SELECT {values} FROM {name} {which}")
        base.execute("UPDATE state SET queued = (SELECT count(*) FROM message), last = (SELECT max(id) FROM message)")
    base.execute("UPDATE message SET due = ?", [due])
    base.execute("UPDATE recipient SET due = ?", [due])
    base.execute("COMMIT")
    base.close()


def timed(*command, message="/dev/null"):
    done = run("./many", str(RUNS), "1", message, *command)
    if int(done.stdout.split()[1]):
        print(f"{command} failed: {done.stderr[:300]}", file=sys.stderr)
    return float(done.stdout.split()[2])


def stuck():
    """With the server away: what the next message costs, and another sender's that goes through (picked and sent)."""
    costs = {}
    for queued in (100, STUCK):
        POSTRIDER.start()
        if queued == 100:
            POSTRIDER.many(100, 4)
        POSTRIDER.stop()
        multiply(queued)
        began = time.time()
        POSTRIDER.start()
        other = Sink("2601")
        POSTRIDER.many(5, 1)
        time.sleep(1)
        costs[queued] = (
            timed(*POSTRIDER.submit, message="message.eml"),
            timed("sh", "-c", "./postrider mailq | head"),
            timed("./postrider", "sendmail", "-odi", "-i", "-f", "other@example.com", TO, message="other.eml"),
            POSTRIDER.memory("VmHWM"),
        )
        other.stop()
        POSTRIDER.stop()
        print(f"{queued} stuck: measured in {time.time() - began:.0f} s", file=sys.stderr)
    few, much = costs[100], costs[STUCK]
    names = ("one more submission, ms", "`mailq \\| head`, ms", "another sender's message submitted, picked and sent (-odi), ms")
    rows = [(name, f"{a:.2f}", f"{b:.2f}", f"{b / a:.2f}") for name, a, b in zip(names, few, much)]
    rows.append(("the daemon's memory, MB", f"{few[3]:.1f}", f"{much[3]:.1f}", ""))
    table("A queue that is stuck", ("", "100 queued", f"{STUCK:,} queued", "ratio"), rows)


def flush(programs):
    """The server was away and is back: a run of the queue. A peer's is filled by submitting, with a tenth of it."""
    rows = []
    for program in programs:
        run("rm", "-rf", QUEUE)
        program.start()
        count = FLUSH if program is POSTRIDER else FLUSH // 10
        program.many(100 if program is POSTRIDER else count, 4)
        if program is POSTRIDER:
            program.stop()
            multiply(count)
            program.start()
        time.sleep(2)
        sink = Sink()
        began = time.time()
        run(*program.flush)
        connections, arrived, last = sink.wait_for(count)
        rate = f"{arrived / (last - began):.0f}" if arrived == count else f"{arrived} of {count} came"
        memory = f"{program.memory('VmHWM'):.1f}" if program is POSTRIDER else ""
        rows.append((program.name, f"{count:,}", rate, connections, memory))
        program.stop()
        sink.stop()
    table("The server is back", ("program", "messages", "delivered a second", "connections", "most memory, MB"), rows)


def main():
    prepare()
    peers = []
    for program in PEERS:
        if not ONLY or program.name in ONLY:
            peers.append(program) if usable(program) else print(f"{program.name}: does not run unpacked", file=sys.stderr)
    one_message([BARE, POSTRIDER, *peers])
    load([POSTRIDER, *peers])
    flush([POSTRIDER, *(program for program in peers if program.flush)])
    run("rm", "-rf", QUEUE)
    stuck()


main()
