//! Known ways to reach another patient's record through a FHIR gateway, each with what becomes of it here.
//!
//! Where an attack needs a part of FHIR that is not offered, it ends there, the same for everybody.

use std::collections::BTreeSet;

use chartgate_protocol::fhir::base::BaseUrls;
use chartgate_protocol::fhir::batch::Batch;
use chartgate_protocol::fhir::bundle::Links;
use chartgate_protocol::fhir::interaction::{Interaction, Request};
use chartgate_protocol::fhir::membership::{Membership, Others, other_patients_named, patients_of};
use chartgate_protocol::fhir::paging::{Finds, Holder, Listing, PageLink, PageLinkError};
use chartgate_protocol::fhir::patch::Patch;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::search::Narrowed;
use chartgate_protocol::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use chartgate_protocol::fhir::shape::Shape;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::fhir::view::View;
use chartgate_protocol::fhir::write::Draft;
use chartgate_protocol::form::Form;
use chartgate_protocol::json::Node;
use chartgate_values::Timestamp;
use serde_json::{Value, json};

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

/// The status with which a request ends before anybody looks at a record.
fn refused(method: &str, target: &str) -> u16 {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let content_type = Some("application/fhir+json");
    let request = Request { method, path, query, content_type, ..Request::default() };
    Interaction::parse(&request).unwrap_err().status()
}

/// The types of records on the way of a search, all of which its caller has to be able to find whole.
fn ways(target: &str) -> Vec<&'static str> {
    let (path, query) = target.split_once('?').unwrap();
    let Ok(Interaction::Search { query, .. }) =
        Interaction::parse(&Request { method: "GET", path, query, ..Request::default() })
    else {
        panic!("a search: {target}")
    };
    query.ways().map(|(way, _)| way.as_str()).collect()
}

fn patients(ids: &[&str]) -> Membership {
    Membership::Patients(ids.iter().map(|id| id.parse().unwrap()).collect())
}

fn whose(resource: &Node<'_>) -> (Membership, Others) {
    let belongs = patients_of(resource, &bases());
    let others = other_patients_named(resource, &belongs, &bases());
    (belongs, others)
}

fn created(body: &Value) -> (Membership, Others) {
    let resource_type = body["resourceType"].as_str().unwrap().parse().unwrap();
    whose(Draft::of_create(body.to_string().as_bytes(), resource_type).unwrap().value())
}

#[test]
fn reverse_chain_from_a_patient() {
    assert_eq!(ways("/Patient?_id=me&_has:Observation:patient:code=59419-2"), ["Observation"]);
}

#[test]
fn reverse_chain_from_an_observation() {
    assert_eq!(ways("/Observation?subject=Patient/me&_has:Condition:evidence-detail:code=x"), ["Condition"]);
}

#[test]
fn chain_through_the_patient() {
    assert_eq!(ways("/Observation?patient=me&patient.birthdate=ge1990"), ["Patient"]);
}

/// What leaves of a search of Observations for patient `me`, with records that came along, each read for itself.
fn found_with_companions(companions: &[Value]) -> Vec<String> {
    let observation = json!({ "resourceType": "Observation", "id": "1",
        "subject": { "reference": "Patient/me" }, "performer": [{ "reference": "Practitioner/p" }] });
    let mut entries = vec![json!({ "resource": observation, "search": { "mode": "match" } })];
    entries.extend(companions.iter().map(|one| json!({ "resource": one, "search": { "mode": "include" } })));
    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string();
    let asked = "Observation".parse().unwrap();
    let page = Searchset::parse(bundle.as_bytes(), Sought::Type(asked, Companions::Asked), &bases()).unwrap();
    let released =
        page.release(Links { own: "x", next: None }, &bases(), |resource, _| match whose(resource.value()) {
            (belongs, Others::None) if belongs == patients(&["me"]) || belongs == Membership::Nobody => {
                Disposition::Release(View::whole(resource), ())
            }
            _ => Disposition::Withhold,
        });
    let bundle: Value = serde_json::from_str(&released.body).unwrap();
    let id = |entry: &Value| {
        format!("{}/{}", entry["resource"]["resourceType"], entry["resource"]["id"]).replace('"', "")
    };
    bundle["entry"].as_array().unwrap().iter().skip(1).map(id).collect()
}

