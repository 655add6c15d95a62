use proptest::prelude::*;
use serde_json::{Value, json};

use super::response::{Answered, Went};
use super::transaction::{WriteInTransaction, answers, request};
use super::*;
use crate::fhir::base::BaseUrls;
use crate::fhir::membership::{Membership, patients_of};
use crate::fhir::resource::BadAnswer;
use crate::fhir::version::FhirVersion;
use crate::fhir::write::Draft;

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string()
}

fn entry(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}

fn asked(entry: &Value) -> Result<Interaction, Refusal> {
    let body = bundle("batch", std::slice::from_ref(entry));
    Batch::parse(body.as_bytes()).unwrap().entries[0].interaction(FhirVersion::R4)
}

#[test]
fn an_entry_is_read_as_the_request_that_it_is() {
    for (method, url, path) in [
        ("GET", "Patient/a", "/Patient/a"),
        ("GET", "Observation?code=x&patient=a", "/Observation?code=x&patient=Patient%2Fa"),
        ("GET", "Patient/a/_history/2", "/Patient/a/_history/2"),
        ("POST", "Observation", "/Observation"),
        ("DELETE", "Observation/1", "/Observation/1"),
    ] {
        let interaction = asked(&entry(method, url)).unwrap();
        assert_eq!(
            (interaction.upstream_method(), interaction.upstream_path_and_query().as_str()),
            (method, path)
        );
    }
    let mut put = entry("PUT", "Observation/1");
    put["request"]["ifMatch"] = json!("W/\"3\"");
    let Ok(Interaction::Update { if_match: Some(version), .. }) = asked(&put) else { panic!("an update") };
    assert_eq!(version.as_str(), "3");
}

#[test]
fn g01_an_entry_reaches_nothing_that_a_request_does_not() {
    for url in [
        "../Patient/other",
        "./Patient/other",
        "/Patient/other",
        "Patient/../Patient/other",
        "%2e%2e/Patient/other",
        "Patient%2Fother",
        "https://gate.test/fhir/Patient/other",
        "http://hapi:8080/fhir/Patient/other",
        "//hapi:8080/fhir/Patient/other",
        "Patient//other",
        "Patient/other#x",
        "Patient\\other",
    ] {
        assert_eq!(asked(&entry("GET", url)), Err(Refusal::Path), "{url}");
    }
    let posted = asked(&entry("POST", ""));
    assert_eq!(posted, Ok(Interaction::Batch), "which is carried out in none");
    let mut conditional = entry("POST", "Observation");
    conditional["request"]["ifNoneExist"] = json!("identifier=x");
    assert!(matches!(asked(&conditional), Ok(Interaction::Conditional { .. })));
    assert!(matches!(asked(&entry("HEAD", "Patient/a")), Err(Refusal::Method { .. })));
}

#[test]
fn what_is_no_batch_is_refused() {
    let error = |body: &str| Batch::parse(body.as_bytes()).err();
    assert_eq!(error("[]"), Some(BatchError::Json(JsonError::NotAnObject)));
    for body in ["{}", &bundle("searchset", &[]), r#"{"resourceType":"Patient","type":"batch"}"#] {
        assert_eq!(error(body), Some(BatchError::NotABatch), "{body}");
    }
    for bad in [
        json!({}),
        json!({ "request": {} }),
        json!({ "request": { "method": "GET" } }),
        json!({ "request": { "method": 1, "url": "Patient/a" } }),
        json!({ "request": { "method": "GET", "url": "Patient/a", "ifMatch": null } }),
        json!({ "request": ["GET"] }),
        json!("GET"),
    ] {
        assert_eq!(error(&bundle("batch", std::slice::from_ref(&bad))), Some(BatchError::Entry), "{bad}");
    }
    let many = vec![entry("GET", "Patient/a"); MAX_ENTRIES.saturating_add(1)];
    assert_eq!(error(&bundle("batch", &many)), Some(BatchError::TooMany));
    let mut named = entry("POST", "Observation");
    named["fullUrl"] = json!("urn:uuid:1");
    assert_eq!(error(&bundle("transaction", &[named.clone(), named])), Some(BatchError::Twice));
}

