//! Findings as the server knows them: the queue, what is made of each, and what is known of people to find them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chartgate_access::ids::{PatientId, Subject};
use chartgate_access::principal::{User, UserState};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::Record;
use chartgate_audit::watch::{Disposition, FamilyName, Finding, FindingId, Known, People};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Phi, Timestamp};
use serde::{Deserialize, Serialize};

use super::emergency::is_reviewer;
use super::outbox::{Change, Outbox};
use crate::entropy::SystemEntropy;
use crate::store::pending::Took;
use crate::store::watch::{Closed, KeptFinding, WatchNotice};
use crate::store::{Sql, Store, StoreError};

/// What findings and what is known of people are sealed for.
pub(crate) const PURPOSE: &str = "watching";
/// The most findings that are shown at once.
const SHOWN: i64 = 500;

/// The queue of findings.
pub(crate) struct Findings {
    pub(crate) store: Arc<Store>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) seal: SealingKey,
    /// The ways in which privacy officers are told.
    pub(crate) ways: Vec<&'static str>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) known: KnownPeople,
}

/// What is known of people, as it was read last.
#[derive(Default)]
pub(crate) struct KnownPeople {
    /// How often it was changed.
    changes: AtomicU64,
    read: Mutex<Option<(u64, Arc<People>)>>,
}

/// What an administrator says of a person, to find what they should not look at.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) family_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own_record: Option<PatientId>,
}

