use proptest::prelude::*;
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

fn parse(method: &str, path: &str, query: &str) -> Result<BulkRequest, Refusal> {
    BulkRequest::parse(&Request { method, path, query, prefer: &["respond-async"], ..Request::default() })
}

fn types(names: &[&str]) -> Vec<ResourceType> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn a_kick_off_says_of_whom_what_and_since_when() {
    let of = |path| match parse("GET", path, "").unwrap() {
        BulkRequest::KickOff(of, query) if query == ExportQuery::default() => of,
        other => panic!("{other:?}"),
    };
    assert_eq!(of("/$export"), ExportOf::System);
    assert_eq!(of("/Patient/$export"), ExportOf::Patients);
    assert_eq!(of("/Group/g-1/$export"), ExportOf::Group("g-1".parse().unwrap()));
    let all =
        "_type=Patient,Observation&_since=2026-01-01T00:00:00Z&_outputFormat=application%2Ffhir%2Bndjson";
    let BulkRequest::KickOff(of, query) = parse("GET", "/Patient/$export", all).unwrap() else { panic!() };
    assert_eq!(query.types, types(&["Patient", "Observation"]));
    assert_eq!(
        query.behind(&of),
        "/Patient/$export?_outputFormat=application%2Ffhir%2Bndjson&_since=2026-01-01T00%3A00%3A00Z&_type=Patient%2CObservation"
    );
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "_type", "valueString": "Patient" }, { "name": "_type", "valueString": "Observation" },
        { "name": "_since", "valueInstant": "2026-01-01T00:00:00Z" },
        { "name": "_outputFormat", "valueString": "ndjson" }] });
    let posted = |body: &Value, content_type| {
        let body = body.to_string();
        let request = Request {
            method: "POST",
            path: "/Patient/$export",
            content_type: Some(content_type),
            prefer: &["handling=strict, respond-async"],
            body: body.as_bytes(),
            ..Request::default()
        };
        BulkRequest::parse(&request)
    };
    assert_eq!(posted(&body, "application/fhir+json"), Ok(BulkRequest::KickOff(ExportOf::Patients, query)));
    assert!(matches!(posted(&body, "text/plain"), Err(Refusal::MediaType(_))));
    assert!(posted(&json!({ "resourceType": "Patient" }), "application/fhir+json").is_err());
    let filter = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "patient", "valueReference": { "reference": "Patient/a" } }] });
    assert!(matches!(
        posted(&filter, "application/fhir+json"),
        Err(Refusal::Search(SearchError::Parameter(_)))
    ));
}

#[test]
fn what_is_not_offered_of_it_is_refused_by_name() {
    for query in [
        "_typeFilter=x",
        "_elements=id",
        "patient=a",
        "includeAssociatedData=x",
        "organizeOutputBy=Patient",
        "_format=json",
    ] {
        assert!(
            matches!(parse("GET", "/$export", query), Err(Refusal::Search(SearchError::Parameter(_)))),
            "{query}"
        );
    }
    for query in [
        "_outputFormat=csv",
        "_type=Nonsense",
        "_type=",
        "_since=2026-01-01",
        "_since=ge2026-01-01T00:00:00Z",
    ] {
        assert!(
            matches!(parse("GET", "/$export", query), Err(Refusal::Search(SearchError::Value(_)))),
            "{query}"
        );
    }
    assert!(matches!(
        parse("GET", "/$export", "_outputFormat=ndjson&_outputFormat=ndjson"),
        Err(Refusal::Search(SearchError::Repeated(_)))
    ));
    for path in [
        "/Group/$export",
        "/Observation/$export",
        "/Patient/a/$export",
        "/$export/a/b",
        "/$export/%2e/1",
        "/$export/",
        "/$export//1",
        "/$export/a/-1",
    ] {
        assert!(!BulkRequest::is_at(path), "{path}");
    }
    assert_eq!(
        parse("GET", "/Group/a_b/$export", "").map(drop),
        Err(Refusal::Id(crate::fhir::name::MalformedId))
    );
    let request = Request { method: "GET", path: "/$export", ..Request::default() };
    for prefer in [&[] as &[&str], &["return=minimal"], &["respond-asynchronous"]] {
        assert_eq!(
            BulkRequest::parse(&Request { prefer, ..request }),
            Err(Refusal::Synchronous),
            "{prefer:?}"
        );
    }
    assert!(matches!(parse("PUT", "/$export", ""), Err(Refusal::Method { allow: "GET, POST" })));
    assert!(matches!(parse("POST", "/$export/x", ""), Err(Refusal::Method { allow: "GET, DELETE" })));
    assert_eq!(parse("GET", "/$export/x", ""), Ok(BulkRequest::Status("x".to_owned())));
    assert_eq!(parse("DELETE", "/$export/x", ""), Ok(BulkRequest::Cancel("x".to_owned())));
    assert_eq!(parse("GET", "/$export/x/12", ""), Ok(BulkRequest::File("x".to_owned(), 12)));
    assert!(parse("GET", "/$export/x/12", "a=b").is_err());
}

