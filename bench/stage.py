"""Everything that is up at once: the upstream, the proxies, clients and tokens; and the check that they answer rightly."""

import time

import fhir
import targets
import tokens

SCOPE = "system/Patient.rs"
PATH = "/fhir/Patient/bench"
# Seconds after which a server that was started counts as idle.
REST = 2


class Stage:
    """Started and checked. Whatever runs is in `servers`, for whoever ends it."""

    def __init__(self, options, folder, servers, report):
        self.options, self.folder, self.servers = options, folder, servers
        self.starts, self.idle, self.busy = {}, {}, {}
        self.upstream = targets.upstream(folder)
        servers.append(self.upstream)
        self.upstream.start()
        self.gates = [
            targets.chartgate(folder, options.binary, self.upstream.port, f"chartgate-{durability}", durability)
            for durability in ("fsync", "os")
        ]
        self.fsync, self.system = self.gates
        self.clients = {gate.name: targets.add_client(gate, "bench", SCOPE) for gate in self.gates}
        self.whole = targets.add_client(self.fsync, "whole", fhir.SCOPE)
        elsewhere = targets.add_client(self.fsync, "elsewhere", SCOPE, f"{self.fsync.issuer}/other")
        narrow = targets.add_client(self.fsync, "narrow", "system/Observation.rs")
        bad = {"expired": self.short_lived()}
        for gate in self.gates:
            self.start(gate)
        good = {gate.name: self.mint(gate, options.tokens) for gate in self.gates}
        token = good[self.fsync.name][0]
        self.key = tokens.public_key(self.fsync.port, token)
        self.nginx = targets.nginx(folder, self.fsync.root / "tls", self.upstream.port)
        self.haproxy = self.haproxy_for(self.fsync.issuer)
        for server in (self.nginx, self.haproxy):
            self.start(server)
        bad |= {
            **tokens.forgeries(token, self.key),
            "another issuer's": good[self.system.name][0],
            "for another audience": tokens.mint(self.fsync.port, elsewhere, SCOPE, 1)[0],
            "without the scope": tokens.mint(self.fsync.port, narrow, "system/Observation.rs", 1)[0],
        }
        report.checked += [check(server, token, bad) for server in (self.fsync, self.haproxy)]
        self.check_issuer(token)
        self.lists = {name: self.write_tokens(f"good-{name}", some) for name, some in good.items()}
        self.lists["nginx"] = self.lists["haproxy"] = self.lists[self.fsync.name]
        self.token = token

    def start(self, server):
        """Several times, to know how long it takes; then looks at what it needs once it has done nothing for a while."""
        self.servers.append(server)
        self.starts[server.name] = server.started()
        time.sleep(REST)
        self.idle[server.name] = server.memory()

    def mint(self, gate, count):
        return tokens.mint(gate.port, self.clients[gate.name], SCOPE, count)

    def mint_whole(self, count):
        """Of a client that reads and writes all types."""
        return tokens.mint(self.fsync.port, self.whole, fhir.SCOPE, count)

    def short_lived(self):
        """A token that has expired by the time that it is used."""
        gate, ttl = self.fsync, "CHARTGATE_TOKENS__ACCESS_TOKEN_TTL"
        usual = gate.environment[ttl]
        gate.environment[ttl] = "1s"
        try:
            gate.start()
            return self.mint(gate, 1)[0]
        finally:
            gate.stop()
            gate.environment[ttl] = usual

    def haproxy_for(self, issuer, name="haproxy"):
        return targets.haproxy(
            self.folder, self.fsync.root / "tls", self.upstream.port, self.key, issuer, self.fsync.audience, name)

    def check_issuer(self, token):
        """The other issuer's token has another key too; that HAProxy looks at the name is shown by asking for another."""
        stranger = self.haproxy_for("https://other.example", "haproxy-other-issuer")
        self.servers.append(stranger)
        stranger.start()
        if answer(stranger, token) == 200:
            raise RuntimeError("haproxy does not look at the issuer")
        stranger.stop()

    def write_tokens(self, name, some):
        path = self.folder / f"{name}.txt"
        path.write_text("\n".join(some) + "\n")
        return path


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
    refused = []
    for what, token in bad.items():
        found = answer(server, token)
        if found not in (401, 403):
            raise RuntimeError(f"{server.name}: {found} to a token that is bad ({what})")
        refused.append(f"{what} {found}")
    return f"{server.name}: good 200, {', '.join(refused)}"
