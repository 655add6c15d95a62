use proptest::prelude::*;

use super::*;
use crate::fhir::outcome::IssueType;

fn get(path: &str, query: &str) -> Result<Interaction, Refusal> {
    Interaction::parse(&Request { method: "GET", path, query, ..Request::default() })
}

fn send(method: &str, path: &str, query: &str) -> Result<Interaction, Refusal> {
    let content_type = Some("application/fhir+json");
    Interaction::parse(&Request { method, path, query, content_type, ..Request::default() })
}

fn post_search(path: &str, query: &str, body: &str) -> Result<Interaction, Refusal> {
    let form = Form::parse_repeating(body).unwrap();
    let content_type = Some("application/x-www-form-urlencoded");
    Interaction::parse(&Request {
        method: "POST",
        path,
        query,
        form: Some(&form),
        content_type,
        ..Request::default()
    })
}

fn status(outcome: Result<Interaction, Refusal>) -> u16 {
    outcome.map_or_else(|refusal| refusal.status(), |_| 200)
}

#[test]
fn each_interaction_is_read_and_written_upstream() {
    for (asked, method, path) in [
        (get("/metadata", ""), "GET", "/metadata"),
        (get("/Patient/a", "_format=json"), "GET", "/Patient/a"),
        (get("/Patient/a/_history/2", ""), "GET", "/Patient/a/_history/2"),
        (get("/Observation", "code=x|1&patient=a"), "GET", "/Observation?code=x%7C1&patient=Patient%2Fa"),
        (get("/Observation", ""), "GET", "/Observation"),
        (post_search("/Patient/_search", "", "name=x"), "POST", "/Patient/_search"),
        (send("POST", "/Patient", ""), "POST", "/Patient"),
        (send("PUT", "/Patient/a", ""), "PUT", "/Patient/a"),
        (send("DELETE", "/Patient/a", ""), "DELETE", "/Patient/a"),
    ] {
        let interaction = asked.unwrap();
        assert_eq!(interaction.upstream_method(), method);
        assert_eq!(interaction.upstream_path_and_query(), path);
    }
    let posted = post_search("/Patient/_search", "_count=5", "name=x").unwrap();
    assert_eq!(posted.upstream_form().as_deref(), Some("name=x&_count=5"));
}

#[test]
fn each_interaction_needs_its_own_permission() {
    for (asked, permission) in [
        (get("/metadata", ""), None),
        (get("/Patient/a", ""), Some(Permission::Read)),
        (get("/Patient/a/_history/2", ""), Some(Permission::Read)),
        (get("/Patient", ""), Some(Permission::Search)),
        (post_search("/Patient/_search", "", ""), Some(Permission::Search)),
        (send("POST", "/Patient", ""), Some(Permission::Create)),
        (send("PUT", "/Patient/a", ""), Some(Permission::Update)),
        (send("DELETE", "/Patient/a", ""), Some(Permission::Delete)),
    ] {
        assert_eq!(asked.unwrap().permission(), permission);
    }
}

#[test]
fn g01_a_path_that_two_readers_may_read_differently_is_refused() {
    for path in [
        "Patient/a",
        "//Patient/a",
        "/Patient//a",
        "/Patient/",
        "/Patient/a/",
        "/Patient/.",
        "/Patient/..",
        "/Patient/../Patient/other",
        "/../Patient/other",
        "/%2e%2e/Patient/other",
        "/Patient/%61",
        "/Patient%2Fa",
        "/Patient/a%252e",
        "/Patient;x/a",
        "/Patient/a;x",
        "/Patient\\a",
        "/Patient/a#b",
        "/Patient/a b",
        "/Patient/ä",
        "/https://evil.test/Patient/a",
        "/Patient/a/_history/1/2",
        "/Patient/a/b/c/d",
    ] {
        assert_eq!(get(path, ""), Err(Refusal::Path), "{path}");
    }
    assert!(matches!(get("/Patient/a_b", ""), Err(Refusal::Id(_))));
    assert!(matches!(get(&format!("/Patient/{}", "x".repeat(65)), ""), Err(Refusal::Id(_))));
}

