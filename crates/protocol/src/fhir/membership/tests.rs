use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::fhir::elements::Part;
use crate::fhir::version::FhirVersion;

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

fn whose(resource: &Value) -> Membership {
    patients_of(&Node::from(resource), &bases())
}

fn others(resource: &Value) -> Others {
    other_patients_named(&Node::from(resource), &whose(resource), &bases())
}

fn patients(ids: &[&str]) -> Membership {
    Membership::Patients(ids.iter().map(|id| id.parse().unwrap()).collect())
}

fn observation(subject: &Value) -> Value {
    json!({"resourceType": "Observation", "id": "o", "subject": subject})
}

#[test]
fn a_patient_is_its_own_record() {
    assert_eq!(whose(&json!({"resourceType": "Patient", "id": "a"})), patients(&["a"]));
    for id in [json!(null), json!(1), json!(""), json!(".."), json!("a/b"), json!(["a"])] {
        assert_eq!(whose(&json!({"resourceType": "Patient", "id": id})), Membership::Unknown, "{id}");
    }
    assert_eq!(whose(&json!({"resourceType": "Patient"})), Membership::Unknown);
}

#[test]
fn shared_types_are_nobodys_and_the_rest_is_unknown() {
    let shared =
        ["HealthcareService", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole"];
    for version in FhirVersion::ALL {
        for resource_type in ResourceType::all(version) {
            let name = resource_type.as_str();
            let bare = json!({"resourceType": name, "id": "x"});
            let expected = match name {
                "Patient" => patients(&["x"]),
                _ if shared.contains(&name) => Membership::Nobody,
                _ => Membership::Unknown,
            };
            assert_eq!(patients_of(&Node::from(&bare), &bases_of(version)), expected, "{version} {name}");
        }
    }
    for resource in [json!(null), json!([]), json!({}), json!({"resourceType": "patient", "id": "a"})] {
        assert_eq!(whose(&resource), Membership::Unknown, "{resource}");
    }
}

/// Each type of a version's patient compartment, the elements that count, and those by which somebody wrote.
fn compartment(version: FhirVersion) -> Vec<[&'static str; 4]> {
    let text = FhirVersion::ALL.into_iter().zip(table::TEXTS).find(|(own, _)| *own == version).unwrap().1;
    let line = |line: &'static str| {
        let mut columns = line.split('\t');
        [0; 4].map(|_| columns.next().unwrap_or_default())
    };
    text.lines().map(line).collect()
}

#[test]
fn every_element_of_a_versions_compartment_counts_but_for_those_who_wrote() {
    for (version, rows) in FhirVersion::ALL.into_iter().zip([66, 66, 72]) {
        assert_eq!(compartment(version).len(), rows);
        for [resource_type, _, counted, others] in compartment(version) {
            assert!(ResourceType::of(version, resource_type).is_ok(), "{version} {resource_type}");
            let of = |path: &str| {
                let reference = json!({"reference": "Patient/a"});
                let mut resource =
                    path.split('.').rev().fold(reference, |inner, name| json!({ name: inner }));
                resource["resourceType"] = json!(resource_type);
                resource["id"] = json!("x");
                patients_of(&Node::from(&resource), &bases_of(version))
            };
            for path in counted.split(' ') {
                let (path, expected) = match path.strip_prefix('+') {
                    Some(path) => (path, Membership::Unknown),
                    None => (path, patients(&["a"])),
                };
                assert_eq!(of(path), expected, "{version} {resource_type}.{path}");
            }
            for path in others.split_ascii_whitespace() {
                assert_eq!(of(path), Membership::Unknown, "{version} {resource_type}.{path}");
            }
        }
    }
}

/// R4's compartment by hand, from the page of its CompartmentDefinition and the definitions of its search parameters, less
/// author, performer, asserter, recorder, informant and sender. Not made by what makes the table.
const R4_BY_HAND: &str = "\
Account subject
AdverseEvent subject
AllergyIntolerance patient
Appointment participant.actor
AppointmentResponse actor
AuditEvent agent.who entity.what
Basic subject
BodyStructure patient
CarePlan subject
CareTeam subject participant.member
ChargeItem subject
Claim patient payee.party
ClaimResponse patient
ClinicalImpression subject
Communication subject recipient
CommunicationRequest subject recipient requester
Composition subject attester.party
Condition subject
Consent patient
Coverage policyHolder subscriber beneficiary payor
CoverageEligibilityRequest patient
CoverageEligibilityResponse patient
DetectedIssue patient
DeviceRequest subject
DeviceUseStatement subject
DiagnosticReport subject
DocumentManifest subject recipient
DocumentReference subject
Encounter subject
EnrollmentRequest candidate
EpisodeOfCare patient
ExplanationOfBenefit patient payee.party
FamilyMemberHistory patient
Flag subject
Goal subject
Group member.entity
ImagingStudy subject
Immunization patient
ImmunizationEvaluation patient
ImmunizationRecommendation patient
Invoice subject recipient
List subject source
MeasureReport subject
Media subject
MedicationAdministration subject
MedicationDispense subject receiver
MedicationRequest subject
MedicationStatement subject
MolecularSequence patient
NutritionOrder patient
Observation subject
Person link.target
Procedure subject
Provenance target
QuestionnaireResponse subject
RelatedPerson patient
RequestGroup subject action.participant
ResearchSubject individual
RiskAssessment subject
Schedule actor
ServiceRequest subject
Specimen subject
SupplyDelivery patient
SupplyRequest deliverTo
Task for focus
VisionPrescription patient";

