"""People at the sign-in page: how many get in when 64 come at once, what that takes, who else waits for it, what the page
weighs, and how soon somebody can type."""

import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import absent
import sign_in
import targets
import tokens
from issuing import USER
from report import spread
from stage import PATH, SCOPE

HERE = Path(__file__).resolve().parent
AT_ONCE = 64
PEOPLE = 16
PASSWORD = "a-password-for-the-bench-alone"
ALONE = 2  # seconds of reads while nobody signs in
PLAYWRIGHT = HERE.parent / "crates/server/tests/chromium/node_modules/playwright-core"


def measure(stage, report):
    gate = targets.chartgate(stage.folder, stage.options.binary, stage.upstream.port, "chartgate-people")
    reader = targets.add_client(gate, "bench", SCOPE)
    client = targets.add_client(gate, "app", USER, grants=("authorization_code", "refresh_token"),
                                redirect_uri=sign_in.REDIRECT_URI)
    people = [(f"person{number}", PASSWORD) for number in range(PEOPLE)]
    for person in people:
        targets.add_person(stage.folder, gate, *person)
    stage.servers.append(gate)
    gate.start()
    apps = [sign_in.App(gate, "/authorize", client, USER, {"aud": gate.audience}, person) for person in people]
    apps[0].tokens()
    report.add(signing_in(stage, gate, apps, tokens.mint(gate.port, reader, SCOPE, 1)[0]))
    report.add(page(gate, client))
    gate.stop()


def signing_in(stage, gate, apps, token):
    rates, cpu, most, alone, beside = [], [], [], [], []
    before = gate.memory()
    for number in range(stage.options.rounds):
        with Reading(gate, token) as reading:
            time.sleep(ALONE)
        alone.append(reading.percentiles())
        absent.reset(gate)
        spent = gate.cpu()
        with Reading(gate, token) as reading, ThreadPoolExecutor(AT_ONCE) as pool:
            begun = time.perf_counter()
            list(pool.map(lambda n: apps[n % len(apps)].tokens(), range(AT_ONCE)))
            took = time.perf_counter() - begun
        beside.append(reading.percentiles())
        rates.append(AT_ONCE / took)
        # What the reads take is little beside hashing, and is left in.
        cpu.append((gate.cpu() - spent) * 1000 / AT_ONCE)
        most.append(gate.memory("VmHWM"))
        print(f"round {number + 1} {gate.name}: {rates[-1]:.1f} sign-ins/s, {most[-1]:.0f} MiB", file=sys.stderr)
    lines = [f"## Signing in, {AT_ONCE} at once", "",
             f"Each through the pages and the authorization code flow to its tokens, with a password (Argon2id, "
             f"{parameters(gate)}), on one core; meanwhile one connection reads a record again and again.", "",
             "| sign-ins/s | ms CPU each | MiB before | MiB at most |", "|---|---|---|---|",
             f"| {spread(rates, 1)} | {spread(cpu, 0)} | {before:.0f} | {spread(most, 0)} |", "",
             "| a read | p50 ms | p99 ms |", "|---|---|---|"]
    for what, found in (("while nobody signs in", alone), (f"while {AT_ONCE} do", beside)):
        lines.append(f"| {what} | {spread([one[0] for one in found])} | {spread([one[1] for one in found])} |")
    return "\n".join(lines) + "\n"


def parameters(gate):
    """As they stand in a stored hash."""
    store = next(gate.root.rglob("chartgate.db*"))
    found = re.search(rb"\$argon2id\$v=\d+\$m=(\d+),t=(\d+),p=(\d+)", b"".join(
        path.read_bytes() for path in sorted(store.parent.glob("chartgate.db*"))))
    memory, passes, lanes = (int(number) for number in found.groups())
    return f"{memory / 1024:.0f} MiB, {passes} passes, {lanes} lane"


class Reading:
    """Reads over one connection from here to the end, and remembers how long each took."""

    def __init__(self, gate, token):
        self.gate, self.token, self.taken, self.ends, self.failed = gate, token, [], threading.Event(), None
        self.thread = threading.Thread(target=self.read)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        if self.failed:
            raise self.failed

    def read(self):
        try:
            self.read_on()
        except (OSError, RuntimeError) as failed:
            self.failed = failed

    def read_on(self):
        connection = tokens.connect(self.gate.port)
        while not self.ends.is_set():
            begun = time.perf_counter()
            status, _ = absent.ask(connection, PATH, self.token)
            if status != 200:
                raise RuntimeError(f"{self.gate.name}: {status}")
            self.taken.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.005)

    def percentiles(self):
        return absent.percentile(self.taken, 50), absent.percentile(self.taken, 99)


def page(gate, client):
    address = authorize(gate, client)
    browser = sign_in.Browser(gate.port)
    _, text = browser.send("GET", address)
    parts = {"the page itself": len(text.encode())}
    for path in sorted(set(re.findall(r'(?:src|href)="(/[^"?#]+\.(?:css|js|svg|png|ico|webmanifest))"', text))):
        _, content = browser.send("GET", path)
        parts[f"`{path.rsplit('/', 1)[1]}`"] = len(content.encode())
    lines = ["## The sign-in page", "",
             "Bytes, without HTTP's own; nothing is compressed, and styles and scripts are kept by the browser.", "",
             "| | bytes |", "|---|---|", *(f"| {name} | {size:,} |" for name, size in parts.items()),
             f"| together | {sum(parts.values()):,} |", ""]
    return "\n".join(lines + in_chromium(address))


def authorize(gate, client):
    query = {"response_type": "code", "client_id": client["client_id"], "redirect_uri": sign_in.REDIRECT_URI,
             "scope": USER, "state": "bench", "code_challenge": "A" * 43, "code_challenge_method": "S256",
             "aud": gate.audience}
    return f"{gate.issuer}/authorize?{urllib.parse.urlencode(query)}"


def in_chromium(address):
    node, chromium = shutil.which("node"), shutil.which("chromium")
    if not (node and chromium and PLAYWRIGHT.is_dir()):
        print("node, chromium or playwright-core is not there, so when one can type is left out: `make test` has them",
              file=sys.stderr)
        return []
    done = subprocess.run([node, HERE / "page.mjs", PLAYWRIGHT, chromium, address], capture_output=True, text=True, check=True)
    visits = json.loads(done.stdout)

    def told(key):
        return spread([visit[key] for visit in visits], 0)

    return [f"In {visits[0]['browser']}, headless, with nothing kept, {len(visits)} visits on the same machine:", "",
            "| ms from the navigation's start to | first paint | a page that takes input | everything there |",
            "|---|---|---|---|", f"| | {told('painted')} | {told('interactive')} | {told('loaded')} |", ""]
