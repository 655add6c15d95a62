"""The load: wrk for how much a server carries, oha for how long it takes at a rate that does not wait for it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from server import LOAD

HERE = Path(__file__).resolve().parent
CONNECTIONS = 64
WARMING = 2  # seconds


def wrk(server, connections, seconds, path, words):
    """A closed loop. What the load generator saw, and what the server spent on it."""
    before = server.cpu()
    done = subprocess.run(
        ["taskset", "-c", str(LOAD), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "load.lua"),
         f"{'https' if server.tls else 'http'}://localhost:{server.port}{path}", "--", *map(str, words)],
        capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["cpu_us"] = (server.cpu() - before) * 1e6 / max(1, result["requests"])
    result["rate"] = result["requests"] / result["seconds"]
    return result


def rounds(order, options, measure):
    """Each server in turn, every second round in reverse; `measure(server, seconds)` does one. A short run before, to
    fill pools and caches."""
    for server in order:
        measure(server, WARMING)
    results = {server.name: [] for server in order}
    for number in range(options.rounds):
        for server in order if number % 2 == 0 else reversed(order):
            result = measure(server, options.seconds)
            results[server.name].append(result)
            print(f"round {number + 1} {server.name}: {result['rate']:.0f}/s, {result['cpu_us']:.1f} us CPU", file=sys.stderr)
    return results


def find_oha():
    """`make bench` builds it into .tools."""
    own = HERE.parent / ".tools/bin/oha"
    return own if os.access(own, os.X_OK) else shutil.which("oha")


def oha(program, server, path, token, rate, seconds):
    """An open loop: a request is due when the clock says so, and late ones count from when they were due."""
    done = subprocess.run(
        ["taskset", "-c", str(LOAD), str(program), "--no-tui", "--output-format", "json", "--insecure",
         "--latency-correction", "-q", str(rate), "-z", f"{seconds}s", "-w", "-c", str(CONNECTIONS),
         "-H", f"Authorization: Bearer {token}", "-H", "Accept: application/fhir+json",
         f"https://localhost:{server.port}{path}"],
        capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
