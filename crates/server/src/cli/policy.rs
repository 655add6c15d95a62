//! `chartgate policy`.

mod replay;
mod shadow;
mod who;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use chartgate_access::ids::{ClientId, PatientId, Subject};
use chartgate_access::pdp::policy_set::{Policies, PolicyError};
use chartgate_access::pdp::policy_test::Outcome;
use chartgate_audit::record::{ActorKind, Record};
use chartgate_protocol::oauth::scope::ScopeSet;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::audit;
use super::print::{self, Output};
use crate::admin::client::give;
use crate::admin::{Command, Supposed, Whose};
use crate::config::Config;
use crate::live::policies::{read, read_tests};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyWord {
    /// Validate the policies against their schema.
    Check,
    /// Run the policies' tests.
    Test,
    /// Say why a recorded or supposed request is allowed or denied; with `--patient` alone, who could see that patient.
    Explain(Request),
    /// Sum up from the log what the policies on trial (`policy.shadow`) would have decided otherwise.
    Shadow(shadow::Question),
    /// Ask policies again what a recorded request asked, and say whether they say the same.
    Replay(replay::Question),
}

/// A request: one that stands in the log, or one that nobody has made.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// A record's index.
    #[arg(conflicts_with_all = ["user", "client", "action", "resource", "patient", "scope", "purpose", "route"])]
    index: Option<u64>,
    /// The person; without one the client acts for itself.
    #[arg(long)]
    user: Option<Subject>,
    /// The client, by its name (`client_id`).
    #[arg(long, required_unless_present_any = ["index", "patient"])]
    client: Option<ClientId>,
    /// read, search, create, update, patch or delete.
    #[arg(long, required_unless_present_any = ["index", "patient"])]
    action: Option<String>,
    /// Such as Patient/ID, Observation/ID or Observation.
    #[arg(long, required_unless_present_any = ["index", "patient"])]
    resource: Option<String>,
    /// Whose record it is, where the resource itself does not say.
    #[arg(long)]
    patient: Option<PatientId>,
    /// What the token was granted; without it, all that the client may have.
    #[arg(long)]
    scope: Option<ScopeSet>,
    /// The purpose of use, such as TREAT, or ETREAT for emergency access; without it, the one that a token names where none is asked
    /// for.
    #[arg(long)]
    purpose: Option<String>,
    /// A FHIR route: its version's types, its care and its Consents alone; without it, those of all.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
}

pub(super) fn carry_out(word: PolicyWord, file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let config = super::load(file)?;
    let config = &config;
    match word {
        PolicyWord::Check => {
            let policies = policies_in(&config.policy_dir)?;
            print::line(&format!("{} policies, no errors", policies.ids().len()));
            if let Some(dir) = &config.shadow_dir {
                let on_trial = policies_in(dir)?;
                print::line(&format!("{} policies on trial, no errors", on_trial.ids().len()));
            }
            Ok(ExitCode::SUCCESS)
        }
        PolicyWord::Test => test(config),
        PolicyWord::Explain(request) => explain(file, request, output),
        PolicyWord::Shadow(question) => shadow::carry_out(file, question, output),
        PolicyWord::Replay(question) => replay::carry_out(file, config, &question, output),
    }
}

