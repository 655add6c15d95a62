"""Chartgate, nginx and HAProxy side by side on one machine. See README.md; writes RESULTS.md."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import targets
import tokens

HERE = Path(__file__).resolve().parent
PROXY, LOAD = 0, 1
SCOPE = "system/Patient.rs"
PATH = "/fhir/Patient/bench"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    jwt = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "jwt/target"))
    parser.add_argument("--binary", type=Path, default=target / "release/chartgate")
    parser.add_argument("--jwt-binary", type=Path, default=jwt / "release/jwt-bench")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--many-tokens", type=int, default=50000, help="more than are remembered; 0 leaves this out")
    parser.add_argument("--only", choices=["reads", "tokens", "jwt"], help="one part")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    return parser.parse_args()


def main():
    options = arguments()
    if not options.binary.is_file():
        sys.exit(f"there is no {options.binary}: cargo build --release")
    with tempfile.TemporaryDirectory(prefix="chartgate-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers = []
        try:
            report = measure(options, folder, servers)
        finally:
            for server in servers:
                server.stop()
    options.out.write_text(report)
    print(report)


def measure(options, folder, servers):
    """Everything, in order; gives the report."""
    upstream = targets.upstream(folder, LOAD)
    servers.append(upstream)
    upstream.start()
    gates = [
        targets.chartgate(folder, PROXY, options.binary, upstream.port, durability, f"chartgate-{durability}")
        for durability in ("fsync", "os")
    ]
    fsync, system = gates
    clients = {gate.name: targets.add_client(options.binary, gate, "bench", SCOPE) for gate in gates}
    elsewhere = targets.add_client(options.binary, fsync, "elsewhere", SCOPE, f"{fsync.issuer}/other")
    narrow = targets.add_client(options.binary, fsync, "narrow", "system/Observation.rs")

    expired = short_lived(fsync, clients[fsync.name])
    servers.extend(gates)
    starts = {gate.name: started(gate) for gate in gates}
    good = {gate.name: tokens.mint(gate.port, clients[gate.name], SCOPE, options.tokens) for gate in gates}
    key = signing_key(fsync.port, good[fsync.name][0])
    audience = f"{fsync.issuer}/fhir"
    haproxy = targets.haproxy(folder, PROXY, fsync.root / "tls", upstream.port, key, fsync.issuer, audience)
    stranger = targets.haproxy(
        folder, PROXY, fsync.root / "tls", upstream.port, key, "https://other.example", audience, "haproxy-other-issuer")
    nginx = targets.nginx(folder, PROXY, fsync.root / "tls", upstream.port)
    for server in (haproxy, stranger, nginx):
        servers.append(server)
        starts[server.name] = started(server)
    idle = {server.name: server.memory() for server in (nginx, haproxy, *gates)}

    bad = {
        **tokens.forgeries(good[fsync.name][0], key),
        "expired": expired,
        "another issuer's": good[system.name][0],
        "for another audience": tokens.mint(fsync.port, elsewhere, SCOPE, 1)[0],
        "without the scope": tokens.mint(fsync.port, narrow, "system/Observation.rs", 1)[0],
    }
    checked = check(fsync, good[fsync.name][0], bad) + check(haproxy, good[fsync.name][0], bad)
    # The other issuer's token has another key too; that the name alone is looked at is shown by asking for another one.
    if answer(stranger, good[fsync.name][0]) == 200:
        raise RuntimeError("haproxy does not look at the issuer")
    stranger.stop()

    lists = {name: write_tokens(folder, f"good-{name}", all_of_it) for name, all_of_it in good.items()}
    lists["nginx"] = lists["haproxy"] = lists[fsync.name]
    out = [heading(options, checked)]
    if options.only in (None, "reads"):
        order = [nginx, haproxy, fsync, system]
        reads = rounds(order, lists, 64, options)
        out.append(section("A FHIR read of 1.4 KiB, RS256, %d tokens in turn, 64 connections" % options.tokens,
                           order, reads, [("nginx", fsync.name), ("haproxy", fsync.name), ("nginx", system.name),
                                          ("haproxy", system.name)]))
        wide = rounds([fsync, system], lists, 256, options)
        out.append(section("The same, 256 connections", [fsync, system], wide, [(system.name, fsync.name)]))
        busy = {server.name: server.memory("VmHWM") for server in order}
        if options.many_tokens:
            many = tokens.mint(fsync.port, clients[fsync.name], SCOPE, options.many_tokens)
            lists["haproxy"] = lists["nginx"] = lists[fsync.name] = write_tokens(folder, "many", many)
            misses = rounds([nginx, haproxy, fsync], lists, 64, options)
            title = f"The same, {options.many_tokens} tokens in turn: more than are remembered, so each is verified anew"
            out.append(section(title, [nginx, haproxy, fsync], misses, [("nginx", fsync.name), ("haproxy", fsync.name)]))
        out.append(resources(order, idle, busy, starts))
    if options.only in (None, "tokens"):
        out.append(issuing(folder, options, fsync, clients[fsync.name]))
    if options.only in (None, "jwt") and options.jwt_binary.is_file():
        out.append(jwt(options))
    return "\n".join(out)


def short_lived(gate, client):
    """A token that has expired by the time that it is used."""
    gate.environment["CHARTGATE_TOKENS__ACCESS_TOKEN_TTL"] = "1s"
    gate.start()
    token = tokens.mint(gate.port, client, SCOPE, 1)[0]
    gate.stop()
    gate.environment["CHARTGATE_TOKENS__ACCESS_TOKEN_TTL"] = "1h"
    return token


def started(server, times=5):
    """Milliseconds from start to the first answer: median, smallest, largest. Leaves it running."""
    taken = []
    for _ in range(times):
        server.stop()
        taken.append(server.start() * 1000)
    return statistics.median(taken), min(taken), max(taken)


def signing_key(port, token):
    kid = json.loads(tokens.unb64(token.split(".")[0]))["kid"]
    return tokens.public_key(port)[kid]


def answer(server, token):
    connection = tokens.connect(server.port)
    headers = {"Accept": "application/fhir+json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("GET", PATH, headers=headers)
    response = connection.getresponse()
    body = response.read()
    if response.status == 200 and len(body) != targets.SIZE:
        raise RuntimeError(f"{server.name}: a body of {len(body)} bytes")
    return response.status


def check(server, good, bad):
    """Nothing counts of a server that answers wrongly."""
    if (found := answer(server, good)) != 200:
        raise RuntimeError(f"{server.name}: {found} to a good token")
    lines = []
    for what, token in bad.items():
        found = answer(server, token)
        if found not in (401, 403):
            raise RuntimeError(f"{server.name}: {found} to a token that is bad ({what})")
        lines.append(f"{what} {found}")
    return [f"{server.name}: good 200, {', '.join(lines)}"]


def write_tokens(folder, name, all_of_it):
    path = folder / f"{name}.txt"
    path.write_text("\n".join(all_of_it) + "\n")
    return path


def wrk(server, connections, seconds, path, words):
    """One measurement: what the load generator saw, and what the server spent on it."""
    before = server.cpu()
    done = subprocess.run(
        ["taskset", "-c", str(LOAD), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "load.lua"),
         f"https://localhost:{server.port}{path}", "--", *map(str, words)],
        capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["cpu_us"] = (server.cpu() - before) * 1e6 / max(1, result["requests"])
    result["rate"] = result["requests"] / result["seconds"]
    return result


def rounds(order, lists, connections, options):
    """Each server in turn, every second round in reverse. A short run before, to fill pools and caches."""
    for server in order:
        wrk(server, connections, 2, PATH, ["tokens", lists[server.name]])
    results = {server.name: [] for server in order}
    for number in range(options.rounds):
        for server in order if number % 2 == 0 else reversed(order):
            result = wrk(server, connections, options.seconds, PATH, ["tokens", lists[server.name]])
            results[server.name].append(result)
            print(f"round {number + 1} {server.name}: {result['rate']:.0f}/s, {result['cpu_us']:.1f} us CPU", file=sys.stderr)
    return results


def spread(values, digits=2):
    """Median with smallest and largest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def section(title, order, results, pairs):
    lines = [f"## {title}", "", "| | requests/s | µs CPU a request | p50 ms | p99 ms | answers other than 200 |",
             "|---|---|---|---|---|---|"]
    for server in order:
        found = results[server.name]
        column = {key: [result[key] for result in found] for key in found[0]}
        wrong = sum(column["bad"]) + sum(column["broken"])
        lines.append(f"| {server.name} | {spread(column['rate'], 0)} | {spread(column['cpu_us'], 1)} | "
                     f"{spread(column['p50_ms'])} | {spread(column['p99_ms'])} | {wrong} |")
    lines += ["", "| ratio | requests/s | CPU a request |", "|---|---|---|"]
    for peer, ours in pairs:
        both = list(zip(results[ours], results[peer]))
        rate = [a["rate"] / b["rate"] for a, b in both]
        cpu = [a["cpu_us"] / b["cpu_us"] for a, b in both]
        lines.append(f"| {ours} / {peer} | **{spread(rate)}** | {spread(cpu)} |")
    return "\n".join(lines) + "\n"


