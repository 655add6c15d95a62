use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::reference::Reference;
use crate::fhir::version::FhirVersion;

static BASES: LazyLock<BaseUrls> = LazyLock::new(|| BaseUrls {
    public: "https://gate.test/fhir".parse().unwrap(),
    upstream: "http://hapi:8080/fhir".parse().unwrap(),
    version: FhirVersion::R4,
});

fn mask(text: &str) -> Mask {
    text.parse().unwrap()
}

fn names() -> Pseudonyms {
    Pseudonyms::for_client(&[7; 32], "app")
}

/// The text that leaves of a record.
fn seen(mask: &str, record: &str) -> Result<(String, Option<Reference>), Unmaskable> {
    let of: Value = serde_json::from_str(record).unwrap();
    let asked = format!("{}/{}", of["resourceType"].as_str().unwrap(), of["id"].as_str().unwrap());
    let resource = Resource::parse(record.as_bytes(), &asked.parse().unwrap(), None).unwrap();
    let (mask, pseudonyms) = (mask.parse().unwrap(), names());
    let masking = Masking { mask: &mask, pseudonyms: &pseudonyms, year: 2026, bases: &BASES };
    let view = masking.view(&resource)?;
    Ok((view.text().to_owned(), view.renamed().cloned()))
}

fn masked(mask: &str, record: &Value) -> Value {
    serde_json::from_str(&seen(mask, &record.to_string()).unwrap().0).unwrap()
}

fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "mrn-4711",
        "meta": { "versionId": "3", "lastUpdated": "2026-05-17T08:30:00Z", "source": "urn:clinic:marker",
            "tag": [{ "system": "urn:x", "code": "marker" }], "security": [{ "system": "urn:oid:1", "code": "R" }] },
        "language": "en",
        "text": { "status": "generated", "div": "<div>marker born 1985-02-03</div>" },
        "extension": [{ "url": "http://x/birthPlace", "valueAddress": { "city": "marker" } }],
        "identifier": [{ "use": "official", "system": "urn:mrn", "value": "marker", "type": { "text": "marker" },
            "assigner": { "display": "marker" }, "period": { "start": "2001-02-03" } }],
        "active": true,
        "name": [{ "family": "marker", "given": ["marker"], "_given": [{ "extension": [{ "url": "x", "valueString": "marker" }] }] }],
        "telecom": [{ "system": "email", "value": "marker@x" }],
        "gender": "female", "_gender": { "id": "marker" },
        "birthDate": "1985-02-03",
        "_birthDate": { "extension": [{ "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1985-02-03T10:11:12Z" }] },
        "deceasedDateTime": "2025-03-04T05:06:07Z",
        "address": [{ "line": ["1 marker st"], "city": "marker", "district": "marker", "state": "MA", "postalCode": "02139", "country": "US" },
            { "state": "marker", "postalCode": "03601-1234" }, { "text": "marker" }],
        "maritalStatus": { "coding": [{ "system": "http://t/m", "code": "M", "display": "marker" }], "text": "marker" },
        "photo": [{ "contentType": "image/png", "data": "bWFya2Vy", "title": "marker" }],
        "contact": [{ "name": { "text": "marker" }, "gender": "male", "organization": { "reference": "Organization/o" } }],
        "generalPractitioner": [{ "reference": "Practitioner/dana", "display": "marker" }, { "reference": "http://elsewhere/fhir/Practitioner/marker" },
            { "identifier": { "value": "marker" } }, { "reference": "#doc" }],
        "contained": [{ "resourceType": "Practitioner", "id": "doc", "name": [{ "family": "marker" }], "birthDate": "1930-01-01", "gender": "male" }],
        "link": [{ "other": { "reference": "Patient/marker" }, "type": "seealso" }],
        "unheardOf": "marker"
    })
}

