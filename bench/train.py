"""Uses a demo as gateways are used, so that `cargo xtask dist` learns what is done often. Needs Python alone.

What is never done here is built small, not fast: whoever wants something fast has it done here.
"""

import http.client
import itertools
import json
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

import sign_in
import tokens

SECONDS = 30
START = 60
THREADS = 8
SCOPE = "system/*.rs"
# Two, for a name may be tried five times at once.
PEOPLE, OF_A_PERSON = ("dana", "nils"), "user/*.rs offline_access"
# A round of one connection: mostly reads, some searches, now and then a token, and somebody signed in who goes on.
READS, SEARCHES, ROUNDS_A_TOKEN, REFRESHES = 40, 2, 5, 5


class Program:
    """One connection of the demo's `demo-service`."""

    def __init__(self, ready, tls):
        self.ready = ready
        self.basic = {"Authorization": tokens.basic(client_of(ready, "demo-service"))}
        where = urlsplit(ready["issuer"])
        self.connection = http.client.HTTPSConnection(where.hostname, where.port, context=tls, timeout=30)
        said = self.ask("GET", "/.well-known/oauth-authorization-server")
        self.paths = {name: urlsplit(said[f"{name}_endpoint"]).path for name in ("token", "introspection")}

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return json.loads(content)

    def form(self, name, **fields):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", self.paths[name], urlencode(fields), self.basic | kind)

    def round(self, patients):
        token = self.form("token", grant_type="client_credentials", scope=SCOPE)["access_token"]
        if not self.form("introspection", token=token)["active"]:
            raise RuntimeError("a fresh token is not active")
        bearer = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
        for _ in range(ROUNDS_A_TOKEN):
            for patient in itertools.islice(patients, READS):
                self.ask("GET", f"/fhir/Patient/{patient}", headers=bearer)
            for patient in itertools.islice(patients, SEARCHES):
                self.ask("GET", f"/fhir/Observation?patient={patient}&_count=50", headers=bearer)


class Person:
    """Somebody who signed in, the records that they may see, and the application that goes on for them."""

    def __init__(self, ready, program, name):
        self.program = program
        own = next(one for one in ready["users"] if one["username"] == name)
        self.patients = itertools.cycle(own["patients"])
        server = SimpleNamespace(name="demo", port=urlsplit(ready["issuer"]).port)
        audience = {"aud": ready["fhir_base"]}
        self.app = sign_in.App(server, "/authorize", client_of(ready, "demo-web"), OF_A_PERSON, audience,
                               (name, own["password"]))
        self.refresh_token = self.app.tokens()["refresh_token"]

    def round(self):
        for _ in range(REFRESHES):
            given = self.app.redeem(grant_type="refresh_token", refresh_token=self.refresh_token)
            self.refresh_token = given["refresh_token"]
            bearer = {"Authorization": f"Bearer {given['access_token']}", "Accept": "application/fhir+json"}
            self.program.ask("GET", f"/fhir/Patient/{next(self.patients)}", headers=bearer)


def client_of(ready, name):
    return next(one for one in ready["clients"] if one["client_id"] == name)


def use(ready, tls, until, name, asked):
    program = Program(ready, tls)
    person = Person(ready, program, name)
    patients = itertools.cycle(ready["patients"])
    while time.monotonic() < until:
        program.round(patients)
        person.round()
        asked.append((READS + SEARCHES) * ROUNDS_A_TOKEN + 2 * REFRESHES)


def ready_of(demo, file):
    until = time.monotonic() + START
    while not file.is_file():
        if demo.poll() is not None or time.monotonic() > until:
            sys.exit("the demo does not start")
        time.sleep(0.1)
    return json.loads(file.read_text())


def main():
    binary = Path(sys.argv[1]).resolve()
    asked = [[] for _ in range(THREADS)]
    with tempfile.TemporaryDirectory(prefix="chartgate-train-") as name:
        file = Path(name) / "ready.json"
        words = [binary, "demo", "--dir", Path(name) / "demo", "--listen", "127.0.0.1:0", "--ready-file", file]
        demo = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ready = ready_of(demo, file)
            tls = ssl.create_default_context(cafile=ready["ca_file"])
            until = time.monotonic() + SECONDS
            users = [threading.Thread(target=use, args=(ready, tls, until, name, own))
                     for name, own in zip(itertools.cycle(PEOPLE), asked)]
            for user in users:
                user.start()
            for user in users:
                user.join()
            # What it counted it writes when it ends by itself.
            demo.send_signal(signal.SIGINT)
            if demo.wait(60) != 0:
                sys.exit("the demo did not end well")
        finally:
            if demo.poll() is None:
                demo.kill()
                demo.wait()
    # Whoever failed has said so and asked nothing more.
    if not all(asked):
        sys.exit("it was hardly used")
    print(f"{sum(sum(own) for own in asked)} requests")


if __name__ == "__main__":
    main()
