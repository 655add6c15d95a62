"""What is not a rate of requests: memory, time to start, the audit log beside its disk, tokens beside `jsonwebtoken`."""

import json
import re
import subprocess

from report import spread
from server import PROXY


def memory_and_start(stage, report):
    lines = ["## Memory and start", "",
             "| | MiB idle | MiB at most, 64 connections | MiB at most, by the end | ms from start to first answer |",
             "|---|---|---|---|---|"]
    for server in stage.servers:
        if server.name in stage.starts:
            name = server.name
            busy = f"{stage.busy[name]:.0f}" if name in stage.busy else "–"
            lines.append(f"| {name} | {stage.idle[name]:.0f} | {busy} | {server.memory('VmHWM'):.0f} | "
                         f"{spread(stage.starts[name], 0)} |")
    report.add("\n".join(lines) + "\n")
    ours = stage.fsync.name
    report.reached |= {"memory/idle": [stage.idle[ours]], "start": stage.starts[ours]}
    if ours in stage.busy:
        report.reached["memory/busy"] = [stage.busy[ours]]


def audit(stage, report, program):
    """The log alone, on the disk that everything else is on, with both cores. The program does three rounds each time."""
    found = []
    for number in range(max(1, stage.options.rounds // 3)):
        words = [program, str(stage.folder / f"append-rate-{number}")]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found += re.findall(r"log (\d+)/s, ([\d.]+) a sync, .*; disk (\d+)/s", done.stdout)
    log, batch, disk = ([float(value) for value in column] for column in zip(*found))
    ratio = [ours / theirs for ours, theirs in zip(log, disk)]
    report.reached["audit/disk"] = ratio
    report.add(f"""## Audit appends, 64 waiting, beside the disk

| | records/s | records a sync |
|---|---|---|
| the log: encrypted, hashed, on the disk | {spread(log, 0)} | {spread(batch, 1)} |
| the disk: 64 records of the same size, written and synced | {spread(disk, 0)} | 64 |
| ratio | **{spread(ratio)}** | |
""")


def jwt(report, program):
    done = subprocess.run(["taskset", "-c", str(PROXY), program], capture_output=True, text=True, check=True)
    lines = ["## Tokens, beside `jsonwebtoken` 11 on the same aws-lc", "",
             "| | ours µs | jsonwebtoken µs | times as fast |", "|---|---|---|---|"]
    for name, result in json.loads(done.stdout).items():
        lines.append(f"| {name} | {result['ours_us']:.1f} | {result['peer_us']:.1f} | "
                     f"**{result['ratio']:.2f}** ({result['min']:.2f}–{result['max']:.2f}) |")
        report.reached[f"jwt/{name}"] = [result[key] for key in ("min", "ratio", "max")]
    report.add("\n".join(lines) + "\n")
