//! What was found: as it stands in the log, and what somebody makes of it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chartgate_values::{Phi, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::names::named;
use crate::record::{Actor, ActorKind, Event, Outcome, Record, UnknownName};

named! {
    /// A rule, as findings are named after it.
    Rule {
        /// Many patients in a short time.
        BulkRead = "bulk-read",
        /// Records outside of working hours.
        OffHours = "off-hours",
        /// A patient of the same family name.
        SameSurname = "same-surname",
        /// A patient on the list of those who attract the curious.
        Vip = "vip",
        /// An employee's own record.
        SelfAccess = "self-access",
        /// Passwords that were wrong.
        FailedSignIns = "failed-sign-ins",
        /// A record that nobody has a reason to look for.
        Canary = "canary",
        /// Somebody was asked to approve what they did not expect.
        UnwantedApproval = "unwanted-approval",
    }
}

named! {
    /// What a privacy officer makes of a finding.
    Disposition {
        /// There was a reason for it.
        Appropriate = "appropriate",
        /// It was done by mistake.
        Mistake = "mistake",
        /// It should not have been done.
        Violation = "violation",
        /// It could not be found out.
        NotDetermined = "not-determined",
    }
}

impl Rule {
    /// What a finding says, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::BulkRead => "Many patients in a short time",
            Self::OffHours => "Outside of working hours",
            Self::SameSurname => "A patient of the same family name",
            Self::Vip => "A patient on the VIP list",
            Self::SelfAccess => "Their own record",
            Self::FailedSignIns => "Failed sign-ins",
            Self::Canary => "A canary record",
            Self::UnwantedApproval => "Asked to approve what they did not expect",
        }
    }
}

impl Disposition {
    /// It, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Appropriate => "Appropriate: there was a reason for it",
            Self::Mistake => "A mistake",
            Self::Violation => "A violation",
            Self::NotDetermined => "It cannot be determined",
        }
    }
}

/// The name of a finding: its rule, a digit for what it is of (of patients: which of the findings that this record showed, as
/// more became known), and the record that showed it, such as `canary-0-4711`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FindingId(String);

const LAST_KIND: u8 = 9;

impl FindingId {
    /// The name of what this record showed. One record may show that too many sign-ins failed of an account, and of its
    /// address, and in all.
    pub(super) fn new(rule: Rule, of: &str, index: u64) -> Self {
        let kind = match (rule, of.split(' ').next()) {
            (Rule::FailedSignIns, Some("account")) => 1,
            (Rule::FailedSignIns, Some("address")) => 2,
            (Rule::FailedSignIns, Some("accounts")) => 3,
            // One report may be the last of a day's many.
            (Rule::UnwantedApproval, Some("unapproved")) => 1,
            (_, _) => 0,
        };
        Self(format!("{rule}-{kind}-{index}"))
    }