#[test]
fn a_type_that_r4_does_not_have_is_not_found() {
    for path in ["/patient/a", "/Foo", "/SubscriptionStatus/a", "/admin", "/METADATA"] {
        let refusal = get(path, "").unwrap_err();
        assert_eq!((refusal.status(), refusal.issue()), (404, IssueType::NotSupported), "{path}");
    }
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    for (asked, unsupported) in [
        (get("/", "_type=Observation"), Unsupported::SystemSearch),
        (get("/_search", ""), Unsupported::SystemSearch),
        (send("PATCH", "/Patient/a", ""), Unsupported::FhirPathPatch),
        (get("/_history", ""), Unsupported::SystemHistory),
        (get("/Encounter/a/$everything", ""), Unsupported::Operation),
        (get("/Patient/$everything", ""), Unsupported::Operation),
        (get("/Group/x/$export", ""), Unsupported::Operation),
        (send("POST", "/$graphql", ""), Unsupported::Operation),
        (send("POST", "/Patient/$match", ""), Unsupported::Operation),
        (get("/Patient/a/*", ""), Unsupported::Compartment),
        (get("/Practitioner/a/Observation", ""), Unsupported::Compartment),
        (get("/Patient/a/Practitioner", ""), Unsupported::Compartment),
        (get("/Patient/a/CareTeam", ""), Unsupported::Compartment),
        (send("POST", "/Encounter/a/Observation/_search", ""), Unsupported::Compartment),
    ] {
        let refusal = asked.unwrap_err();
        assert_eq!(refusal, Refusal::Unsupported(unsupported));
        assert_eq!(refusal.status(), 400);
        assert_eq!(refusal.issue(), IssueType::NotSupported);
    }
}

#[test]
fn a_patients_compartment_is_searched_by_the_parameter_that_finds_what_is_theirs() {
    let upstream = |asked: Result<Interaction, Refusal>| {
        let asked = asked.unwrap();
        (asked.upstream_method(), asked.upstream_path_and_query(), asked.upstream_form())
    };
    let path = |path: &str| ("GET", path.to_owned(), None);
    assert_eq!(
        upstream(get("/Patient/a/Observation", "code=x")),
        path("/Observation?code=x&patient=Patient%2Fa")
    );
    assert_eq!(upstream(get("/Patient/a/Patient", "")), path("/Patient?_id=a"));
    let form = Form::parse_repeating("code=x").unwrap();
    let posted = Interaction::parse(&Request {
        method: "POST",
        path: "/Patient/a/Observation/_search",
        form: Some(&form),
        content_type: Some("application/x-www-form-urlencoded"),
        ..Request::default()
    });
    let form = Some("code=x&patient=Patient%2Fa".to_owned());
    assert_eq!(upstream(posted), ("POST", "/Observation/_search".to_owned(), form));
}

#[test]
fn histories_go_upstream_as_they_were_read() {
    for (path, query) in [
        ("/Patient/a/$everything", "start=2020"),
        ("/Patient/a/_history", "_count=5"),
        ("/Patient/_history", "_since=2026-01-01"),
        ("/Patient/a/_history", ""),
    ] {
        let asked = get(path, query).unwrap();
        let separator = if query.is_empty() { "" } else { "?" };
        assert_eq!(asked.upstream_path_and_query(), format!("{path}{separator}{query}"));
    }
    assert!(matches!(get("/Patient/a/_history", "code=x"), Err(Refusal::Search(_))));
}

