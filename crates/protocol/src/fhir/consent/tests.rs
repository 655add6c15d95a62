use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::labels::{Labels, labels_of};
use crate::fhir::version::FhirVersion;

fn bases_of(version: FhirVersion) -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi.internal:8080/fhir".parse().unwrap(),
        version,
    }
}

fn consent(provision: Value) -> Value {
    let mut consent = json!({ "resourceType": "Consent", "id": "c", "status": "active",
        "patient": { "reference": "Patient/p" },
        "scope": { "coding": [{ "system": SCOPES, "code": "patient-privacy" }] } });
    consent["provision"] = provision;
    consent
}

fn observation() -> Value {
    json!({ "resourceType": "Observation", "id": "o", "subject": { "reference": "Patient/p" },
        "effectiveDateTime": "2024-03-05", "meta": { "security": [{ "code": "SUD" }] },
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] } })
}

/// Somebody who asks.
struct Who<'a> {
    who: Option<&'a str>,
    is_program: bool,
    purpose: Option<&'a str>,
    organizations: Option<&'a [&'a str]>,
}

const DANA: Who<'static> =
    Who { who: Some("Practitioner/dana"), is_program: false, purpose: Some("TREAT"), organizations: None };

fn directive(consent: &Value) -> Option<Directive> {
    directive_by(FhirVersion::R4, consent)
}

fn directive_by(version: FhirVersion, consent: &Value) -> Option<Directive> {
    let text = consent.to_string();
    let asked = format!("Consent/{}", consent["id"].as_str().unwrap()).parse().unwrap();
    Directive::read(&Resource::parse(text.as_bytes(), &asked, None).unwrap(), &bases_of(version))
}

fn ask(consent: &Value, who: &Who<'_>, act: Act, record: &Value) -> Says {
    ask_of(directive(consent), who, act, record)
}

fn ask_of(directive: Option<Directive>, who: &Who<'_>, act: Act, record: &Value) -> Says {
    let Some(directive) = directive else { return Says::Nothing };
    let reference = who.who.map(|who| who.parse().unwrap());
    let organizations: Option<BTreeSet<ResourceId>> =
        who.organizations.map(|all| all.iter().map(|id| id.parse().unwrap()).collect());
    let content = Node::from(record);
    let labels: Labels = labels_of(&content);
    let asker = Asker {
        who: reference.as_ref(),
        is_program: who.is_program,
        purpose: who.purpose,
        organizations: organizations.as_ref(),
    };
    let record = Record {
        resource_type: record["resourceType"].as_str().unwrap().parse().unwrap(),
        content: &content,
        labels: &labels,
    };
    let says = directive.says(&Asked { asker, act, record, now: "2026-11-26T12:00:00Z".parse().unwrap() });
    assert!(says == Says::Nothing || directive.restricts(), "it says no more than it might");
    says
}

fn says(provision: Value) -> Says {
    ask(&consent(provision), &DANA, Act::View, &observation())
}

#[test]
fn what_is_called_sensitive_without_a_level_may_be_of_a_higher_one() {
    let restricted = consent(json!({ "type": "deny", "securityLabel": [{ "code": "R" }] }));
    let usual = consent(json!({ "type": "deny", "securityLabel": [{ "code": "N" }] }));
    let of = |security: Value| {
        let mut record = observation();
        record["meta"] = json!({ "security": security });
        [&restricted, &usual].map(|consent| ask(consent, &DANA, Act::View, &record))
    };
    assert_eq!(of(json!([])), [Says::Nothing, Says::Denied]);
    assert_eq!(of(json!([{ "code": "SUD" }])), [Says::Unclear, Says::Denied]);
    assert_eq!(of(json!([{ "code": "SUD" }, { "code": "N" }])), [Says::Nothing, Says::Denied]);
    assert_eq!(of(json!([{ "code": "V" }])), [Says::Denied, Says::Denied]);
}

fn opted_out(provision: &Value) -> Value {
    let mut consent = consent(json!({ "provision": [provision] }));
    consent["policyRule"] = json!({ "coding": [{ "code": "OPTOUT" }] });
    consent
}

