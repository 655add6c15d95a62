"""A receiver of exports over HTTPS, which believes nothing: it checks each batch with what others publish for its format, keeps
what is good, one JSON object a line, and refuses the rest.

    receiver.py FOLDER PORT

FOLDER has server.pem and server.key; what was kept goes to FOLDER/received-PATH."""

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


class Disliked(Exception):
    """It is not taken, in a way of its own: a status, or `close`."""


def ocsf(headers, body):
    """Signed as Standard Webhooks has it; each event by the JSON Schema that ocsf-json-schema makes of OCSF's own."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected, headers.get("webhook-signature", "")):
        raise Refused("signature")
    events = json.loads(body)
    for event in events:
        disliked = os.path.join(FOLDER, "disliked-" + event["metadata"]["event_code"])
        if os.path.exists(disliked):
            with open(disliked, encoding="utf-8") as way:
                raise Disliked(way.read())
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


def otlp(headers, body):
    """Read by the Protocol Buffers of opentelemetry-proto, which refuse unknown members and wrong types."""
    from google.protobuf import json_format
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = json_format.Parse(body, ExportLogsServiceRequest())
    kept = []
    for resource in request.resource_logs:
        names = {attribute.key for attribute in resource.resource.attributes}
        if not {"service.name", "host.name"} <= names:
            raise Refused("resource")
        for scope in resource.scope_logs:
            for record in scope.log_records:
                attributes = {one.key: one.value for one in record.attributes}
                if len(attributes) != len(record.attributes):
                    raise Refused("an attribute twice")
                if not record.time_unix_nano or not record.event_name.startswith("chartgate."):
                    raise Refused("a record without time or name")
                if record.severity_number not in (9, 13, 17) or not record.body.string_value:
                    raise Refused("severity or body")
                kept.append({"index": attributes["chartgate.index"].int_value, "event": record.event_name,
                             "patients": [p.string_value for p in
                                          attributes["chartgate.patients"].array_value.values]
                             if "chartgate.patients" in attributes else []})
    return kept


def fhir(headers, body):
    """AuditEvents by the models of fhir.resources, and those that name a pattern of IHE BALP by its table (AUDIT.md 3.1)."""
    from fhir.resources.R4B.auditevent import AuditEvent

    bundle = json.loads(body)
    if bundle["resourceType"] != "Bundle" or bundle["type"] != "batch":
        raise Refused("no batch")
    kept = []
    for entry in bundle["entry"]:
        if entry["request"] != {"method": "POST", "url": "AuditEvent"}:
            raise Refused("request")
        event = entry["resource"]
        AuditEvent.model_validate(event)
        profile = event.get("meta", {}).get("profile", [""])[0].rsplit(".", 1)[-1]
        if profile:
            balp(event, profile)
        index = next(e["what"]["identifier"] for e in event["entity"]
                     if e.get("what", {}).get("identifier", {}).get("system", "").endswith("/audit"))
        patients = [e["what"] for e in event["entity"] if e["type"]["code"] == "1"]
        # One entry that is not taken, beside others that are.
        disliked = os.path.exists(os.path.join(FOLDER, "disliked-entry")) and '"audit.hold"' in json.dumps(event)
        kept.append({"index": int(index["value"]), "profile": profile, "patients": patients,
                     "outcome": event["outcome"], "status": "422" if disliked else "201 Created"})
    return kept


# pattern: action, subtypes, type of the client's agent, of ours, of the person's
BALP = {
    "Create": ("C", {"create"}, "110153", "110152", {"AUT", "INF", "CST"}),
    "Read": ("R", {"read", "vread"}, "110152", "110153", {"IRCP"}),
    "Update": ("U", {"update", "patch"}, "110153", "110152", {"AUT", "INF", "CST"}),
    "Delete": ("D", {"delete"}, "110150", None, {"AUT", "INF", "CST"}),
    "Query": ("E", {"search", "search-type", "search-system"}, "110153", "110152", {"IRCP"}),
}


def balp(event, profile):
    about_patient = profile.startswith("Patient")
    action, subtypes, client, own, person = BALP[profile.removeprefix("Patient")]
    codes = [agent["type"]["coding"][0]["code"] for agent in event["agent"]]
    checks = {
        "type": event["type"]["code"] == "rest",
        "subtype": bool({subtype["code"] for subtype in event["subtype"]} & subtypes),
        "action": event["action"] == action,
        "outcome": event["outcome"] == "0",
        "client": codes.count(client) == 1 and codes[0] == client,
        "server": own is None or codes.count(own) == 1,
        "network": all("network" in agent for agent in event["agent"][:2]),
        # One person at the most, and those that act for them, of whom the pattern says nothing.
        "person": all("network" not in agent and (agent["requestor"] and code in person or code == "AGNT")
                      for agent, code in zip(event["agent"][2:], codes[2:])) and
                  len([code for code in codes if code in person]) <= 1,
        "source": "observer" in event["source"],
        "patient": (len([e for e in event["entity"] if e["type"]["code"] == "1"
                         and e["role"]["code"] == "1"]) == 1) == about_patient,
        "transaction": len([e for e in event["entity"] if e["type"]["code"] == "XrequestId"]) <= 1,
    }
    # What was asked and what was read are known by their type, which is the same, and there is one of it.
    objects = [e for e in event["entity"] if e["type"]["code"] == "2"]
    checks["one object"] = len(objects) == 1
    if profile.endswith("Query"):
        checks["query"] = all(e["role"]["code"] == "24" and "query" in e and not {"what", "detail"} & set(e)
                              for e in objects)
    else:
        checks["data"] = all(e["role"]["code"] in {"3", "4", "20"} and "what" in e and "query" not in e
                             for e in objects)
    wrong = [name for name, holds in checks.items() if not holds]
    if wrong:
        raise Refused(f"{profile}: {wrong}")


KINDS = {"/ocsf": ocsf, "/otlp": otlp, "/fhir": fhir, "/pseudonyms": fhir}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            if self.headers.get("authorization") != TOKEN:
                return self.answer(401, b"")
            kind = KINDS[self.path]
            kept = kind(self.headers, body)
        except Disliked as way:
            if str(way) == "close":
                self.close_connection = True
                return None
            return self.answer(int(str(way)), b"")
        except Exception as error:  # whatever it is, it is not taken
            with open(os.path.join(FOLDER, "refused"), "a", encoding="utf-8") as refused:
                refused.write(f"{self.path}: {type(error).__name__}: {error}\n".replace("\n", " ")[:2000] + "\n")
            return self.answer(400, b"")
        with open(os.path.join(FOLDER, "received-" + self.path.strip("/")), "a", encoding="utf-8") as received:
            taken = [one for one in kept if one.get("status") != "422"]
            received.write("".join(json.dumps(one) + "\n" for one in taken))
            received.flush()
            os.fsync(received.fileno())
        self.answer(200, ANSWERS.get(kind.__name__, lambda _: b"")(kept))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ANSWERS = {
    "otlp": lambda _: b'{"partialSuccess":{}}',
    "fhir": lambda kept: json.dumps({"resourceType": "Bundle", "type": "batch-response",
                                     "entry": [{"response": {"status": one["status"]}} for one in kept]}).encode(),
}

server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(FOLDER, "server.pem"), os.path.join(FOLDER, "server.key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