def resources(order, idle, busy, starts):
    lines = ["## Memory and start", "", "| | MiB idle | MiB at most, 256 connections | ms from start to first answer |",
             "|---|---|---|---|"]
    for server in order:
        median, least, most = starts[server.name]
        lines.append(f"| {server.name} | {idle[server.name]:.0f} | {busy[server.name]:.0f} | "
                     f"{median:.0f} ({least:.0f}–{most:.0f}) |")
    return "\n".join(lines) + "\n"


def issuing(folder, options, gate, client):
    """client_credentials: a signature, a durable record, no peer."""
    headers, body = tokens.form(client, SCOPE)
    path = folder / "form.txt"
    path.write_text(body)
    words = ["form", path, headers["Authorization"]]
    wrk(gate, 64, 2, "/token", words)
    found = [wrk(gate, 64, options.seconds, "/token", words) for _ in range(options.rounds)]
    wrong = sum(result["bad"] + result["broken"] for result in found)
    return ("## Issuing: client_credentials, RS256, 64 connections\n\n"
            f"{spread([r['rate'] for r in found], 0)} tokens/s on one core, {spread([r['cpu_us'] for r in found], 0)} µs CPU "
            f"each, p99 {spread([r['p99_ms'] for r in found])} ms; answers other than 200: {wrong}. No peer was measured.\n")