#[test]
fn include_iterated() {
    let organization = json!({ "resourceType": "Organization", "id": "o" });
    let performer = json!({ "resourceType": "Practitioner", "id": "p", "extension": [
        { "url": "x", "valueReference": { "reference": "Organization/o" } }] });
    let stranger = json!({ "resourceType": "Practitioner", "id": "q" });
    assert_eq!(
        found_with_companions(&[organization, performer, stranger]),
        ["Practitioner/p", "Organization/o"]
    );
}

#[test]
fn include_of_a_group() {
    let group = json!({ "resourceType": "Group", "id": "g", "member": [
        { "entity": { "reference": "Patient/me" } }, { "entity": { "reference": "Patient/other" } }] });
    assert!(found_with_companions(&[group]).is_empty());
}

#[test]
fn reverse_include_of_everything() {
    let of = |patient: &str, id: &str| {
        json!({ "resourceType": "DiagnosticReport", "id": id, "subject": { "reference": format!("Patient/{patient}") },
            "result": [{ "reference": "Observation/1" }] })
    };
    let found = found_with_companions(&[of("me", "1"), of("other", "2")]);
    assert_eq!(found, ["DiagnosticReport/1"]);
}

#[test]
fn one_patient_in_the_url_and_another_in_the_body() {
    let form = Form::parse_repeating("patient=other").unwrap();
    let request = Request {
        method: "POST",
        path: "/Observation/_search",
        query: "patient=me",
        form: Some(&form),
        content_type: Some("application/x-www-form-urlencoded"),
        ..Request::default()
    };
    assert_eq!(Interaction::parse(&request).unwrap_err().status(), 400);
}

#[test]
fn another_patient_as_an_alternative() {
    let request =
        Request { method: "GET", path: "/Observation", query: "patient=me,other", ..Request::default() };
    let Ok(Interaction::Search { query, .. }) = Interaction::parse(&request) else { panic!("a search") };
    assert_eq!(query.patients_named().len(), 2);
    let me = BTreeSet::from(["me".parse().unwrap()]);
    let Narrowed::Within(query) = query.narrowed_to_patients(&me) else {
        panic!("a Patient can be narrowed to")
    };
    let upstream = query.to_form().encode();
    assert_eq!(upstream, "patient=Patient%2Fme%2CPatient%2Fother&patient=Patient%2Fme");
    let record = |id: &str, patient: &str| json!({"resource": {"resourceType": "Observation", "id": id, "subject": {"reference": format!("Patient/{patient}")}}});
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": 2,
        "entry": [record("1", "me"), record("2", "other")]})
    .to_string();
    let searchset = Searchset::parse(
        bundle.as_bytes(),
        Sought::Type("Observation".parse().unwrap(), Companions::None),
        &bases(),
    )
    .unwrap();
    let released = searchset.release(Links { own: "x", next: None }, &bases(), |resource, _| {
        if whose(resource.value()) == (patients(&["me"]), Others::None) {
            Disposition::Release(View::whole(resource), ())
        } else {
            Disposition::Withhold
        }
    });
    assert_eq!((released.released, released.withheld), (1, 1));
    assert!(!released.body.contains("other") && !released.body.contains("total"), "{}", released.body);
}

#[test]
fn all_patients_but_one() {
    assert_eq!(refused("GET", "/Observation?patient:not=me"), 400);
}

#[test]
fn patient_by_identifier() {
    assert_eq!(refused("GET", "/Observation?patient:identifier=http://a|1"), 400);
}

#[test]
fn patient_by_type_modifier() {
    assert_eq!(refused("GET", "/Observation?subject:Patient=other"), 400);
}

#[test]
fn filter_expression() {
    assert_eq!(refused("GET", "/Observation?_filter=patient eq other"), 400);
}

#[test]
fn order_by_a_chain() {
    assert_eq!(refused("GET", "/Observation?_sort=patient.name"), 400);
}

#[test]
fn count_without_records() {
    // What the upstream counts is never asked for: records are, and those that may be seen are counted here.
    for query in ["_summary=count", "_count=0", "_count=5&_summary=count"] {
        let request = Request { method: "GET", path: "/Observation", query, ..Request::default() };
        let asked = Interaction::parse(&request).unwrap();
        assert_eq!(asked.upstream_path_and_query(), "/Observation?_count=1000", "{query}");
    }
    assert_eq!(refused("GET", "/Observation?_summary=count&_count=0"), 400);
}

#[test]
fn search_over_all_types() {
    assert_eq!(refused("GET", "/?_type=Observation"), 400);
}