#[test]
fn a_conditional_write_is_criteria_and_what_to_do_with_the_record_that_meets_them() {
    let create = |criteria| {
        Interaction::parse(&Request {
            method: "POST",
            path: "/Patient",
            content_type: Some("application/json"),
            if_none_exist: Some(criteria),
            ..Request::default()
        })
    };
    let of = |asked: Result<Interaction, Refusal>| match asked {
        Ok(Interaction::Conditional { query, write }) => (query.to_form().encode(), write),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(create("identifier=x")), ("identifier=x".to_owned(), ConditionalWrite::Create));
    let update = of(send("PUT", "/Observation", "identifier=x&patient=a"));
    assert_eq!(update, ("identifier=x&patient=Patient%2Fa".to_owned(), ConditionalWrite::Update(None)));
    let delete = of(send("DELETE", "/Observation", "identifier=x"));
    assert_eq!(delete.1, ConditionalWrite::Delete(None));
    // By no criteria everything is found, and what shapes an answer is none.
    for criteria in ["", "_sort=_id", "identifier=x&_count=1", "identifier=x&_include=*", "_format=json"] {
        assert_eq!(create(criteria), Err(Refusal::Condition), "{criteria}");
        assert_eq!(send("DELETE", "/Patient", criteria), Err(Refusal::Condition), "{criteria}");
    }
    for criteria in ["identifier:not=x", "_has:Observation:code:code=x", "nonsense=1", "nonsense.name=x"] {
        assert!(matches!(create(criteria), Err(Refusal::Search(_))), "{criteria}");
        assert!(matches!(send("PUT", "/Patient", criteria), Err(Refusal::Search(_))), "{criteria}");
    }
}

#[test]
fn a_method_of_another_place_is_405_and_says_which_are_not() {
    for (method, path, allow) in [
        ("HEAD", "/Patient/a", "GET, PUT, PATCH, DELETE"),
        ("POST", "/Patient/a", "GET, PUT, PATCH, DELETE"),
        ("get", "/Patient/a", "GET, PUT, PATCH, DELETE"),
        ("POST", "/metadata", "GET"),
        ("DELETE", "/Patient/a/_history/1", "GET"),
        ("GET", "/Patient/_search", "POST"),
        ("TRACE", "/Patient", "GET, POST, PUT, PATCH, DELETE"),
        ("DELETE", "/", "POST"),
    ] {
        let refusal = send(method, path, "").unwrap_err();
        assert_eq!((refusal.status(), refusal.allow()), (405, Some(allow)), "{method} {path}");
    }
}

#[test]
fn a_query_is_refused_where_there_is_nothing_to_search() {
    assert_eq!(status(get("/Patient/a", "_summary=true")), 400);
    assert_eq!(status(get("/Patient/a", "_elements=name")), 400);
    assert_eq!(status(get("/metadata", "mode=terminology")), 400);
    assert_eq!(status(send("PUT", "/Patient/a", "x=1")), 400);
    assert_eq!(status(send("DELETE", "/Patient/a", "_cascade=delete")), 400);
    assert_eq!(status(send("POST", "/Patient", "_id=1")), 400);
    assert_eq!(status(get("/Patient/a", "%zz")), 400);
    assert_eq!(status(get("/Patient/a", "_format=json&_format=xml")), 400);
}

#[test]
fn formats_other_than_json_are_406_and_415() {
    assert_eq!(status(get("/Patient", "_format=xml")), 406);
    assert_eq!(status(post_search("/Patient/_search", "", "_format=xml")), 406);
    let html = Request { method: "GET", path: "/Patient/a", accept: Some("text/html"), ..Request::default() };
    assert_eq!(status(Interaction::parse(&html)), 406);
    for (method, path) in [("POST", "/Patient"), ("PUT", "/Patient/a"), ("POST", "/Patient/_search")] {
        for content_type in [None, Some("application/json-patch+json"), Some("text/plain")] {
            let request = Request { method, path, content_type, ..Request::default() };
            assert_eq!(status(Interaction::parse(&request)), 415, "{method} {path} {content_type:?}");
        }
    }
}

#[test]
fn a_patch_is_for_a_version_and_goes_upstream_as_an_update() {
    let patch = |content_type, if_match| {
        let request =
            Request { method: "PATCH", path: "/Patient/a", content_type, if_match, ..Request::default() };
        Interaction::parse(&request)
    };
    let json_patch = Some("application/json-patch+json");
    let asked = patch(json_patch, Some("W/\"3\"")).unwrap();
    assert_eq!(asked.permission(), Some(Permission::Update));
    assert_eq!((asked.upstream_method(), asked.upstream_path_and_query().as_str()), ("PUT", "/Patient/a"));
    assert!(matches!(asked, Interaction::Patch { if_match, .. } if if_match.as_str() == "3"));
    let missing = patch(json_patch, None).unwrap_err();
    assert_eq!((missing.status(), missing.issue()), (428, IssueType::Required));
    for tag in ["*", "3", "W/\"1\", W/\"2\""] {
        assert_eq!(status(patch(json_patch, Some(tag))), 400, "{tag}");
    }
    for other in
        [None, Some("application/json"), Some("application/xml-patch+xml"), Some("application/fhir+xml")]
    {
        assert_eq!(status(patch(other, Some("W/\"3\""))), 415, "{other:?}");
    }
}

