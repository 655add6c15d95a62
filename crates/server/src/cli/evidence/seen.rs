//! What the log shows of a time, in one reading of it.

use std::collections::BTreeMap;

use chartgate_access::approval::known::NeverSeen;
use chartgate_access::login::assurance::Assurance;
use chartgate_audit::reader::Entry;
use chartgate_audit::record::{ActorKind, Event, Outcome, Record};

/// So many records of a kind are shown, the newest.
const SHOWN: usize = 3;

/// Records of one kind: how many, and the newest of them.
#[derive(Clone, Default)]
pub(super) struct Kind {
    pub(super) count: u64,
    pub(super) newest: Vec<Entry>,
}

impl Kind {
    fn add(&mut self, entry: &Entry) {
        self.count = self.count.saturating_add(1);
        self.newest.push(entry.clone());
        if self.newest.len() > SHOWN {
            self.newest.remove(0);
        }
    }
}

/// Records of one event.
#[derive(Default)]
struct Outcomes {
    all: Kind,
    done: Kind,
    not_done: Kind,
}

impl Outcomes {
    fn add(&mut self, entry: &Entry) {
        self.all.add(entry);
        match entry.record.outcome {
            Outcome::Allow => self.done.add(entry),
            Outcome::Deny | Outcome::Error => self.not_done.add(entry),
        }
    }
}

/// Times that somebody was told of something, and that they could not be.
#[derive(Default)]
pub(super) struct Telling {
    pub(super) done: Kind,
    pub(super) failed: Kind,
}

impl Telling {
    fn add(&mut self, entry: &Entry) {
        match entry.record.outcome {
            Outcome::Allow => self.done.add(entry),
            Outcome::Deny | Outcome::Error => self.failed.add(entry),
        }
    }
}

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) records: u64,
    by_event: BTreeMap<&'static str, Outcomes>,
    pub(super) allowed: Kind,
    pub(super) refused: Kind,
    pub(super) failed: Kind,
    /// Allowed accesses by people who administer the gateway.
    pub(super) by_administrators: Kind,
    /// Allowed accesses of which some part was kept from the caller.
    pub(super) masked: Kind,
    /// The same of searches of which some was withheld.
    pub(super) withheld: Kind,
    pub(super) without_purpose: Kind,
    /// Allowed accesses whose record has a digest of what was given.
    pub(super) with_digest: Kind,
    pub(super) purposes: BTreeMap<String, u64>,
    /// Sign-ins by how: the methods of `amr`.
    pub(super) sign_ins: BTreeMap<String, Kind>,
    /// Those of them that were by one factor.
    pub(super) by_one_factor: Kind,
    /// Times that somebody was told of a change to how they sign in.
    pub(super) told: Kind,
    /// Times that they could not be.
    pub(super) not_told: Kind,
    /// Times that a password was right and nobody's phone was asked, for they were never seen there.
    pub(super) never_seen: Kind,
    pub(super) refusals: BTreeMap<String, u64>,
    /// Failed sign-ins by why.
    pub(super) failures: BTreeMap<String, u64>,
    /// Ends of sessions by why.
    pub(super) ends: BTreeMap<String, u64>,
    /// Reports of activity, as activity review wants them.
    pub(super) reviews: Kind,
    /// Times that privacy officers were told of emergency access, and that they could not be.
    pub(super) told_of_uses: Telling,
    /// The same of findings.
    pub(super) told_of_findings: Telling,
    /// Backups that were made whole.
    pub(super) backups: Kind,
    /// Backups that were tried out and would do.
    pub(super) drills: Kind,
    /// Backups and drills that failed.
    pub(super) without_backup: Kind,
}

/// What the record calls a one-time link that was sent.
const LINKS_SENT: [&str; 2] = ["enrolment-link", "recovery-link"];

static NOTHING: Kind = Kind { count: 0, newest: Vec::new() };

impl Seen {
    pub(super) fn add(&mut self, entry: &Entry) {
        let record = &entry.record;
        self.records = self.records.saturating_add(1);
        self.by_event.entry(record.event.as_str()).or_default().add(entry);
        match (record.event, record.outcome) {
            (Event::Access, Outcome::Allow) => self.add_access(entry),
            (Event::Access, Outcome::Deny) => {
                self.refused.add(entry);
                count(&mut self.refusals, reason(record));
            }
            (Event::Access, Outcome::Error) => self.failed.add(entry),
            (Event::LoginSucceeded, _) => {
                self.sign_ins.entry(record.amr.join(" + ")).or_default().add(entry);
                if Assurance::of(&record.amr) == Assurance::OneFactor {
                    self.by_one_factor.add(entry);
                }
            }
            // A one-time link that was sent tells nobody of a change.
            (Event::PersonTold, _) if is_link(record) => {}
            (Event::PersonTold, Outcome::Allow) => self.told.add(entry),
            (Event::PersonTold, _) => self.not_told.add(entry),
            (Event::ApprovalRequested, Outcome::Deny) if is_never_seen(record) => self.never_seen.add(entry),
            (Event::LoginFailed, _) => count(&mut self.failures, reason(record)),
            (Event::SessionEnded, _) => count(&mut self.ends, reason(record)),
            (Event::EmergencyTold, _) => self.told_of_uses.add(entry),
            (Event::WatchTold, _) => self.told_of_findings.add(entry),
            (Event::AuditRead, _) if is_activity_report(record) => self.reviews.add(entry),
            (Event::BackupMade, Outcome::Allow) => self.backups.add(entry),
            (Event::BackupDrilled, Outcome::Allow) => self.drills.add(entry),
            (Event::BackupMade | Event::BackupDrilled, _) => self.without_backup.add(entry),
            _ => {}
        }
    }