#[test]
fn the_table_of_r4_is_the_one_that_was_written_by_hand() {
    let by_hand: BTreeMap<&str, BTreeSet<&str>> = R4_BY_HAND
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(resource_type, elements)| (resource_type, elements.split(' ').collect()))
        .collect();
    for resource_type in ResourceType::all(FhirVersion::R4) {
        let name = resource_type.as_str();
        let counted: BTreeSet<&str> = match table::Row::of(FhirVersion::R4, name) {
            table::Row::Elements(elements) => {
                assert!(elements.iter().all(|element| element.says == Says::Whose), "{name}");
                let paths = elements.iter().map(|element| element.path.join("."));
                let of_it = by_hand.get(name).into_iter().flatten().copied();
                let counted: BTreeSet<String> = paths.collect();
                assert_eq!(counted.len(), of_it.clone().count(), "{name}: {counted:?}");
                of_it.filter(|path| counted.contains(*path)).collect()
            }
            table::Row::Itself | table::Row::Nobody | table::Row::Unknown => BTreeSet::new(),
        };
        assert_eq!(counted, by_hand.get(name).cloned().unwrap_or_default(), "{name}");
    }
    assert_eq!(by_hand.len(), 66);
}

/// A name that no record has would count for nobody: of a choice, JSON names the way that was chosen.
#[test]
fn every_element_of_a_compartment_is_one_that_refers() {
    for version in FhirVersion::ALL {
        for [resource_type, _, counted, others] in compartment(version) {
            for path in counted.split(' ').chain(others.split_ascii_whitespace()) {
                let mut kinds = vec![resource_type];
                for name in path.trim_start_matches('+').split('.') {
                    let parts = kinds.into_iter().filter_map(|kind| Part::find(version, kind));
                    kinds = parts.filter_map(|part| part.kind(name)).collect();
                }
                assert_eq!(kinds, ["Reference"], "{version} {resource_type}.{path}");
            }
        }
    }
}

/// The rows that are most often got wrong, by hand from each version's compartmentdefinition-patient.html.
#[test]
fn a_record_is_its_patients_by_the_elements_of_its_version() {
    for (record, expected) in [
        (json!({"resourceType": "Consent", "patient": {"reference": "Patient/a"}}), [true, true, false]),
        (json!({"resourceType": "Consent", "subject": {"reference": "Patient/a"}}), [false, false, true]),
        (
            json!({"resourceType": "DetectedIssue", "patient": {"reference": "Patient/a"}}),
            [true, true, false],
        ),
        (
            json!({"resourceType": "ResearchSubject", "individual": {"reference": "Patient/a"}}),
            [true, true, false],
        ),
        (json!({"resourceType": "AuditEvent", "patient": {"reference": "Patient/a"}}), [false, false, true]),
        (
            json!({"resourceType": "AuditEvent", "agent": [{"who": {"reference": "Patient/a"}}]}),
            [true, true, false],
        ),
        (
            json!({"resourceType": "DeviceUseStatement", "subject": {"reference": "Patient/a"}}),
            [true, true, false],
        ),
        (json!({"resourceType": "DeviceUsage", "patient": {"reference": "Patient/a"}}), [false, false, true]),
        (json!({"resourceType": "Contract", "subject": [{"reference": "Patient/a"}]}), [false, false, true]),
        (json!({"resourceType": "Task", "for": {"reference": "Patient/a"}}), [true, true, true]),
        (json!({"resourceType": "Observation", "subject": {"reference": "Patient/a"}}), [true, true, true]),
    ] {
        let whose = FhirVersion::ALL.map(|version| patients_of(&Node::from(&record), &bases_of(version)));
        assert_eq!(whose.map(|own| own == patients(&["a"])), expected, "{record}");
    }
    let parameters = |name: &str| {
        let own = name.parse().unwrap();
        FhirVersion::ALL.map(|version| search_parameter(version, own).unwrap_or("-"))
    };
    assert_eq!(parameters("AdverseEvent"), ["subject", "subject", "patient"]);
    assert_eq!(parameters("Appointment"), ["patient", "patient", "patient"]);
    assert_eq!(parameters("AuditEvent"), ["patient", "patient", "patient"]);
    assert_eq!(parameters("CareTeam"), ["-", "-", "-"]);
    assert_eq!(parameters("Coverage"), ["patient", "patient", "patient"]);
    assert_eq!(parameters("DeviceUsage"), ["-", "-", "patient"]);
}

