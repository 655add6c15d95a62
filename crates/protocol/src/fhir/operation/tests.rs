use serde_json::{Value, json};

use super::*;
use crate::fhir::version::FhirVersion;

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://g/fhir".parse().unwrap(),
        upstream: "http://u/r4".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

#[test]
fn a_call_is_of_the_system_a_type_or_a_record() {
    let at = |path: &str| OperationCall::at(path).map(|call| call.to_string());
    for path in ["/$meta", "/Observation/$lastn", "/Patient/a/$merge"] {
        assert_eq!(at(path).as_deref(), path.strip_prefix('/'));
    }
    for path in [
        "$meta",
        "/$",
        "/$a_b",
        "/$a%62",
        "/Nonsense/$x",
        "/Patient/a_b/$x",
        "/Patient/a/b/$x",
        "/Patient",
        "//$x",
        "/Patient/../$x",
    ] {
        assert_eq!(at(path), None, "{path}");
    }
}

fn read(query: &str, body: Option<Value>) -> Result<Input, Refusal> {
    let body = body.map(|body| body.to_string());
    let known = ["patient", "max", "source", "thing"].map(str::to_owned);
    let body = body.as_ref().map(|body| (body.as_bytes(), Some("application/fhir+json")));
    Input::parse(query, body, &known, &bases())
}

#[test]
fn what_goes_in_is_listed_and_what_it_names_is_known() {
    let names = |input: Input| input.names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let input = read("patient=a,Patient/b&max=3&_format=json", None).unwrap();
    assert_eq!(input.query.behind(""), "?patient=a%2CPatient%2Fb&max=3");
    assert_eq!(names(input), ["Patient/a", "Patient/b"]);
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "patient", "valueId": "a" },
        { "name": "source", "valueReference": { "reference": "https://g/fhir/Observation/o/_history/2" } },
        { "name": "thing", "part": [{ "name": "x", "valueUri": "http://u/r4/Patient/c" },
            { "name": "y", "resource": { "resourceType": "Condition", "subject": { "reference": "Patient/d" } } }] }] });
    let input = read("", Some(body)).unwrap();
    assert_eq!(input.resources.len(), 1);
    assert_eq!(names(input), ["Observation/o", "Patient/a", "Patient/c"]);
    for query in ["subject=a", "patient:identifier=x", "_has:x=y"] {
        assert!(matches!(read(query, None), Err(Refusal::Search(SearchError::Parameter(_)))), "{query}");
    }
    for body in [
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "other" }] }),
        json!({ "resourceType": "Parameters", "parameter": [{ "valueString": "x" }] }),
        json!({ "resourceType": "Parameters", "parameter": {} }),
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "thing", "resource": { "id": "x" } }] }),
        json!({ "resourceType": "Patient" }),
    ] {
        assert!(read("", Some(body.clone())).is_err(), "{body}");
    }
    let twice = br#"{"resourceType":"Parameters","parameter":[{"name":"max","name":"patient"}]}"#;
    assert!(
        Input::parse("", Some((twice, Some("application/fhir+json"))), &["max".to_owned()], &bases())
            .is_err()
    );
}