#[test]
fn what_is_permitted_up_to_a_level_is_not_permitted_above_it() {
    let records = ["", "L", "N", "R", "V", "SUD", "SUD N", "SUD V"];
    let of = |consent: &Value| {
        let one = |labels: &str| {
            let security: Vec<Value> =
                labels.split_whitespace().map(|code| json!({ "code": code })).collect();
            let mut record = observation();
            record["meta"] = json!({ "security": security });
            ask(consent, &DANA, Act::View, &record)
        };
        let given = records.into_iter().filter(|labels| one(labels) == Says::Nothing);
        given.collect::<Vec<_>>()
    };
    let label = |effect: &str, code: &str| json!({ "type": effect, "securityLabel": [{ "code": code }] });
    let given = |code: &str| of(&opted_out(&label("permit", code)));
    assert_eq!(given("L"), ["L"]);
    assert_eq!(given("N"), ["", "L", "N", "SUD N"]);
    assert_eq!(given("R"), ["", "L", "N", "R", "SUD N"], "what is called sensitive may be very restricted");
    assert_eq!(given("V"), records);
    assert_eq!(of(&consent(label("deny", "R"))), ["", "L", "N", "SUD N"]);
    // Whether a rule that does not say what it does is about the levels above or those below, nobody knows.
    let unsaid =
        |effect: &str| json!({ "securityLabel": [{ "code": "N" }], "provision": [{ "type": effect }] });
    assert_eq!(of(&opted_out(&unsaid("permit"))), ["", "N", "SUD N"]);
    assert_eq!(of(&consent(unsaid("deny"))), [""; 0]);
    let unreadable = |code: &str| json!({ "type": "x", "securityLabel": [{ "code": code }] });
    assert_eq!(of(&consent(unreadable("R"))), [""; 0]);
}

#[test]
fn what_is_permitted_of_a_time_is_not_permitted_of_what_is_of_others_as_well() {
    let since = json!({ "start": "2024-01-01" });
    let of = |consent: &Value, times: Value| {
        let mut record = json!({ "resourceType": "Encounter", "id": "e" });
        record.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        ask(consent, &DANA, Act::View, &record)
    };
    let permits = opted_out(&json!({ "type": "permit", "dataPeriod": since }));
    let denies = consent(json!({ "type": "deny", "dataPeriod": since }));
    let permits_a_part =
        opted_out(&json!({ "type": "deny", "dataPeriod": since, "provision": [{ "type": "permit" }] }));
    let (given, kept) = (Says::Nothing, Says::Denied);
    for (times, [permitted, denied]) in [
        (json!({ "period": { "start": "2019-05-01", "end": "2024-02-01" } }), [kept, kept]),
        (json!({ "period": { "end": "2024-02-01" } }), [kept, kept]),
        (json!({ "period": { "start": "2024-01-01", "end": "2024-02-01" } }), [given, kept]),
        (json!({ "period": { "start": "2024-02-01" } }), [given, kept]),
        (json!({ "period": { "start": "2019-05-01", "end": "2023-12-31" } }), [kept, given]),
        (json!({ "whenPrepared": "2023-12-31", "whenHandedOver": "2024-01-02" }), [kept, kept]),
        (json!({ "whenPrepared": "2024-01-01", "whenHandedOver": "2024-01-02" }), [given, kept]),
        (json!({ "whenPrepared": "someday", "whenHandedOver": "2024-01-02" }), [kept, kept]),
        (json!({ "whenPrepared": "someday", "whenHandedOver": "2023-01-02" }), [kept, Says::Unclear]),
        (json!({}), [kept, Says::Unclear]),
    ] {
        assert_eq!(of(&permits, times.clone()), permitted, "{times}");
        assert_eq!(of(&denies, times.clone()), denied, "{times}");
        assert_eq!(of(&permits_a_part, times.clone()), permitted, "{times}");
    }
    let year = opted_out(&json!({ "type": "permit", "dataPeriod": { "start": "2024", "end": "2024" } }));
    for (date, expected) in [("2024", given), ("2024-12-31", given), ("2025", kept)] {
        assert_eq!(of(&year, json!({ "date": date })), expected, "{date}");
    }
    assert_eq!(of(&year, json!({ "period": { "start": "2024-05-01" } })), kept, "it goes on");
    // What has its beginning and its end in two elements.
    for (ended, expected) in [("2024-06", given), ("2025-06", kept)] {
        let times = json!({ "onsetDateTime": "2024-02", "abatementDateTime": ended });
        assert_eq!(of(&year, times), expected, "{ended}");
    }
    let then = json!({ "start": "2024-03-04T10:00:00Z", "end": "2024-03-04T10:10:00Z" });
    let denies = consent(json!({ "type": "deny", "dataPeriod": then }));
    for (hour, expected) in [("11", kept), ("09", given)] {
        let times = json!({ "start": "2024-03-04T08:30:00Z", "end": format!("2024-03-04T{hour}:00:00Z") });
        assert_eq!(of(&denies, times), expected, "{hour}");
    }
    assert_eq!(of(&denies, json!({ "start": "2024-03-04T10:05:00Z" })), kept);
}

