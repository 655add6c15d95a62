"""Issuing tokens and saying what they are worth, beside oidc-provider."""

import json
import subprocess
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import load
import sign_in
import targets
import tokens
from report import section, version

SYSTEM, USER = "system/Patient.rs", "user/Patient.rs"
PERSON = ("dana", "a-password-for-the-bench-alone")


class Issuing:
    """Two Chartgates, one for each algorithm, and the peer, which has both."""

    def __init__(self, stage):
        self.stage, self.options, self.folder = stage, stage.options, stage.folder
        self.rs256 = stage.fsync
        self.es256 = targets.chartgate(stage.folder, stage.options.binary, stage.upstream.port, "chartgate-es256",
                                       algorithm="ES256")
        self.peer = targets.oidc_provider(stage.folder, self.rs256.root / "tls", sign_in.REDIRECT_URI)
        self.clients = {
            self.rs256.name: stage.clients[self.rs256.name],
            self.es256.name: targets.add_client(self.es256, "bench", SYSTEM),
        }
        self.apps = {}
        for ours in (self.rs256, self.es256):
            grants = ("authorization_code", "refresh_token")
            self.apps[ours.name] = targets.add_client(ours, "app", USER, grants=grants, redirect_uri=sign_in.REDIRECT_URI)
            targets.add_person(stage.folder, ours, *PERSON)
        stage.start(self.es256)
        if self.peer:
            self.peer.start()  # makes its keys
            stage.start(self.peer)
            self.clients[self.peer.name] = self.peer.client

    def versions(self):
        package = json.loads((targets.HERE / "oidc_provider/node_modules/oidc-provider/package.json").read_text())
        return f"oidc-provider {package['version']} on Node {version(self.peer.node, '--version').lstrip('v')}"

    def measure(self, report):
        for algorithm, ours in (("RS256", self.rs256), ("ES256", self.es256)):
            order = [ours, *([self.peer] if self.peer else [])]
            forms = {server.name: self.form(server, algorithm) for server in order}
            report.checked += [self.check(server, algorithm, forms[server.name]) for server in order]
            for connections in (load.CONNECTIONS, 8, 1):
                key = f"issuing/{algorithm}" if connections == load.CONNECTIONS else None
                self.compare(report, f"client_credentials, {algorithm}", key, order,
                             lambda server: self.again(server, forms[server.name]), connections=connections)
            apps = {server.name: self.application(server, algorithm) for server in order}
            report.checked += [check_rotation(apps[server.name]) for server in order]
            self.compare(report, f"refresh with rotation, {algorithm}", f"issuing/refresh {algorithm}", order,
                         lambda server: self.chains(apps[server.name]))
        order = [self.rs256, *([self.peer] if self.peer else [])]
        forms = {server.name: {"token": self.asked_about(server)} for server in order}
        report.checked += [check_introspection(server, self.clients[server.name], forms[server.name]) for server in order]
        self.compare(report, "introspection", "issuing/introspection", order,
                     lambda server: self.again(server, forms[server.name]), introspection)

    def compare(self, report, title, key, order, words, path=lambda _: "/token", connections=load.CONNECTIONS):
        """`words` gives the load generator's words for a server, anew for each measurement."""
        results = load.rounds(order, self.options, lambda server, seconds: load.wrk(
            server, connections, seconds, path(server), words(server)))
        pairs = [(self.peer.name, order[0].name, key)] if self.peer else []
        self.stage.busy |= {server.name: server.memory("VmHWM") for server in order if server is not self.rs256}
        report.add(section(f"Issuing: {title}, {count(connections)}", order, results, pairs, report))

    def again(self, server, form):
        """The same form again and again."""
        path = self.write(server.name, urllib.parse.urlencode(form))
        return ["form", path, tokens.basic(self.clients[server.name])]

    def asked_about(self, server):
        """A token of the client that asks: a JWT of ours, an opaque one of the peer's, which introspects no others."""
        status, answer = tokens.ask(server.port, self.clients[server.name], self.form(server, "opaque"))
        if status != 200:
            raise RuntimeError(f"{server.name}: {status} {answer}")
        return answer["access_token"]

    def form(self, server, algorithm):
        form = {"grant_type": "client_credentials", "scope": SYSTEM}
        return {**form, "resource": self.audience(server, algorithm)}

    def audience(self, server, algorithm):
        return f"{server.issuer}/{algorithm}" if server is self.peer else server.audience

    def application(self, server, algorithm):
        """Somebody's application, the person whom it signs in, and where it sends them."""
        if server is self.peer:
            resource = {"resource": self.audience(server, algorithm)}
            return sign_in.App(server, "/auth", server.client, USER, resource, PERSON)
        return sign_in.App(server, "/authorize", self.apps[server.name], USER, {"aud": server.audience}, PERSON)

    def chains(self, app):
        """A signed-in person for each connection, and a few for wrk, which tries its first request out before it begins."""
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: app.tokens(), range(load.CONNECTIONS + 4)))
        path = self.write(f"chains-{app.server.name}", "".join(answer["refresh_token"] + "\n" for answer in answers))
        return ["chains", path, tokens.basic(app.client)]

    def write(self, name, text):
        path = self.folder / f"form-{name}"
        path.write_text(text)
        return path

    def check(self, server, algorithm, form):
        """A token that verifies to the right client, none to a wrong one."""
        client = self.clients[server.name]
        status, answer = tokens.ask(server.port, client, form)
        if status != 200:
            raise RuntimeError(f"{server.name}: {status} {answer}")
        if self.peer:
            verify(self.peer.node, {
                "token": answer["access_token"], "keys": tokens.key_set(server.port), "issuer": server.issuer,
                "audience": self.audience(server, algorithm), "algorithm": algorithm,
            })
        wrong, answer = tokens.ask(server.port, {**client, "client_secret": "wrong"}, form)
        if wrong != 401:
            raise RuntimeError(f"{server.name}: {wrong} to a wrong secret")
        verified = "a token that jose verifies" if self.peer else "a token"
        return f"{server.name}: client_credentials {algorithm} 200 with {verified}, wrong secret 401"