#[test]
fn a_patch_comes_as_a_binary() {
    let mut patch = entry("PATCH", "Patient/a");
    patch["request"]["ifMatch"] = json!("W/\"1\"");
    patch["resource"] =
        json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10=" });
    let body = bundle("batch", &[patch]);
    let batch = Batch::parse(body.as_bytes()).unwrap();
    assert_eq!(&*batch.entries[0].content(), b"[]");
    assert!(matches!(batch.entries[0].interaction(FhirVersion::R4), Ok(Interaction::Patch { .. })));
}

fn pending_of(entries: &[Value]) -> Result<Pending, BatchError> {
    let body = bundle("transaction", entries);
    let batch = Batch::parse(body.as_bytes()).unwrap();
    let interactions: Vec<_> =
        batch.entries.iter().map(|entry| entry.interaction(FhirVersion::R4).unwrap()).collect();
    let plan = |(entry, asked)| (Entry::name(entry), Planned::Asked(asked));
    let entries: Vec<_> = batch.entries.iter().zip(&interactions).map(plan).collect();
    pending(&entries)
}

fn named(method: &str, url: &str, name: &str) -> Value {
    let mut entry = entry(method, url);
    entry["fullUrl"] = json!(name);
    entry
}

fn whose(draft: &Value, entries: &[Value]) -> Membership {
    let bases = BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    };
    let draft = Draft::of_create(draft.to_string().as_bytes(), "Observation".parse().unwrap()).unwrap();
    let before = draft.text().to_owned();
    let draft = draft.among(&pending_of(entries).unwrap());
    assert_eq!(draft.text(), before, "what goes upstream stays as it is");
    patients_of(draft.value(), &bases)
}

#[test]
fn a_reference_to_another_entry_is_decided_on_as_what_that_will_be() {
    let of = |subject: &str| json!({ "resourceType": "Observation", "subject": { "reference": subject } });
    let mine = Membership::Patients([("me").parse().unwrap()].into());
    let entries = [
        named("PUT", "Patient/me", "urn:uuid:1"),
        named("POST", "Patient", "urn:uuid:2"),
        named("POST", "Group", "urn:uuid:3"),
        named("PUT", "Patient/you", "https://gate.test/fhir/Patient/me"),
        entry("PUT", "Patient/other"),
    ];
    assert_eq!(whose(&of("urn:uuid:1"), &entries), mine);
    assert_eq!(whose(&of("Patient/me"), &entries), mine, "a name that is no urn renames nobody");
    // Of a new patient nothing is known, and a Group is no patient.
    for subject in ["urn:uuid:2", "urn:uuid:3", "urn:uuid:4"] {
        assert_eq!(whose(&of(subject), &entries), Membership::Unknown, "{subject}");
    }
    // The id in the name of a new patient is nobody's, even if it is one that somebody has.
    let entries = [named("POST", "Patient", "urn:uuid:me")];
    assert_eq!(whose(&of("urn:uuid:me"), &entries), Membership::Unknown);
}

/// What becomes of a transaction in which one entry has this `fullUrl` and another says this of it.
fn referred(kind: &str, first: &Value, said: &Value) -> Result<(), BatchError> {
    let mut second = named("POST", "Observation", "http://other.org/fhir/Observation/7");
    second["resource"] = said.clone();
    let body = bundle(kind, &[second, first.clone()]);
    Batch::parse(body.as_bytes()).map(|_| ())
}

