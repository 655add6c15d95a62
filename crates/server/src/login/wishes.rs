//! What applications ask for, in the language of whoever is asked. In English it is what [`Wish`] itself says.

use chartgate_access::login::wishes::{Kind, Only, Wish, capital};
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::smart::scope::{Level, Permission};

use crate::tongue::{Id, Said, Tongue};

/// A wish as a sentence.
pub(super) fn wish(t: Tongue, wish: &Wish) -> String {
    match wish {
        Wish::Identity => t.say("wish-identity"),
        Wish::Email => t.say("wish-email"),
        Wish::OwnEntry => t.say("wish-own-entry"),
        Wish::Offline => t.say("wish-offline"),
        Wish::Online => t.say("wish-online"),
        Wish::Apps => t.say("wish-apps"),
        Wish::Other(scope) => t.say("wish-other").with("scope", scope),
        Wish::Emergency { patient } => t.say("wish-emergency").with("patient", patient),
        Wish::Records { permissions, resource_type, level, only } => {
            let all = records(t, &verbs(t, permissions), resource_type.as_deref(), *level);
            let only: Vec<String> = only.iter().map(|only| constraint(t, only)).collect();
            if only.is_empty() {
                all
            } else {
                t.say("wish-only").with("wish", all.plain()).with("constraints", and(t, &only))
            }
        }
        Wish::Detail { permissions, types, patients } => t
            .say("wish-detail")
            .with("verbs", verbs(t, permissions))
            .with("types", and(t, types))
            .number("count", &u64::try_from(patients.len()).unwrap_or(u64::MAX))
            .with("patients", and(t, patients)),
    }
    .plain()
}

fn records(t: Tongue, verbs: &str, resource_type: Option<&str>, level: Level) -> Said {
    match (level, resource_type) {
        (Level::Patient, None) => t.say("wish-patient").with("verbs", verbs),
        (Level::User, None) => t.say("wish-user").with("verbs", verbs),
        (Level::System, None) => t.say("wish-system").with("verbs", verbs),
        (Level::Patient, Some(name)) => t.say("wish-patient-type").with("verbs", verbs).with("type", name),
        (Level::User, Some(name)) => t.say("wish-user-type").with("verbs", verbs).with("type", name),
        (Level::System, Some(name)) => t.say("wish-system-type").with("verbs", verbs).with("type", name),
    }
}

fn verbs(t: Tongue, permissions: &[Permission]) -> String {
    let verb = |permission: &Permission| match permission {
        Permission::Read => t.say("wish-see").plain(),
        Permission::Search => t.say("wish-search").plain(),
        Permission::Create => t.say("wish-add").plain(),
        Permission::Update => t.say("wish-change").plain(),
        Permission::Delete => t.say("wish-delete").plain(),
    };
    capital(&and(t, &permissions.iter().map(verb).collect::<Vec<_>>()))
}

fn constraint(t: Tongue, only: &Only) -> String {
    let values: Vec<String> =
        only.values.iter().map(|value| t.say("wish-quoted").with("value", kind(t, value)).plain()).collect();
    let values = or(t, &values);
    match only.parameter.as_str() {
        "category" => t.say("wish-of-kind").with("values", values).plain(),
        name => t.say("wish-where").with("name", name.replace('-', " ")).with("values", values).plain(),
    }
}

/// A kind of records.
pub(super) fn kind(t: Tongue, kind: &Kind) -> String {
    let category = match kind {
        Kind::Known(category) => category,
        Kind::Code(code) => return code.clone(),
    };
    match category.code {
        "problem-list-item" => t.say("kind-problem-list-item"),
        "encounter-diagnosis" => t.say("kind-encounter-diagnosis"),
        "health-concern" => t.say("kind-health-concern"),
        "laboratory" => t.say("kind-laboratory"),
        "vital-signs" => t.say("kind-vital-signs"),
        "social-history" => t.say("kind-social-history"),
        "survey" => t.say("kind-survey"),
        "sdoh" => t.say("kind-sdoh"),
        "clinical-test" => t.say("kind-clinical-test"),
        // INVARIANT: these are all that there are: that is tested.
        _ => return category.words.to_owned(),
    }
    .plain()
}

