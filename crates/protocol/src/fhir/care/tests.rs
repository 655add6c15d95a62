use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::version::FhirVersion;

const HOUR: Duration = Duration::from_hours(1);
const MARGINS: Margins = Margins {
    after_encounter: Duration::from_hours(48),
    open_encounter: Duration::from_hours(365 * 24),
    around_appointment: HOUR,
};

fn bases() -> BaseUrls {
    bases_of(FhirVersion::R4)
}

fn bases_of(version: FhirVersion) -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi.internal:8080/fhir".parse().unwrap(),
        version,
    }
}

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn proven(source: Source, resource: &Value) -> Option<(Vec<String>, Vec<String>)> {
    proven_by(FhirVersion::R4, source, resource)
}

fn proven_by(version: FhirVersion, source: Source, resource: &Value) -> Option<(Vec<String>, Vec<String>)> {
    let proven = source.proves(&Node::from(resource), MARGINS, now(), &bases_of(version))?;
    let carers = proven.carers.iter().map(ToString::to_string).collect();
    Some((carers, proven.patients.iter().map(ToString::to_string).collect()))
}

fn to(reference: &str) -> Value {
    json!({ "reference": reference })
}

fn both(carer: &str, patient: &str) -> Option<(Vec<String>, Vec<String>)> {
    Some((vec![carer.to_owned()], vec![patient.to_owned()]))
}

fn team() -> Value {
    json!({ "resourceType": "CareTeam", "id": "t", "status": "active", "subject": to("Patient/p"),
        "period": { "start": "2026-01-01" }, "participant": [{ "member": to("Practitioner/d") }] })
}

fn visit() -> Value {
    json!({ "resourceType": "Encounter", "id": "e", "status": "in-progress", "subject": to("Patient/p"),
        "period": { "start": "2026-11-25T08:00:00Z" }, "participant": [{ "individual": to("Practitioner/d") }] })
}

fn meeting() -> Value {
    json!({ "resourceType": "Appointment", "id": "a", "status": "booked", "start": "2026-11-26T12:30:00Z",
        "end": "2026-11-26T13:00:00Z", "participant": [
            { "actor": to("Practitioner/d"), "status": "accepted" },
            { "actor": to("Patient/p"), "status": "needs-action" }] })
}

fn with(mut resource: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = resource.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    resource
}

#[test]
fn an_encounter_of_which_no_end_is_said_holds_for_so_long_and_no_longer() {
    let begun = |start: &str| proven(Source::Encounter, &with(visit(), "/period/start", json!(start)));
    let expected = both("Practitioner/d", "p");
    for (start, holds) in [
        ("2025-11-26T12:00:00Z", true),
        ("2025-11-26T11:59:59Z", false),
        ("2025-11", true),
        ("2025", true),
        ("2024", false),
    ] {
        assert_eq!(begun(start).is_some(), holds, "{start}");
    }
    // Where it does not say when it began, it was there when it was last written.
    let mut unsaid = visit();
    unsaid.as_object_mut().unwrap().remove("period");
    assert_eq!(proven(Source::Encounter, &unsaid), None);
    unsaid["meta"] = json!({ "lastUpdated": "2026-03-01T00:00:00Z" });
    assert_eq!(proven(Source::Encounter, &unsaid), expected);
    unsaid["meta"] = json!({ "lastUpdated": "2025-03-01T00:00:00Z" });
    assert_eq!(proven(Source::Encounter, &unsaid), None);
}

#[test]
fn who_is_only_told_of_an_appointment_does_not_care() {
    for (required, cares) in [("required", true), ("optional", true), ("information-only", false)] {
        let meeting = with(meeting(), "/participant/0/required", json!(required));
        assert_eq!(proven(Source::Appointment, &meeting).is_some(), cares, "{required}");
    }
}

