"""What is measured, each set up as anybody would set it up."""

import json
import os
import re
import secrets
from pathlib import Path

import absent
import fhir
from server import LOAD, PROXY, Server, free_port, run

HERE = Path(__file__).resolve().parent
PATIENT = {
    "resourceType": "Patient",
    "id": "bench",
    "meta": {"versionId": "3", "lastUpdated": "2026-03-01T09:30:00Z"},
    "active": True,
    "identifier": [
        {"use": "official", "system": "https://clinic.example/mrn", "value": "M482913"},
        {"use": "secondary", "system": "https://payer.example/member", "value": "XB-2291-77"},
    ],
    "name": [{"use": "official", "family": "Lindqvist", "given": ["Amara", "Ruth"], "prefix": ["Ms."]}],
    "telecom": [
        {"system": "phone", "value": "+1 555 0100", "use": "home"},
        {"system": "email", "value": "amara@example.org", "use": "work"},
    ],
    "gender": "female",
    "birthDate": "1974-06-11",
    "address": [{"use": "home", "line": ["12 Harbour Street"], "city": "Springfield", "postalCode": "01101"}],
    "managingOrganization": {"reference": "Organization/clinic"},
}
SIZE = 1434  # bytes of the whole resource: 1.4 KiB


def upstream(folder):
    """nginx with a static Patient, and answers that are the same for every search and transaction."""
    root = folder / "upstream"
    (root / "fhir/Patient").mkdir(parents=True)
    filler = {"extension": [{"url": "https://clinic.example/note", "valueString": ""}]}
    missing = SIZE - len(json.dumps({**PATIENT, **filler}))
    filler["extension"][0]["valueString"] = "x" * missing
    text = json.dumps({**PATIENT, **filler})
    assert len(text) == SIZE
    (root / "fhir/Patient/bench").write_text(text)
    # Nothing is read of a server that does not say its version.
    said = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
    (root / "fhir/metadata").write_text(json.dumps(said))
    (root / "fhir/Observation").mkdir()
    for name, answer in {**fhir.files(PATIENT), **absent.files()}.items():
        (root / name).write_text(answer)
    port = free_port()
    config = root / "nginx.conf"
    config.write_text(f"""
worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; open_file_cache max=10;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  client_max_body_size 16m;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {root};
    types {{ }} default_type application/fhir+json;
    location = /fhir/Observation {{ try_files /search-$arg_code.json /search.json =404; }}
    location ~ ^/fhir/Patient/bench/.everything$ {{ try_files /everything.json =404; }}
    location = /fhir {{ error_page 405 =200 /transaction.json; return 405; }}
  }}
}}
""")
    os.chmod(root, 0o755)
    return Server("upstream", ["nginx", "-p", str(root), "-c", str(config)], LOAD, root / "log", port, tls=False)


def nginx(folder, tls, behind):
    """A plain proxy: checks nothing."""
    root = folder / "nginx"
    root.mkdir()
    port = free_port()
    config = root / "nginx.conf"
    config.write_text(f"""
worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {root}/access.log; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {tls}/cert.pem; ssl_certificate_key {tls}/key.pem; ssl_protocols TLSv1.3;
    location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")
    command = ["nginx", "-p", str(root), "-c", str(config)]
    return Server("nginx", command, PROXY, root / "log", port)


def haproxy(folder, tls, behind, key, issuer, audience, name="haproxy"):
    """Checks signature, issuer, audience, expiry and scope."""
    root = folder / name
    root.mkdir()
    port = free_port()
    (root / "pem").write_text((tls / "cert.pem").read_text() + (tls / "key.pem").read_text())
    (root / "key.pem").write_text(key)
    config = root / "haproxy.cfg"
    config.write_text(f"""
global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
  tune.bufsize 16384
defaults
  mode http
  log global
  option httplog
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 600s
frontend gate
  bind 127.0.0.1:{port} ssl crt {root}/pem ssl-min-ver TLSv1.3 alpn http/1.1
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
  http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
  http-request set-var(txn.scope) http_auth_bearer,jwt_payload_query('$.scope')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int le 0 }}
  http-request deny deny_status 403 unless {{ var(txn.scope) -m reg (^|\\s)system/Patient\\.c?r }}
  http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,"{root}/key.pem") -m int 1 }}
  default_backend behind
