"""What the time of an answer tells of a record that may not be seen, and what memory a long answer takes.

A record that is hidden and one that is not there answer alike; here is how alike in time: asked for in turn over one connection.
Then searches that find 1 and 50 MB, one after another, each beside the most memory that the process had meanwhile."""

import json
import statistics
import time
from pathlib import Path

import fhir
import tokens
from report import spread

HIDDEN, ABSENT = "/fhir/Observation/hidden", "/fhir/Observation/absent"
# What a search finds, in MB, by the code that is searched for.
LARGE = {"mb1": 1, "mb50": 50}
TIMES = 3
WARM_UP = 200


def files():
    """What the upstream answers, by file."""
    restricted = {**fhir.observation(0), "id": "hidden"}
    # Programs see nothing that is restricted.
    restricted["meta"] = {**restricted["meta"], "security": [{"code": "R"}]}
    one = len(fhir.found([fhir.observation(0)]))
    found = {f"search-{code}.json": fhir.found([fhir.observation(n) for n in range(size * 1_000_000 // one)])
             for code, size in LARGE.items()}
    return {"fhir/Observation/hidden": json.dumps(restricted), **found}


def measure(stage, report):
    token = stage.mint_whole(1)[0]
    connection = tokens.connect(stage.fsync.port)
    rounds = [in_turn(connection, token, stage.options.seconds) for _ in range(stage.options.rounds)]
    lines = ["## A record that is hidden beside one that is not there", "",
             f"One connection, each in turn, {sum(len(times) for one in rounds for times in one.values())} requests; "
             "same status, same bytes.", "", "| | p50 ms | p99 ms |", "|---|---|---|"]
    for what in (HIDDEN, ABSENT):
        lines.append(f"| {what.rsplit('/', 1)[1]} | " + " | ".join(
            spread([percentile(one[what], share) for one in rounds], 3) for share in (50, 99)) + " |")
    lines.append("| difference | " + " | ".join(
        spread([percentile(one[HIDDEN], share) - percentile(one[ABSENT], share) for one in rounds], 3)
        for share in (50, 99)) + " |")
    report.add("\n".join(lines) + "\n")
    memory(stage, report, token)


def in_turn(connection, token, seconds):
    """Milliseconds of each request."""
    taken = {HIDDEN: [], ABSENT: []}
    for _ in range(WARM_UP):
        bodies = {what: ask(connection, what, token) for what in taken}
    if len(set(bodies.values())) != 1 or bodies[HIDDEN][0] != 404:
        raise RuntimeError(f"they differ: {bodies}")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for what, times in taken.items():
            begun = time.perf_counter()
            ask(connection, what, token)
            times.append((time.perf_counter() - begun) * 1000)
    return taken


def ask(connection, path, token):
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"})
    response = connection.getresponse()
    return response.status, response.read()


def percentile(times, share):
    return statistics.quantiles(times, n=100)[share - 1]


def memory(stage, report, token):
    lines = ["## Memory of a long answer", "",
             f"The search finds so much on one page; {TIMES} one after another.", "",
             "| answer | MiB that came | MiB before | MiB at most |", "|---|---|---|---|"]
    for code, size in LARGE.items():
        connection = tokens.connect(stage.fsync.port)
        reset(stage.fsync)
        before, came = stage.fsync.memory(), 0
        for _ in range(TIMES):
            status, body = ask(connection, f"/fhir/Observation?patient=bench&code={code}", token)
            if status != 200:
                raise RuntimeError(f"{size} MB: {status} {body[:200]}")
            came = len(body) / 2**20
        lines.append(f"| {size} MB | {came:.1f} | {before:.0f} | {stage.fsync.memory('VmHWM'):.0f} |")
    report.add("\n".join(lines) + "\n")


def reset(server):
    """Lets the kernel count the most memory from here on: proc_pid_clear_refs(5)."""
    for pid in server.pids():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
