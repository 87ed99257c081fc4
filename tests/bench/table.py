#!/usr/bin/env python3
"""Turns what run.sh measured into the tables of README.md: the medians over all rounds."""

import json
import pathlib
import re
import statistics
import sys

TITLES = {
    "1": "2 KB, plaintext, loopback",
    "2": "2 KB, STARTTLS + AUTH, loopback",
    "3": "2 KB, implicit TLS + AUTH, loopback",
    "4": "2 KB, plaintext, 50 ms round trip",
    "5": "2 KB, STARTTLS + AUTH, 50 ms round trip",
    "6": "2 KB, implicit TLS + AUTH, 50 ms round trip",
    "7": "25 MB, plaintext, loopback",
    "8": "25 MB, STARTTLS + AUTH, loopback",
    "9": "2 KB to 1,000 recipients, plaintext, loopback",
    "A": "Start: `postrider --help`",
    "B": "The CA store: STARTTLS + AUTH, loopback",
}
FAR = "456"


def times(folder, scenario, number):
    """All runs of one command, in milliseconds."""
    found = []
    for file in folder.glob(f"{scenario}.{number}.*.json"):
        for result in json.loads(file.read_text())["results"]:
            found += [1000 * second for second in result["times"]]
    return found


def main(folder):
    for facts in sorted(folder.glob("*.facts")):
        scenario = facts.stem
        far = scenario[0] in FAR
        print(f"\n### {TITLES[scenario[0]]}\n")
        print("| program | ms | " + ("round trips | " if far else "") + "of the first | flights | peak MB |")
        print("|---|--:|--:|--:|--:|" + ("--:|" if far else ""))
        base = None
        for number, line in enumerate(facts.read_text().splitlines(), 1):
            name, memory, seen = line.split("\t")
            median = statistics.median(times(folder, scenario, number))
            base = base or median
            flights = re.search(r"flights=(\d+)", seen)
            cells = [name, f"{median:.1f}"]
            if far:
                cells.append(f"{median / 50:.1f}")
            cells += [f"{median / base:.2f}", flights[1] if flights else "", f"{int(memory) / 1024:.1f}"]
            print("| " + " | ".join(cells) + " |")


main(pathlib.Path(sys.argv[1]))