#[test]
fn r5_says_the_same_by_other_names() {
    let r5 = |source, resource: &Value| proven_by(FhirVersion::R5, source, resource);
    let expected = both("Practitioner/d", "p");
    let visit = json!({ "resourceType": "Encounter", "id": "e", "status": "in-progress", "subject": to("Patient/p"),
        "class": [{ "coding": [{ "code": "AMB" }] }], "actualPeriod": { "start": "2026-11-25T08:00:00Z" },
        "participant": [{ "actor": to("Practitioner/d") }] });
    assert_eq!(r5(Source::Encounter, &visit), expected);
    assert_eq!(proven_by(FhirVersion::R4B, Source::Encounter, &visit), None, "R4B has no such elements");
    assert_eq!(r5(Source::Encounter, &self::visit()), None, "R4's say nothing in R5");
    let over = with(visit.clone(), "/status", json!("completed"));
    assert_eq!(r5(Source::Encounter, &over), None, "it does not say when");
    assert_eq!(
        r5(Source::Encounter, &with(over, "/actualPeriod/end", json!("2026-11-25T10:00:00Z"))),
        expected
    );
    for status in ["planned", "finished", "arrived", "cancelled"] {
        assert_eq!(r5(Source::Encounter, &with(visit.clone(), "/status", json!(status))), None, "{status}");
    }
    assert_eq!(r5(Source::Appointment, &meeting()), expected);
    assert_eq!(r5(Source::CareTeam, &team()), expected);
    let part = |name: &str, value: Value| {
        r5(Source::CareTeam, &with(team(), &format!("/participant/0/{name}"), value))
    };
    assert_eq!(part("coveragePeriod", json!({ "start": "2026-01-01" })), expected);
    assert_eq!(part("coveragePeriod", json!({ "end": "2026-01-01" })), None);
    assert_eq!(part("coverageTiming", json!({})), None, "it does not say that they take part now");
}

#[test]
fn what_is_in_force_proves_who_cares_for_whom() {
    for (source, resource) in
        [(Source::CareTeam, team()), (Source::Encounter, visit()), (Source::Appointment, meeting())]
    {
        assert_eq!(proven(source, &resource), both("Practitioner/d", "p"), "{source}");
        for other in Source::ALL.into_iter().filter(|other| *other != source) {
            assert_eq!(proven(other, &resource), None, "a {source} is no {other}");
        }
        for base in ["https://gate.test/fhir", "http://hapi.internal:8080/fhir"] {
            let absolute =
                resource.to_string().replace("\"Practitioner/d", &format!("\"{base}/Practitioner/d"));
            assert_eq!(
                proven(source, &serde_json::from_str(&absolute).unwrap()),
                both("Practitioner/d", "p")
            );
        }
        let role = resource.to_string().replace("Practitioner/d", "PractitionerRole/r");
        assert_eq!(proven(source, &serde_json::from_str(&role).unwrap()), both("PractitionerRole/r", "p"));
    }
}

