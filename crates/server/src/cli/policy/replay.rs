//! `chartgate policy replay`: policies are asked again what a recorded request asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chartgate_access::pdp::account::{Answer, Change, Said};
use chartgate_access::pdp::decide::Pdp;
use chartgate_audit::reader::{Entry, Filter};
use chartgate_audit::record::Event;
use chartgate_values::Timestamp;
use clap::Args;
use serde_json::{Value, json};

use crate::account::{Decided, Untold};
use crate::cli::audit;
use crate::cli::print::{self, Output};
use crate::config::Config;
use crate::live::policies::read;

/// Which requests, and which policies.
#[derive(Debug, Args)]
pub(in crate::cli) struct Question {
    /// A record's index.
    #[arg(conflicts_with_all = ["since", "until"], required_unless_present_any = ["since", "until"])]
    index: Option<u64>,
    /// All requests, not before this time (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// All requests, before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// Ask the policies of this folder; without it, those that are in force.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Ask the very policies that decided then, if they are still those of a folder that the configuration or `--dir` names.
    #[arg(long)]
    recorded_set: bool,
}

/// The policies that there are.
struct Sets {
    named: Vec<Set>,
    recorded: Which,
}

struct Set {
    pdp: Pdp,
    ids: BTreeSet<String>,
}

/// Which policies are asked.
#[derive(Clone, Copy)]
enum Which {
    First,
    Recorded,
}

/// What came of it.
enum Replayed<'s> {
    Cannot(String),
    Asked { set: &'s Set, decided: Box<Decided>, answers: Vec<Answer> },
}

/// How many came to what.
#[derive(Default)]
struct Count {
    same: u64,
    differ: u64,
    cannot: u64,
}