#[test]
fn what_is_referred_to_by_an_address_that_is_not_its_own_is_refused() {
    const ADDRESS: &str = "http://other.org/fhir/Encounter/5";
    let of =
        |reference: &str| json!({ "resourceType": "Observation", "encounter": { "reference": reference } });
    let mut conditional = named("POST", "Encounter", ADDRESS);
    conditional["request"]["ifNoneExist"] = json!("identifier=x");
    let others = [
        named("POST", "Encounter", ADDRESS),
        conditional,
        named("PUT", "Encounter?identifier=x", ADDRESS),
        named("PATCH", "Encounter?identifier=x", ADDRESS),
    ];
    for first in &others {
        for reference in ["Encounter/5", ADDRESS, "Encounter/5/_history/2"] {
            let within = json!({ "extension": [{ "valueReference": of(reference)["encounter"] }] });
            for said in [of(reference), within] {
                let refused = referred("transaction", first, &said);
                assert_eq!(refused, Err(BatchError::Address), "{first} {said}");
                assert_eq!(referred("batch", first, &said), Ok(()), "in a batch nobody refers to another");
            }
        }
        // To what is here already, and to nobody.
        for reference in ["Encounter/6", "Patient/5", "urn:uuid:5", "http://elsewhere.org/Encounter/5", "5"] {
            assert_eq!(referred("transaction", first, &of(reference)), Ok(()), "{reference}");
        }
        assert_eq!(referred("transaction", first, &json!({ "identifier": [{ "value": ADDRESS }] })), Ok(()));
    }
    // Whose address is its own, and whose name is none.
    for first in [
        named("PUT", "Encounter/5", ADDRESS),
        named("GET", "Encounter?identifier=x", ADDRESS),
        named("POST", "Encounter", "urn:uuid:Encounter/5"),
    ] {
        assert_eq!(referred("transaction", &first, &of("Encounter/5")), Ok(()), "{first}");
    }
    let binary = named("POST", "Binary", "http://other.org/fhir/Binary/5");
    let attached = json!({ "content": [{ "attachment": { "url": "Binary/5" } }] });
    assert_eq!(referred("transaction", &binary, &attached), Err(BatchError::Address));
    // A definition may be called by its own address.
    let definition = named("POST", "Questionnaire", "http://other.org/fhir/Questionnaire/q");
    let said = json!({ "resourceType": "Questionnaire", "url": "http://other.org/fhir/Questionnaire/q" });
    assert_eq!(referred("transaction", &definition, &said), Ok(()));
    // A patch refers to others too.
    let patch = json!([{ "op": "add", "path": "/encounter", "value": { "reference": "Encounter/5" } }]);
    let mut patched = entry("PATCH", "Observation/1");
    patched["resource"] = json!({ "resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": STANDARD.encode(patch.to_string()) });
    let body = bundle("transaction", &[others[0].clone(), patched]);
    assert_eq!(Batch::parse(body.as_bytes()).err(), Some(BatchError::Address));
}

#[test]
fn a_transaction_writes_a_record_once_and_has_none_within_it() {
    let twice = [entry("PUT", "Patient/a"), entry("DELETE", "Patient/a")];
    assert_eq!(pending_of(&twice), Err(BatchError::Twice));
    for bad in [entry("GET", "metadata"), entry("DELETE", "Patient?name=x"), entry("POST", "")] {
        assert_eq!(pending_of(std::slice::from_ref(&bad)), Err(BatchError::NotInTransaction), "{bad}");
    }
    for url in ["Patient?name=x", "Patient/a/_history", "Patient/a/$everything"] {
        assert!(pending_of(&[entry("GET", url)]).is_ok(), "{url}");
    }
    assert!(pending_of(&[entry("GET", "Patient/a"), entry("PUT", "Patient/a")]).is_ok());
}