/// R5 says by `patient` whose these are; what else names a patient names one more.
#[test]
fn what_names_another_patient_beside_the_one_of_r5_makes_a_record_theirs_too() {
    let to = |patient: &str| json!({"reference": format!("Patient/{patient}")});
    let whose = |record: &Value| patients_of(&Node::from(record), &bases_of(FhirVersion::R5));
    let provenance =
        |target: &Value| json!({"resourceType": "Provenance", "patient": to("a"), "target": [target]});
    let event =
        |what: &Value| json!({"resourceType": "AuditEvent", "patient": to("a"), "entity": [{"what": what}]});
    let appointment = |subject: &Value| {
        json!({"resourceType": "Appointment", "subject": subject,
        "participant": [{"actor": to("a"), "status": "accepted"}]})
    };
    for (named, expected) in [
        (to("a"), patients(&["a"])),
        (to("b"), patients(&["a", "b"])),
        (json!({"reference": "Observation/o"}), patients(&["a"])),
        (json!({"reference": "https://elsewhere.test/Patient/b"}), Membership::Unknown),
        (json!({"identifier": {"value": "b"}}), Membership::Unknown),
    ] {
        for record in [provenance(&named), event(&named), appointment(&named)] {
            assert_eq!(whose(&record), expected, "{record}");
        }
    }
    for mut record in [provenance(&to("b")), event(&to("b"))] {
        record["patient"] = json!(null);
        assert_eq!(whose(&record), Membership::Unknown, "{record}");
        record.as_object_mut().unwrap().remove("patient");
        assert_eq!(whose(&record), Membership::Unknown, "{record}");
    }
    let mut alone = appointment(&to("b"));
    alone["participant"] = json!([{"actor": {"reference": "Practitioner/p"}, "status": "accepted"}]);
    assert_eq!(whose(&alone), patients(&["b"]));
}

#[test]
fn a_record_of_several_patients_is_all_theirs() {
    let coverage = json!({
        "resourceType": "Coverage",
        "policyHolder": {"reference": "Patient/a"},
        "beneficiary": {"reference": "Patient/b/_history/2"},
        "payor": [{"reference": "Organization/o"}, {"display": "Humana"}],
    });
    assert_eq!(whose(&coverage), patients(&["a", "b"]));
    let appointment = json!({
        "resourceType": "Appointment",
        "participant": [
            {"actor": {"reference": "Practitioner/p"}},
            {"actor": {"reference": "https://gate.test/fhir/Patient/a"}},
            {"status": "accepted"},
            {"actor": {"reference": "http://hapi.internal:8080/fhir/Patient/b"}},
        ],
    });
    assert_eq!(whose(&appointment), patients(&["a", "b"]));
}

#[test]
fn what_proves_nothing_makes_the_whole_record_unknown() {
    for subject in [
        json!({}),
        json!({"display": "Jane Roe"}),
        json!({"reference": null}),
        json!({"reference": 1}),
        json!({"reference": ""}),
        json!({"reference": "Group/g"}),
        json!({"reference": "Patient/a "}),
        json!({"reference": "Patient/%61"}),
        json!({"reference": "patient/a"}),
        json!({"reference": "urn:uuid:a"}),
        json!({"reference": "https://other.test/fhir/Patient/a"}),
        json!({"reference": "Patient?identifier=x"}),
        json!({"reference": "#p"}),
        json!({"identifier": {"value": "1"}}),
        json!({"type": "Patient", "identifier": {"value": "1"}}),
        json!("Patient/a"),
        json!(["Patient/a"]),
        json!(null),
        json!([]),
    ] {
        assert_eq!(whose(&observation(&subject)), Membership::Unknown, "{subject}");
    }
    let appointment = |other: Value| {
        let known = json!({"actor": {"reference": "Patient/a"}});
        whose(&json!({"resourceType": "Appointment", "participant": [known, {"actor": other}]}))
    };
    assert_eq!(appointment(json!({"reference": "https://other.test/fhir/Patient/b"})), Membership::Unknown);
    assert_eq!(appointment(json!({"identifier": {"value": "1"}})), Membership::Unknown);
    assert_eq!(appointment(json!({"type": "Practitioner", "identifier": {"value": "1"}})), patients(&["a"]));
    assert_eq!(appointment(json!({"type": "Foo", "identifier": {"value": "1"}})), Membership::Unknown);
    assert_eq!(appointment(json!({"display": "Dr Roe"})), patients(&["a"]));
}