#[test]
fn r5_decides_and_excepts_by_turns() {
    let r5 =
        |consent: &Value| ask_of(directive_by(FhirVersion::R5, consent), &DANA, Act::View, &observation());
    let consent = |decision: &str, provision: Value| {
        json!({ "resourceType": "Consent", "id": "c", "status": "active", "decision": decision,
            "subject": { "reference": "Patient/p" }, "provision": provision })
    };
    let to = |who: &str| json!([{ "reference": { "reference": who } }]);
    let dana = || json!({ "actor": to("Practitioner/dana") });
    let other = || json!({ "actor": to("Practitioner/evan") });
    assert_eq!(r5(&consent("deny", json!([]))), Says::Denied);
    assert_eq!(r5(&consent("permit", json!([]))), Says::Nothing);
    assert_eq!(r5(&consent("deny", json!([dana()]))), Says::Nothing, "excepted");
    assert_eq!(r5(&consent("deny", json!([other()]))), Says::Denied);
    assert_eq!(r5(&consent("permit", json!([other(), dana()]))), Says::Denied);
    assert_eq!(r5(&consent("permit", json!([other()]))), Says::Nothing);
    let nested = |inner: Value| json!([{ "actor": to("Practitioner/dana"), "provision": [inner] }]);
    let observations =
        json!({ "resourceType": [{ "system": "http://hl7.org/fhir/fhir-types", "code": "Observation" }] });
    let conditions =
        json!({ "resourceType": [{ "system": "http://hl7.org/fhir/fhir-types", "code": "Condition" }] });
    assert_eq!(
        r5(&consent("permit", nested(observations.clone()))),
        Says::Nothing,
        "excepted from the exception"
    );
    assert_eq!(r5(&consent("permit", nested(conditions.clone()))), Says::Denied);
    assert_eq!(r5(&consent("deny", nested(observations))), Says::Denied);
    assert_eq!(r5(&consent("deny", nested(conditions))), Says::Nothing);
}

#[test]
fn what_cannot_be_read_of_r5_permits_nothing() {
    let r5 =
        |consent: &Value| ask_of(directive_by(FhirVersion::R5, consent), &DANA, Act::View, &observation());
    let with = |name: &str, value: Value| {
        let mut consent = json!({ "resourceType": "Consent", "id": "c", "status": "active", "decision": "deny",
            "subject": { "reference": "Patient/p" } });
        consent[name] = value;
        r5(&consent)
    };
    assert_eq!(with("decision", json!(null)), Says::Unclear);
    assert_eq!(with("decision", json!("perhaps")), Says::Unclear);
    assert_eq!(with("status", json!("unknown")), Says::Unclear);
    for status in ["draft", "inactive", "not-done", "entered-in-error"] {
        assert_eq!(with("status", json!(status)), Says::Nothing, "{status}");
    }
    assert_eq!(with("period", json!({ "end": "2026-01-01" })), Says::Nothing, "it is over");
    assert_eq!(with("period", json!({ "end": "2027-01-01" })), Says::Denied);
    assert_eq!(with("period", json!("for ever")), Says::Unclear);
    for unreadable in [
        json!([{ "expression": { "language": "text/cql" } }]),
        json!([{ "documentType": [{ "code": "x" }] }]),
        json!([{ "resourceType": [{ "system": "urn:x", "code": "Observation" }] }]),
        json!([{ "modifierExtension": [{}] }]),
    ] {
        assert_ne!(with("provision", unreadable.clone()), Says::Nothing, "{unreadable}");
    }
    let category = |code: &str| json!([{ "coding": [{ "system": SCOPES, "code": code }] }]);
    assert_eq!(with("category", category("treatment")), Says::Nothing);
    assert_eq!(with("category", category("patient-privacy")), Says::Denied);
    assert_eq!(with("category", json!([{ "text": "?" }])), Says::Denied);
    let whose = directive_by(
        FhirVersion::R5,
        &json!({ "resourceType": "Consent", "id": "c", "status": "active",
        "decision": "deny", "patient": { "reference": "Patient/p" } }),
    );
    assert_eq!(whose.unwrap().patient, Whose::Unknown, "R4's element says nothing in R5");
}

