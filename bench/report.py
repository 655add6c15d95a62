"""What RESULTS.md says: a table for each comparison, and at the end what was asked for beside what was reached."""

import os
import platform
import statistics
import subprocess
from pathlib import Path

# What to reach: work, key of what was measured, at least, goal, whether more is better.
MORE, LESS = ">=", "<="
ASKED = [
    ("FHIR read, 1,000 tokens in turn, / nginx", "reads/1000/nginx", 0.45, 0.70, MORE),
    ("FHIR read, 1,000 tokens in turn, / HAProxy `jwt_verify`", "reads/1000/haproxy", 1.3, 2.0, MORE),
    ("FHIR read, 100,000 tokens in turn, / nginx", "reads/100000/nginx", 0.30, 0.42, MORE),
    ("FHIR read, 100,000 tokens in turn, / HAProxy `jwt_verify`", "reads/100000/haproxy", 0.9, 1.3, MORE),
    ("FHIR read over TLS 1.3, / nginx with TLS", "reads/1000/nginx", 0.45, 0.75, MORE),
    ("256 connections, record on the disk / with the operating system[^off]", "wide/os", 0.75, 0.9, MORE),
    ("client_credentials, RS256, / oidc-provider", "issuing/RS256", 2.2, 2.8, MORE),
    ("client_credentials, ES256, / oidc-provider", "issuing/ES256", 7, 12, MORE),
    ("refresh with rotation, RS256, / oidc-provider[^refresh]", "issuing/refresh RS256", 2, 4, MORE),
    ("refresh with rotation, ES256, / oidc-provider[^refresh]", "issuing/refresh ES256", 2, 4, MORE),
    ("introspection / oidc-provider", "issuing/introspection", 7, 11, MORE),
    ("JWT check, RS256, / `jsonwebtoken`", "jwt/check RS256", 1.2, 1.33, MORE),
    ("JWT check, ES256, / `jsonwebtoken`", "jwt/check ES256", 1.0, 1.05, MORE),
    ("JWT check, EdDSA, / `jsonwebtoken`", "jwt/check EdDSA", 1.0, 1.1, MORE),
    ("JWT signing, RS256, / `jsonwebtoken`", "jwt/sign RS256", 2, 2.7, MORE),
    ("audit appends, 64 waiting, / the disk's own rate", "audit/disk", 0.5, 0.8, MORE),
    ("search of a million records for one client's, ms", "search/what one client did", 1000, 100, LESS),
    ("memory, idle, MiB", "memory/idle", 40, 20, LESS),
    ("memory, at most under 64 connections, MiB", "memory/busy", 80, 40, LESS),
    ("start to first answer, ms", "start", 500, 100, LESS),
]


class Report:
    """Collects sections, checks and what was reached."""

    def __init__(self, options):
        self.options, self.sections, self.checked, self.reached = options, [], [], {}
        self.load = os.getloadavg()[0]

    def add(self, text):
        self.sections.append(text)

    def text(self, versions, disk):
        return "\n".join([self.heading(versions, disk), *self.sections, asked_and_reached(self.reached)])

    def heading(self, versions, disk):
        model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())
        checks = "\n".join(f"- {line}" for line in self.checked)
        return f"""# Results

Written by `make bench`; how it measures: [README.md](README.md). Figures are the median of {self.options.rounds} rounds of {self.options.seconds} s, with the smallest and largest.

{model}, {os.cpu_count()} cores, Linux {platform.release()}, everything on {disk}; {versions}; TLS 1.3 throughout. Load average when it began: {self.load:.1f} (other work on the machine makes figures worse and ratios wider).

Checked, each before it was measured:
{checks}

HAProxy's log is a file that nothing waits for; Chartgate's is on the disk before the answer leaves (`fsync`), or with the operating system (`os`). Chartgate remembers what a token's signature proved; expiry, revocation, session and policy are looked at for each request.
"""


def spread(values, digits=2):
    """Median with smallest and largest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def section(title, order, results, pairs, report):
    """A comparison: each server, then ratios (peer, ours, key of what is reached) within a round."""
    lines = [f"## {title}", "", "| | requests/s | µs CPU a request | p50 ms | p99 ms | answers other than 200 |",
             "|---|---|---|---|---|---|"]
    for server in order:
        found = results[server.name]
        column = {key: [result[key] for result in found] for key in found[0]}
        wrong = sum(column["bad"]) + sum(column["broken"])
        lines.append(f"| {server.name} | {spread(column['rate'], 0)} | {spread(column['cpu_us'], 1)} | "
                     f"{spread(column['p50_ms'])} | {spread(column['p99_ms'])} | {wrong} |")
    lines += ["", "| ratio | requests/s | CPU a request |", "|---|---|---|"] if pairs else []
    for peer, ours, key in pairs:
        both = list(zip(results[ours], results[peer]))
        rate = [a["rate"] / b["rate"] for a, b in both]
        cpu = [a["cpu_us"] / b["cpu_us"] for a, b in both]
        lines.append(f"| {ours} / {peer} | **{spread(rate)}** | {spread(cpu)} |")
        if key:
            report.reached[key] = rate
    return "\n".join(lines) + "\n"


def asked_and_reached(reached):
    lines = ["## Asked for, and reached", "",
             "Chartgate is `chartgate-fsync`; it speaks TLS alone, so all reads are over TLS.", "",
             "| work | at least | goal | reached | |", "|---|---|---|---|---|"]
    for work, key, least, goal, better in ASKED:
        if key not in reached:
            found, verdict = "–", "not measured"
        else:
            median = statistics.median(reached[key])
            met = (lambda bound: median >= bound) if better == MORE else (lambda bound: median <= bound)
            found = spread(reached[key], 2 if better == MORE else 0)
            verdict = "goal met" if met(goal) else "met" if met(least) else "**not met**"
        lines.append(f"| {work} | {better} {least:g} | {better} {goal:g} | {found} | {verdict} |")
    lines += ["", "[^off]: Asked for is the audit log on against off. Chartgate has no off: this stands in for it, and "
              "says less.",
              "[^refresh]: Asked for without an algorithm. The goal is of a rate that RSA cannot reach: 4 × the 1,197 "
              "refreshes a second for which it was set are more than the 3,757 signatures a second of RSA-2048 on a core."]
    return "\n".join(lines) + "\n"


def version(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    return (done.stdout or done.stderr).strip()