#[test]
fn a_contained_patient_is_nobody_in_particular() {
    let mut record = observation(&json!({"reference": "#p"}));
    record["contained"] = json!([{"resourceType": "Patient", "id": "p"}]);
    assert_eq!(whose(&record), Membership::Unknown);
    let mut claim = json!({
        "resourceType": "Claim",
        "patient": {"reference": "Patient/a"},
        "payee": {"party": {"reference": "#p"}},
        "contained": [{"resourceType": "Organization", "id": "p"}],
    });
    assert_eq!(whose(&claim), patients(&["a"]));
    claim["contained"][0]["resourceType"] = json!("Patient");
    assert_eq!(whose(&claim), Membership::Unknown);
}

#[test]
fn nobody_else_is_named_by_a_plain_record() {
    let mut record = observation(&json!({"reference": "Patient/a"}));
    record["performer"] = json!([{"reference": "Practitioner/p"}, {"reference": "Patient/a"}]);
    record["extension"] =
        json!([{"url": "https://x.test/Patient/caretaker", "valueReference": {"reference": "Patient/a"}}]);
    record["note"] = json!([{"text": "Patient/b"}]);
    record["contained"] =
        json!([{"resourceType": "Device", "id": "d", "patient": {"reference": "Patient/a"}}]);
    assert_eq!(others(&record), Others::None);
}

#[test]
fn another_patient_is_found_wherever_and_however_it_is_named() {
    for (name, value) in [
        ("performer", json!([{"reference": "Patient/b"}])),
        ("focus", json!([{"reference": "http://hapi.internal:8080/fhir/Patient/b/_history/1"}])),
        ("focus", json!([{"reference": "https://other.test/fhir/Patient/a"}])),
        ("focus", json!([{"reference": " Patient/b"}])),
        ("focus", json!([{"reference": "Patient/%62"}])),
        ("focus", json!([{"reference": "Patient%252Fb"}])),
        ("focus", json!([{"reference": "Pati%65nt/b%"}])),
        ("focus", json!([{"reference": "Patient?identifier=x"}])),
        ("focus", json!([{"reference": "patient/b"}])),
        ("focus", json!([{"type": "Patient", "identifier": {"value": "1"}}])),
        ("focus", json!([{"type": "Patient", "reference": "urn:uuid:b"}])),
        ("focus", json!([{"type": "Patient", "display": "Jane Roe"}])),
        ("extension", json!([{"url": "x", "valueReference": {"reference": "Patient/b"}}])),
        ("extension", json!([{"url": "x", "extension": [{"url": "y", "valueUri": "Patient/b"}]}])),
        ("modifierExtension", json!([{"url": "x", "valueUrl": "https://gate.test/fhir/Patient/b"}])),
        ("_status", json!({"extension": [{"url": "x", "valueReference": {"reference": "Patient/b"}}]})),
        ("contained", json!([{"resourceType": "Patient", "id": "a"}])),
        ("contained", json!([{"resourceType": "Device", "patient": {"reference": "Patient/b"}}])),
        ("Subject", json!({"reference": "Patient/b"})),
    ] {
        let mut record = observation(&json!({"reference": "Patient/a"}));
        record[name] = value;
        assert_eq!(whose(&record), patients(&["a"]));
        assert_eq!(others(&record), Others::Named, "{record}");
    }
    let linked =
        json!({"resourceType": "Patient", "id": "a", "link": [{"other": {"reference": "Patient/b"}}]});
    assert_eq!(others(&linked), Others::Named);
    let shared =
        json!({"resourceType": "Medication", "extension": [{"valueReference": {"reference": "Patient/b"}}]});
    assert_eq!((whose(&shared), others(&shared)), (Membership::Nobody, Others::Named));
}

#[test]
fn many_references_to_many_contained_resources_cost_no_more_than_their_text() {
    let mut resource = observation(&json!([]));
    let count = 50_000;
    resource["subject"] = (0..count).map(|_| json!({"reference": "#last"})).collect();
    resource["contained"] = (0..count)
        .map(|number| json!({"id": format!("c{number}"), "resourceType": "Device"}))
        .chain([
            json!({"id": "last", "resourceType": "Device"}),
            json!({"id": "last", "resourceType": "Patient"}),
        ])
        .collect();
    // In squares this would be minutes.
    assert_eq!(
        whose(&resource),
        Membership::Unknown,
        "a device is no patient, and the first of a name counts"
    );
}