#[test]
fn everything_of_a_patient() {
    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [
        { "resource": { "resourceType": "Patient", "id": "me", "generalPractitioner": [{ "reference": "Practitioner/p" }] } },
        { "resource": { "resourceType": "Observation", "id": "1", "subject": { "reference": "Patient/other" },
            "performer": [{ "reference": "Practitioner/q" }] } },
        { "resource": { "resourceType": "Practitioner", "id": "p" } },
        { "resource": { "resourceType": "Practitioner", "id": "q" } },
    ] })
    .to_string();
    let page = Searchset::parse(bundle.as_bytes(), Sought::Everything, &bases()).unwrap();
    let released =
        page.release(Links { own: "x", next: None }, &bases(), |resource, _| match whose(resource.value()) {
            (belongs, Others::None) if belongs == patients(&["me"]) || belongs == Membership::Nobody => {
                Disposition::Release(View::whole(resource), ())
            }
            _ => Disposition::Withhold,
        });
    assert_eq!((released.notes.len(), released.withheld), (2, 2));
    assert!(
        !released.body.contains("other") && !released.body.contains("Practitioner/q"),
        "{}",
        released.body
    );
    assert_eq!(refused("GET", "/Encounter/1/$everything"), 400);
}

#[test]
fn compartment_of_a_patient() {
    assert_eq!(refused("GET", "/Patient/me/*"), 400);
}

#[test]
fn a_former_version_that_was_anothers() {
    let body = json!({"resourceType": "Observation", "id": "o", "meta": {"versionId": "1"},
        "subject": {"reference": "Patient/other"}})
    .to_string();
    let asked = "Observation/o".parse().unwrap();
    let version = "1".parse().unwrap();
    let resource = Resource::parse(body.as_bytes(), &asked, Some(&version)).unwrap();
    assert_eq!(whose(resource.value()).0, patients(&["other"]), "judged by what it was then");
}

#[test]
fn patch_of_a_subject() {
    let body = json!({"resourceType": "Observation", "id": "mine", "subject": {"reference": "Patient/me"}})
        .to_string();
    let record = Resource::parse(body.as_bytes(), &"Observation/mine".parse().unwrap(), None).unwrap();
    for patch in [
        json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/other"}]),
        json!([{"op": "replace", "path": "/subject", "value": {"reference": "Patient/other"}}]),
        json!([{"op": "add", "path": "/x", "value": {"reference": "Patient/other"}}, {"op": "move", "from": "/x", "path": "/subject"}]),
    ] {
        let patch = patch.to_string();
        let draft = Patch::parse(patch.as_bytes()).unwrap().apply(&record, 4096).unwrap();
        assert_eq!(whose(draft.value()).0, patients(&["other"]), "judged by what comes of it");
    }
}

#[test]
fn create_for_another_as_performer() {
    let body = json!({"resourceType": "Observation", "subject": {"reference": "Patient/other"},
        "performer": [{"reference": "Patient/me"}]});
    assert_eq!(created(&body), (patients(&["other"]), Others::Named));
}

#[test]
fn update_that_moves_the_subject() {
    let body =
        json!({"resourceType": "Observation", "id": "mine", "subject": {"reference": "Patient/other"}});
    let draft = Draft::of_update(body.to_string().as_bytes(), &"Observation/mine".parse().unwrap()).unwrap();
    assert_eq!(whose(draft.value()).0, patients(&["other"]));
}

#[test]
fn create_with_a_contained_patient_as_subject() {
    let body = json!({"resourceType": "Observation", "subject": {"reference": "#me"},
        "contained": [{"resourceType": "Patient", "id": "me"}]});
    assert_eq!(created(&body), (Membership::Unknown, Others::Named));
}

#[test]
fn create_with_two_subjects_in_one_text() {
    let body = r#"{"resourceType":"Observation","subject":{"reference":"Patient/me"},"subject":{"reference":"Patient/other"}}"#;
    assert!(Draft::of_create(body.as_bytes(), "Observation".parse().unwrap()).is_err());
}

#[test]
fn create_with_a_search_in_place_of_a_reference() {
    let body = r#"{"resourceType":"Observation","subject":{"reference":"Patient?identifier=x"}}"#;
    assert!(Draft::of_create(body.as_bytes(), "Observation".parse().unwrap()).is_err());
}