#[test]
fn a_reference_that_proves_nothing_makes_no_relation() {
    for (source, resource) in
        [(Source::CareTeam, team()), (Source::Encounter, visit()), (Source::Appointment, meeting())]
    {
        for (own, wrong) in [
            ("Practitioner/d", "https://other.test/fhir/Practitioner/d"),
            ("Practitioner/d", "#d"),
            ("Practitioner/d", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
            ("Practitioner/d", "Practitioner?identifier=d"),
            ("Practitioner/d", "Organization/d"),
            ("Practitioner/d", "CareTeam/d"),
            ("Patient/p", "https://other.test/fhir/Patient/p"),
            ("Patient/p", "Group/p"),
            ("Patient/p", "#p"),
            ("Patient/p", "Patient/p "),
            ("Patient/p", "Patient/%70"),
        ] {
            let text = resource.to_string().replace(&format!("\"{own}\""), &format!("\"{wrong}\""));
            assert_eq!(proven(source, &serde_json::from_str(&text).unwrap()), None, "{source} {wrong}");
        }
        for modifier in [json!([{ "url": "x", "valueBoolean": true }]), json!(null)] {
            assert_eq!(proven(source, &with(resource.clone(), "/modifierExtension", modifier.clone())), None);
            assert_eq!(
                proven(source, &with(resource.clone(), "/participant/0/modifierExtension", modifier)),
                None
            );
        }
        assert_eq!(proven(source, &with(resource, "/implicitRules", json!("http://x"))), None);
    }
}

#[test]
fn a_care_team_counts_while_it_is_active_and_for_those_who_take_part_now() {
    for status in ["proposed", "suspended", "inactive", "entered-in-error", "ACTIVE", ""] {
        assert_eq!(proven(Source::CareTeam, &with(team(), "/status", json!(status))), None, "{status}");
    }
    for (period, counts) in [
        (json!({ "start": "2026-11-26" }), true),
        (json!({ "start": "2026-11-27" }), false),
        (json!({ "end": "2026-11-26" }), true),
        (json!({ "end": "2026-11-26T11:59:59Z" }), false),
        (json!({ "end": "2026-11-25" }), false),
        (json!({ "end": "never" }), false),
        (json!({}), true),
    ] {
        for pointer in ["/period", "/participant/0/period"] {
            let team = with(team(), pointer, period.clone());
            assert_eq!(proven(Source::CareTeam, &team).is_some(), counts, "{pointer} {period}");
        }
    }
}

#[test]
fn an_encounter_counts_while_it_goes_on_and_so_long_after_its_end() {
    for (status, counts) in [
        ("planned", false),
        ("arrived", true),
        ("triaged", true),
        ("in-progress", true),
        ("onleave", true),
        ("finished", false),
        ("cancelled", false),
        ("entered-in-error", false),
        ("unknown", false),
    ] {
        let visit = with(visit(), "/status", json!(status));
        assert_eq!(proven(Source::Encounter, &visit).is_some(), counts, "{status}, without an end");
    }
    for (end, counts) in
        [("2026-11-24T12:00:00Z", true), ("2026-11-24T11:59:59Z", false), ("2026-11-24", true)]
    {
        let ended = json!({ "start": "2026-11-20", "end": end });
        for status in ["finished", "in-progress"] {
            let visit = with(with(visit(), "/status", json!(status)), "/period", ended.clone());
            assert_eq!(proven(Source::Encounter, &visit).is_some(), counts, "{status} {end}");
        }
        let left = with(visit(), "/participant/0/period", ended);
        assert_eq!(proven(Source::Encounter, &left).is_some(), counts, "who left then: {end}");
    }
    assert_eq!(proven(Source::Encounter, &with(visit(), "/period", json!({ "start": "2026-11-27" }))), None);
    assert_eq!(proven(Source::Encounter, &with(visit(), "/period", json!("2026"))), None);
}

#[test]
fn an_appointment_counts_about_its_time_for_those_who_come() {
    for (status, counts) in [
        ("proposed", false),
        ("pending", false),
        ("booked", true),
        ("arrived", true),
        ("checked-in", true),
        ("fulfilled", true),
        ("cancelled", false),
        ("noshow", false),
        ("waitlist", false),
        ("entered-in-error", false),
    ] {
        let meeting = with(meeting(), "/status", json!(status));
        assert_eq!(proven(Source::Appointment, &meeting).is_some(), counts, "{status}");
    }
    for (start, end, counts) in [
        ("2026-11-26T13:00:00Z", Some("2026-11-26T13:30:00Z"), true),
        ("2026-11-26T13:00:01Z", Some("2026-11-26T13:30:00Z"), false),
        ("2026-11-26T08:00:00Z", Some("2026-11-26T11:00:00Z"), true),
        ("2026-11-26T08:00:00Z", Some("2026-11-26T10:59:59Z"), false),
        ("2026-11-26T10:59:59Z", None, false),
        ("soon", None, false),
    ] {
        let mut meeting = with(meeting(), "/start", json!(start));
        meeting.as_object_mut().unwrap().remove("end");
        let meeting = match end {
            Some(end) => with(meeting, "/end", json!(end)),
            None => meeting,
        };
        assert_eq!(proven(Source::Appointment, &meeting).is_some(), counts, "{start} {end:?}");
    }
    for (place, status, counts) in [
        (0, "tentative", false),
        (0, "declined", false),
        (0, "needs-action", false),
        (1, "declined", false),
        (1, "tentative", true),
        (1, "accepted", true),
    ] {
        let meeting = with(meeting(), &format!("/participant/{place}/status"), json!(status));
        assert_eq!(proven(Source::Appointment, &meeting).is_some(), counts, "{place} {status}");
    }
}

#[test]
fn a_role_is_its_holders_while_it_is_in_force() {
    let role = json!({ "resourceType": "PractitionerRole", "id": "r", "active": true,
        "practitioner": to("Practitioner/d"), "period": { "start": "2026-01-01" } });
    let holder = |role: &Value| holder_of_role(&Node::from(role), now(), &bases()).map(|r| r.to_string());
    assert_eq!(holder(&role).as_deref(), Some("Practitioner/d"));
    for wrong in [
        with(role.clone(), "/active", json!(false)),
        with(role.clone(), "/active", json!("true")),
        with(role.clone(), "/period", json!({ "end": "2026-11-25" })),
        with(role.clone(), "/practitioner", to("https://other.test/fhir/Practitioner/d")),
        with(role.clone(), "/practitioner", to("Patient/d")),
        with(role.clone(), "/resourceType", json!("Practitioner")),
        with(role, "/modifierExtension", json!([])),
    ] {
        assert_eq!(holder(&wrong), None, "{wrong}");
    }
}

fn any_reference() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "(Patient|Practitioner|PractitionerRole|Group|Organization)/[a-d]",
        "(https://gate.test/fhir|https://other.test)/(Patient|Practitioner)/[a-d]",
        "#[a-d]",
        ".{0,12}",
    ];
    prop_oneof![9 => text.prop_map(|text| to(&text)), 1 => Just(json!("Patient/a")), 1 => Just(json!({ "identifier": {} }))]
}

