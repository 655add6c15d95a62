//! People who are asked to approve what they did not expect: they say so, they are asked so often that one who asks is not heard
//! for a while, or somebody goes on asking below that all day; or emergency access was opened in their name and not by them.
//! ATTACKS O20.
//!
//! What each who asks does is found for itself, and each report: that one asks too often must not hide another's doing.

use super::rules::A_DAY;
use super::{Finding, Rule, UnwantedApprovals, Watch, Window};
use crate::reader::Entry;
use crate::record::{Event, Record};

/// In `detail` of a question that was not put: why the person is not asked.
const FLOOD: &str = "flood";
/// Why a question lapsed that was put.
const UNANSWERED: &str = "unanswered";
/// Why nobody of theirs asks them for a while.
const BLOCKED: [&str; 2] = ["too-many-unanswered", "too-many-denied"];

impl Watch {
    pub(super) fn see_unwanted(&mut self, entry: &Entry) -> Vec<Finding> {
        // A second person's yes is asked for by somebody who is known, of many.
        let asker = detail(&entry.record, "asker").filter(|_| detail(&entry.record, "asked") == Some("deed"));
        let Some(user) = asker.or(detail(&entry.record, "user")) else { return Vec::new() };
        let (client, asked) = match asker {
            Some(asker) => (client_of(&entry.record), format!("what {asker} asks others to approve")),
            None => asked(&entry.record, user),
        };
        // Who switched off what questions show did not say that it is not to be looked at whose emergency it was.
        let unless_off = UnwantedApprovals { again_after: A_DAY, unapproved_a_day: usize::MAX };
        let rule = match (self.rules.unwanted_approvals, entry.record.event) {
            (Some(rule), _) => rule,
            (None, Event::EmergencyDisowned) => unless_off,
            (None, _) => return Vec::new(),
        };
        let at_once = match entry.record.event {
            Event::ApprovalReported => {
                let question = entry.record.resource.as_ref().map(|id| id.expose().as_str());
                let whose = if asker.is_some() { "of" } else { "to" };
                Some(format!("the question {} {whose} {user}", question.unwrap_or_default()))
            }
            Event::EmergencyDisowned => {
                let id = detail(&entry.record, "emergency").unwrap_or_default();
                Some(format!("the emergency access {id} in the name of {user}"))
            }
            Event::ApprovalRequested => {
                detail(&entry.record, FLOOD).filter(|why| BLOCKED.contains(why)).map(|_| asked.clone())
            }
            _ => None,
        };
        // Who was asked did nothing.
        let user = asker.map(str::to_owned);
        let found =
            |about: Finding| Finding { user: user.clone(), client: client.map(str::to_owned), ..about };
        let mut all = Vec::new();
        if let Some(of) = at_once {
            let shown = (vec![entry.index], None);
            all.extend(self.about(entry, Rule::UnwantedApproval, rule.again_after, &of, shown).map(found));
        }
        if is_unapproved(&entry.record) {
            let most = rule.unapproved_a_day;
            let window = self.unapproved.entry(asked.clone()).or_insert_with(|| Window::new(most, A_DAY));
            if let Some(reached) = window.add(entry.index, entry.record.time, entry.index) {
                let shown = (reached.into_iter().map(|(_, index)| index).collect(), Some(most));
                let of = format!("unapproved {asked}");
                all.extend(self.about(entry, Rule::UnwantedApproval, A_DAY, &of, shown).map(found));
            }
        }
        all
    }
}

/// Whether somebody saw a question and did not approve it. What did not come to be on record says nothing of what they wanted.
fn is_unapproved(record: &Record) -> bool {
    match record.event {
        Event::ApprovalLapsed => record.decision.reason.as_deref() == Some(UNANSWERED),
        Event::ApprovalDenied | Event::ApprovalReported => true,
        _ => false,
    }
}

fn detail<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    record.detail.get(name).map(|value| value.expose().as_str())
}

/// The application that asked, and what it was that this person was asked. Sign-ins are one another's, for whoever signs in
/// chooses on the way to which application.
fn asked<'r>(record: &'r Record, user: &str) -> (Option<&'r str>, String) {
    let client = client_of(record);
    let is_sign_in = detail(record, "asked") == Some("sign-in") || client.is_none();
    match client.filter(|_| !is_sign_in) {
        Some(client) => (Some(client), format!("questions of {client} to {user}")),
        None => (client, format!("sign-ins that {user} was asked about")),
    }
}

fn client_of(record: &Record) -> Option<&str> {
    // A question that was not put names its application as the one that acts.
    let own = record.actor.client_id.as_deref().filter(|_| record.event == Event::ApprovalRequested);
    detail(record, "client").or(own)
}
