"""A receiver of exports over HTTPS, which believes nothing: it checks each batch with what others publish for its format, keeps
what is good, one JSON object a line, and refuses the rest.

    receiver.py FOLDER PORT

FOLDER has server.pem and server.key; what was kept goes to FOLDER/received-KIND."""

import base64
import hashlib
import hmac
import json
import os
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER, PORT = sys.argv[1], int(sys.argv[2])
SECRET = b"a secret of the webhook's own"
TOKEN = "Bearer the-collectors-token"


class Refused(Exception):
    pass


def ocsf(headers, body):
    """Signed as Standard Webhooks has it; each event by the JSON Schema that ocsf-json-schema makes of OCSF's own."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected, headers.get("webhook-signature", "")):
        raise Refused("signature")
    events = json.loads(body)
    for event in events:
        validator(event["class_uid"]).validate(event)
        if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
            raise Refused("type_uid")
    return events


VALIDATORS = {}


def validator(uid):
    if uid not in VALIDATORS:
        from jsonschema import Draft202012Validator
        from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded
        from ocsf_json_schema.loader import get_ocsf_schema

        schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.5.0"))
        schema = schemas.get_class_schema(schemas.lookup_class_name_from_uid(uid), [])
        VALIDATORS[uid] = Draft202012Validator(schema)
    return VALIDATORS[uid]


KINDS = {"/ocsf": ocsf}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            if self.headers.get("authorization") != TOKEN:
                return self.answer(401, b"")
            kind = KINDS[self.path]
            kept = kind(self.headers, body)
        except Exception as error:  # whatever it is, it is not taken
            with open(os.path.join(FOLDER, "refused"), "a", encoding="utf-8") as refused:
                refused.write(f"{self.path}: {type(error).__name__}: {error}\n".replace("\n", " ")[:2000] + "\n")
            return self.answer(400, b"")
        with open(os.path.join(FOLDER, "received-" + kind.__name__), "a", encoding="utf-8") as received:
            received.write("".join(json.dumps(one) + "\n" for one in kept))
            received.flush()
            os.fsync(received.fileno())
        self.answer(200, ANSWERS.get(kind.__name__, b""))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ANSWERS = {}

server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(FOLDER, "server.pem"), os.path.join(FOLDER, "server.key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
