//! What clients ask of FHIR routes, and what upstreams answer.

use std::time::Duration;

use crate::fhir::base::BaseUrls;
use crate::fhir::batch::{self, Batch, Planned, transaction};
use crate::fhir::bundle::Links;
use crate::fhir::care::{Margins, Source, holder_of_role};
use crate::fhir::consent::{Act, Asked, Asker, Directive, Record, Says};
use crate::fhir::history::{History, HistoryOf};
use crate::fhir::interaction::{Interaction, Request};
use crate::fhir::labels::labels_of;
use crate::fhir::mask::{Mask, Masking, Pseudonyms};
use crate::fhir::membership::{Membership, patients_of};
use crate::fhir::name::ResourceType;
use crate::fhir::patch::Patch;
use crate::fhir::reference::references_in;
use crate::fhir::resource::Resource;
use crate::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use crate::fhir::token::TokenValue;
use crate::fhir::version::FhirVersion;
use crate::fhir::view::View;
use crate::fhir::write::Draft;
use crate::form::Form;
use crate::json;
use crate::smart::scope::{SmartScope, TypePattern};

/// A request line, a space between method and target, and after a line break the form that is posted.
pub fn fuzz_fhir_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (line, body) = text.split_once('\n').unwrap_or((text, ""));
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Ok(form) = Form::parse_repeating(body) else { return };
    if let Ok(asked) = interaction(method, path, query, &form) {
        let url = asked.upstream_path_and_query();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?&=%".contains(&b);
        assert!(url.bytes().all(plain) && !url.contains("/../") && !url.contains("//"), "one reading: {url}");
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let form = Form::parse_repeating(&asked.upstream_form().unwrap_or_default()).unwrap_or_default();
        let again = interaction(asked.upstream_method(), path, query, &form);
        assert!(again == Ok(asked), "what goes upstream is what was asked");
    }
}

fn interaction(
    method: &str,
    path: &str,
    query: &str,
    form: &Form,
) -> Result<Interaction, crate::fhir::refusal::Refusal> {
    let content_type = match path.strip_suffix("/_search") {
        Some(_) => Some("application/x-www-form-urlencoded"),
        None => Some("application/fhir+json"),
    };
    // As what a Binary is wanted is for the client to say, and goes no further.
    let accept = Some("application/fhir+json");
    Interaction::parse(&Request {
        method,
        path,
        query,
        form: Some(form),
        content_type,
        accept,
        ..Request::default()
    })
}

fn mine<'a>(resource: &Resource<'a>, bases: &BaseUrls) -> Disposition<'a, ()> {
    match patients_of(resource.value(), bases) {
        Membership::Patients(patients) if patients.iter().all(|id| id.as_str() == "a") => {
            Disposition::Release(View::whole(resource), ())
        }
        Membership::Patients(_) | Membership::Nobody | Membership::Unknown => Disposition::Withhold,
    }
}

/// Any bytes as an upstream's answer to a search or read.
pub fn fuzz_fhir_bundle(data: &[u8]) {
    let Some(bases) = bases() else { return };
    for asked in
        ResourceType::all(FhirVersion::R4).filter(|asked| matches!(asked.as_str(), "Observation" | "Patient"))
    {
        for companions in [Companions::None, Companions::Asked] {
            let Ok(searchset) = Searchset::parse(data, Sought::Type(asked, companions), &bases) else {
                continue;
            };
            let links = Links { own: "https://gate.test/fhir/Observation", next: None };
            let released = searchset.release(links, &bases, |resource, _| mine(resource, &bases));
            let again = Searchset::parse(released.body.as_bytes(), Sought::Type(asked, companions), &bases)
                .map(|page| page.release(links, &bases, |resource, _| mine(resource, &bases)));
            assert!(
                again.is_ok_and(|again| again.notes.len() == released.notes.len()
                    && again.body.len() == released.body.len()
                    && again.released == released.released),
                "what was released is released again, and nothing else"
            );
        }
    }
    for of in ["Observation/a", "Patient"].iter().filter_map(|of| of.parse::<HistoryOf>().ok()) {
        let Ok(history) = History::parse(data, &of, &bases) else { continue };
        let links = Links { own: "https://gate.test/fhir/Patient/_history", next: None };
        let released = history.release(links, &bases, |resource| mine(resource, &bases));
        let again = History::parse(released.body.as_bytes(), &of, &bases)
            .map(|page| page.release(links, &bases, |resource| mine(resource, &bases)));
        assert!(again.is_ok_and(|again| again.body == released.body), "what was released is released again");
    }
    if let Ok(asked) = "Patient/a".parse() {
        let _ = Resource::parse(data, &asked, None).map(|resource| drop(mine(&resource, &bases)));
    }
}