/// What a conditional write asks the upstream, once it is narrowed to the caller's own patient: for nobody else's record.
fn asked_upstream(method: &'static str, path: &'static str, query: &'static str) -> String {
    let request = Request {
        method,
        path,
        query: if method == "POST" { "" } else { query },
        content_type: Some("application/fhir+json"),
        if_none_exist: (method == "POST").then_some(query),
        ..Request::default()
    };
    let Ok(Interaction::Conditional { query, .. }) = Interaction::parse(&request) else {
        panic!("a condition")
    };
    let me = BTreeSet::from(["me".parse().unwrap()]);
    let Narrowed::Within(query) = query.narrowed_to_patients(&me) else { panic!("narrowed") };
    query.to_form().encode()
}

#[test]
fn create_unless_it_exists() {
    assert_eq!(asked_upstream("POST", "/Patient", "identifier=x"), "identifier=x&_id=me");
    assert_eq!(asked_upstream("POST", "/Observation", "identifier=x"), "identifier=x&patient=Patient%2Fme");
}

#[test]
fn conditional_update_and_delete() {
    for method in ["PUT", "DELETE"] {
        assert_eq!(asked_upstream(method, "/Patient", "identifier=x"), "identifier=x&_id=me");
        assert_eq!(refused(method, "/Patient"), 400, "everybody");
        assert_eq!(refused(method, "/Patient?_has:Observation:code:code=x"), 400);
    }
}

#[test]
fn transaction_with_an_entry_for_another() {
    let bundle = |url: &str| {
        json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
            { "request": { "method": "GET", "url": url } }] })
        .to_string()
    };
    let asked =
        |url: &str| Batch::parse(bundle(url).as_bytes()).unwrap().entries[0].interaction(FhirVersion::R4);
    // It is the question that it would be by itself, and is decided on as such.
    let alone = Interaction::parse(&Request { method: "GET", path: "/Patient/other", ..Request::default() });
    assert_eq!(asked("Patient/other"), alone);
    for url in
        ["../Patient/other", "https://gate.test/fhir/Patient/other", "%2e%2e/Patient/other", "/Patient/other"]
    {
        assert_eq!(asked(url).unwrap_err().status(), 400, "{url}");
    }
}

#[test]
fn paths_that_climb_or_leave() {
    for path in ["/../Patient/other", "/https://hapi:8080/fhir/Patient/other", "/%2e%2e/Patient/other"] {
        assert_eq!(refused("GET", path), 400, "{path}");
    }
}

#[test]
fn bundle_in_a_bundle() {
    let inner = json!({"resourceType": "Bundle", "id": "b", "type": "searchset",
        "entry": [{"resource": {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/other"}}}]});
    assert_eq!(whose(&Node::from(&inner)).0, Membership::Unknown);
    let bundle =
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": inner}]}).to_string();
    let searchset = Searchset::parse(
        bundle.as_bytes(),
        Sought::Type("Observation".parse().unwrap(), Companions::None),
        &bases(),
    )
    .unwrap();
    let released = searchset.release(Links { own: "x", next: None }, &bases(), |resource, _| {
        Disposition::Release(View::whole(resource), ())
    });
    assert_eq!((released.released, released.dropped), (0, 1));
}

#[test]
fn binary_of_another() {
    let body = json!({"resourceType": "Binary", "id": "other", "contentType": "text/plain", "data": "eA=="});
    assert_eq!(whose(&Node::from(&body)).0, Membership::Unknown);
}

#[test]
fn export_and_graphql() {
    assert_eq!(refused("GET", "/Group/x/$export"), 400);
    assert_eq!(refused("GET", "/$export-poll-status?_jobId=1"), 400);
    assert_eq!(refused("POST", "/$graphql"), 400);
}

#[test]
fn next_page_of_another_client() {
    let holder = |client_id: &str| Holder {
        route: "ehr".into(),
        subject: "dana".into(),
        client_id: client_id.into(),
        authority_digest: "x".into(),
        policy_revision: "1".into(),
    };
    let link = PageLink {
        holder: holder("demo-web"),
        listing: Listing::Search("Observation".parse().unwrap(), Companions::None, Shape::Whole),
        asked: None,
        page: Some("?_getpages=x".parse().unwrap()),
        past: 0,
        size: 20,
        finds: Finds::WithinReach,
        expires_at: Timestamp::from_unix(10),
    };
    let open = |by| PageLink::open(link.to_json().as_bytes(), &holder(by), Timestamp::EPOCH);
    assert!(open("demo-web").is_ok());
    assert_eq!(open("demo-app"), Err(PageLinkError::OtherHolder));
}