def jwt(options):
    words = ["taskset", "-c", str(PROXY), options.jwt_binary]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    lines = ["## Tokens, beside `jsonwebtoken` 11 on the same aws-lc", "",
             "| | ours µs | jsonwebtoken µs | times as fast |", "|---|---|---|---|"]
    for name, result in found.items():
        lines.append(f"| {name} | {result['ours_us']:.1f} | {result['peer_us']:.1f} | "
                     f"**{result['ratio']:.2f}** ({result['min']:.2f}–{result['max']:.2f}) |")
    return "\n".join(lines) + "\n"


def heading(options, checked):
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    version = lambda *words: subprocess.run(words, capture_output=True, text=True)
    nginx = version("nginx", "-v").stderr.strip().split("/")[-1]
    haproxy = version("haproxy", "-v").stdout.split()[2]
    load = os.getloadavg()[0]
    checks = "\n".join(f"- {line}" for line in checked)
    return f"""# Results

Written by `make bench`; how it measures: [README.md](README.md). Figures are the median of {options.rounds} rounds of {options.seconds} s, with the smallest and largest.

{model}, {os.cpu_count()} cores, Linux {platform.release()}; nginx {nginx}, HAProxy {haproxy}, wrk 4.1; TLS 1.3 throughout. Load average when it began: {load:.1f} (other work on the machine makes figures worse and ratios wider).

Checked before anything was measured:
{checks}

HAProxy's log is a file that nothing waits for; Chartgate's is on the disk before the answer leaves (`fsync`), or with the operating system (`os`). Chartgate remembers what a token's signature proved; expiry, revocation, session and policy are looked at for each request.
"""


if __name__ == "__main__":
    main()
