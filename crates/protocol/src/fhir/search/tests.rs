use super::*;
use crate::fhir::version::FhirVersion;

fn search(resource_type: &str, query: &str) -> Result<SearchQuery, SearchError> {
    let form = Form::parse_repeating(query).unwrap();
    SearchQuery::parse(FhirVersion::R4, resource_type.parse().unwrap(), &form, &Form::default())
}

fn written(resource_type: &str, query: &str) -> String {
    let form = search(resource_type, query).unwrap().to_form();
    form.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn ids(ids: &[&str]) -> BTreeSet<ResourceId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn parameters_of_the_type_are_taken_by_kind() {
    for (resource_type, query) in [
        ("Patient", "name:exact=Roe&birthdate=ge1990-01&gender=female"),
        ("Patient", "identifier=http://a|1,http://b|2"),
        ("Observation", "category=laboratory&code=http://loinc.org|1234-5&date=ge2020&date=lt2021"),
        ("Observation", "value-quantity=gt5.4|http://unitsofmeasure.org|mg"),
        ("Observation", "value-string:contains=a\\,b"),
        ("Encounter", "date=sa2020-01-01T10:00:00.123Z"),
        ("Encounter", "date=2020-01-01T10:00-05:00"),
        ("MolecularSequence", "window-start=1e3"),
        ("Condition", "_lastUpdated=gt2020&_sort=-recorded-date,_id&_count=1000"),
        ("ValueSet", "url=http://a/b"),
        ("AuditEvent", "entity=Observation/1,Patient/a"),
        ("Binary", "_id=a,b"),
    ] {
        assert_eq!(written(resource_type, query), query.replace('+', " "), "{query}");
    }
}

#[test]
fn a_reference_is_written_with_its_type() {
    assert_eq!(written("Observation", "patient=a,Patient/b"), "patient=Patient/a,Patient/b");
    assert_eq!(written("Observation", "subject=Group/g"), "subject=Group/g");
}

#[test]
fn what_is_weird_about_a_reference_is_refused() {
    for query in [
        "subject=a",
        "patient=Group/a",
        "patient=Foo/a",
        "patient=Patient/a/_history/1",
        "patient=https://other.test/fhir/Patient/a",
        "patient=http://a|b",
        "patient=",
        "patient=a,",
        "patient=a\\,b",
        "patient=%23a",
        "patient=..",
        "encounter=Patient/a",
        "_id=Patient/a",
        "_id=",
        "_id=a,,b",
    ] {
        assert!(matches!(search("Observation", query), Err(SearchError::Value(_))), "{query}");
    }
}

#[test]
fn a_value_of_another_kind_is_refused() {
    for query in [
        "date=yesterday",
        "date=2020-1",
        "date=2020-01-01T10",
        "date=2020-01-01T10:00:00.",
        "date=2020T10:00",
        "date=xx2020",
        "date=",
        "date=2020,",
        "value-quantity=five",
        "value-quantity=5|a|b|c",
        "value-quantity=|a|b",
        "code=",
        "code=a,,b",
        "_lastUpdated=now",
        "_count=1001",
        "_count=-1",
        "_count=+1",
        "_count=99999999999999999999",
        "_count=",
        "_sort=",
        "_sort=patient",
        "_sort=patient.name",
        "_sort=--date",
        "_sort=nothing",
        "_sort=date,",
        "_summary=counts",
        "_elements=nonsense",
        "_elements=",
    ] {
        assert!(matches!(search("Observation", query), Err(SearchError::Value(_))), "{query}");
    }
}

#[test]
fn what_reaches_beyond_the_records_searched_is_refused() {
    for (resource_type, query) in [
        ("Observation", "_filter=patient eq other"),
        ("Observation", "_total=accurate"),
        ("Observation", "_type=Patient"),
        ("Observation", "_query=x"),
        ("Observation", "_list=x"),
        ("Observation", "_text=x"),
        ("Observation", "_content=x"),
        ("Observation", "_contained=true"),
        ("Observation", "_containedType=contained"),
        ("Observation", "_tag=x"),
        ("Observation", "_security=x"),
        ("Observation", "_profile=x"),
        ("Observation", "_source=x"),
        ("Observation", "_getpages=x"),
        ("Observation", "code-value-quantity=x$1"),
        ("Location", "near=1|2|3"),
        ("Observation", "birthdate=2000"),
        ("Observation", "Code=x"),
        ("Observation", "code[]=x"),
        ("Observation", "=x"),
        ("Binary", "patient=a"),
    ] {
        assert!(matches!(search(resource_type, query), Err(SearchError::Parameter(_))), "{query}");
    }
}

#[test]
fn every_modifier_but_two_on_strings_is_refused() {
    for query in [
        "patient:not=me",
        "patient:identifier=http://a|1",
        "subject:Patient=other",
        "code:in=x",
        "code:not-in=x",
        "code:above=x",
        "code:below=x",
        "code:text=x",
        "code:of-type=x",
        "code:missing=true",
        "code:exact=x",
        "code:=x",
        "_id:exact=x",
        "date:missing=false",
        "value-string:missing=true",
        "value-string:exact:contains=x",
    ] {
        assert!(matches!(search("Observation", query), Err(SearchError::Modifier(_))), "{query}");
    }
}

#[test]
fn a_parameter_in_the_url_and_in_the_body_is_refused() {
    let both = |url, body| {
        let read = |text| Form::parse_repeating(text).unwrap();
        SearchQuery::parse(FhirVersion::R4, "Observation".parse().unwrap(), &read(url), &read(body))
    };
    for (url, body) in [("patient=me", "patient=other"), ("code=a", "code=a"), ("code=a", "code:in=a")] {
        assert!(matches!(both(url, body), Err(SearchError::InUrlAndBody(_))), "{url} {body}");
    }
    assert!(both("patient=me", "code=a").is_ok());
}

#[test]
fn a_second_count_or_order_is_refused() {
    for query in ["_count=1&_count=2", "_sort=date&_sort=code"] {
        assert!(matches!(search("Observation", query), Err(SearchError::Repeated(_))), "{query}");
    }
}

#[test]
fn the_patients_who_are_asked_for_are_known() {
    let named = |resource_type, query| search(resource_type, query).unwrap().patients_named();
    assert_eq!(named("Observation", "patient=a,b&subject=Patient/c"), ids(&["a", "b", "c"]));
    assert_eq!(named("Observation", "performer=Practitioner/a&_id=b"), ids(&[]));
    assert_eq!(named("Patient", "_id=a,b"), ids(&["a", "b"]));
}

#[test]
fn a_search_is_narrowed_by_the_parameter_that_finds_exactly_the_patients_own() {
    let narrowed = |resource_type, query| {
        let (Narrowed::Within(query) | Narrowed::Open(query)) =
            search(resource_type, query).unwrap().narrowed_to_patients(&ids(&["a", "b"]));
        let form = query.to_form();
        form.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    };
    assert_eq!(
        narrowed("Observation", "patient=me,other"),
        "patient=Patient/me,Patient/other&patient=Patient/a,Patient/b"
    );
    assert_eq!(narrowed("Patient", ""), "_id=a,b");
    assert_eq!(narrowed("Claim", ""), "patient=Patient/a,Patient/b");
    assert_eq!(narrowed("AdverseEvent", ""), "subject=Patient/a,Patient/b");
    assert_eq!(narrowed("Organization", ""), "");
    assert_eq!(narrowed("Communication", ""), "", "its recipients would be lost");
    let many: BTreeSet<ResourceId> = (0..1001).map(|i| i.to_string().parse().unwrap()).collect();
    for patients in [many, BTreeSet::new()] {
        let plain = search("Observation", "").unwrap();
        assert_eq!(plain.clone().narrowed_to_patients(&patients), Narrowed::Open(plain));
    }
}

#[test]
fn every_narrowed_search_is_one_that_could_have_been_asked_for() {
    for version in FhirVersion::ALL {
        for resource_type in ResourceType::all(version) {
            let read = |form| SearchQuery::parse(version, resource_type, form, &Form::default());
            let nothing = Form::default();
            let plain = read(&nothing).unwrap();
            let (Narrowed::Within(narrowed) | Narrowed::Open(narrowed)) =
                plain.narrowed_to_patients(&ids(&["a"]));
            assert_eq!(read(&narrowed.to_form()), Ok(narrowed), "{version} {resource_type}");
        }
    }
}

#[test]
fn a_search_is_by_the_parameters_of_its_version() {
    let read = |version, query| {
        let form = Form::parse_repeating(query).unwrap();
        SearchQuery::parse(version, "Encounter".parse().unwrap(), &form, &Form::default()).is_ok()
    };
    for (query, expected) in [
        ("date=2026", [true, true, true]),
        ("location-period=2026", [true, true, false]),
        ("date-start=2026", [false, false, true]),
        ("length=5", [true, true, true]),
        ("diagnosis=Condition/1", [true, true, false]),
        ("diagnosis-reference=Condition/1", [false, false, true]),
        ("_revinclude=DeviceUsage:patient", [false, false, true]),
        ("_has:MedicationStatement:encounter:code=x", [false, false, true]),
    ] {
        assert_eq!(FhirVersion::ALL.map(|version| read(version, query)), expected, "{query}");
    }
}

#[test]
fn a_query_prints_without_its_values() {
    let query = search("Patient", "name=Trenton&_id=secret").unwrap();
    let printed = format!("{query:?}");
    assert!(!printed.contains("Trenton") && !printed.contains("secret"), "{printed}");
}

#[test]
fn which_elements_are_wanted_is_no_business_of_the_upstreams() {
    let query = search("Observation", "code=x&_elements=subject,status&_count=5").unwrap();
    assert_eq!(query.to_form().encode(), "code=x&_count=5");
    assert_eq!(query.asked().encode(), "code=x&_count=5&_elements=subject%2Cstatus");
    assert!(matches!(search("Observation", "_summary=text&_elements=code"), Err(SearchError::Repeated(_))));
}
