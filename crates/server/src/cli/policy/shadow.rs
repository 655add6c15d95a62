//! `chartgate policy shadow`: what the policies on trial would have changed, summed up from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use chartgate_access::pdp::account::Change;
use chartgate_audit::reader::Filter;
use chartgate_audit::record::{Event, Record};
use chartgate_values::Timestamp;
use clap::Args;
use serde_json::{Value, json};

use crate::account::Decided;
use crate::cli::audit;
use crate::cli::print::{self, Output};

/// Which requests.
#[derive(Debug, Args)]
pub(in crate::cli) struct Question {
    /// Not before this time (RFC 3339).
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    until: Option<Timestamp>,
    /// The hash of the policies that were on trial; without it, of those that were last.
    #[arg(long)]
    set: Option<String>,
}

/// Requests that would change in the same way.
#[derive(Debug, Eq, PartialEq, Ord, PartialOrd)]
struct Group {
    change: Change,
    action: String,
    roles: Vec<String>,
    /// The policies that decided.
    by: Vec<String>,
    /// Those that would have.
    shadow: Vec<String>,
}

/// How many there are, and one of them.
#[derive(Debug, Default)]
struct Many {
    requests: u64,
    example: u64,
}

/// What one set of policies on trial would have changed.
#[derive(Debug, Default)]
struct Trial {
    policy_sets: BTreeSet<String>,
    requests: u64,
    changed: u64,
    by_change: BTreeMap<Change, u64>,
    groups: BTreeMap<Group, Many>,
    /// Requests that asked more than their record keeps.
    cut: u64,
}

pub(super) fn carry_out(file: &Path, question: Question, output: Output) -> anyhow::Result<ExitCode> {
    let shown = format!("{question:?}");
    let filter = Filter {
        event: Some(Event::Access),
        since: question.since,
        until: question.until,
        ..Filter::default()
    };
    let mut trials = BTreeMap::<String, Trial>::new();
    let (mut last, mut sealed) = (None, 0_u64);
    let log = audit::open(file, "shadow", &shown)?;
    for entry in log.search(&filter) {
        let entry = entry?;
        if entry.sealed.is_some() {
            sealed = sealed.saturating_add(1);
        }
        let Ok(decided) = Decided::read(&entry.record, entry.sealed.is_some()) else { continue };
        let Some(set) = decided.summary.shadow_set.clone() else { continue };
        last = Some(set.clone());
        trials.entry(set).or_default().count(entry.index, &entry.record, &decided);
    }
    let Some(set) = question.set.or(last) else {
        anyhow::bail!("no request in that time was put to policies on trial: see `policy.shadow`");
    };
    let trial = trials.remove(&set).unwrap_or_default();
    match output {
        Output::Json => print::line(&trial.to_json(&set, sealed).to_string()),
        Output::Text => trial.tell(&set, sealed, trials.keys()),
    }
    Ok(ExitCode::SUCCESS)
}

impl Trial {
    fn count(&mut self, index: u64, record: &Record, decided: &Decided) {
        self.requests = self.requests.saturating_add(1);
        self.cut = self.cut.saturating_add(u64::from(decided.summary.was_cut));
        self.policy_sets.insert(decided.summary.policy_set.clone());
        // A request counts once for each way in which it would change, however many records are concerned.
        let mut groups = BTreeSet::new();
        for (said, change) in decided.changes() {
            groups.insert(Group {
                change,
                action: record.action.clone().unwrap_or_default(),
                roles: record.actor.roles.clone(),
                by: said.answer.policies.clone(),
                shadow: said.shadow.as_ref().map(|answer| answer.policies.clone()).unwrap_or_default(),
            });
        }
        self.changed = self.changed.saturating_add(u64::from(!groups.is_empty()));
        for change in groups.iter().map(|group| group.change).collect::<BTreeSet<_>>() {
            let count = self.by_change.entry(change).or_default();
            *count = count.saturating_add(1);
        }
        for group in groups {
            let many = self.groups.entry(group).or_default();
            *many = Many { requests: many.requests.saturating_add(1), example: index };
        }
    }

    fn of(&self, change: Change) -> u64 {
        self.by_change.get(&change).copied().unwrap_or_default()
    }

    fn to_json(&self, set: &str, sealed: u64) -> Value {
        let group = |(group, many): (&Group, &Many)| {
            json!({
                "change": group.change.as_str(), "action": group.action, "roles": group.roles,
                "policies": group.by, "shadow_policies": group.shadow,
                "requests": many.requests, "example": many.example,
            })
        };
        json!({
            "shadow_set": set, "policy_sets": self.policy_sets, "requests": self.requests,
            "changed": self.changed, "denied": self.of(Change::Denied), "allowed": self.of(Change::Allowed),
            "masked_otherwise": self.of(Change::Masked),
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
            "truncated": self.cut, "sealed": sealed,
        })
    }

    fn tell<'s>(&self, set: &str, sealed: u64, others: impl Iterator<Item = &'s String>) {
        let Self { requests, changed, cut, .. } = self;
        print::line(&format!("policies on trial: {set}"));
        print::line(&format!("{requests} requests were put to them; {changed} would have ended otherwise:"));
        for (change, words) in [
            (Change::Denied, "something that was allowed would have been denied"),
            (Change::Allowed, "something that was denied would have been allowed"),
            (Change::Masked, "something would have been seen with another part kept from it"),
        ] {
            print::line(&format!("  {:>6}  {words}", self.of(change)));
            for (group, many) in self.groups.iter().filter(|(group, _)| group.change == change) {
                print::line(&format!(
                    "          {:>6}  {} by {}: {}, then {} (such as record {})",
                    many.requests,
                    group.action,
                    roles(&group.roles),
                    named("now", &group.by),
                    named("by", &group.shadow),
                    many.example
                ));
            }
        }
        if *cut > 0 {
            print::line(&format!("{cut} requests asked more than their records keep"));
        }
        if sealed > 0 {
            print::line(&format!(
                "{sealed} requests of that time cannot be looked into: their data key is gone"
            ));
        }
        for other in others {
            print::line(&format!("other policies were on trial in that time: --set {other}"));
        }
    }
}

fn roles(roles: &[String]) -> String {
    if roles.is_empty() { "nobody's role".to_owned() } else { roles.join("+") }
}

fn named(word: &str, policies: &[String]) -> String {
    if policies.is_empty() { format!("{word} no permit") } else { format!("{word} {}", policies.join(", ")) }
}