def introspection(server):
    return "/introspect" if hasattr(server, "audience") else "/token/introspection"


def count(connections):
    return f"{connections} connection{'s' if connections > 1 else ''}"


def check_introspection(server, client, form):
    """Active and the client's to the client, nothing to a stranger, and nothing of a token that is none."""
    def asked(client, form):
        return tokens.ask(server.port, client, form, path=introspection(server))

    status, answer = asked(client, form)
    if (status, answer.get("active"), answer.get("client_id")) != (200, True, client["client_id"]):
        raise RuntimeError(f"{server.name}: {status} {answer} to a good token")
    status, answer = asked(client, {"token": form["token"][:-4] + "AAAA"})
    if (status, answer) != (200, {"active": False}):
        raise RuntimeError(f"{server.name}: {status} {answer} to a token that is none")
    status, _ = asked({**client, "client_secret": "wrong"}, form)
    if status != 401:
        raise RuntimeError(f"{server.name}: {status} to a wrong secret")
    return f"{server.name}: introspection 200 and active, an altered token not active, wrong secret 401"


def check_rotation(app):
    """Each refresh gives another token, and one used twice is refused with all its family."""
    first = app.tokens()["refresh_token"]
    second = app.redeem(grant_type="refresh_token", refresh_token=first)["refresh_token"]
    third = app.redeem(grant_type="refresh_token", refresh_token=second)["refresh_token"]
    if len({first, second, third}) != 3:
        raise RuntimeError(f"{app.server.name}: a refresh token was not replaced")
    for used in (first, third):
        form = {"grant_type": "refresh_token", "refresh_token": used}
        status, answer = tokens.ask(app.server.port, app.client, form)
        if (status, answer.get("error")) != (400, "invalid_grant"):
            raise RuntimeError(f"{app.server.name}: {status} {answer} to a refresh token of a family that ended")
    return f"{app.server.name}: refresh 200 with another refresh token, one used again 400, its family ended with it"


def verify(node, what):
    done = subprocess.run([node, str(targets.HERE / "oidc_provider/verify.mjs")], input=json.dumps([what]),
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"a token does not verify: {done.stderr}")