/// Why records are looked at.
pub(super) fn purpose(purpose: PurposeOfUse) -> Option<Id> {
    Some(match purpose.code() {
        "ETREAT" => Id::of("purpose-etreat"),
        "BTG" => Id::of("purpose-btg"),
        "TREAT" => Id::of("purpose-treat"),
        "COC" => Id::of("purpose-coc"),
        "CLINTRCH" => Id::of("purpose-clintrch"),
        "HPAYMT" => Id::of("purpose-hpaymt"),
        "COVERAGE" => Id::of("purpose-coverage"),
        "ELIGDTRM" => Id::of("purpose-eligdtrm"),
        "REMITADV" => Id::of("purpose-remitadv"),
        "HOPERAT" => Id::of("purpose-hoperat"),
        "CAREMGT" => Id::of("purpose-caremgt"),
        "HQUALIMP" => Id::of("purpose-hqualimp"),
        "HCOMPL" => Id::of("purpose-hcompl"),
        "HLEGAL" => Id::of("purpose-hlegal"),
        "HSYSADMIN" => Id::of("purpose-hsysadmin"),
        "PATADMIN" => Id::of("purpose-patadmin"),
        "PATSFTY" => Id::of("purpose-patsfty"),
        "RECORDMGT" => Id::of("purpose-recordmgt"),
        "TRAIN" => Id::of("purpose-train"),
        "GOV" => Id::of("purpose-gov"),
        "HMARKT" => Id::of("purpose-hmarkt"),
        "HRESCH" => Id::of("purpose-hresch"),
        "PATRQT" => Id::of("purpose-patrqt"),
        "FAMRQT" => Id::of("purpose-famrqt"),
        "PWATRNY" => Id::of("purpose-pwatrny"),
        "PUBHLTH" => Id::of("purpose-pubhlth"),
        "DISASTER" => Id::of("purpose-disaster"),
        "THREAT" => Id::of("purpose-threat"),
        // INVARIANT: these are all that there are: that is tested.
        _ => return None,
    })
}

fn and(t: Tongue, words: &[String]) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => t.say("list-and").with("first", rest.join(", ")).with("last", last).plain(),
        None => String::new(),
    }
}

fn or(t: Tongue, words: &[String]) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => t.say("list-or").with("first", rest.join(", ")).with("last", last).plain(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use chartgate_access::login::wishes::{detailed_wish, wishes};
    use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
    use chartgate_protocol::smart::categories::Category;

    use super::*;

    #[test]
    fn in_english_a_wish_says_what_is_signed_of_it() {
        let mut all = wishes(
            &"openid email offline_access online_access account.apps other patient/*.rs user/*.cruds system/*.r \
              patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory,x|y \
              user/Condition.r?clinical-status=active&category=http://odd.example|z system/Patient.d"
                .parse()
                .unwrap(),
        );
        for patients in [r#"["p1"]"#, r#"["p1","p2","p3"]"#] {
            let text = format!(
                r#"[{{"type":"fhir_records","actions":["read","search","create"],"datatypes":["Condition","Observation"],
                "patients":{patients}}}]"#
            );
            all.extend(AuthorizationDetail::read(&text).unwrap().iter().map(detailed_wish));
        }
        all.extend([Wish::OwnEntry, Wish::Emergency { patient: "p1".to_owned() }]);
        assert_eq!(all.len(), 16);
        for one in &all {
            assert_eq!(wish(Tongue::English, one), one.to_string());
            assert_ne!(wish(Tongue::Spanish, one), one.to_string());
        }
    }

    #[test]
    fn a_sentence_in_spanish_agrees_with_what_it_is_about() {
        let said = |scope: &str| -> Vec<String> {
            wishes(&scope.parse().unwrap()).iter().map(|one| wish(Tongue::Spanish, one)).collect()
        };
        assert_eq!(
            said("openid patient/*.rs user/Observation.cruds"),
            [
                "Saber quién es usted",
                "Ver y buscar cualquier dato de la historia clínica del paciente elegido",
                "Ver, buscar, añadir, modificar y eliminar entradas de Observation en las historias clínicas que usted puede ver",
            ]
        );
    }

    #[test]
    fn each_kind_and_each_purpose_is_said_as_it_is_called() {
        for category in Category::all() {
            assert_eq!(kind(Tongue::English, &Kind::Known(category)), category.words);
            assert_ne!(kind(Tongue::Spanish, &Kind::Known(category)), category.words);
        }
        for one in PurposeOfUse::all() {
            let id = purpose(one).unwrap();
            assert_eq!(Tongue::English.tell(id).plain(), one.words());
            assert_ne!(Tongue::Spanish.tell(id).plain(), one.words());
        }
    }
}