#[test]
fn a_consent_counts_while_it_is_active_and_about_privacy() {
    let deny = json!({ "type": "deny" });
    let with = |name: &str, value: Value| {
        let mut changed = consent(deny.clone());
        match value {
            Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
            value => changed[name] = value,
        }
        ask(&changed, &DANA, Act::View, &observation())
    };
    assert_eq!(says(deny.clone()), Says::Denied);
    for status in ["draft", "proposed", "rejected", "inactive", "entered-in-error"] {
        assert_eq!(with("status", json!(status)), Says::Nothing, "{status}");
    }
    for status in [json!("Active"), json!(1), Value::Null] {
        assert_eq!(with("status", status.clone()), Says::Unclear, "{status}");
    }
    let scope = |code: &str| json!({ "coding": [{ "system": SCOPES, "code": code }] });
    for code in ["research", "treatment", "adr"] {
        assert_eq!(with("scope", scope(code)), Says::Nothing, "{code}");
    }
    for unknown in [
        scope("mine"),
        json!({ "text": "privacy" }),
        json!({ "coding": [{ "system": "x", "code": "patient-privacy" }] }),
        Value::Null,
    ] {
        assert_eq!(with("scope", unknown.clone()), Says::Unclear, "{unknown}");
    }
    assert_eq!(with("modifierExtension", json!([{ "url": "x" }])), Says::Unclear);
    assert_eq!(with("implicitRules", json!("http://x")), Says::Unclear);
    // A document alone, or a rule that is not known to permit, cannot be told.
    assert_eq!(with("provision", Value::Null), Says::Unclear);
    let ruled = |code: &str| {
        let mut ruled = consent(deny.clone());
        ruled.as_object_mut().unwrap().remove("provision");
        ruled["policyRule"] = json!({ "coding": [{ "code": code }] });
        ask(&ruled, &DANA, Act::View, &observation())
    };
    let told = ["OPTIN", "OPTOUTE", "OPTINR", "EMRGONLY", "mine"].map(ruled);
    assert_eq!(told, [Says::Nothing, Says::Denied, Says::Unclear, Says::Unclear, Says::Unclear]);
    let out = |code: &str| with("policyRule", json!({ "coding": [{ "code": code }] }));
    assert_eq!((out("OPTIN"), out("OPTOUT")), (Says::Denied, Says::Denied), "the rule says so");
    let opted = |rule: Value| {
        let mut consent = consent(rule);
        consent["policyRule"] = json!({ "coding": [{ "code": "OPTOUT" }] });
        ask(&consent, &DANA, Act::View, &observation())
    };
    assert_eq!(opted(json!({})), Says::Denied);
    assert_eq!(
        opted(json!({ "provision": [{ "type": "permit", "purpose": [{ "code": "TREAT" }] }] })),
        Says::Nothing
    );
    assert_eq!(
        opted(json!({ "provision": [{ "type": "permit", "purpose": [{ "code": "HRESCH" }] }] })),
        Says::Denied
    );
}