#[test]
fn if_match_names_the_version_that_the_client_has_seen() {
    let request = Request {
        method: "PUT",
        path: "/Patient/a",
        content_type: Some("application/json"),
        if_match: Some("W/\"3\""),
        ..Request::default()
    };
    let Ok(Interaction::Update { if_match, .. }) = Interaction::parse(&request) else { panic!("an update") };
    assert_eq!(if_match.unwrap().as_str(), "3");
    assert_eq!(Interaction::parse(&Request { if_match: Some("*"), ..request }), Err(Refusal::IfMatch));
}

#[test]
fn a_refusal_names_parameters_and_no_values() {
    let body = get("/Patient", "name:sounds-like=Trenton").unwrap_err().outcome().to_json();
    assert!(body.contains("`name:sounds-like`") && !body.contains("Trenton"), "{body}");
    let body = get("/Patient", "999-12-3456=x").unwrap_err().outcome().to_json();
    assert!(!body.contains("999"), "{body}");
}

fn any_query() -> impl Strategy<Value = String> {
    let text = "[^\\p{C}]{1,12}";
    let field = prop_oneof![
        text.prop_map(|v| ("value-string:contains", v)),
        text.prop_map(|v| ("code", v)),
        "[a-z0-9]{1,8}".prop_map(|v| ("patient", v)),
        "(Patient|Group)/[A-Za-z0-9.-]{1,8}".prop_map(|v| ("subject", v)),
        "[a-z0-9]{1,4},[a-z0-9]{1,4}".prop_map(|v| ("_id", v)),
        "(ge|lt|)20[0-9]{2}-0[1-9]".prop_map(|v| ("_lastUpdated", v)),
        "-?[0-9]{1,3}\\.[0-9]\\|[a-z:/]{0,8}\\|mg".prop_map(|v| ("value-quantity", v)),
        Just(("_sort", "-date,code".to_owned())),
        "[1-9][0-9]{0,2}".prop_map(|v| ("_count", v)),
    ];
    prop::collection::vec(field, 0..8).prop_map(|fields| {
        let mut form = Form::default();
        for (name, value) in fields {
            form.push(name, &value);
        }
        form.encode()
    })
}

proptest! {
    #[test]
    fn what_goes_upstream_is_read_as_what_was_asked(query in any_query()) {
        if let Ok(asked) = get("/Observation", &query) {
            let url = asked.upstream_path_and_query();
            let (path, query) = url.split_once('?').unwrap_or((&url, ""));
            prop_assert_eq!(get(path, query), Ok(asked));
        }
        if let Ok(asked) = post_search("/Observation/_search", "", &query) {
            let path = asked.upstream_path_and_query();
            prop_assert_eq!(post_search(&path, "", &asked.upstream_form().unwrap()), Ok(asked));
        }
    }

    #[test]
    fn what_goes_upstream_names_the_same_record(id in "[A-Za-z0-9.-]{1,64}", version in "[A-Za-z0-9.-]{1,64}") {
        for path in [format!("/Patient/{id}"), format!("/Patient/{id}/_history/{version}")] {
            if let Ok(asked) = get(&path, "") {
                prop_assert_eq!(asked.upstream_path_and_query(), path);
            }
        }
    }

    #[test]
    fn no_request_makes_it_panic(method in "GET|POST|PUT|DELETE|PATCH", path in "/.{0,40}|/Patient/.{0,20}", query in ".{0,60}") {
        let _ = send(&method, &path, &query);
    }
}
