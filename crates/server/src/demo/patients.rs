//! Invented patients with plausible records, made from a seed: the same seed makes the same people.

use chartgate_values::{Entropy, SeededEntropy};
use serde_json::{Value, json};

/// How many.
const PATIENTS: u32 = 24;
const SEED: u64 = 2026;

const GIVEN: [(&str, &str); 16] = [
    ("Amina", "female"),
    ("Bruno", "male"),
    ("Chiara", "female"),
    ("Dmitri", "male"),
    ("Elif", "female"),
    ("Farid", "male"),
    ("Grace", "female"),
    ("Hugo", "male"),
    ("Ines", "female"),
    ("Jonas", "male"),
    ("Keiko", "female"),
    ("Luca", "male"),
    ("Maren", "female"),
    ("Noah", "male"),
    ("Oona", "female"),
    ("Pedro", "male"),
];
const FAMILY: [&str; 12] = [
    "Abara",
    "Bergström",
    "Costa",
    "Demir",
    "Eriksen",
    "Fontaine",
    "García",
    "Haddad",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
];
const CITIES: [&str; 6] = ["Springfield", "Riverton", "Lakeside", "Fairview", "Ashford", "Millbrook"];

/// SNOMED CT code and name, with an RxNorm medication that goes with it.
const CONDITIONS: [(&str, &str, &str, &str); 6] = [
    ("59621000", "Essential hypertension", "314076", "lisinopril 10 MG Oral Tablet"),
    ("44054006", "Diabetes mellitus type 2", "860975", "metformin hydrochloride 500 MG Oral Tablet"),
    ("195967001", "Asthma", "745679", "albuterol 0.09 MG/ACTUAT Inhaler"),
    ("55822004", "Hyperlipidemia", "617312", "atorvastatin 20 MG Oral Tablet"),
    ("37796009", "Migraine", "313782", "acetaminophen 325 MG Oral Tablet"),
    ("40930008", "Hypothyroidism", "966224", "levothyroxine sodium 0.05 MG Oral Tablet"),
];

/// LOINC code, name, unit, lowest and span in tenths, category.
const MEASURES: [(&str, &str, &str, u32, u32, &str); 6] = [
    ("8867-4", "Heart rate", "/min", 560, 400, "vital-signs"),
    ("8310-5", "Body temperature", "Cel", 361, 18, "vital-signs"),
    ("29463-7", "Body weight", "kg", 480, 560, "vital-signs"),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 48, 40, "laboratory"),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 1400, 1100, "laboratory"),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 6, 8, "laboratory"),
];

/// All invented records: the clinic, its people, the patients and what is known of them.
pub(super) fn invent() -> Vec<Value> {
    let mut dice = Dice(SeededEntropy::new(SEED));
    let mut all = clinic();
    for number in 0..PATIENTS {
        patient(&mut dice, number, &mut all);
    }
    all.extend(care());
    all
}

fn clinic() -> Vec<Value> {
    let practitioner = |id: &str, given: &str, family: &str| {
        json!({ "resourceType": "Practitioner", "id": id, "active": true,
                "name": [{ "family": family, "given": [given] }] })
    };
    vec![
        json!({ "resourceType": "Organization", "id": "clinic", "active": true, "name": "Riverside Clinic" }),
        json!({ "resourceType": "Location", "id": "ward-3", "status": "active", "name": "Ward 3" }),
        practitioner("dana", "Dana", "Okafor"),
        practitioner("nils", "Nils", "Halvorsen"),
        practitioner("cleo", "Cleo", "Marchetti"),
    ]
}

/// Why Cleo sees three of them, who stand in nobody's table for her: two by a care team, one by a visit that goes on.
fn care() -> Vec<Value> {
    let to = |kind: &str, id: &str| json!({ "reference": format!("{kind}/{id}") });
    let team = |id: &str| {
        json!({
            "resourceType": "CareTeam", "id": format!("{id}-team"), "status": "active", "subject": to("Patient", id),
            "name": "Diabetes care", "period": { "start": "2025-01-01" },
            "participant": [{ "member": to("Practitioner", "cleo") }, { "member": to("Organization", "clinic") }],
        })
    };
    vec![
        team("pt-1019"),
        team("pt-1020"),
        json!({
            "resourceType": "Encounter", "id": "pt-1021-stay", "status": "in-progress",
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP" },
            "subject": to("Patient", "pt-1021"), "period": { "start": "2026-01-01T08:00:00Z" },
            "participant": [{ "individual": to("Practitioner", "cleo") }],
            "serviceProvider": to("Organization", "clinic"),
        }),
    ]
}

