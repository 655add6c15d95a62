//! What is looked for, and from when on it is too much.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_values::Phi;

use super::{Hours, Rule};
use crate::record::Record;

/// The rules in force. What is not there is not looked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Many patients in a short time.
    pub bulk_reads: Option<BulkReads>,
    /// Records at a time when people with such roles do not work.
    pub off_hours: Vec<Hours>,
    /// A patient of the same family name.
    pub same_surname: Option<Repeated>,
    /// A patient on a list.
    pub vip: Option<Listed>,
    /// An employee's own record.
    pub self_access: Option<Repeated>,
    /// Passwords that were wrong.
    pub failed_sign_ins: Option<FailedSignIns>,
    /// A record that nobody has a reason to look for.
    pub canary: Option<Listed>,
    /// Somebody was asked to approve what they did not expect.
    pub unwanted_approvals: Option<UnwantedApprovals>,
}

impl Rules {
    /// Those that there are.
    #[must_use]
    pub fn in_force(&self) -> Vec<Rule> {
        let Self {
            bulk_reads,
            off_hours,
            same_surname,
            vip,
            self_access,
            failed_sign_ins,
            canary,
            unwanted_approvals,
        } = self;
        [
            (Rule::BulkRead, bulk_reads.is_some()),
            (Rule::OffHours, !off_hours.is_empty()),
            (Rule::SameSurname, same_surname.is_some()),
            (Rule::Vip, vip.is_some()),
            (Rule::SelfAccess, self_access.is_some()),
            (Rule::FailedSignIns, failed_sign_ins.is_some()),
            (Rule::Canary, canary.is_some()),
            (Rule::UnwantedApproval, unwanted_approvals.is_some()),
        ]
        .into_iter()
        .filter_map(|(rule, is_in_force)| is_in_force.then_some(rule))
        .collect()
    }
}

/// Many patients in a short time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BulkReads {
    /// So many different ones
    pub patients: usize,
    /// within such a time.
    pub within: Duration,
    /// People and clients whose work it is.
    pub except: BTreeSet<String>,
}

/// What is found once for each person and patient in a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Repeated {
    /// How long after one finding there is no other.
    pub again_after: Duration,
    /// What tells of more patients at once is a list, and shows nobody's interest in one of them.
    pub patients_at_most: usize,
}

/// Patients whose records are watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Who.
    pub patients: BTreeSet<Phi<String>>,
    /// How long after one finding about a person and a patient there is no other.
    pub again_after: Duration,
}

/// How often somebody may be asked to approve what they do not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnwantedApprovals {
    /// How long after a finding that somebody was asked too often there is no other. What people report is each found.
    pub again_after: Duration,
    /// So many questions of one asker that a person denied or left alone, in a day.
    pub unapproved_a_day: usize,
}

/// In which time unapproved questions are counted, and how long after a finding there is no other.
pub(super) const A_DAY: Duration = Duration::from_hours(24);

/// How many failed sign-ins are too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailedSignIns {
    /// In such a time:
    pub within: Duration,
    /// of one account,
    pub per_account: usize,
    /// from one address,
    pub per_address: usize,
    /// of so many different accounts from one address,
    pub accounts_per_address: usize,
    /// or of whatever account, from wherever.
    pub in_all: usize,
}

impl Rules {
    /// The longest time that any of them looks at.
    pub(super) fn longest(&self) -> Duration {
        let each = [
            self.bulk_reads.as_ref().map(|rule| rule.within),
            self.off_hours.iter().map(|rule| rule.again_after).max(),
            self.same_surname.map(|rule| rule.again_after),
            self.vip.as_ref().map(|rule| rule.again_after),
            self.self_access.map(|rule| rule.again_after),
            self.failed_sign_ins.map(|rule| rule.within),
            self.canary.as_ref().map(|rule| rule.again_after),
            self.unwanted_approvals.map(|rule| rule.again_after.max(A_DAY)),
        ];
        each.into_iter().flatten().max().unwrap_or_default()
    }

    /// The longest time in which any of them counts.
    pub(super) fn counted(&self) -> Duration {
        let each = [
            self.bulk_reads.as_ref().map(|rule| rule.within),
            self.failed_sign_ins.map(|rule| rule.within),
            self.unwanted_approvals.map(|_| A_DAY),
        ];
        each.into_iter().flatten().max().unwrap_or_default()
    }

    /// How long there is no other finding, if a record is of a time at which whoever acts does not work.
    pub(super) fn is_off_hours(&self, record: &Record) -> Option<Duration> {
        let mut own = self.off_hours.iter().filter(|hours| hours.are_of(&record.actor.roles)).peekable();
        let again_after = own.peek()?.again_after;
        (!own.any(|hours| hours.include(record.time))).then_some(again_after)
    }

    /// The rules in words, for the record of what was watched for: numbers, no patients.
    #[must_use]
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        if let Some(rule) = &self.bulk_reads {
            let except = rule.except.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let text = format!("{} patients in {} s, except: {except}", rule.patients, rule.within.as_secs());
            told.push(("bulk-read", text));
        }
        if !self.off_hours.is_empty() {
            told.push(("off-hours", format!("{} working hours", self.off_hours.len())));
        }
        for (name, rule) in [("same-surname", &self.same_surname), ("self-access", &self.self_access)] {
            if let Some(rule) = rule {
                told.push((name, format!("again after {} s", rule.again_after.as_secs())));
            }
        }
        for (name, rule) in [("vip", &self.vip), ("canary", &self.canary)] {
            if let Some(rule) = rule {
                let text =
                    format!("{} patients, again after {} s", rule.patients.len(), rule.again_after.as_secs());
                told.push((name, text));
            }
        }
        if let Some(rule) = self.unwanted_approvals {
            let (again_after, a_day) = (rule.again_after.as_secs(), rule.unapproved_a_day);
            let text =
                format!("again after {again_after} s, {a_day} a day of one asker that were not approved");
            told.push(("unwanted-approval", text));
        }
        if let Some(rule) = &self.failed_sign_ins {
            let text = format!(
                "in {} s: {} of an account, {} from an address, {} accounts from an address, {} in all",
                rule.within.as_secs(),
                rule.per_account,
                rule.per_address,
                rule.accounts_per_address,
                rule.in_all
            );
            told.push(("failed-sign-ins", text));
        }
        told
    }
}
