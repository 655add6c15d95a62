//! `chartgate policy explain --patient ID`: who could see a patient's records.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::text;
use crate::admin::client::give;
use crate::admin::{Command, Whose};
use crate::cli::print::{self, Output};

pub(super) fn tell(file: &Path, whose: Whose, output: Output) -> anyhow::Result<ExitCode> {
    let command = Command::PolicyWho(whose);
    let answer = crate::cli::runtime()?.block_on(give(crate::cli::load(file)?, command))?;
    match output {
        Output::Json => print::answer(&answer, output),
        Output::Text => tell_in_words(&answer),
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_in_words(answer: &Value) {
    let purpose = match text(answer, "purpose_of_use") {
        "" => "for no stated purpose".to_owned(),
        purpose => format!("for {purpose}"),
    };
    print::line(&format!(
        "who could read records of {} {purpose}, by the policies and relations of care in force now:",
        text(answer, "patient")
    ));
    for one in list(answer, "who") {
        print::line(&format!("{} {} ({})", text(one, "kind"), text(one, "name"), names(one, "roles")));
        for way in list(one, "ways") {
            let via = match text(way, "client") {
                "" => String::new(),
                client => format!(" through {client}"),
            };
            for by in list(way, "by") {
                let types = match by.get("types").and_then(Value::as_str) {
                    Some(_) => "every type of record".to_owned(),
                    None => names(by, "types"),
                };
                let mask = match text(by, "mask") {
                    "" => String::new(),
                    mask => format!(", without what the mask keeps: {mask}"),
                };
                let (stands, policies) = (stands(text(way, "stands")), names(by, "policies"));
                let care = match names(way, "care") {
                    care if care.is_empty() => care,
                    care => format!(" ({care})"),
                };
                print::line(&format!("  - {stands}{care}{via}, by {policies}: {types}{mask}"));
            }
        }
    }
    for other in list(answer, "others_in_care_table").filter_map(Value::as_str) {
        print::line(&format!(
            "{other} has them in care; which roles they have, their own provider says when they come"
        ));
    }
    for failed in list(answer, "care_failed").filter_map(Value::as_str) {
        print::line(&format!("a look-up of who has them in care failed, so there may be more: {failed}"));
    }
    print::line(
        "\nSupposing a sign-in by password, and records without labels: labels keep records from more people.",
    );
}

fn stands(relation: &str) -> &str {
    match relation {
        "own" => "as the patient",
        "panel" => "with the patient in their care",
        "emergency" => "by emergency access, if they ask for it",
        _ => "without the patient in their care",
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn names(value: &Value, name: &str) -> String {
    list(value, name).filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