backend behind
  http-reuse always
  server behind 127.0.0.1:{behind}
""")
    return Server(name, ["haproxy", "-db", "-f", str(config)], PROXY, root / "log", port)


def chartgate(folder, binary, behind, name, durability="fsync", algorithm="RS256"):
    """An installation made as anybody would make one: `init`, a route, `serve`."""
    root = folder / name
    port = free_port()
    issuer = f"https://localhost:{port}"
    run(binary, "init", "--dir", root, "--issuer", issuer)
    config = root / "chartgate.toml"
    text = config.read_text()
    text = re.sub(r'https\s+= ".*"', f'https = "127.0.0.1:{port}"', text)
    text = re.sub(r'metrics = ".*"\n', "", text)
    text += f"""
[[route]]
name     = "fhir"
kind     = "fhir"
path     = "/fhir"
upstream = "http://127.0.0.1:{behind}/fhir"

[[route]]
name     = "other"
kind     = "fhir"
path     = "/other"
upstream = "http://127.0.0.1:{behind}/fhir"
"""
    config.write_text(text)
    (root / "policies/bench.cedar").write_text("""
@id("bench-change")
permit (principal is Chartgate::Client in Chartgate::Role::"service", action in Chartgate::Action::"change",
        resource is Chartgate::Record);
""")
    environment = {
        "CHARTGATE_AUDIT__DURABILITY": durability,
        "CHARTGATE_TOKENS__SIGNING_ALGORITHM": algorithm,
        "CHARTGATE_TOKENS__ACCESS_TOKEN_TTL": "1h",
        "RUST_LOG": "warn",
    }
    server = Server(name, [str(binary), "--config", str(config), "serve"], PROXY, root / "log", port, environment)
    server.root, server.issuer, server.config, server.audience = root, issuer, config, f"{issuer}/fhir"
    return server


def add_client(server, name, scope, audience=None, grants=("client_credentials",), redirect_uri=None):
    """A client of Chartgate's that proves itself with a secret, as printed once by `client add`."""
    words = ["client", "add", name, "--kind", "confidential", "--scope", scope, "--audience", audience or server.audience]
    words += [word for grant in grants for word in ("--grant", grant)]
    words += ["--redirect-uri", redirect_uri] if redirect_uri else ["--role", "service"]
    return json.loads(run(server.command[0], "--config", server.config, *words))


def add_person(folder, server, name, password):
    path = folder / "password"
    path.write_text(password + "\n")
    run(server.command[0], "--config", server.config, "user", "add", name, "--role", "physician", "--password-file", path)


def oidc_provider(folder, tls, redirect_uri):
    """A certified authorization server, for issuing. Its first start makes its keys, so that no later one has to."""
    node = next((HERE / "oidc_provider/node_modules").glob("node-linux-*/bin/node"), None)
    if node is None:
        return None
    root = folder / "oidc-provider"
    root.mkdir()
    port = free_port()
    issuer = f"https://localhost:{port}"
    client = {"client_id": "bench", "client_secret": secrets.token_urlsafe(32)}
    config = root / "config.json"
    config.write_text(json.dumps({
        "issuer": issuer, "port": port, "tls": str(tls), "keys": str(root / "keys.json"), "redirect_uri": redirect_uri,
        "client": client, "resources": {algorithm: f"{issuer}/{algorithm}" for algorithm in ("RS256", "ES256", "opaque")},
    }))
    command = [str(node), str(HERE / "oidc_provider/server.mjs"), str(config)]
    server = Server("oidc-provider", command, PROXY, root / "log", port, {"NODE_ENV": "production"})
    server.issuer, server.client, server.node = issuer, client, node
    return server
