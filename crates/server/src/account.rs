//! What a record tells of what the policies were asked: written into its `detail`, and read back. docs/audit-format.md,
//! section 2.4.

use std::collections::BTreeSet;
use std::sync::Arc;

use chartgate_access::ids::Role;
use chartgate_access::pdp::account::{Account, Change, Grounds, Said, Summary};
use chartgate_access::pdp::caller::{CallerKind, Facts};
use chartgate_audit::record::{ActorKind, Event, Record};
use chartgate_values::Phi;

const ASKED: &str = "asked";
const POLICY_SET: &str = "policy_set";
const SHADOW: &str = "shadow";
const SHADOW_SET: &str = "shadow_set";
const CUT: &str = "asked_truncated";
const CARE: &str = "care";
const CARE_FAILED: &str = "care_failed";
const CONSENT: &str = "consent";
const GROUNDS_CUT: &str = "grounds_truncated";

/// Writes what the policies were asked into a record.
pub(crate) fn tell(account: &Account, record: &mut Record) {
    let Grounds { care, care_failed, consent, were_cut } = account.grounds();
    for (name, told) in [(CARE, care), (CARE_FAILED, care_failed), (CONSENT, consent)] {
        if !told.is_empty() {
            let told: Vec<String> = told.into_iter().collect();
            record.detail.insert(name.to_owned(), Phi::new(told.join(", ")));
        }
    }
    if were_cut {
        record.detail.insert(GROUNDS_CUT.to_owned(), Phi::new("true".to_owned()));
    }
    let Some(Summary { policy_set, shadow_set, said, was_cut }) = account.summary() else { return };
    let mut put = |name: &str, value: String| record.detail.insert(name.to_owned(), Phi::new(value));
    let shadow: Vec<String> = said
        .iter()
        .filter_map(|said| said.shadow.as_ref().map(|shadow| format!("{shadow}: {}", said.asked)))
        .collect();
    if !shadow.is_empty() {
        put(SHADOW, shadow.join("; "));
    }
    // INVARIANT: names, lists and texts always serialise.
    put(ASKED, serde_json::to_string(&said).unwrap_or_default());
    put(POLICY_SET, policy_set);
    if let Some(shadow_set) = shadow_set {
        put(SHADOW_SET, shadow_set);
    }
    if was_cut {
        put(CUT, "true".to_owned());
    }
}

/// Why nothing can be said of what a record's request asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Untold {
    #[error("its sealed part does not open")]
    Sealed,
    #[error("it was written before records told what the policies were asked")]
    Old,
    #[error("no policy was asked: it was refused before")]
    NotAsked,
    #[error("it is of no request to a route")]
    NoAccess,
    #[error("what it tells of the policies cannot be read")]
    Unreadable,
}

/// What a record tells.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) facts: Facts,
    pub(crate) summary: Summary,
}

impl Decided {
    /// Reads it.
    ///
    /// # Errors
    /// [`Untold`].
    pub(crate) fn read(record: &Record, is_sealed: bool) -> Result<Self, Untold> {
        if !matches!(record.event, Event::Access | Event::AccessIntent) {
            return Err(Untold::NoAccess);
        }
        if is_sealed {
            return Err(Untold::Sealed);
        }
        let get = |name: &str| record.detail.get(name).map(|value| value.expose().clone());
        let Some(policy_set) = get(POLICY_SET) else {
            // A decision by policies names them, or says that there is none.
            let by_policy = !record.decision.policies.is_empty()
                || record.decision.reason.as_deref().is_some_and(|reason| reason == "not-permitted");
            return Err(if by_policy { Untold::Old } else { Untold::NotAsked });
        };
        let said: Option<Vec<Arc<Said>>> = get(ASKED).and_then(|text| serde_json::from_str(&text).ok());
        let summary = Summary {
            policy_set,
            shadow_set: get(SHADOW_SET),
            said: said.ok_or(Untold::Unreadable)?,
            was_cut: get(CUT).is_some(),
        };
        Ok(Self { facts: facts(record).ok_or(Untold::Unreadable)?, summary })
    }

    /// How the policies on trial would have changed what came of it.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&Said, Change)> {
        let change = |said: &Said| said.shadow.as_ref().and_then(|shadow| said.answer.change(shadow));
        self.summary.said.iter().filter_map(move |said| Some((&**said, change(said)?)))
    }
}

/// What the policies saw of the caller.
fn facts(record: &Record) -> Option<Facts> {
    let actor = &record.actor;
    Some(Facts {
        kind: match actor.kind {
            ActorKind::Human | ActorKind::Agent => CallerKind::Person,
            ActorKind::Workload => CallerKind::Workload,
            ActorKind::Local | ActorKind::Anonymous => return None,
        },
        subject: actor.sub.as_ref()?.parse().ok()?,
        client_id: actor.client_id.as_ref()?.parse().ok()?,
        roles: actor.roles.iter().map(|role| role.parse()).collect::<Result<BTreeSet<Role>, _>>().ok()?,
        acr: record.acr.clone(),
        amr: record.amr.iter().cloned().collect(),
        purpose_of_use: record.purpose_of_use.clone(),
    })
}

#[cfg(test)]
mod tests {
    use chartgate_audit::record::Outcome;
    use chartgate_values::Timestamp;

    use super::*;

    fn record(policies: &[&str], reason: Option<&str>) -> Record {
        let now: Timestamp = "2026-11-26T00:00:00.000000Z".parse().unwrap();
        let mut record = Record::new(Event::Access, Outcome::Allow, now);
        record.decision.policies = policies.iter().map(ToString::to_string).collect();
        record.decision.reason = reason.map(str::to_owned);
        record
    }

    #[test]
    fn what_a_record_lacks_is_said() {
        let untold = |record: &Record, is_sealed| Decided::read(record, is_sealed).unwrap_err();
        let old = record(&["physician-panel"], None);
        assert_eq!(untold(&old, false), Untold::Old);
        assert_eq!(untold(&old, true), Untold::Sealed);
        assert_eq!(untold(&record(&[], Some("not-permitted")), false), Untold::Old);
        assert_eq!(untold(&record(&[], Some("insufficient-scope")), false), Untold::NotAsked);
        assert_eq!(untold(&Record { event: Event::TokenIssued, ..old.clone() }, false), Untold::NoAccess);
        let mut damaged = old;
        damaged.detail.insert(POLICY_SET.to_owned(), Phi::new("x".to_owned()));
        assert_eq!(untold(&damaged, false), Untold::Unreadable);
        damaged.detail.insert(ASKED.to_owned(), Phi::new("[]".to_owned()));
        assert_eq!(untold(&damaged, false), Untold::Unreadable, "nobody asked");
        damaged.actor.kind = ActorKind::Human;
        damaged.actor.sub = Some("dana".to_owned());
        damaged.actor.client_id = Some("app".to_owned());
        assert!(Decided::read(&damaged, false).is_ok());
    }
}
