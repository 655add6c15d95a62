"""The audit log once it has grown: how soon it can be searched, how long a search takes, how fast it is verified, how large
it is."""

import sqlite3
import subprocess
import time

import load
import stage as stages
import tokens
from report import spread
from targets import add_client

TIMES = 5


def measure(stage, report):
    gate, wanted = stage.system, stage.options.records
    client = add_client(gate, "seldom", stages.SCOPE)
    seldom = stage.write_tokens("seldom", tokens.mint(gate.port, client, stages.SCOPE, 1))
    fill(stage, gate, wanted // 2)
    for _ in range(TIMES):
        stages.answer(gate, seldom.read_text().strip())
    fill(stage, gate, wanted)
    size, begun, first = records(gate), time.perf_counter(), indexed(gate)
    while indexed(gate) < size:
        time.sleep(0.2)
    built = time.perf_counter() - begun
    lines = [f"## Searching {size:,} records", "",
             f"The index lags while the machine is busy: {first:,} were in it when the load ended; the rest came in at "
             f"**{(size - first) / built:,.0f} records/s**, on the one core that the gateway has. Each search is a process of its "
             "own, from its start to its end.", "",
             "| search | records | ms |", "|---|---|---|"]
    hour = ["--since", time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime())]
    for title, words in [
        ("what one client did", ["--client", "seldom"]),
        ("the newest 20 accesses to a patient's record", ["--patient", "bench", "--limit", "20"]),
        ("what was refused", ["--outcome", "deny"]),
        ("one kind of act", ["--event", "client.add"]),
        ("one client, one patient, since the hour began", ["--client", "seldom", "--patient", "bench", *hour]),
        ("what is not there", ["--patient", "nobody"]),
    ]:
        taken = [timed(gate, "search", *words, "--output", "json") for _ in range(TIMES)]
        lines.append(f"| {title} | {taken[0][1]} | {spread([seconds * 1000 for seconds, _ in taken], 0)} |")
        report.reached[f"search/{title}"] = [seconds * 1000 for seconds, _ in taken]
    gate.stop()
    verified, _ = timed(gate, "verify")
    folder = gate.root / "data/audit"
    stored = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and "journal" not in file.parts)
    beside = sum(file.stat().st_size for file in folder.parent.glob("audit-index.db*"))
    total = records(gate)
    lines += ["", f"`audit verify` of the whole log: **{total / verified:,.0f} records/s**. On the disk a record of a read takes "
              f"{stored / total:,.0f} bytes, and {beside / total:,.0f} beside it in the index."]
    report.add("\n".join(lines) + "\n")


def fill(stage, gate, wanted):
    while records(gate) < wanted:
        load.wrk(gate, load.CONNECTIONS, 5, stages.PATH, ["tokens", stage.lists[gate.name]])
        time.sleep(1.5)


def records(gate):
    """Under the checkpoint."""
    return int((gate.root / "data/audit/checkpoint").read_text().splitlines()[1])


def indexed(gate):
    with sqlite3.connect(f"file:{gate.root}/data/audit-index.db?mode=ro", uri=True) as index:
        return index.execute("SELECT next FROM state").fetchone()[0]


def timed(gate, *words):
    """Seconds, and lines of output."""
    begun = time.perf_counter()
    done = subprocess.run([*map(str, (gate.command[0], "--config", gate.config, "audit")), *words],
                          capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, len(done.stdout.splitlines())