#[test]
fn safe_harbor_lets_nothing_through_but_what_is_known_to_be_safe() {
    let pseudonyms = names();
    let name = |text: &str| pseudonyms.of_record(&text.parse().unwrap()).to_string();
    let (text, renamed) = seen("safe-harbor", &patient().to_string()).unwrap();
    let expected = json!({
        "resourceType": "Patient", "id": name("Patient/mrn-4711").split_once('/').unwrap().1,
        "meta": { "security": [{ "system": "urn:oid:1", "code": "R" },
                { "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "ANONYED" }],
            "tag": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED" }] },
        "contained": [{ "resourceType": "Practitioner", "id": pseudonyms.of_contained("doc"), "gender": "male" }],
        "language": "en", "active": true, "gender": "female", "birthDate": "1985", "deceasedDateTime": "2025",
        "address": [{ "state": "MA", "postalCode": "021", "country": "US" }],
        "maritalStatus": { "coding": [{ "system": "http://t/m", "code": "M" }] },
        "generalPractitioner": [{ "reference": name("Practitioner/dana") }, { "reference": format!("#{}", pseudonyms.of_contained("doc")) }],
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{text}");
    assert_eq!(renamed.unwrap().to_string(), name("Patient/mrn-4711"));
}

#[test]
fn safe_harbor_keeps_what_research_is_about_and_every_digit_of_it() {
    let observation = r##"{"resourceType":"Observation","id":"a","status":"final",
        "category":[{"coding":[{"system":"http://c","code":"laboratory"}]}],
        "code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}],"text":"of Mr. X"},
        "subject":{"reference":"http://hapi:8080/fhir/Patient/p/_history/2","display":"X","type":"Patient"},
        "effectiveDateTime":"2025-01-02","issued":"2025-01-02T03:04:05Z",
        "valueQuantity":{"value":1.10,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"},
        "note":[{"text":"x"}],
        "referenceRange":[{"low":{"value":1e0},"text":"x","age":{"high":{"value":95,"code":"a"}}}],
        "component":[{"code":{"coding":[{"code":"c"}]},"valueString":"x"},
            {"code":{"text":"x"},"valueQuantity":{"value":93,"unit":"years"},"valueSampledData":{"data":"x"}}]}"##;
    let text = seen("safe-harbor", observation).unwrap().0;
    assert!(
        text.contains(r#""valueQuantity":{"value":1.10,"unit":"mmol/L""#)
            && text.contains(r#""low":{"value":1e0}"#),
        "{text}"
    );
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen["effectiveDateTime"], "2025");
    assert_eq!(seen["code"], json!({ "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] }));
    assert_eq!(seen["component"], json!([{ "code": { "coding": [{ "code": "c" }] } }]));
    assert_eq!(seen["referenceRange"], json!([{ "low": { "value": 1.0 } }]));
    let subject = names().of_record(&"Patient/p".parse().unwrap()).to_string();
    assert_eq!(
        seen["subject"],
        json!({ "reference": subject }),
        "the same patient by the same name wherever they are named"
    );
    for gone in ["issued", "note"] {
        assert_eq!(seen.get(gone), None, "{gone}");
    }
}

#[test]
fn what_safe_harbor_cannot_be_carried_out_on_stays() {
    let of = |member: Value| {
        let mut record = json!({ "resourceType": "Observation", "id": "a", "component": [{ "code": {} }] });
        record.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        seen("safe-harbor", &record.to_string()).map(drop)
    };
    let extension = json!([{ "url": "x", "valueBoolean": true }]);
    assert_eq!(of(json!({})), Ok(()));
    assert_eq!(of(json!({ "modifierExtension": extension })), Err(Unmaskable));
    assert_eq!(of(json!({ "component": [{ "modifierExtension": extension }] })), Err(Unmaskable));
    assert_eq!(of(json!({ "implicitRules": "http://x" })), Err(Unmaskable));
    assert_eq!(of(json!({ "contained": [{ "resourceType": "Nonsense" }] })), Err(Unmaskable));
    let questionnaire = json!({ "resourceType": "Questionnaire", "id": "a" }).to_string();
    assert_eq!(seen("safe-harbor", &questionnaire).map(drop), Err(Unmaskable));
}

#[test]
fn ages_over_89_are_not_told() {
    let of = |member: &str, value: Value| {
        let kind = if member == "birthDate" { "Patient" } else { "Condition" };
        masked("safe-harbor", &json!({ "resourceType": kind, "id": "a", member: value })).get(member).cloned()
    };
    assert_eq!(of("birthDate", json!("1937-01-01")), Some(json!("1937")));
    assert_eq!(of("birthDate", json!("1936-12-31")), None);
    assert_eq!(of("onsetDateTime", json!("1920")), None);
    let age = |value: u32, code: &str| json!({ "value": value, "system": "http://unitsofmeasure.org", "code": code });
    assert_eq!(of("onsetAge", age(89, "a")), Some(age(89, "a")));
    assert_eq!(of("onsetAge", age(90, "a")), None);
    assert_eq!(of("onsetAge", age(1200, "mo")), None);
    assert_eq!(of("onsetAge", age(3, "furlongs")), None);
    assert_eq!(of("onsetAge", json!({ "value": "95", "code": "a" })), None);
    let range = |value: u32| json!({ "low": { "value": value, "unit": "years" } });
    assert_eq!(of("onsetRange", range(45)), Some(range(45)));
    assert_eq!(of("onsetRange", range(93)), None);
    assert_eq!(of("onsetRange", json!({ "low": { "value": 93 } })), None);
}

#[test]
fn an_age_is_known_by_what_was_observed_and_what_was_answered_may_be_one() {
    let loinc = |code: &str| json!({ "coding": [{ "system": "http://loinc.org", "code": code }] });
    let of = |code: &str, member: &str, value: Value| {
        let component = json!({ "code": loinc(code), member: value });
        let mut record = component.clone();
        record["resourceType"] = json!("Observation");
        record["id"] = json!("a");
        record["component"] = json!([component]);
        let seen = masked("safe-harbor", &record);
        assert_eq!(seen.get(member), seen["component"][0].get(member));
        seen.get(member).cloned()
    };
    let (age, rate) = ("30525-0", "8867-4");
    assert_eq!(of(age, "valueInteger", json!(93)), None);
    assert_eq!(of(age, "valueInteger", json!(89)), Some(json!(89)));
    assert_eq!(of(rate, "valueInteger", json!(93)), Some(json!(93)));
    let bare = json!({ "value": 93 });
    assert_eq!(
        (of(age, "valueQuantity", bare.clone()), of(rate, "valueQuantity", bare.clone())),
        (None, Some(bare))
    );
    let years = |value: u32| json!({ "value": value, "unit": "Years" });
    assert_eq!(of(age, "valueQuantity", years(93)), None);
    assert_eq!(of(age, "valueQuantity", years(45)), Some(years(45)));
    assert_eq!(of(age, "valueRange", json!({ "low": years(45) })), None);
    let answer = |member: &str, value: Value| {
        let record = json!({ "resourceType": "QuestionnaireResponse", "id": "a", "status": "completed",
            "item": [{ "linkId": "age", "answer": [{ member: value }] }] });
        masked("safe-harbor", &record).pointer(&format!("/item/0/answer/0/{member}")).cloned()
    };
    assert_eq!(answer("valueInteger", json!(93)), None);
    assert_eq!(answer("valueDecimal", json!(93.0)), None);
    assert_eq!(answer("valueInteger", json!(4)), Some(json!(4)));
    assert_eq!(answer("valueQuantity", json!({ "value": 93 })), None);
    assert_eq!(answer("valueQuantity", years(93)), None);
    let weight = json!({ "value": 93, "unit": "kg" });
    assert_eq!(answer("valueQuantity", weight.clone()), Some(weight));
}

#[test]
fn a_postal_code_is_cut_where_it_is_known_how_many_live_behind_it() {
    let of = |address: Value| {
        let record = json!({ "resourceType": "Organization", "id": "a", "address": [address] });
        masked("safe-harbor", &record).pointer("/address/0/postalCode").cloned()
    };
    assert_eq!(of(json!({ "postalCode": "02139", "state": "MA" })), Some(json!("021")));
    assert_eq!(of(json!({ "postalCode": "80331" })), None, "of which country is not said");
    assert_eq!(of(json!({ "postalCode": "02139-1234", "country": "USA" })), Some(json!("021")));
    for sparse in ["03601", "20500", "36900", "69200"] {
        assert_eq!(of(json!({ "postalCode": sparse, "country": "US" })), Some(json!("000")));
    }
    for country in ["DE", "FRA", "Germany", ""] {
        assert_eq!(
            of(json!({ "postalCode": "80331", "country": country, "state": "MA" })),
            None,
            "{country}"
        );
    }
}

#[test]
fn what_is_no_code_does_not_stay_as_one() {
    let of = |code: &str| {
        let record = json!({ "resourceType": "Observation", "id": "a", "code": { "coding": [{ "system": "urn:oid:1.2", "code": code }] } });
        masked("safe-harbor", &record).pointer("/code/coding/0/code").is_some()
    };
    assert!(["8867-4", "E11.9", "38341003", "M"].into_iter().all(of));
    assert!(!["999-12-3456", "05/17/1953", "1953-05-17", "555-123-4567", "a@b"].into_iter().any(of));
}

#[test]
fn texts_that_identify_are_renamed_as_identifiers_are() {
    let coverage = json!({ "resourceType": "Coverage", "id": "a", "subscriberId": "W1234", "dependent": "2", "network": "n" });
    let seen = masked("pseudonyms", &coverage);
    assert_eq!(seen["subscriberId"], json!(names().of_identifier("", "W1234")));
    assert_eq!((&seen["network"], seen["dependent"] == "2"), (&json!("n"), false));
    let device = json!({ "resourceType": "Device", "id": "a", "serialNumber": "s", "distinctIdentifier": "d", "lotNumber": "l",
        "udiCarrier": [{ "deviceIdentifier": "model", "carrierHRF": "(01)1(21)s" }] });
    let seen = masked("pseudonyms", &device);
    assert_eq!(seen["serialNumber"], json!(names().of_identifier("", "s")));
    assert_eq!(seen["udiCarrier"][0]["carrierHRF"], json!(names().of_identifier("", "(01)1(21)s")));
    assert_eq!(
        (&seen["udiCarrier"][0]["deviceIdentifier"], &seen["lotNumber"]),
        (&json!("model"), &json!("l"))
    );
    assert_ne!(seen["distinctIdentifier"], json!("d"));
}

#[test]
fn removed_elements_are_gone_wherever_the_type_stands_and_all_else_is_as_it_came() {
    let record = r#"{"resourceType":"Patient","id":"a","text":{"div":"x"},"multipleBirthInteger":2,"x":1.10,
        "address":[{"city":"x"}],"_address":[null],"contact":[{"name":{"family":"x"},"gender":"male"}],
        "contained":[{"resourceType":"Patient","id":"b","address":[{"city":"x"}],"text":{"div":"x"}},
            {"resourceType":"Organization","id":"o","address":[{"city":"y"}]}]}"#;
    let (text, renamed) =
        seen("remove: Patient.address, Patient.contact.name, Patient.multipleBirth", record).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"resourceType":"Patient","id":"a","x":1.10,"contact":[{"gender":"male"}],"#,
            r#""contained":[{"resourceType":"Patient","id":"b"},{"resourceType":"Organization","id":"o","address":[{"city":"y"}]}],"#,
            r#""meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}],"#,
            r#""security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}]}}"#
        )
    );
    assert_eq!(renamed, None);
    let other = r#"{"resourceType":"Observation","id":"a","text":{"div":"y"},"x":1.10}"#;
    assert_eq!(
        seen("remove: Patient.address", other).unwrap().0,
        other,
        "what a mask does not concern is whole"
    );
    let noted = r#"{"resourceType":"Observation","id":"a","note":[{"text":"x"}],"component":[{"note":1}]}"#;
    let seen = masked("remove: *.note", &serde_json::from_str(noted).unwrap());
    assert_eq!((seen.get("note"), &seen["component"]), (None, &json!([{ "note": 1 }])));
}

#[test]
fn what_is_removed_within_an_element_is_removed_within_those_of_its_kind_at_any_depth() {
    let deep = |inner: Value| {
        json!([{ "linkId": "1", "item": [{ "linkId": "2", "answer": [{ "valueString": "x",
        "item": [inner] }], "item": [{ "linkId": "3", "answer": [{ "valueString": "x" }] }] }] }])
    };
    let response = json!({ "resourceType": "QuestionnaireResponse", "id": "q", "status": "completed",
        "item": deep(json!({ "linkId": "4", "answer": [{ "valueInteger": 1, "valueString": "x" }] })) });
    let without = |path: &str, record: &Value| masked(&format!("remove: {path}"), record);
    let seen = without("QuestionnaireResponse.item.answer", &response);
    assert_eq!(
        seen["item"],
        json!([{ "linkId": "1", "item": [{ "linkId": "2", "item": [{ "linkId": "3" }] }] }])
    );
    let seen = without("QuestionnaireResponse.item.answer.valueString", &response);
    assert!(!seen.to_string().contains("valueString") && seen.to_string().contains("valueInteger"));
    let contained = json!({ "resourceType": "Observation", "id": "o", "contained": [response] });
    assert!(!without("QuestionnaireResponse.item.answer", &contained).to_string().contains("answer"));
    let section = |inner: Value| json!([{ "title": "t", "text": { "div": "x" }, "section": inner }]);
    let document = json!({ "resourceType": "Composition", "id": "c", "title": "t",
        "section": section(section(section(json!([])))) });
    let seen = without("Composition.section.text", &document);
    assert_eq!(
        seen["section"],
        json!([{ "title": "t", "section": [{ "title": "t", "section": [{ "title": "t", "section": [] }] }] }])
    );
    // A path that names the second level leaves the first.
    let seen = without("Composition.section.section.text", &document);
    assert_eq!(seen.to_string().matches("div").count(), 1);
    let consent = json!({ "resourceType": "Consent", "id": "c", "provision": { "type": "deny", "provision": [
        { "type": "permit", "actor": [{}], "provision": [{ "type": "deny", "actor": [{}] }] }] } });
    assert!(!without("Consent.provision.actor", &consent).to_string().contains("actor"));
}

#[test]
fn dates_keep_their_year_and_instants_go() {
    let seen = masked("dates-to-year", &patient());
    assert_eq!(seen["birthDate"], "1985");
    assert_eq!(seen["_birthDate"]["extension"][0]["valueDateTime"], "1985");
    assert_eq!(seen["deceasedDateTime"], "2025");
    assert_eq!(seen["identifier"][0]["period"], json!({ "start": "2001" }));
    assert_eq!((seen["meta"].get("lastUpdated"), &seen["meta"]["versionId"]), (None, &json!("3")));
    assert_eq!(seen["contained"][0].get("birthDate"), None, "over 89");
    assert_eq!((seen.get("text"), &seen["name"]), (None, &patient()["name"]));
    let timed = json!({ "resourceType": "Observation", "id": "a", "effectiveTiming": { "event": ["2024-01-02", "2025-03"] },
        "issued": "2024-01-02T03:04:05Z", "valueString": "2024-01-02", "extension": [{ "url": "x", "valueInstant": "2024-01-02T03:04:05Z" },
        { "url": "x", "valuePeriod": { "start": "2024-01-02T00:00:00Z" } }] });
    let seen = masked("dates-to-year", &timed);
    assert_eq!(seen["effectiveTiming"], json!({ "event": ["2024", "2025"] }));
    assert_eq!((seen.get("issued"), &seen["valueString"]), (None, &json!("2024")));
    assert_eq!(
        seen["extension"],
        json!([{ "url": "x" }, { "url": "x", "valuePeriod": { "start": "2024" } }])
    );
}

#[test]
fn identifiers_get_another_value_and_records_keep_their_ids() {
    let seen = masked("pseudonyms", &patient());
    let expected = names().of_identifier("urn:mrn", "marker");
    assert_eq!(seen["identifier"], json!([{ "use": "official", "system": "urn:mrn", "value": expected }]));
    assert_eq!(
        seen["generalPractitioner"][2]["identifier"],
        json!({ "value": names().of_identifier("", "marker") })
    );
    assert_eq!((&seen["id"], &seen["name"]), (&json!("mrn-4711"), &patient()["name"]));
    assert_eq!(seen["meta"]["security"][1]["code"], "PSEUDED");
}

#[test]
fn masks_add_up() {
    let seen = masked("safe-harbor; remove: Patient.gender, Patient.maritalStatus", &patient());
    assert_eq!(
        (seen.get("gender"), seen.get("maritalStatus"), &seen["birthDate"]),
        (None, None, &json!("1985"))
    );
    assert!(!seen.to_string().contains("marker"), "{seen}");
    let seen = masked("dates-to-year; pseudonyms; remove: Patient.name", &patient());
    assert_eq!((&seen["birthDate"], seen.get("name")), (&json!("1985"), None));
    let labels: Vec<&str> =
        seen["meta"]["security"].as_array().unwrap().iter().filter_map(|c| c["code"].as_str()).collect();
    assert_eq!(labels, ["R", "PSEUDED", "REDACTED"]);
}

#[test]
fn a_mask_is_written_as_it_is_read_and_what_is_none_is_refused() {
    for text in [
        "safe-harbor",
        "dates-to-year; pseudonyms",
        "remove: *.note, Patient.address",
        "dates-to-year; remove: Patient.telecom",
    ] {
        assert_eq!(mask(text).to_string(), text);
    }
    assert_eq!(mask("remove:Patient.telecom ;pseudonyms"), mask("pseudonyms; remove: Patient.telecom"));
    for text in [
        "",
        "safe-harbour",
        "safe-harbor;",
        "remove",
        "remove:",
        "remove: Patient.adress",
        "remove: Patient.id",
        "dates",
        "safe-harbor, pseudonyms",
    ] {
        assert!(text.parse::<Mask>().is_err(), "{text}");
    }
}

#[test]
fn of_several_masks_the_least_holds_and_where_there_is_none_all() {
    let least = |masks: &[&str]| {
        let masks: Vec<Mask> =
            masks.iter().map(|text| if text.is_empty() { Mask::default() } else { mask(text) }).collect();
        Mask::least_of(&masks).to_string()
    };
    assert_eq!(least(&["safe-harbor", ""]), "");
    assert_eq!(least(&["safe-harbor", "dates-to-year"]), "dates-to-year");
    assert_eq!(
        least(&["remove: Patient.contact", "remove: Patient.contact.name"]),
        "remove: Patient.contact.name"
    );
    assert_eq!(
        least(&["remove: *.note", "remove: Observation.note", "safe-harbor; remove: *.note"]),
        "remove: Observation.note"
    );
    assert_eq!(least(&["dates-to-year", "pseudonyms"]), "dates-to-year; pseudonyms");
    assert_eq!(least(&["remove: Patient.name", "safe-harbor"]), "safe-harbor; remove: Patient.name");
}

#[test]
fn what_cannot_be_removed_in_a_version_keeps_the_whole_record() {
    let encounter = json!({ "resourceType": "Encounter", "id": "e", "status": "planned", "classHistory": [{}],
        "actualPeriod": { "start": "2026" } });
    let text = encounter.to_string();
    let resource = Resource::parse(text.as_bytes(), &"Encounter/e".parse().unwrap(), None).unwrap();
    let seen = |mask: &str, version| {
        let (mask, pseudonyms) = (self::mask(mask), names());
        let bases = BaseUrls { version, ..BASES.clone() };
        let masking = Masking { mask: &mask, pseudonyms: &pseudonyms, year: 2026, bases: &bases };
        masking.view(&resource).map(|view| view.text().to_owned())
    };
    assert!(!seen("remove: Encounter.classHistory", FhirVersion::R4B).unwrap().contains("classHistory"));
    assert_eq!(seen("remove: Encounter.classHistory", FhirVersion::R5), Err(Unmaskable));
    assert!(!seen("remove: Encounter.actualPeriod", FhirVersion::R5).unwrap().contains("actualPeriod"));
    assert_eq!(seen("remove: Encounter.actualPeriod", FhirVersion::R4), Err(Unmaskable));
    // By the version's own elements: what it does not have is unknown, and goes.
    assert!(seen("safe-harbor", FhirVersion::R5).unwrap().contains("actualPeriod"));
    assert!(!seen("safe-harbor", FhirVersion::R4).unwrap().contains("actualPeriod"));
}

#[test]
fn nothing_is_searched_by_that_is_not_seen() {
    let lets = |mask: &str, kind: &str, parameter: &str| {
        self::mask(mask).lets_search(FhirVersion::R4, kind.parse().unwrap(), parameter)
    };
    for (mask, kind, parameter, expected) in [
        ("safe-harbor", "Observation", "code", true),
        ("safe-harbor", "Observation", "category", true),
        ("safe-harbor", "Observation", "patient", false),
        ("safe-harbor", "Observation", "_id", false),
        ("safe-harbor", "Observation", "date", false),
        ("safe-harbor", "Observation", "_lastUpdated", false),
        ("safe-harbor", "Patient", "birthdate", false),
        ("safe-harbor", "Patient", "identifier", false),
        ("dates-to-year", "Observation", "date", false),
        ("dates-to-year", "Observation", "patient", true),
        ("dates-to-year", "Observation", "_id", true),
        ("dates-to-year", "Observation", "_lastUpdated", false),
        ("pseudonyms", "Patient", "identifier", false),
        ("remove: Patient.address", "Patient", "address-city", false),
        ("remove: Patient.address", "Patient", "_id", true),
        ("remove: Patient.address", "Observation", "date", true),
        ("remove: Observation.code", "Observation", "code", false),
        ("remove: Observation.note", "Observation", "code", true),
    ] {
        assert_eq!(lets(mask, kind, parameter), expected, "{mask}: {kind}?{parameter}");
    }
}

#[test]
fn a_patch_goes_by_what_is_seen_alone() {
    let shows = |mask: &str, way: &str| {
        self::mask(mask).shows(FhirVersion::R4, "Patient", &Pointer::parse(way).unwrap())
    };
    let removed = "remove: Patient.address, Patient.contact.name, Patient.deceased";
    for way in ["/gender", "/contact/0/gender", "/telecom/-", "/extension/0"] {
        assert!(shows(removed, way), "{way}");
        assert!(
            !shows("dates-to-year", way) && !shows("pseudonyms", way) && !shows("safe-harbor", way),
            "{way}"
        );
        assert!(shows("remove: Observation.note", way), "{way}");
    }
    for way in [
        "",
        "/address",
        "/address/-",
        "/address/0/city",
        "/_address",
        "/contact",
        "/contact/0",
        "/contact/0/name/family",
        "/contact/-",
        "/meta",
        "/meta/tag/0",
        "/text",
        "/contained/0/gender",
        "/deceasedBoolean",
        "/_deceasedDateTime/id",
    ] {
        assert!(!shows(removed, way), "{way}");
    }
    let answers = mask("remove: QuestionnaireResponse.item.answer");
    let shows =
        |way: &str| answers.shows(FhirVersion::R4, "QuestionnaireResponse", &Pointer::parse(way).unwrap());
    assert!(!shows("/item/0/item/0/answer") && !shows("/item/0/item/0") && shows("/item/0/item/0/linkId"));
}

/// Members of every sort, in every place.
fn values() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "resourceType",
        "id",
        "meta",
        "name",
        "valueQuantity",
        "valueCodeableConcept",
        "valueString",
        "code",
        "coding",
        "value",
        "unit",
        "system",
        "subject",
        "reference",
        "identifier",
        "extension",
        "contained",
        "component",
        "effectiveDateTime",
        "effectivePeriod",
        "start",
        "issued",
        "note",
        "text",
        "div",
        "birthDate",
        "_birthDate",
        "address",
        "line",
        "state",
        "postalCode",
        "category",
        "display",
        "contact",
        "gender",
        "status",
        "security",
        "tag",
        "lastUpdated",
        "valueAge",
        "onsetAge",
        "photo",
        "data",
    ]);
    let leaf = prop_oneof![
        Just(json!("m@rker")),
        Just(json!("2024-05-17")),
        Just(json!("2024-05-17T01:02:03Z")),
        Just(json!(1.5)),
        Just(json!(true)),
        Just(json!(null)),
        Just(json!("Patient")),
        Just(json!("Observation")),
        Just(json!("Patient/m-05-rker")),
        Just(json!("1901-02")),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

fn records() -> impl Strategy<Value = Value> {
    (prop::collection::vec(values(), 4), prop::sample::select(vec!["Patient", "Observation", "Condition"]))
        .prop_map(|(values, kind)| {
            let mut record = json!({ "extension": { "x": values } });
            for value in &values {
                if let Value::Object(members) = value {
                    record.as_object_mut().unwrap().extend(members.clone());
                }
            }
            record["resourceType"] = json!(kind);
            record["id"] = json!("m-05-rker");
            record
        })
}

/// Whether a member of this name stands somewhere within a resource of this type, at its top.
fn has(value: &Value, kind: &str, name: &str) -> bool {
    match value {
        Value::Object(members) => {
            let own = members.get("resourceType").is_some_and(|own| own == kind);
            (own && members.contains_key(name)) || members.values().any(|value| has(value, kind, name))
        }
        Value::Array(items) => items.iter().any(|item| has(item, kind, name)),
        _ => false,
    }
}

proptest! {
    #[test]
    fn nothing_leaves_under_safe_harbor_that_names_or_dates_somebody(record in records()) {
        if let Ok((text, _)) = seen("safe-harbor", &record.to_string()) {
            for gone in ["m@rker", "m-05-rker", "2024-", "1901", "null", "{}", "[]"] {
                prop_assert!(!text.contains(gone), "{gone} in {text} of {record}");
            }
        }
    }

    #[test]
    fn no_date_leaves_but_its_year(record in records()) {
        let text = seen("dates-to-year", &record.to_string()).unwrap().0;
        prop_assert!(!text.contains("2024-05"), "{text} of {record}");
    }

    #[test]
    fn no_removed_element_leaves_whatever_it_stands_in(record in records()) {
        let seen = masked("remove: Patient.address, Observation.note, *.identifier", &record);
        prop_assert!(!has(&seen, "Patient", "address") && !has(&seen, "Observation", "note"), "{seen}");
        for kind in ["Patient", "Observation", "Condition"] {
            prop_assert!(!has(&seen, kind, "identifier") && !has(&seen, kind, "text"), "{seen}");
        }
    }
}
