"""How long a read takes at a rate that does not wait for the server: half of what each carries, and one rate for all."""

import statistics
import sys

import load
import reads
from report import spread
from stage import PATH

PERCENTILES = ("p50", "p99", "p99.9")
# Requests a second for all, or half of what the slowest carries where that is less.
COMMON = 5000


def measure(stage, report, program, closed):
    """`closed` are the closed-loop results, if they are known."""
    order = [stage.nginx, stage.haproxy, stage.fsync]
    closed = closed or reads.closed_loop(stage, order)
    half = {server.name: round(statistics.median(r["rate"] for r in closed[server.name]) / 2) for server in order}
    common = min([COMMON, *half.values()])
    lines = [f"## How long a read takes at a given rate, {load.CONNECTIONS} connections", "",
             "An open loop: requests are due by the clock, and a late one counts from when it was due. One token. Where "
             "fewer requests a second were carried than asked for, the generator or the server was full.", "",
             "| | asked for | requests/s | p50 ms | p99 ms | p99.9 ms | answers other than 200 |",
             "|---|---|---|---|---|---|---|"]
    for what, rates in (("half of its own rate", half), ("one rate", dict.fromkeys(half, common))):
        results = load.rounds(order, stage.options, lambda server, seconds: one(stage, program, server, rates, seconds))
        for server in order:
            found = results[server.name]
            columns = " | ".join(spread([result[name] for result in found]) for name in PERCENTILES)
            lines.append(f"| {server.name} | {what}, {rates[server.name]}/s | {spread([r['rate'] for r in found], 0)} | "
                         f"{columns} | {sum(r['wrong'] for r in found)} |")
    report.add("\n".join(lines) + "\n")


def one(stage, program, server, rates, seconds):
    before = server.cpu()
    found = load.oha(program, server, PATH, stage.token, rates[server.name], seconds)
    codes = found["statusCodeDistribution"]
    answers = sum(codes.values())
    result = {name: found["latencyPercentiles"][name] * 1000 for name in PERCENTILES}
    errors = sum(found["errorDistribution"].values())
    result |= {"rate": answers / found["summary"]["total"], "wrong": answers - codes.get("200", 0) + errors,
               "cpu_us": (server.cpu() - before) * 1e6 / max(1, answers)}
    if errors:
        print(found["errorDistribution"], file=sys.stderr)
    return result