fn patient(dice: &mut Dice, number: u32, all: &mut Vec<Value>) {
    let id = format!("pt-{}", 1001_u32.saturating_add(number));
    let (given, gender) = *dice.pick(&GIVEN);
    let drawn = *dice.pick(&FAMILY);
    // One of Cleo's patients has her name.
    let family = if number == 20 { "Marchetti" } else { drawn };
    let born = format!("{}-{:02}-{:02}", dice.between(1938, 2018), dice.between(1, 12), dice.between(1, 28));
    all.push(json!({
        "resourceType": "Patient", "id": id, "active": true,
        "identifier": [{ "system": "https://clinic.example/mrn", "value": format!("M{}", dice.between(100_000, 999_999)) }],
        "name": [{ "use": "official", "family": family, "given": [given] }],
        "gender": gender, "birthDate": born,
        "address": [{ "city": dice.pick(&CITIES), "country": "US" }],
        "managingOrganization": { "reference": "Organization/clinic" },
    }));
    let subject = json!({ "reference": format!("Patient/{id}") });
    all.push(json!({
        "resourceType": "Coverage", "id": format!("{id}-cov"), "status": "active", "beneficiary": subject,
        "payor": [{ "display": "Example Health Plan" }],
    }));
    for (visit, year) in (0..dice.between(2, 4)).zip(2022_u32..) {
        let day = format!("{}-{:02}-{:02}", year, dice.between(1, 12), dice.between(1, 28));
        let encounter = format!("{id}-enc{visit}");
        all.push(json!({
            "resourceType": "Encounter", "id": encounter, "status": "finished", "subject": subject,
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
            "period": { "start": format!("{day}T09:00:00Z"), "end": format!("{day}T09:30:00Z") },
            "serviceProvider": { "reference": "Organization/clinic" },
        }));
        all.push(json!({
            "resourceType": "Claim", "id": format!("{id}-claim{visit}"), "status": "active", "use": "claim",
            "patient": subject, "created": day, "provider": { "reference": "Organization/clinic" },
            "priority": { "coding": [{ "code": "normal" }] },
            "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional" }] },
            "insurance": [{ "sequence": 1, "focal": true, "coverage": { "reference": format!("Coverage/{id}-cov") } }],
            "total": { "value": dice.between(60, 900), "currency": "USD" },
        }));
        for (index, measure) in MEASURES.iter().enumerate() {
            if dice.between(0, 3) > 0 {
                all.push(observation(
                    dice,
                    &id,
                    &format!("{id}-obs{visit}{index}"),
                    &encounter,
                    &day,
                    measure,
                ));
            }
        }
    }
    for index in 0..dice.between(1, 3) {
        let (code, name, drug, drug_name) = *dice.pick(&CONDITIONS);
        let since = format!("{}-{:02}-01", dice.between(2015, 2022), dice.between(1, 12));
        all.push(json!({
            "resourceType": "Condition", "id": format!("{id}-cond{index}"), "subject": subject,
            "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active" }] },
            "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "problem-list-item" }] }],
            "code": { "coding": [{ "system": "http://snomed.info/sct", "code": code, "display": name }], "text": name },
            "onsetDateTime": since, "recordedDate": since,
            "recorder": { "reference": "Practitioner/dana" },
        }));
        all.push(json!({
            "resourceType": "MedicationRequest", "id": format!("{id}-med{index}"), "status": "active",
            "intent": "order", "subject": subject, "authoredOn": since,
            "medicationCodeableConcept": { "coding": [{ "system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": drug, "display": drug_name }] },
            "requester": { "reference": "Practitioner/dana" },
        }));
    }
}

fn observation(
    dice: &mut Dice,
    patient: &str,
    id: &str,
    encounter: &str,
    day: &str,
    measure: &(&str, &str, &str, u32, u32, &str),
) -> Value {
    let (code, name, unit, low, span, category) = *measure;
    let value = f64::from(dice.between(low, low.saturating_add(span))) / 10.0;
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": code, "display": name }], "text": name },
        "subject": { "reference": format!("Patient/{patient}") },
        "encounter": { "reference": format!("Encounter/{encounter}") },
        "effectiveDateTime": format!("{day}T09:10:00Z"),
        "performer": [{ "reference": "Practitioner/nils" }],
        "valueQuantity": { "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit },
    })
}

/// A seeded die.
struct Dice(SeededEntropy);

impl Dice {
    /// A number from `low` to `high`, both included.
    fn between(&mut self, low: u32, high: u32) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        let span = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(u32::from_be_bytes(bytes).checked_rem(span).unwrap_or(0))
    }

    fn pick<'a, T, const N: usize>(&mut self, from: &'a [T; N]) -> &'a T {
        let last = u32::try_from(N.saturating_sub(1)).unwrap_or(0);
        let at = usize::try_from(self.between(0, last)).unwrap_or(0);
        // INVARIANT: `at` is below N, which is above 0 for each list of ours.
        #[expect(clippy::indexing_slicing, reason = "the index was drawn within the list")]
        &from[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_the_same_people_and_some_tens_of_them() {
        let (a, b) = (invent(), invent());
        assert_eq!(a, b);
        let count = |kind: &str| a.iter().filter(|r| r["resourceType"] == kind).count();
        assert_eq!(count("Patient"), 24);
        for kind in ["Observation", "Condition", "MedicationRequest", "Encounter", "Coverage", "Claim"] {
            assert!(count(kind) >= 24, "{kind}: {}", count(kind));
        }
    }
}