#[test]
fn a_body_names_records_as_a_query_does() {
    let names = |input: Input| input.names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let body =
        |parameter: Value| read("", Some(json!({ "resourceType": "Parameters", "parameter": [parameter] })));
    for value in ["a,Patient/b", "Patient/a , b", "a,https://g/fhir/Patient/b/_history/1"] {
        let whole = json!({ "name": "patient", "valueString": value });
        assert_eq!(names(body(whole.clone()).unwrap()), ["Patient/a", "Patient/b"], "{value}");
        let part = json!({ "name": "thing", "part": [whole] });
        assert_eq!(names(body(part).unwrap()), ["Patient/a", "Patient/b"], "{value}");
    }
    assert_eq!(names(body(json!({ "name": "max", "valueString": "3,Patient/b" })).unwrap()), ["Patient/b"]);
    // What is called after a type and names none of ours names one by what proves nothing.
    for value in [
        "http://mrn|1",
        "a b",
        "",
        "a,",
        "a,http://mrn|1",
        "urn:uuid:1",
        "Patient?name=x",
        "http://o/Patient/a",
    ] {
        let mut query = Form::default();
        query.push("patient", value);
        let query = query.encode();
        assert_eq!(read(&query, None).err(), Some(Refusal::Unproven), "{value}");
        for kind in ["valueString", "valueId", "valueUri"] {
            let parameter = json!({ "name": "patient", kind: value });
            assert_eq!(body(parameter).err(), Some(Refusal::Unproven), "{kind} {value}");
        }
    }
    assert_eq!(body(json!({ "name": "patient", "valueInteger": 5 })).err(), Some(Refusal::Unproven));
    // Beside the value there may be words, and elsewhere any.
    for parameter in [
        json!({ "name": "patient", "valueReference": { "reference": "Patient/a", "display": "Person, A." } }),
        json!({ "name": "max", "valueInteger": 5 }),
        json!({ "name": "source", "valueString": "a b, and c" }),
    ] {
        assert!(body(parameter.clone()).is_ok(), "{parameter}");
    }
}

fn out(body: &Value) -> Result<(Option<Value>, usize), BadAnswer> {
    let text = body.to_string();
    let output = release(text.as_bytes(), "https://g/fhir/$x", &bases(), |resource| {
        resource.reference().id.as_str().starts_with("mine").then(|| View::whole(resource))
    })?;
    Ok((output.body.map(|body| serde_json::from_str(&body).unwrap()), output.withheld))
}

#[test]
fn what_comes_out_leaves_resource_by_resource_and_nothing_else_does() {
    let mine = json!({ "resourceType": "Observation", "id": "mine" });
    let theirs = json!({ "resourceType": "Observation", "id": "theirs" });
    assert_eq!(out(&mine), Ok((Some(mine.clone()), 0)));
    assert_eq!(out(&theirs), Ok((None, 1)));
    let outcome =
        json!({ "resourceType": "OperationOutcome", "issue": [{ "diagnostics": "about marigold" }] });
    assert_eq!(out(&outcome), Ok((None, 0)));
    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": 2, "id": "marigold",
        "link": [{ "relation": "self", "url": "http://u/r4/marigold" }],
        "entry": [{ "fullUrl": "http://u/r4/x", "resource": mine }, { "resource": theirs },
            { "resource": { "resourceType": "Bundle", "id": "marigold" } }] });
    let released = json!({ "resourceType": "Bundle", "type": "searchset",
        "link": [{ "relation": "self", "url": "https://g/fhir/$x" }], "entry": [{ "resource": mine }] });
    assert_eq!(out(&bundle), Ok((Some(released), 2)));
    let parameters = json!({ "resourceType": "Parameters", "id": "marigold", "parameter": [
        { "name": "result", "valueBoolean": true }, { "name": "note", "valueString": "marigold" },
        { "name": "return", "resource": mine, "valueString": "marigold" }, { "name": "return", "resource": theirs },
        { "name": "outer", "part": [{ "name": "inner", "resource": mine }, { "name": "said", "valueString": "marigold" }] },
        { "name": "of marigold", "resource": mine }] });
    let (left, withheld) = out(&parameters).unwrap();
    assert_eq!(withheld, 1);
    let expected = json!({ "resourceType": "Parameters", "parameter": [{ "name": "return", "resource": mine },
        { "name": "outer", "part": [{ "name": "inner", "resource": mine }] }] });
    assert_eq!(left, Some(expected));
    let mut more = bundle.clone();
    more["link"] = json!([{ "relation": "next", "url": "http://u/r4?page=2" }]);
    assert_eq!(out(&more).err(), Some(BadAnswer::NextPage), "what is left out is not left out in silence");
    let mut history = bundle;
    history["type"] = json!("collection");
    assert_eq!(out(&history).err(), Some(BadAnswer::OtherBundle));
    assert_eq!(release(b" ", "x", &bases(), |_| None).ok().and_then(|output| output.body), None);
}