#[test]
fn a_transaction_goes_upstream_written_anew() {
    let put = WriteInTransaction {
        name: Some("urn:uuid:1".to_owned()),
        method: "PUT",
        path: "/Patient/a".to_owned(),
        body: Some(r#"{"resourceType":"Patient","id":"a","x":1.10}"#.to_owned()),
        if_match: Some("W/\"3\"".to_owned()),
        is_new: false,
    };
    let delete = WriteInTransaction {
        name: None,
        method: "DELETE",
        path: "/Patient/b".to_owned(),
        body: None,
        if_match: None,
        is_new: false,
    };
    assert_eq!(
        request(&[put, delete]),
        concat!(
            r#"{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","#,
            r#""resource":{"resourceType":"Patient","id":"a","x":1.10},"#,
            r#""request":{"method":"PUT","url":"Patient/a","ifMatch":"W/\"3\""}},"#,
            r#"{"request":{"method":"DELETE","url":"Patient/b"}}]}"#
        )
    );
}

#[test]
fn what_an_upstream_says_to_a_transaction_is_about_each_of_its_entries() {
    let said = json!({ "resourceType": "Bundle", "type": "transaction-response", "entry": [
        { "response": { "status": "201 Created", "location": "Patient/a/_history/1", "etag": "W/\"1\"" },
          "resource": { "resourceType": "Patient", "id": "a" } },
        { "response": { "status": "204" } },
    ] });
    let text = said.to_string();
    let each = answers(text.as_bytes(), 2).unwrap();
    assert_eq!((each[0].status, each[0].location.as_deref()), (201, Some("Patient/a/_history/1")));
    assert_eq!((each[1].status, each[1].resource), (204, None));
    assert_eq!(answers(text.as_bytes(), 3).err(), Some(BadAnswer::OtherBundle));
    for bad in
        [json!({}), json!({ "response": { "status": "done" } }), json!({ "response": { "status": 200 } })]
    {
        let body = bundle("transaction-response", &[bad]);
        assert_eq!(answers(body.as_bytes(), 1).err(), Some(BadAnswer::OtherBundle));
    }
}

#[test]
fn an_answer_tells_how_each_entry_went() {
    let went = |status: &str| Went { status: status.to_owned(), location: None, etag: None, outcome: None };
    let record: &RawValue = serde_json::from_str(r#"{"x":1.10}"#).unwrap();
    let entries = [
        Answered { resource: Some(record), response: went("200") },
        Answered { resource: None, response: went("404") },
    ];
    assert_eq!(
        response::write(Kind::Batch, &entries),
        concat!(
            r#"{"resourceType":"Bundle","type":"batch-response","entry":["#,
            r#"{"resource":{"x":1.10},"response":{"status":"200"}},{"response":{"status":"404"}}]}"#
        )
    );
    assert_eq!(
        response::write(Kind::Transaction, &[]),
        r#"{"resourceType":"Bundle","type":"transaction-response"}"#
    );
}

proptest! {
    #[test]
    fn no_transaction_leaves_a_reference_to_an_address_that_is_not_its_own(
        base in "https?://[a-z]{1,6}(/[a-z]{1,4}){0,2}", id in "[a-z0-9]{1,4}", referred_to in "[a-z0-9]{1,4}",
        is_whole in any::<bool>(),
    ) {
        let first = named("POST", "Encounter", &format!("{base}/Encounter/{id}"));
        let reference = format!("Encounter/{referred_to}");
        let reference = if is_whole { format!("{base}/{reference}") } else { reference };
        let said = json!({ "encounter": { "reference": reference } });
        let expected = if id == referred_to { Err(BatchError::Address) } else { Ok(()) };
        prop_assert_eq!(referred("transaction", &first, &said), expected);
    }

    #[test]
    fn an_entry_and_a_request_are_read_alike(method in "GET|POST|PUT|DELETE", url in "[A-Za-z/.?=&%$_-]{0,24}") {
        let by_entry = asked(&entry(&method, &url));
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let by_request = Interaction::parse(&Request {
            method: &method, path: &format!("/{path}"), query, content_type: Some("application/fhir+json"),
            ..Request::default()
        });
        prop_assert_eq!(by_entry, by_request);
    }
}