/// Any bytes as the body of a create or update.
pub fn fuzz_fhir_write(data: &[u8]) {
    let (Some(bases), Ok(record)) = (bases(), "Observation/a".parse()) else { return };
    if let Ok(draft) = Draft::of_update(data, &record) {
        let again = Draft::of_update(draft.text().as_bytes(), &record);
        assert!(again.is_ok_and(|again| again.text() == draft.text()), "what goes upstream is what was read");
    }
    if let Ok(draft) = Draft::of_create(data, record.resource_type) {
        assert!(draft.value().get("id").is_none(), "the upstream gives the id");
        let same = json::parse(draft.text().as_bytes(), json::DEEPEST)
            .is_ok_and(|written| patients_of(&written, &bases) == patients_of(draft.value(), &bases));
        assert!(same, "what goes upstream is what was decided on");
    }
}

/// Any bytes as a batch or transaction, or as what an upstream says to one.
pub fn fuzz_fhir_batch(data: &[u8]) {
    for count in 0..4 {
        let _ = transaction::answers(data, count);
    }
    let (Ok(batch), Some(bases)) = (Batch::parse(data), bases()) else { return };
    let asked: Vec<_> = batch
        .entries
        .iter()
        .filter_map(|entry| Some((entry, entry.interaction(FhirVersion::R4).ok()?)))
        .collect();
    for (_, interaction) in &asked {
        let url = interaction.upstream_path_and_query();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/?&=%".contains(&b);
        assert!(url.bytes().all(plain) && !url.contains("/../") && !url.contains("//"), "one reading: {url}");
    }
    let entries: Vec<_> =
        asked.iter().map(|(entry, interaction)| (entry.name(), Planned::Asked(interaction))).collect();
    let Ok(pending) = batch::pending(&entries) else { return };
    for (entry, interaction) in &asked {
        let Interaction::Create { resource_type } = interaction else { continue };
        let Ok(draft) = Draft::of_create(&entry.content(), *resource_type) else { continue };
        let alone = patients_of(draft.value(), &bases);
        let among = patients_of(draft.among(&pending).value(), &bases);
        assert!(
            alone == among || alone == Membership::Unknown,
            "a name within the transaction makes no record another patient's"
        );
    }
}

/// A mask in the first line and after it a record. What leaves is masked already, and of dates it has the year alone.
pub fn fuzz_fhir_mask(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (line, record) = data.split_at(end);
    let Some(mask) = std::str::from_utf8(line).ok().and_then(|text| text.parse::<Mask>().ok()) else {
        return;
    };
    assert!(mask.to_string().parse().as_ref() == Ok(&mask), "what prints reads back");
    let Some(bases) = bases() else { return };
    let pseudonyms = Pseudonyms::for_client(&[7; 32], "app");
    let masking = Masking { mask: &mask, pseudonyms: &pseudonyms, year: 2026, bases: &bases };
    for asked in ["Observation/a", "Patient/a"].iter().filter_map(|asked| asked.parse().ok()) {
        let Ok(record) = Resource::parse(record, &asked, None) else { continue };
        let Ok(view) = masking.view(&record) else { continue };
        let name = view.renamed().unwrap_or(&asked).clone();
        let again = Resource::parse(view.text().as_bytes(), &name, None);
        let is_one = again.is_ok_and(|again| {
            let seen =
                masking.view(&again).map(|view| json::parse(view.text().as_bytes(), json::DEEPEST).is_ok());
            seen == Ok(true)
        });
        assert!(is_one, "what leaves is a resource that can be masked again");
    }
}

/// A patch in the first line and after it the record that it is for. What comes of it is the same record still.
pub fn fuzz_fhir_patch(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (line, record) = data.split_at(end);
    let Ok(asked) = "Observation/a".parse() else { return };
    let (Ok(patch), Ok(record)) = (Patch::parse(line), Resource::parse(record, &asked, None)) else { return };
    let Ok(draft) = patch.apply(&record, 1 << 16) else { return };
    assert!(draft.text().len() <= 1 << 16, "no larger than may be");
    let after = Resource::parse(draft.text().as_bytes(), &asked, None);
    assert!(
        after.is_ok_and(|after| after.version() == record.version()),
        "the same record in the same version"
    );
}