fn any_period() -> impl Strategy<Value = Value> {
    let date = prop_oneof!["202[5-7](-1[0-2](-2[0-9])?)?", "2026-11-2[5-7]T1[0-3]:00:00Z", ".{0,6}"];
    (proptest::option::of(date.clone()), proptest::option::of(date))
        .prop_map(|(start, end)| json!({ "start": start, "end": end }))
        .prop_map(|mut period| {
            period.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            period
        })
}

fn any_resource() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![Just("CareTeam"), Just("Encounter"), Just("Appointment"), Just("Observation")];
    let status = prop_oneof![
        Just("active"),
        Just("in-progress"),
        Just("finished"),
        Just("booked"),
        Just("cancelled"),
        Just("accepted"),
    ];
    let part = (any_reference(), any_reference(), any_reference(), status.clone(), any_period()).prop_map(
        |(member, individual, actor, status, period)| {
            json!({ "member": member, "individual": individual, "actor": actor, "status": status, "period": period })
        },
    );
    let parts = proptest::collection::vec(part, 0..4);
    (kind, status, any_reference(), any_period(), parts, "2026-11-26T1[0-3]:00:00Z").prop_map(
        |(kind, status, subject, period, parts, start)| {
            json!({ "resourceType": kind, "status": status, "subject": subject, "period": period,
                "participant": parts, "start": start })
        },
    )
}

proptest! {
    /// Whatever comes: whoever is said to care stands in it as taking part, and whom they care for as well.
    #[test]
    fn nobody_is_related_whom_the_resource_does_not_name(resource in any_resource()) {
        for source in Source::ALL {
            let Some((carers, patients)) = proven(source, &resource) else { continue };
            prop_assert_eq!(&resource["resourceType"], source.as_str());
            let parts = resource["participant"].as_array().unwrap();
            let element = match source {
                Source::CareTeam => "member",
                Source::Encounter => "individual",
                Source::Appointment => "actor",
            };
            let named = |at: &Value, name: &str| {
                let text = at["reference"].as_str().unwrap_or_default();
                text == name || text == format!("https://gate.test/fhir/{name}")
            };
            for carer in &carers {
                prop_assert!(carer.starts_with("Practitioner"));
                prop_assert!(parts.iter().any(|part| named(&part[element], carer)));
            }
            for patient in &patients {
                let name = format!("Patient/{patient}");
                let is_named = match source {
                    Source::CareTeam | Source::Encounter => named(&resource["subject"], &name),
                    Source::Appointment => parts.iter().any(|part| named(&part["actor"], &name)),
                };
                prop_assert!(is_named);
            }
        }
    }
}
