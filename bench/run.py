"""Chartgate beside its peers on one machine. See README.md; writes RESULTS.md."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import absent
import fhir
import latency
import load
import people
import reads
import resources
import searching
from issuing import Issuing
from report import Report, version
from stage import Stage

HERE = Path(__file__).resolve().parent
PARTS = ("reads", "fhir", "absent", "latency", "issuing", "people", "searching", "audit", "jwt")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    jwt = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "jwt/target"))
    parser.add_argument("--binary", type=Path, default=target / "dist/chartgate")
    parser.add_argument("--jwt-binary", type=Path, default=jwt / "release/jwt-bench")
    parser.add_argument("--append-rate", type=Path, default=target / "dist/examples/append_rate")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--many-tokens", type=int, default=100000, help="more than are remembered; 0 leaves this out")
    parser.add_argument("--records", type=int, default=1000000, help="in the log that is searched")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some parts")
    parser.add_argument("--out", type=Path, help="RESULTS.md, if all parts are measured")
    return parser.parse_args()


def main():
    options = arguments()
    if not options.binary.is_file():
        sys.exit(f"there is no {options.binary}: make dist")
    with tempfile.TemporaryDirectory(prefix="chartgate-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers = []
        try:
            text = measure(options, folder, servers)
        finally:
            for server in servers:
                server.stop()
    out = options.out or (HERE / "RESULTS.md" if set(options.only) == set(PARTS) else None)
    if out:
        out.write_text(text)
    print(text)


def measure(options, folder, servers):
    """Everything, in order; gives the report."""
    report = Report(options)
    stage = Stage(options, folder, servers, report)
    # All targets are up before the first is measured.
    issuing = Issuing(stage) if "issuing" in options.only else None
    closed = reads.measure(stage, report) if "reads" in options.only else None
    if "fhir" in options.only:
        fhir.measure(stage, report)
    if "absent" in options.only:
        absent.measure(stage, report)
    if "latency" in options.only and has(oha := load.find_oha(), "oha"):
        latency.measure(stage, report, oha, closed)
    if issuing:
        if not issuing.peer:
            has(None, "oidc-provider")
        issuing.measure(report)
    if "people" in options.only:
        people.measure(stage, report)
    resources.memory_and_start(stage, report)
    if "searching" in options.only:
        searching.measure(stage, report)
    for server in servers:
        server.stop()
    if "audit" in options.only and has(options.append_rate, "append_rate"):
        resources.audit(stage, report, options.append_rate)
    if "jwt" in options.only and has(options.jwt_binary, "jwt-bench"):
        resources.jwt(report, options.jwt_binary)
    return report.text(versions(issuing, load.find_oha()), disk(folder))


def has(program, name):
    """What is missing is said, and left out."""
    found = program is not None and os.access(program, os.X_OK)
    if not found:
        print(f"{name} is not there, so what needs it is left out: `make bench` has it", file=sys.stderr)
    return found


def versions(issuing, oha):
    found = [f"nginx {version('nginx', '-v').split('/')[-1]}", f"HAProxy {version('haproxy', '-v').split()[2]}",
             f"wrk {version('wrk', '-v').split()[1]}"]
    if oha:
        found.append(version(oha, "--version"))
    if issuing and issuing.peer:
        found.append(issuing.versions())
    return ", ".join(found)


def disk(folder):
    """The file system that has the logs: one in memory would make every sync free."""
    words = ["df", "--output=fstype", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]


if __name__ == "__main__":
    main()
