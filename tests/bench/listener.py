"""The measurement of listener.sh, from within its namespace, and its table.

Each server takes COUNT messages from smtp-source over so many connections at once, in turn: a connection for each message,
and then all messages over connections that are kept. The rate is that of 250s given, and all messages must come out at the
sink afterwards, each once.
"""

import os
import socket
import subprocess
import sys
import time

COUNT = int(os.environ["COUNT"])
CONNECTIONS = [int(count) for count in os.environ["CONNECTIONS"].split()]
CONFIG = "/var/postrider/postrider.toml"
SINK, SIZE = "2600", 4096
os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"


def sink_count(file):
    with open(file, encoding="ascii") as text:
        fields = text.read().split()
    return int(fields[1]) if len(fields) == 4 else 0


def wait_for(port):
    """Until a server greets."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", int(port)), 5) as client:
                if client.recv(4) == b"220 ":
                    client.sendall(b"QUIT\r\n")
                    return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"nothing greets at port {port}")


def measure(port, connections, kept, number):
    """Messages a second that were taken, and how many came out."""
    file = f"/var/sink.{number}"
    sink = subprocess.Popen(["./sink", SINK, file])
    while not os.path.exists(file):
        time.sleep(0.01)
    begin = time.monotonic()
    command = ["smtp-source", "-s", str(connections), "-m", str(COUNT), "-l", str(SIZE), "-f", "shop@example.com"]
    command += ["-d"] if kept else []
    done = subprocess.run([*command, "-t", "you@example.org", f"127.0.0.1:{port}"], capture_output=True, text=True)
    seconds = time.monotonic() - begin
    if done.returncode:
        print(f"port {port}: {done.stderr[:300]}", file=sys.stderr)
    arrived, since = -1, time.monotonic()
    while (now := sink_count(file)) < COUNT and time.monotonic() - since < 60:
        if now != arrived:
            arrived, since = now, time.monotonic()
        time.sleep(0.05)
    # Whatever comes twice, comes soon.
    time.sleep(0.5)
    arrived = sink_count(file)
    sink.kill()
    sink.wait()
    return COUNT / seconds, arrived


def main():
    with open(CONFIG, "w", encoding="ascii") as file:
        file.write('[log]\nto = "off"\n[queue]\ndirectory = "/var/postrider/queue"\n[default]\nrelay = "refuse"\n')
        file.write('[[sender]]\nname = "shop"\nfrom = "shop@example.com"\nehlo = "localhost"\n')
        file.write(f'server = "smtp+plain://127.0.0.1:{SINK}"\n')
        file.write('[[listen]]\naddress = "127.0.0.1:2525"\nmax_per_client = 200\n')
    os.chmod(CONFIG, 0o600)
    daemon = subprocess.Popen(["./postrider", "--config", CONFIG, "serve", "--socket", "/var/postrider/submit.sock"])
    subprocess.run(["postfix", "start"], check=True, capture_output=True)
    wait_for("2525")
    wait_for("2526")
    lost = 0
    print(f"{COUNT} messages of {SIZE} octets, messages a second taken\n")
    print("| connections | kept | postrider | Postfix smtpd | ratio | postrider out | Postfix out |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    for number, (connections, kept) in enumerate((count, kept) for count in CONNECTIONS for kept in (False, True)):
        ours, out = measure("2525", connections, kept, f"{number}.ours")
        theirs, their_out = measure("2526", connections, kept, f"{number}.theirs")
        lost += (out != COUNT) + (their_out != COUNT)
        how = "yes" if kept else "no"
        print(f"| {connections} | {how} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} | {out} | {their_out} |", flush=True)
    if lost:
        print("messages were lost or doubled", file=sys.stderr)
    daemon.terminate()
    daemon.wait()
    subprocess.run(["postfix", "stop"], check=False, capture_output=True)
    sys.exit(1 if lost else 0)


main()