    /// The name of another that the same record showed later, of the same rule; none after the tenth.
    pub(super) fn next(&self) -> Option<Self> {
        let (rest, index) = self.0.rsplit_once('-')?;
        let (rule, kind) = rest.rsplit_once('-')?;
        let kind = kind.parse::<u8>().ok()?.saturating_add(1);
        (kind <= LAST_KIND).then(|| Self(format!("{rule}-{kind}-{index}")))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its rule.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        self.0.rsplitn(3, '-').nth(2)?.parse().ok()
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FindingId {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut parts = text.rsplitn(3, '-');
        let (index, kind, rule) = (parts.next(), parts.next(), parts.next());
        let (Some(index), Some(kind), Some(rule)) = (index, kind, rule) else { return Err(UnknownName) };
        let rule: Rule = rule.parse()?;
        let index: u64 = index.parse().map_err(|_| UnknownName)?;
        let kind = kind.parse::<u8>().ok().filter(|kind| *kind <= LAST_KIND).ok_or(UnknownName)?;
        // One spelling each.
        Some(Self(format!("{rule}-{kind}-{index}"))).filter(|id| id.0 == text).ok_or(UnknownName)
    }
}

impl TryFrom<String> for FindingId {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

impl From<FindingId> for String {
    fn from(id: FindingId) -> Self {
        id.0
    }
}

/// Somebody should look at it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Its name.
    pub id: FindingId,
    /// What was looked for.
    pub rule: Rule,
    /// When it was met.
    pub at: Timestamp,
    /// Until then what they do is part of it.
    pub until: Timestamp,
    /// Whose act it was: the person or workload.
    pub user: Option<String>,
    /// Through which client.
    pub client: Option<String>,
    /// What it is of: whose acts, which account or address.
    pub of: Phi<String>,
    /// The patients whom it is about.
    pub patients: Vec<Phi<String>>,
    /// The records that show it, as they are numbered in the log.
    pub records: Vec<u64>,
    /// How many there may be fewer than.
    pub reached: Option<usize>,
    /// What became of the act that met it.
    pub outcome: Outcome,
}

/// A record is none of a finding.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a record of a finding")]
pub struct NotAFinding;

impl Finding {
    /// What there is no second one of before [`Finding::until`].
    pub(super) fn subjects(&self) -> Vec<Phi<String>> {
        match self.rule {
            Rule::BulkRead | Rule::OffHours | Rule::FailedSignIns | Rule::UnwantedApproval => {
                vec![self.of.clone()]
            }
            Rule::SameSurname | Rule::Vip | Rule::SelfAccess | Rule::Canary => {
                // That somebody was refused says nothing of what they are given later.
                let refused = if self.outcome == Outcome::Allow { "" } else { ", refused" };
                let each = self.patients.iter();
                each.map(|patient| Phi::new(format!("{} on {}{refused}", self.of.expose(), patient.expose())))
                    .collect()
            }
        }
    }

    /// Its record.
    #[must_use]
    pub fn record(&self, now: Timestamp) -> Record {
        let mut record = Record::new(Event::WatchFinding, Outcome::Allow, now);
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(Event::WatchFinding.as_str().to_owned());
        record.resource = Some(Phi::new(self.id.to_string()));
        // In the clear part: it is no patient's, and whoever gets the log without patients has to see what is up.
        record.decision.reason = Some(self.rule.to_string());
        record.patients.clone_from(&self.patients);
        let records = self.records.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let details = [
            ("finding", Some(self.id.to_string())),
            ("at", Some(self.at.to_string())),
            ("until", Some(self.until.to_string())),
            ("user", self.user.clone()),
            ("client", self.client.clone()),
            ("of", Some(self.of.expose().clone())),
            ("records", Some(records)),
            ("reached", self.reached.map(|number| number.to_string())),
            ("outcome", Some(self.outcome.to_string())),
        ];
        for (name, value) in details {
            record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
        }
        record
    }

    /// What such a record says.
    ///
    /// # Errors
    /// [`NotAFinding`], also where its sealed part cannot be read.
    pub fn of_record(record: &Record) -> Result<Self, NotAFinding> {
        let detail = |name: &str| record.detail.get(name).map(|value| value.expose().as_str());
        if record.event != Event::WatchFinding {
            return Err(NotAFinding);
        }
        let records: Result<Vec<u64>, _> =
            detail("records").unwrap_or_default().split(',').map(str::parse).collect();
        Ok(Self {
            id: parsed(detail("finding"))?,
            rule: parsed(record.decision.reason.as_deref())?,
            at: parsed(detail("at"))?,
            until: parsed(detail("until"))?,
            user: detail("user").map(str::to_owned),
            client: detail("client").map(str::to_owned),
            of: Phi::new(detail("of").ok_or(NotAFinding)?.to_owned()),
            patients: record.patients.clone(),
            records: records.map_err(|_| NotAFinding)?,
            reached: detail("reached").map(str::parse).transpose().map_err(|_| NotAFinding)?,
            outcome: parsed(detail("outcome"))?,
        })
    }
}

fn parsed<T: FromStr>(text: Option<&str>) -> Result<T, NotAFinding> {
    text.ok_or(NotAFinding)?.parse().map_err(|_| NotAFinding)
}