#[test]
fn a_manifest_leaves_with_our_addresses_alone() {
    let manifest = |output: Value| {
        let body = json!({ "transactionTime": "2026-01-01T00:00:00Z", "request": "http://u/r4/$export",
            "requiresAccessToken": false, "output": output, "deleted": [{ "type": "Bundle", "url": "http://u/r4/d" }],
            "error": [{ "type": "OperationOutcome", "url": "http://u/r4/e" }] });
        Manifest::parse(body.to_string().as_bytes(), &types(&["Patient", "Observation"]), &bases())
    };
    let files = json!([{ "type": "Patient", "url": "http://u/r4/Binary/1", "count": 7 },
        { "type": "Observation", "url": "http://u/r4/$files/2?x=1" }]);
    let read = manifest(files).unwrap();
    let job = ExportJob {
        of: ExportOf::System,
        query: ExportQuery::default(),
        request: "https://g/fhir/$export".to_owned(),
        upstream: None,
        manifest: Some(read.clone()),
    };
    let told: Value =
        serde_json::from_str(&job.manifest_for(&read, "https://g/fhir/$export/x", &[1])).unwrap();
    assert_eq!(
        told,
        json!({ "transactionTime": "2026-01-01T00:00:00Z", "request": "https://g/fhir/$export",
            "requiresAccessToken": true,
            "output": [{ "type": "Observation", "url": "https://g/fhir/$export/x/1" }],
            "error": [{ "type": "OperationOutcome", "url": "https://g/fhir/$export/x/2" }] })
    );
    // A file elsewhere is not asked for, one of another type is not what was asked for.
    for url in [
        "http://evil/r4/Binary/1",
        "http://u/r4x/1",
        "http://u/r4/../admin",
        "http://u/r4/%2e%2e/x",
        "//evil/x",
        "Binary/1",
        "http://u@evil/r4/1",
        "http://u/r4",
    ] {
        assert_eq!(manifest(json!([{ "type": "Patient", "url": url }])), Err(BadAnswer::NextPage), "{url}");
    }
    for kind in ["Condition", "Nonsense", ""] {
        let output = json!([{ "type": kind, "url": "http://u/r4/Binary/1" }]);
        assert_eq!(manifest(output), Err(BadAnswer::OtherResource), "{kind}");
    }
    for body in ["{}", "[]", "", r#"{"transactionTime":"then","output":[]}"#] {
        assert!(Manifest::parse(body.as_bytes(), &[], &bases()).is_err(), "{body}");
    }
    let further =
        r#"{"transactionTime":"2026-01-01T00:00:00Z","output":[],"link":[{"relation":"next","url":"x"}]}"#;
    assert_eq!(Manifest::parse(further.as_bytes(), &[], &bases()), Err(BadAnswer::NextPage));
}

#[test]
fn of_progress_a_number_is_told_and_nothing_else() {
    assert_eq!(percentage("in progress: 42% of Mrs Smith"), Some(42));
    assert_eq!(percentage("99.7 %"), Some(99));
    for text in ["", "%", "Processing Patient/a", "400%", "many %"] {
        assert_eq!(percentage(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn lines_are_the_same_however_they_arrive(
        text in prop::collection::vec("[ a-z]{0,6}", 0..8),
        cuts in prop::collection::vec(1_usize..9, 0..12),
    ) {
        let whole = text.join("\n");
        let expected: Vec<&str> = text.iter().map(String::as_str).filter(|line| !line.trim().is_empty()).collect();
        let mut lines = Lines::new(16);
        let mut got = Vec::new();
        let mut rest = whole.as_bytes();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            got.extend(lines.push(piece).unwrap());
            rest = after;
        }
        got.extend(lines.push(rest).unwrap());
        got.extend(lines.end());
        let got: Vec<_> = got.iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn a_line_has_an_end() {
    let mut lines = Lines::new(4);
    assert_eq!(lines.push(b"abcd\nab"), Ok(vec![b"abcd".to_vec()]));
    assert_eq!(lines.push(b"cde"), Err(LineTooLong));
    assert!(record_in(b"{\"resourceType\":\"Patient\",\"id\":\"a\"}\r").is_ok());
    for line in ["{}", "nonsense", "{\"resourceType\":\"Patient\",\"id\":\"a\"} {}", "[]"] {
        assert!(record_in(line.as_bytes()).is_err(), "{line}");
    }
}