#[test]
fn a_rule_denies_what_all_of_its_conditions_meet_and_might_deny_what_cannot_be_told() {
    let to = |reference: &str| json!({ "reference": { "reference": reference } });
    let code = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    let type_of = |name: &str| json!({ "system": "http://hl7.org/fhir/resource-types", "code": name });
    for (name, value, expected) in [
        ("period", json!({ "end": "2027" }), Says::Denied),
        ("period", json!({ "end": "2026-11-25" }), Says::Nothing),
        ("period", json!({ "end": "someday" }), Says::Unclear),
        ("actor", json!([to("Practitioner/nils"), to("Practitioner/dana")]), Says::Denied),
        ("actor", json!([to("https://gate.test/fhir/Practitioner/dana")]), Says::Denied),
        ("actor", json!([to("Practitioner/nils")]), Says::Nothing),
        ("actor", json!([to("PractitionerRole/r")]), Says::Unclear),
        ("actor", json!([to("Organization/clinic")]), Says::Unclear),
        ("actor", json!([to("CareTeam/t")]), Says::Unclear),
        ("actor", json!([to("Patient/p"), to("RelatedPerson/r")]), Says::Nothing),
        ("actor", json!([to("Device/d")]), Says::Unclear),
        ("actor", json!([to("https://other.test/Practitioner/nils")]), Says::Unclear),
        ("actor", json!([{ "role": code("x", "IRCP") }]), Says::Unclear),
        ("actor", json!("Practitioner/nils"), Says::Unclear),
        ("actor", json!([]), Says::Unclear),
        ("action", json!([code("x", "access")]), Says::Denied),
        ("action", json!([code("x", "collect"), code("x", "correct")]), Says::Nothing),
        ("action", json!([code("x", "juggle")]), Says::Unclear),
        ("purpose", json!([{ "code": "HRESCH" }, { "code": "TREAT" }]), Says::Denied),
        ("purpose", json!([{ "code": "PurposeOfUse" }]), Says::Denied),
        ("purpose", json!([{ "code": "HRESCH" }]), Says::Nothing),
        ("purpose", json!([{ "code": "ETREAT" }]), Says::Nothing),
        ("purpose", json!([{ "code": "MINE" }]), Says::Unclear),
        ("securityLabel", json!([{ "code": "SUD" }]), Says::Denied),
        ("securityLabel", json!([{ "code": "HIV" }]), Says::Nothing),
        ("securityLabel", json!([{ "code": "R" }]), Says::Unclear),
        ("class", json!([type_of("Observation")]), Says::Denied),
        ("class", json!([type_of("Condition")]), Says::Nothing),
        ("class", json!([{ "system": "http://loinc.org", "code": "34133-9" }]), Says::Unclear),
        ("code", json!([code("http://loinc.org", "8867-4")]), Says::Denied),
        ("code", json!([code("http://loinc.org", "8867-5")]), Says::Nothing),
        ("code", json!([{ "text": "pulse" }]), Says::Unclear),
        ("dataPeriod", json!({ "start": "2024-03", "end": "2024-03" }), Says::Denied),
        ("dataPeriod", json!({ "end": "2024-03-04" }), Says::Nothing),
        ("dataPeriod", json!({ "start": "2024-03-06" }), Says::Nothing),
        ("dataPeriod", json!([]), Says::Unclear),
        (
            "data",
            json!([{ "meaning": "instance", "reference": { "reference": "Observation/o" } }]),
            Says::Denied,
        ),
        (
            "data",
            json!([{ "meaning": "instance", "reference": { "reference": "Observation/x" } }]),
            Says::Nothing,
        ),
        (
            "data",
            json!([{ "meaning": "related", "reference": { "reference": "Encounter/x" } }]),
            Says::Unclear,
        ),
    ] {
        assert_eq!(says(json!({ "type": "deny", name: value })), expected, "deny {name} {value}");
        // What permits by what cannot be told permits nothing.
        let permits = says(json!({ "type": "deny", "provision": [{ "type": "permit", name: value }] }));
        let excepted = if expected == Says::Denied { Says::Nothing } else { Says::Denied };
        assert_eq!(permits, excepted, "permit {name} {value}");
        // One condition that does not hold is enough.
        let other = json!({ "type": "deny", name: value, "class": [type_of("Claim")] });
        if name != "class" {
            assert_eq!(says(other), Says::Nothing, "{name} {value}");
        }
    }
    for rule in [
        json!("deny"),
        json!({ "type": "refuse" }),
        json!({ "type": "permit", "modifierExtension": [] }),
        json!([]),
    ] {
        assert_eq!(says(rule.clone()), Says::Unclear, "{rule}");
    }
    assert_eq!(says(json!({ "type": "permit" })), Says::Nothing);
}

#[test]
fn exceptions_hold_within_the_rule_that_they_are_of_and_the_strictest_counts() {
    let actor = |name: &str| json!([{ "reference": { "reference": format!("Practitioner/{name}") } }]);
    let permit =
        |name: &str, rest: Value| json!({ "type": "permit", "actor": actor(name), "provision": rest });
    let deny = |name: &str| json!({ "type": "deny", "actor": actor(name) });
    assert_eq!(says(json!({ "type": "permit", "provision": [deny("dana")] })), Says::Denied);
    assert_eq!(says(json!({ "type": "permit", "provision": [deny("nils")] })), Says::Nothing);
    assert_eq!(says(json!({ "provision": [deny("dana")] })), Says::Denied, "the base says nothing");
    assert_eq!(says(permit("nils", json!([deny("dana")]))), Says::Nothing, "it is of another rule");
    let both = json!([permit("dana", json!([])), deny("dana")]);
    assert_eq!(says(json!({ "type": "deny", "provision": both })), Says::Denied);
    let nested = permit(
        "dana",
        json!([{ "type": "deny", "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Observation" }] }]),
    );
    assert_eq!(says(json!({ "type": "deny", "provision": [nested] })), Says::Denied);
    let unclear = json!({ "type": "deny", "actor": [{}], "provision": [permit("dana", json!([]))] });
    assert_eq!(says(unclear), Says::Nothing, "whatever the rule is about, they are excepted");
    assert_eq!(says(json!({ "type": "deny", "provision": {} })), Says::Denied);
}