fn explain(file: &Path, request: Request, output: Output) -> anyhow::Result<ExitCode> {
    let request = match request {
        Request {
            index: None,
            user: None,
            client: None,
            action: None,
            resource: None,
            patient: Some(patient),
            scope: None,
            purpose,
            route: None,
        } => {
            return who::tell(file, Whose { patient, purpose }, output);
        }
        request => request,
    };
    let supposed = match request.index {
        Some(index) => {
            let record = audit::record(file, index)?;
            audit::show(&record, output);
            if let Some((reason, why)) = record.record.decision.reason.as_deref().and_then(not_by_policies) {
                anyhow::bail!("it was denied for `{reason}`: {why}, which cannot be asked again");
            }
            as_supposed(&record.record)
                .context("the record is of no request of a known client for records of a type")?
        }
        None => Supposed {
            user: request.user,
            client: request.client.context("--client is missing")?,
            action: request.action.context("--action is missing")?,
            resource: request.resource.context("--resource is missing")?,
            patient: request.patient,
            scope: request.scope,
            purpose: request.purpose,
            route: request.route,
        },
    };
    let command = Command::PolicyExplain(Box::new(supposed));
    let answer = super::runtime()?.block_on(give(super::load(file)?, command))?;
    match output {
        Output::Json => print::answer(&answer, output),
        Output::Text => tell(&answer),
    }
    Ok(match text(&answer, "decision") {
        "allow" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// For what else than policies and care a request was denied. Its record does not have it, so that asked again with all that the
/// client may have it would be allowed.
fn not_by_policies(reason: &str) -> Option<(&str, &'static str)> {
    let why = match reason {
        "insufficient-scope" | "outside-scope" => "for the scopes of its token",
        "masked" | "mask" => "for what a mask keeps of the record",
        "bad-request" => "for the form of the request",
        _ => return None,
    };
    Some((reason, why))
}

/// The question that a record answers, to be asked again now.
fn as_supposed(record: &Record) -> Option<Supposed> {
    let client: ClientId = record.actor.client_id.as_ref()?.parse().ok()?;
    let subject = record.actor.sub.as_ref()?;
    let mut patients = record.patients.iter();
    let patient = match (patients.next(), patients.next()) {
        (Some(only), None) => only.expose().parse().ok(),
        (None | Some(_), _) => None,
    };
    Some(Supposed {
        user: match record.actor.kind {
            ActorKind::Workload => None,
            ActorKind::Human | ActorKind::Agent | ActorKind::Local | ActorKind::Anonymous => {
                Some(subject.parse().ok()?)
            }
        },
        client,
        action: record.action.clone()?,
        resource: record.resource.as_ref()?.expose().clone(),
        patient,
        scope: None,
        purpose: record.purpose_of_use.clone(),
        route: record.route.clone(),
    })
}

/// An explanation, line by line.
fn tell(answer: &Value) {
    let list = |name: &str| answer.get(name).and_then(Value::as_array).into_iter().flatten();
    print::line(&format!(
        "{}, by the policies and relations of care in force now:",
        text(answer, "decision")
    ));
    for sentence in list("because").filter_map(Value::as_str) {
        print::line(&format!("  - {sentence}"));
    }
    for policy in list("policies") {
        print::line(&format!("\n{}", text(policy, "text")));
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn policies_in(dir: &Path) -> anyhow::Result<Policies> {
    let folder = read(dir).map_err(|errors| all(&errors))?;
    Policies::read(&folder.schema, &folder.policies).map_err(|errors| all(&errors))
}

/// What came of the tests of policies.
#[derive(Default)]
pub(super) struct TestRun {
    /// Of the policies that were tested.
    pub(super) revision: String,
    pub(super) passed: usize,
    questions: usize,
    pub(super) failed: usize,
    /// What failed, and why.
    told: Vec<String>,
}

/// Runs the tests of the policies in a folder.
pub(super) fn run_tests(dir: &Path) -> anyhow::Result<TestRun> {
    let (pdp, _) = read(dir).and_then(|folder| folder.pdp()).map_err(|errors| all(&errors))?;
    let mut run = TestRun { revision: pdp.revision().to_owned(), ..TestRun::default() };
    for (file, tests) in read_tests(dir).map_err(|errors| all(&errors))? {
        for test in &tests.tests {
            match test.run(&pdp) {
                Outcome::Passed(asked) => {
                    run.passed = run.passed.saturating_add(1);
                    run.questions = run.questions.saturating_add(asked);
                }
                Outcome::Failed(why) => {
                    run.failed = run.failed.saturating_add(1);
                    run.told.push(format!("FAILED {file}: {}", test.name));
                    run.told.extend(why.iter().map(|line| format!("    {line}")));
                }
            }
        }
    }
    Ok(run)
}

fn test(config: &Config) -> anyhow::Result<ExitCode> {
    let TestRun { revision: _, passed, questions, failed, told } = run_tests(&config.policy_dir)?;
    told.iter().for_each(|line| print::line(line));
    print::line(&format!("{passed} policy tests passed ({questions} questions), {failed} failed"));
    if passed == 0 {
        anyhow::bail!("there are no policy tests in {}", config.policy_dir.join("tests").display());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn all(errors: &[PolicyError]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}