/// Why a finding is not closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotClosed {
    /// Only a privacy officer can.
    #[error("only somebody with the role privacy-officer closes findings")]
    NotAReviewer,
    /// Nobody judges themselves.
    #[error("nobody closes a finding about what they did themselves")]
    OwnActs,
    /// Somebody has.
    #[error("it has been closed already")]
    Closed,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// While nothing can be recorded, nobody is done with it.
    #[error("it cannot be recorded now: {0}")]
    Unwritable(#[source] AppendError),
    /// It is, and what tells of it waits until the log can be written.
    #[error("it is closed, and not on record yet: {0}")]
    Unrecorded(#[from] AppendError),
    /// The note cannot be sealed.
    #[error("the note cannot be kept")]
    Unsealed,
}

/// A finding cannot be sealed, or what was sealed is not what it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("what is sealed cannot be had")]
pub(crate) struct Unsealed;

impl Findings {
    /// A finding as it is kept: the record that stands in the log for it, sealed.
    ///
    /// # Errors
    /// [`Unsealed`].
    pub(crate) fn to_keep(&self, finding: &Finding) -> Result<KeptFinding, Unsealed> {
        let sealed = Sealed::of(finding);
        let text = serde_json::to_vec(&sealed).map_err(|_| Unsealed)?;
        Ok(KeptFinding {
            id: finding.id.clone(),
            rule: finding.rule,
            at: finding.at,
            subject: finding.user.clone(),
            finding: self.seal(finding.id.as_str(), &text)?,
            closed: None,
        })
    }

    /// Keeps findings with the transaction that moves the place in the log.
    pub(crate) fn keep(&self, sql: &Sql<'_>, new: &[KeptFinding]) -> Result<(), StoreError> {
        let now = self.clock.now();
        new.iter().try_for_each(|finding| sql.keep_finding(finding, &self.ways, now))
    }

    /// All that are open, and the last that are not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn list(&self) -> Result<Vec<KeptFinding>, StoreError> {
        self.store.read(|sql| sql.findings(SHOWN))
    }

    /// How many are open, and since when somebody could have closed the first of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(&self) -> Result<(usize, Option<Timestamp>), StoreError> {
        self.store.read(|sql| Ok((sql.open_findings()?, sql.findings_wait_since()?)))
    }

    /// One of them, and who was told of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn find(&self, id: &FindingId) -> Result<Option<(KeptFinding, Vec<WatchNotice>)>, StoreError> {
        self.store.read(|sql| {
            let Some(found) = sql.finding(id)? else { return Ok(None) };
            Ok(Some((found, sql.watch_notices(id)?)))
        })
    }

    /// All that a finding says.
    ///
    /// # Errors
    /// [`Unsealed`].
    pub(crate) fn whole(&self, kept: &KeptFinding) -> Result<Finding, Unsealed> {
        let text = self.seal.open(kept.id.as_str().as_bytes(), &kept.finding).map_err(|_| Unsealed)?;
        let sealed: Sealed = serde_json::from_slice(text.expose()).map_err(|_| Unsealed)?;
        Ok(sealed.with(kept))
    }

    /// The note with which it was closed.
    pub(crate) fn note(&self, kept: &KeptFinding) -> Option<String> {
        let text = self.seal.open(note_of(&kept.id).as_bytes(), &kept.closed.as_ref()?.note).ok()?;
        String::from_utf8(text.expose().clone()).ok()
    }

    /// Whether somebody may close it.
    ///
    /// # Errors
    /// [`NotClosed`].
    pub(crate) fn may_close(&self, of: &KeptFinding, by: &User) -> Result<(), NotClosed> {
        if by.state != UserState::Enabled || !is_reviewer(by) {
            return Err(NotClosed::NotAReviewer);
        }
        if let Some(subject) = &of.subject {
            // One person may have two names.
            let named = subject.parse::<Subject>().ok();
            let user = named.map(|name| self.store.read(|sql| sql.user(&name))).transpose()?.flatten();
            let is_same = user.is_some_and(|user| user.fhir_user.is_some() && user.fhir_user == by.fhir_user);
            if subject == by.name.as_str() || is_same {
                return Err(NotClosed::OwnActs);
            }
        }
        if of.closed.is_some() { Err(NotClosed::Closed) } else { Ok(()) }
    }

    /// Closes it.
    ///
    /// # Errors
    /// [`NotClosed`].
    pub(crate) async fn close(
        &self,
        of: &KeptFinding,
        by: &User,
        (disposition, note): (Disposition, &str),
        record: Record,
    ) -> Result<(), NotClosed> {
        self.may_close(of, by)?;
        self.outbox.may_give().map_err(NotClosed::Unwritable)?;
        let note = self.seal(&note_of(&of.id), note.as_bytes()).map_err(|Unsealed| NotClosed::Unsealed)?;
        let (id, by) = (of.id.clone(), by.name.clone());
        let closing = self.outbox.commit(move |sql, at| {
            match sql.close_finding(&id, &Closed { at, by, disposition, note })? {
                Took::It => Ok(Change::told_by((), [record])),
                Took::Nothing => Err(NotClosed::Closed),
            }
        });
        closing.await
    }

    /// What is known of people. Whose entry cannot be read is nobody of whom anything is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn people(&self) -> Result<Arc<People>, StoreError> {
        let changes = self.known.changes.load(Ordering::SeqCst);
        let read = self.known.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((as_of, people)) = read
            && as_of == changes
        {
            return Ok(people);
        }
        let people = Arc::new(self.read_people()?);
        *self.known.read.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((changes, Arc::clone(&people)));
        Ok(people)
    }

    /// What is known of people has changed.
    pub(crate) fn people_changed(&self) {
        self.known.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn read_people(&self) -> Result<People, StoreError> {
        let kept = self.store.read(|sql| sql.watched_people())?;
        let known = kept.into_iter().filter_map(|(name, sealed)| {
            let facts = self.opened(&name, &sealed);
            if facts.is_none() {
                tracing::error!(
                    "what is known of a person cannot be read: their acts are not compared with it"
                );
            }
            let Facts { family_name, own_record } = facts?;
            let family_name = family_name.as_deref().and_then(FamilyName::new);
            let own_record = own_record.map(|patient| Phi::new(patient.to_string()));
            Some((name, Known { family_name, own_record }))
        });
        Ok(known.collect())
    }

    /// What is known of one person.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn facts_of(&self, name: &Subject) -> Result<Facts, StoreError> {
        let sealed = self.store.read(|sql| sql.watched_person(name))?;
        Ok(sealed.and_then(|sealed| self.opened(name.as_str(), &sealed)).unwrap_or_default())
    }

    /// What is known of a person, as it is kept.
    ///
    /// # Errors
    /// [`Unsealed`].
    pub(crate) fn sealed_facts(&self, name: &Subject, facts: &Facts) -> Result<Option<Vec<u8>>, Unsealed> {
        if facts.family_name.is_none() && facts.own_record.is_none() {
            return Ok(None);
        }
        let text = serde_json::to_vec(facts).map_err(|_| Unsealed)?;
        self.seal(&person(name.as_str()), &text).map(Some)
    }

    fn opened(&self, name: &str, sealed: &[u8]) -> Option<Facts> {
        let text = self.seal.open(person(name).as_bytes(), sealed).ok()?;
        serde_json::from_slice(text.expose()).ok()
    }

    fn seal(&self, what: &str, text: &[u8]) -> Result<Vec<u8>, Unsealed> {
        self.seal.seal(&mut SystemEntropy, what.as_bytes(), text).map_err(|_| Unsealed)
    }
}

fn note_of(id: &FindingId) -> String {
    format!("note of {id}")
}

fn person(name: &str) -> String {
    format!("person {name}")
}

/// What of a finding is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    until: Timestamp,
    client: Option<String>,
    of: String,
    patients: Vec<String>,
    records: Vec<u64>,
    reached: Option<usize>,
    outcome: chartgate_audit::record::Outcome,
}

impl Sealed {
    fn of(finding: &Finding) -> Self {
        Self {
            until: finding.until,
            client: finding.client.clone(),
            of: finding.of.expose().clone(),
            patients: finding.patients.iter().map(|patient| patient.expose().clone()).collect(),
            records: finding.records.clone(),
            reached: finding.reached,
            outcome: finding.outcome,
        }
    }

    fn with(self, kept: &KeptFinding) -> Finding {
        Finding {
            id: kept.id.clone(),
            rule: kept.rule,
            at: kept.at,
            until: self.until,
            user: kept.subject.clone(),
            client: self.client,
            of: Phi::new(self.of),
            patients: self.patients.into_iter().map(Phi::new).collect(),
            records: self.records,
            reached: self.reached,
            outcome: self.outcome,
        }
    }
}