    fn add_access(&mut self, entry: &Entry) {
        let record = &entry.record;
        self.allowed.add(entry);
        if record.actor.kind == ActorKind::Human
            && record.actor.roles.iter().any(|role| role == ADMINISTRATOR)
        {
            self.by_administrators.add(entry);
        }
        if !record.decision.obligations.is_empty() {
            self.masked.add(entry);
        }
        if record.response.withheld.is_some_and(|withheld| withheld > 0) {
            self.withheld.add(entry);
        }
        if !record.response.digests.is_empty() {
            self.with_digest.add(entry);
        }
        match &record.purpose_of_use {
            Some(purpose) => count(&mut self.purposes, purpose.clone()),
            None => self.without_purpose.add(entry),
        }
    }

    /// The records of a kind of event, however they ended: of what is no act, such as a failed sign-in.
    pub(super) fn of(&self, event: Event) -> &Kind {
        self.by_event.get(event.as_str()).map_or(&NOTHING, |outcomes| &outcomes.all)
    }

    /// The records of acts that were done.
    pub(super) fn done(&self, event: Event) -> &Kind {
        self.by_event.get(event.as_str()).map_or(&NOTHING, |outcomes| &outcomes.done)
    }

    /// The records of acts that somebody was not allowed, or did not succeed in.
    pub(super) fn not_done(&self, event: Event) -> &Kind {
        self.by_event.get(event.as_str()).map_or(&NOTHING, |outcomes| &outcomes.not_done)
    }
}

/// The role of those who administer the gateway.
pub(super) const ADMINISTRATOR: &str = "administrator";

fn is(record: &Record, resource: &str) -> bool {
    record.resource.as_ref().is_some_and(|what| what.expose() == resource)
}

/// Records from before which report it was stood in their name have it in the question alone.
fn is_activity_report(record: &Record) -> bool {
    let question = record.detail.get("question").map(|question| question.expose().as_str());
    is(record, "report/activity")
        || (is(record, "report") && question.is_some_and(|question| question.starts_with("Activity ")))
}

fn is_link(record: &Record) -> bool {
    record.detail.get("change").is_some_and(|change| LINKS_SENT.contains(&change.expose().as_str()))
}

fn is_never_seen(record: &Record) -> bool {
    let codes = [NeverSeen::Browser, NeverSeen::Client].map(NeverSeen::code);
    record.decision.reason.as_deref().is_some_and(|reason| codes.contains(&reason))
}

fn reason(record: &Record) -> String {
    record.decision.reason.clone().unwrap_or_else(|| "no reason on record".to_owned())
}

fn count(counts: &mut BTreeMap<String, u64>, name: String) {
    let count = counts.entry(name).or_default();
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use chartgate_values::{Phi, Timestamp};

    use super::*;

    #[test]
    fn what_somebody_was_not_allowed_is_not_done() {
        let mut seen = Seen::default();
        for (index, outcome) in [(0, Outcome::Deny), (1, Outcome::Allow), (2, Outcome::Deny)] {
            let record = Record::new(Event::DataKeyShredded, outcome, Timestamp::EPOCH);
            seen.add(&Entry { index, record, sealed: None });
        }
        let of = |kind: &Kind| (kind.count, kind.newest.last().map(|entry| entry.index));
        assert_eq!(of(seen.done(Event::DataKeyShredded)), (1, Some(1)));
        assert_eq!(of(seen.not_done(Event::DataKeyShredded)), (2, Some(2)));
        assert_eq!(of(seen.of(Event::DataKeyShredded)), (3, Some(2)));
        assert_eq!(of(seen.done(Event::HoldPlaced)), (0, None));
    }

    #[test]
    fn of_reports_that_of_activity_alone_is_a_review_whenever_it_was_made() {
        let mut seen = Seen::default();
        for (index, (resource, question, is_review)) in [
            ("report/activity", "Activity { with: With { since: None } }", true),
            ("report/access", "Access { patient: \"pt-1\", with: With { since: None } }", false),
            ("report/user", "User { user: \"Activity \", with: With { since: None } }", false),
            // As they were recorded before.
            ("report", "Activity { with: With { since: None } }", true),
            ("report", "BreakGlass { with: With { since: None } }", false),
            ("search", "Activity { with: With { since: None } }", false),
        ]
        .into_iter()
        .enumerate()
        {
            let mut record = Record::new(Event::AuditRead, Outcome::Allow, Timestamp::EPOCH);
            record.resource = Some(Phi::new(resource.to_owned()));
            record.detail.insert("question".to_owned(), Phi::new(question.to_owned()));
            let before = seen.reviews.count;
            seen.add(&Entry { index: index.try_into().unwrap(), record, sealed: None });
            assert_eq!(seen.reviews.count > before, is_review, "{resource}: {question}");
        }
    }
}
