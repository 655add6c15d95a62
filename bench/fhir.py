"""What FHIR does besides a read: searches, transactions, everything of a patient; directly, through nginx, and decided on
record by record."""

import json
import statistics

import load
from report import section, spread

SCOPE = "system/*.cruds"
COUNT, ENTRIES, ALL = 50, 20, 500


def observation(number):
    """As measuring devices write them: about 1 KiB."""
    return {
        "resourceType": "Observation", "id": f"o{number}", "meta": {"versionId": "1", "lastUpdated": "2026-03-01T09:30:00Z"},
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs", "display": "Vital Signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "Blood pressure panel"}],
                 "text": "Blood pressure"},
        "subject": {"reference": "Patient/bench"}, "encounter": {"reference": f"Encounter/e{number % 7}"},
        "effectiveDateTime": f"2026-02-{1 + number % 28:02d}T08:15:00Z",
        "performer": [{"reference": "Practitioner/nils"}],
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
             "valueQuantity": {"value": 118.50 + number % 9, "unit": "mmHg", "system": "http://unitsofmeasure.org",
                               "code": "mm[Hg]"}}
            for code in ("8480-6", "8462-4")],
    }


def bundle(kind, entries):
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries})


def found(records):
    return bundle("searchset", [{"resource": record, "search": {"mode": "match"}} for record in records])


def files(patient):
    """What the upstream answers, by file."""
    stored = [{"resource": observation(n),
               "response": {"status": "201 Created", "location": f"Observation/o{n}/_history/1", "etag": 'W/"1"'}}
              for n in range(ENTRIES)]
    return {
        "search.json": found([observation(n) for n in range(COUNT)]),
        "everything.json": found([patient, *(observation(n) for n in range(ALL - 1))]),
        "transaction.json": bundle("transaction-response", stored),
    }


def transaction():
    drafts = [{key: value for key, value in observation(n).items() if key not in ("id", "meta")} for n in range(ENTRIES)]
    return bundle("transaction", [{"resource": draft, "request": {"method": "POST", "url": "Observation"}} for draft in drafts])


def measure(stage, report):
    tokens = stage.write_tokens("whole", stage.mint_whole(1))
    body = stage.folder / "transaction-request.json"
    body.write_text(transaction())
    order = [stage.upstream, stage.nginx, stage.fsync]
    lines = ["## What the gateway adds to FHIR's other interactions", "",
             "Beyond the same upstream called directly (without TLS): median latency added, 8 connections.", "",
             "| | nginx p50 / p99 ms | chartgate p50 / p99 ms |", "|---|---|---|"]
    works = [
        ("read of 1.4 KiB", "read", "/fhir/Patient/bench", None),
        (f"search that finds {COUNT} Observations", "search", f"/fhir/Observation?patient=bench&_count={COUNT}", None),
        (f"transaction of {ENTRIES} creates", "transaction", "/fhir", body),
        (f"`$everything` of {ALL} resources", "everything", "/fhir/Patient/bench/$everything", None),
    ]
    for title, key, path, posted in works:
        words = ["tokens", tokens] if posted is None else ["body", tokens, posted]

        def measured(server, seconds, path=path, words=words):
            return load.wrk(server, 8, seconds, path, words)

        results = load.rounds(order, stage.options, measured)
        pairs = [(stage.nginx.name, stage.fsync.name, f"fhir/{key}"), (stage.upstream.name, stage.fsync.name, None)]
        report.add(section(f"FHIR: {title}, 8 connections", order, results, pairs, report))
        lines.append(f"| {title} | {added(results, stage.upstream, stage.nginx)} | {added(results, stage.upstream, stage.fsync)} |")
    report.add("\n".join(lines) + "\n")


def added(results, direct, server):
    def beyond(key):
        base = statistics.median(result[key] for result in results[direct.name])
        return spread([result[key] - base for result in results[server.name]])
    return f"{beyond('p50_ms')} / {beyond('p99_ms')}"