/// A scope in the first line and after it a record. What does not have what a constraint asks for is not let through.
pub fn fuzz_smart_scope(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, record) = data.split_at(end);
    let Some(scope) = std::str::from_utf8(line).ok().and_then(|text| text.parse::<SmartScope>().ok()) else {
        return;
    };
    assert!(scope.to_string().parse().as_ref() == Ok(&scope), "what prints reads back");
    assert!(scope.includes(&scope), "a scope is no wider than itself");
    let Ok(record) = json::parse(record, json::DEEPEST) else { return };
    if scope.constraints.is_empty() || !scope.holds(&record) {
        return;
    }
    let own = record.get("resourceType").and_then(json::Node::as_str).unwrap_or_default();
    assert!(scope.types == TypePattern::One(own.to_owned()), "a constraint is one of a type");
    for constraint in &scope.constraints {
        let has = |value: &TokenValue| value.code().is_none_or(|code| names(&record, code));
        assert!(constraint.values().iter().any(has), "a record that holds names one of the codes");
    }
}

/// Whether a text stands anywhere in a record.
fn names(node: &json::Node<'_>, text: &str) -> bool {
    match node {
        json::Node::Text(own) => own == text,
        json::Node::Array(items) => items.iter().any(|item| names(item, text)),
        json::Node::Object(members) => members.iter().any(|(_, value)| names(value, text)),
        json::Node::Null | json::Node::Bool(_) | json::Node::Number => false,
    }
}

pub(super) fn bases() -> Option<BaseUrls> {
    bases_of(FhirVersion::R4)
}

fn bases_of(version: FhirVersion) -> Option<BaseUrls> {
    let public = "https://gate.test/fhir".parse().ok()?;
    let upstream = "http://hapi:8080/fhir".parse().ok()?;
    Some(BaseUrls { public, upstream, version })
}

/// A resource of which is asked who cares for whom: whoever is said to stands in it.
pub fn fuzz_fhir_care(data: &[u8]) {
    let Ok(resource) = json::parse(data, 64) else { return };
    for bases in FhirVersion::ALL.into_iter().filter_map(bases_of) {
        care(&resource, &bases);
    }
}

fn care(resource: &json::Node<'_>, bases: &BaseUrls) {
    let named = references_in(resource, bases);
    let month = Duration::from_hours(30 * 24);
    let margins = Margins { after_encounter: month, open_encounter: month, around_appointment: month };
    for source in Source::ALL {
        let Some(proven) = source.proves(resource, margins, super::now(), bases) else { continue };
        assert!(proven.carers.is_subset(&named), "carers stand in it");
        let patients: Vec<_> =
            named.iter().filter(|named| named.resource_type == ResourceType::PATIENT).collect();
        assert!(
            proven.patients.iter().all(|id| patients.iter().any(|named| named.id == *id)),
            "and patients"
        );
    }
    if let Some(holder) = holder_of_role(resource, super::now(), bases) {
        assert!(named.contains(&holder), "and holders");
    }
}

/// A Consent, asked of a record that is in it or of itself: what it says, it might.
pub fn fuzz_fhir_consent(data: &[u8]) {
    for bases in FhirVersion::ALL.into_iter().filter_map(bases_of) {
        consent(data, &bases);
    }
}

fn consent(data: &[u8], bases: &BaseUrls) {
    let Ok(value) = json::parse(data, 64) else { return };
    let id = value.get("id").and_then(json::Node::as_str).unwrap_or_default();
    let Ok(asked) = format!("Consent/{id}").parse() else { return };
    let Ok(resource) = Resource::parse(data, &asked, None) else { return };
    let Some(directive) = Directive::read(&resource, bases) else { return };
    let labels = labels_of(&value);
    let asker = Asker { who: Some(&asked), is_program: false, purpose: Some("TREAT"), organizations: None };
    for act in [Act::View, Act::Change] {
        let record = Record { resource_type: asked.resource_type, content: &value, labels: &labels };
        let says = directive.says(&Asked { asker, act, record, now: super::now() });
        assert!(says == Says::Nothing || directive.restricts(), "it says no more than it might");
    }
}