#[test]
fn who_asks_counts() {
    let to = |reference: &str| {
        consent(json!({ "type": "deny", "actor": [{ "reference": { "reference": reference } }] }))
    };
    let ask = |reference: &str, who: &Who<'_>| ask(&to(reference), who, Act::View, &observation());
    let known = Who { organizations: Some(&["clinic"]), ..DANA };
    assert_eq!(
        (ask("Organization/clinic", &known), ask("Organization/x", &known)),
        (Says::Denied, Says::Nothing)
    );
    let nobody = Who { who: None, ..DANA };
    assert_eq!(ask("Practitioner/nils", &nobody), Says::Unclear, "they may be anybody");
    let program = Who { is_program: true, ..nobody };
    assert_eq!(
        (ask("Practitioner/nils", &program), ask("Device/d", &program)),
        (Says::Nothing, Says::Unclear)
    );
    let role = Who { who: Some("PractitionerRole/r"), ..DANA };
    assert_eq!(
        (ask("Practitioner/nils", &role), ask("PractitionerRole/r", &role)),
        (Says::Unclear, Says::Denied)
    );
    let unsaid = Who { purpose: None, ..DANA };
    let research = consent(json!({ "type": "deny", "purpose": [{ "code": "HRESCH" }] }));
    assert_eq!(super::tests::ask(&research, &unsaid, Act::View, &observation()), Says::Unclear);
    let trial = Who { purpose: Some("CLINTRCH"), ..DANA };
    assert_eq!(super::tests::ask(&research, &trial, Act::View, &observation()), Says::Denied);
    let eligibility = Who { purpose: Some("ELIGDTRM"), ..DANA };
    for (purpose, expected) in
        [("COVERAGE", Says::Denied), ("HPAYMT", Says::Denied), ("REMITADV", Says::Nothing)]
    {
        let denies = consent(json!({ "type": "deny", "purpose": [{ "code": purpose }] }));
        let said = super::tests::ask(&denies, &eligibility, Act::View, &observation());
        assert_eq!(said, expected, "{purpose}");
    }
    let action =
        |code: &str| consent(json!({ "type": "deny", "action": [{ "coding": [{ "code": code }] }] }));
    for (code, view, change) in [
        ("access", Says::Denied, Says::Denied),
        ("disclose", Says::Denied, Says::Nothing),
        ("correct", Says::Nothing, Says::Denied),
    ] {
        let said = |act| super::tests::ask(&action(code), &DANA, act, &observation());
        assert_eq!((said(Act::View), said(Act::Change)), (view, change), "{code}");
    }
}

fn any_rule() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![Just(json!("deny")), Just(json!("permit")), Just(json!("x")), Just(Value::Null)];
    let actor = prop_oneof!["Practitioner/(dana|nils)", "Organization/x", ".{0,4}"]
        .prop_map(|text| json!([{ "reference": { "reference": text } }]));
    let purpose =
        prop_oneof![Just("TREAT"), Just("HRESCH"), Just("?")].prop_map(|code| json!([{ "code": code }]));
    let leaf = (kind, proptest::option::of(actor), proptest::option::of(purpose)).prop_map(
        |(kind, actor, purpose)| {
            let mut rule = json!({ "type": kind, "actor": actor, "purpose": purpose });
            rule.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            rule
        },
    );
    leaf.prop_recursive(3, 12, 3, |inner| {
        (inner.clone(), proptest::collection::vec(inner, 0..3)).prop_map(|(mut rule, rules)| {
            rule["provision"] = json!(rules);
            rule
        })
    })
}

proptest! {
    /// What cannot be read never opens what the same rule, read, keeps; and a rule that denies all and excepts nothing denies.
    #[test]
    fn what_is_not_understood_never_opens(rule in any_rule()) {
        let whole = says(json!({ "type": "deny", "provision": [rule.clone()] }));
        let mut altered = rule.clone();
        altered["modifierExtension"] = json!([]);
        let unread = says(json!({ "type": "deny", "provision": [altered.clone()] }));
        prop_assert_eq!(unread, Says::Denied, "what is not understood excepts nothing");
        prop_assert!(whole >= Says::Nothing);
        prop_assert_eq!(says(altered), Says::Unclear, "and keeps all that it might");
    }
}