pub(super) fn carry_out(
    file: &Path,
    config: &Config,
    question: &Question,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let sets = Sets::read(config, question)?;
    let log = audit::open(file, "replay", &format!("{question:?}"))?;
    let mut count = Count::default();
    if let Some(index) = question.index {
        let Some(entry) = log.reader.entry(index)?.filter(|entry| entry.index == index) else {
            anyhow::bail!("there is no record {index}");
        };
        count.add(&entry, &sets.replay(&entry), output, Saying::Everything);
    } else {
        let filter = Filter {
            event: Some(Event::Access),
            since: question.since,
            until: question.until,
            ..Filter::default()
        };
        for entry in log.search(&filter) {
            let entry = entry?;
            count.add(&entry, &sets.replay(&entry), output, Saying::Differences);
        }
        if let Output::Text = output {
            let Count { same, differ, cannot } = count;
            print::line(&format!("{same} come to the same, {differ} do not, {cannot} cannot be asked again"));
        }
    }
    // Where nothing could be asked again, nothing was shown.
    let was_asked =
        if question.index.is_some() { count.cannot == 0 } else { count.same > 0 || count.cannot == 0 };
    let all_same = count.differ == 0 && was_asked;
    Ok(if all_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Sets {
    fn read(config: &Config, question: &Question) -> anyhow::Result<Self> {
        let mut named = Vec::new();
        let first = question.dir.as_ref().unwrap_or(&config.policy_dir);
        named.push(Set::read(first)?);
        if question.recorded_set {
            // One that does not hold is none that ever decided.
            let others = [Some(&config.policy_dir), config.shadow_dir.as_ref()];
            named.extend(others.into_iter().flatten().filter_map(|dir| Set::read(dir).ok()));
        }
        Ok(Self { named, recorded: if question.recorded_set { Which::Recorded } else { Which::First } })
    }

    fn find(&self, revision: &str) -> Option<&Set> {
        match self.recorded {
            Which::First => self.named.first(),
            Which::Recorded => self.named.iter().find(|set| set.pdp.revision() == revision),
        }
    }

    fn replay(&self, entry: &Entry) -> Replayed<'_> {
        let decided = match Decided::read(&entry.record, entry.sealed.is_some()) {
            Ok(decided) => Box::new(decided),
            Err(untold) => return Replayed::Cannot(lacks(untold, entry)),
        };
        let Some(set) = self.find(&decided.summary.policy_set) else {
            let set = &decided.summary.policy_set;
            return Replayed::Cannot(format!("the policies that decided, {set}, are not at hand: --dir"));
        };
        let again = |said: &Arc<Said>| said.asked.again(&set.pdp, &decided.facts);
        let answers = decided.summary.said.iter().map(again).collect();
        Replayed::Asked { set, answers, decided }
    }
}

fn lacks(untold: Untold, entry: &Entry) -> String {
    match (untold, &entry.record.decision.reason) {
        (Untold::NotAsked, Some(reason)) => format!("{untold} ({reason})"),
        (_, _) => untold.to_string(),
    }
}

impl Set {
    fn read(dir: &Path) -> anyhow::Result<Self> {
        let (pdp, ids) = read(dir).and_then(|folder| folder.pdp()).map_err(|errors| super::all(&errors))?;
        Ok(Self { pdp, ids })
    }
}

/// How much is said of a request.
#[derive(Clone, Copy)]
enum Saying {
    Everything,
    Differences,
}

impl Count {
    fn add(&mut self, entry: &Entry, replayed: &Replayed<'_>, output: Output, saying: Saying) {
        let count = match replayed {
            Replayed::Cannot(_) => &mut self.cannot,
            Replayed::Asked { .. } if replayed.differences().next().is_some() => &mut self.differ,
            Replayed::Asked { .. } => &mut self.same,
        };
        *count = count.saturating_add(1);
        match (output, saying) {
            (Output::Json, _) => print::line(&replayed.to_json(entry).to_string()),
            (Output::Text, Saying::Everything) => {
                audit::show(entry, output);
                replayed.tell();
            }
            (Output::Text, Saying::Differences) => {
                if replayed.differences().next().is_some() {
                    audit::show(entry, output);
                    replayed.tell();
                }
            }
        }
    }
}

impl Replayed<'_> {
    /// The questions whose answer comes to something else now.
    fn differences(&self) -> impl Iterator<Item = (&Said, &Answer, Change)> {
        let (said, answers) = match self {
            Self::Cannot(_) => (&[] as &[Arc<Said>], &[] as &[Answer]),
            Self::Asked { decided, answers, .. } => (decided.summary.said.as_slice(), answers.as_slice()),
        };
        said.iter().zip(answers).filter_map(|(said, now)| Some((&**said, now, said.answer.change(now)?)))
    }

    fn result(&self) -> &'static str {
        match self {
            Self::Cannot(_) => "cannot",
            Self::Asked { .. } if self.differences().next().is_some() => "differs",
            Self::Asked { .. } => "same",
        }
    }

    fn to_json(&self, entry: &Entry) -> Value {
        match self {
            Self::Cannot(why) => json!({ "index": entry.index, "result": self.result(), "why": why }),
            Self::Asked { set, decided, answers } => {
                let question = |(said, now): (&Arc<Said>, &Answer)| {
                    json!({
                        "asked": said.asked, "then": said.answer, "now": now,
                        "change": said.answer.change(now).map(Change::as_str),
                    })
                };
                let questions: Vec<Value> = decided.summary.said.iter().zip(answers).map(question).collect();
                json!({
                    "index": entry.index, "result": self.result(), "policy_set": decided.summary.policy_set,
                    "asked_set": set.pdp.revision(), "questions": questions,
                    "truncated": decided.summary.was_cut,
                })
            }
        }
    }

    fn tell(&self) {
        match self {
            Self::Cannot(why) => print::line(&format!("  cannot be asked again: {why}")),
            Self::Asked { set, decided, answers } => {
                let then = &decided.summary.policy_set;
                let word =
                    if set.pdp.revision() == then { "the policies that decided" } else { "other policies" };
                print::line(&format!(
                    "  decided by {then}, asked again of {} ({word}): {}",
                    set.pdp.revision(),
                    self.result()
                ));
                for (said, now) in decided.summary.said.iter().zip(answers) {
                    match said.answer.change(now) {
                        None => print::line(&format!("  - {}: {now}", said.asked)),
                        Some(_) => {
                            print::line(&format!("  - {}: was {}, is {now}", said.asked, said.answer));
                            for gone in said.answer.policies.iter().filter(|id| !set.ids.contains(*id)) {
                                print::line(&format!("    there is no policy {gone} among them"));
                            }
                        }
                    }
                }
                if decided.summary.was_cut {
                    print::line("  it asked more than its record keeps");
                }
            }
        }
    }
}
