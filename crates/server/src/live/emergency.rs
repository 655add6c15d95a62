//! Emergency access as the server knows it: what was said for it, who used it, what was made of it.

mod own_word;

use std::net::IpAddr;
use std::sync::Arc;

use chartgate_access::emergency::{Blocked, Declared, Disposition, is_eligible};
use chartgate_access::grant::Grant;
use chartgate_access::ids::{ClientId, EmergencyId, GrantId, PatientId, Role, Subject};
use chartgate_access::login::assurance::Assurance;
use chartgate_access::pdp::caller::{CallerKind, Facts};
use chartgate_access::principal::{User, UserState};
use chartgate_access::session::Session;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::Record;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Timestamp};

use super::approvals::questions::fresh_id;
use super::outbox::{Change, Outbox};
use super::policies::LivePolicies;
use crate::config;
use crate::entropy::SystemEntropy;
use crate::store::emergency::{EmergencyNotice, EmergencyUse, Review};
use crate::store::own_word::Told;
use crate::store::pending::Took;
use crate::store::{Sql, Store, StoreError};

/// What sealed reasons and notes are sealed for.
pub(crate) const PURPOSE: &str = "emergency access";
/// The most uses that are shown at once.
const SHOWN: i64 = 500;
/// The longest note of a review, in characters.
pub(crate) const LONGEST_NOTE: usize = 2000;
/// The role whose people review.
const REVIEWER: &str = "privacy-officer";

/// Emergency access.
pub(crate) struct Emergencies {
    pub(crate) config: config::Emergency,
    pub(crate) store: Arc<Store>,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) seal: SealingKey,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a use is not reviewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReviewed {
    /// Only a privacy officer can.
    #[error("only somebody with the role {REVIEWER} reviews emergency access")]
    NotAReviewer,
    /// Nobody judges themselves.
    #[error("nobody reviews their own emergency access")]
    OwnUse,
    /// Somebody has.
    #[error("it has been reviewed already")]
    Reviewed,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// While nothing can be recorded, nobody is let go.
    #[error("it cannot be recorded now: {0}")]
    Unwritable(#[source] AppendError),
    /// It is, and what tells of it waits until the log can be written.
    #[error("it is reviewed, and not on record yet: {0}")]
    Unrecorded(#[from] AppendError),
    /// The note cannot be sealed.
    #[error("the note cannot be kept")]
    Unsealed,
}

impl Emergencies {
    /// Whether the policies in force would let this person, as they signed in and as tokens will call that, read somebody's
    /// record through this client in an emergency.
    pub(crate) fn is_eligible(
        &self,
        (user, session): (&User, &Session),
        called: Assurance,
        client: &ClientId,
        purpose: PurposeOfUse,
    ) -> bool {
        let facts = Facts {
            kind: CallerKind::Person,
            subject: user.name.clone(),
            client_id: client.clone(),
            roles: user.roles.clone(),
            acr: called.acr().map(str::to_owned),
            amr: session.amr.iter().cloned().collect(),
            purpose_of_use: None,
        };
        user.state == UserState::Enabled && is_eligible(&self.policies.current(), &facts, purpose)
    }

    /// Whether there may be a further use by this person now, for this patient or for a further one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn check(
        &self,
        subject: &Subject,
        patient: Option<&PatientId>,
    ) -> Result<Result<(), Blocked>, StoreError> {
        let unreviewed = self.store.read(|sql| sql.unreviewed_emergencies(subject))?;
        Ok(self.config.limits.check(&unreviewed, patient, self.clock.now()))
    }

    /// Seals a text for its use.
    pub(crate) fn seal(&self, id: &EmergencyId, text: &str) -> Option<Vec<u8>> {
        self.seal.seal(&mut SystemEntropy, id.as_str().as_bytes(), text.as_bytes()).ok()
    }

    /// What was sealed.
    pub(crate) fn open(&self, id: &EmergencyId, sealed: &[u8]) -> Option<String> {
        let text = self.seal.open(id.as_str().as_bytes(), sealed).ok()?;
        String::from_utf8(text.expose().clone()).ok()
    }

    /// The ways in which privacy officers are told.
    pub(crate) fn ways(&self) -> Vec<&'static str> {
        let webhook = self.config.webhook.as_ref().map(|_| WEBHOOK);
        webhook.into_iter().chain(self.config.mail.as_ref().map(|_| MAIL)).collect()
    }

    /// Begins a use with the transaction that lets its client have the grant.
    pub(crate) fn begin(&self, sql: &Sql<'_>, new: &EmergencyUse) -> Result<Result<(), Blocked>, StoreError> {
        sql.begin_emergency(new, &self.config.limits, &self.ways())
    }

    /// Those that wait for review, and the last that do not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn list(&self) -> Result<Vec<EmergencyUse>, StoreError> {
        self.store.read(|sql| sql.emergencies(SHOWN))
    }

    /// One use, and who was told of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn find(
        &self,
        id: &EmergencyId,
    ) -> Result<Option<(EmergencyUse, Vec<EmergencyNotice>)>, StoreError> {
        self.store.read(|sql| {
            let Some(found) = sql.emergency(id)? else { return Ok(None) };
            Ok(Some((found, sql.emergency_notices(id)?)))
        })
    }

    /// Whether somebody may review this use.
    ///
    /// # Errors
    /// [`NotReviewed`].
    pub(crate) fn may_review(&self, of: &EmergencyUse, by: &User) -> Result<(), NotReviewed> {
        if by.state != UserState::Enabled || !is_reviewer(by) {
            return Err(NotReviewed::NotAReviewer);
        }
        // One person may have two names.
        let user = self.store.read(|sql| sql.user(&of.subject))?;
        let is_same = user.is_some_and(|user| user.fhir_user.is_some() && user.fhir_user == by.fhir_user);
        if of.subject == by.name || is_same {
            return Err(NotReviewed::OwnUse);
        }
        match &of.review {
            Some(review) if review.disposition != Disposition::NeedsFollowUp => Err(NotReviewed::Reviewed),
            Some(_) | None => Ok(()),
        }
    }

    /// Reviews a use, which `record` tells of. What was not right ends, whether the log can be written or not.
    ///
    /// # Errors
    /// [`NotReviewed`].
    pub(crate) async fn review(
        &self,
        of: &EmergencyUse,
        by: &User,
        (disposition, note): (Disposition, &str),
        record: Record,
    ) -> Result<(), NotReviewed> {
        self.may_review(of, by)?;
        match disposition {
            Disposition::Inappropriate => {}
            // Who waited for it may have the next.
            Disposition::Appropriate | Disposition::NeedsFollowUp => {
                self.outbox.may_give().map_err(NotReviewed::Unwritable)?;
            }
        }
        let note = self.seal(&of.id, note).ok_or(NotReviewed::Unsealed)?;
        let review = Review { at: self.clock.now(), by: by.name.clone(), disposition, note };
        let (id, grant) = (of.id.clone(), of.grant.clone());
        // What was found not to be right is over in the same transaction: there is no review of that kind beside open access.
        let reviewed = self.outbox.commit(move |sql, now| {
            if sql.review_emergency(&id, &review)? == Took::Nothing {
                return Err(NotReviewed::Reviewed);
            }
            let cut = match disposition {
                Disposition::Inappropriate => end_in(sql, &id, grant, now)?.1,
                Disposition::Appropriate | Disposition::NeedsFollowUp => Vec::new(),
            };
            Ok(Change::told_by((), [record]).cutting(cut))
        });
        reviewed.await
    }

    /// Ends a use: its tokens die at once. Says whether it was under way; where it was over already, there is nothing that
    /// would have to be on record.
    ///
    /// # Errors
    /// [`StoreError`]: it did not end. [`AppendError`]: it did, and is not on record yet.
    pub(crate) async fn end<E>(&self, of: &EmergencyUse, record: Record) -> Result<Took, E>
    where
        E: From<StoreError> + From<AppendError> + Send + 'static,
    {
        let (id, grant) = (of.id.clone(), of.grant.clone());
        let ended = self.outbox.commit(move |sql, now| {
            let (took, cut) = end_in(sql, &id, grant, now)?;
            Ok(Change::told_by(took, (took == Took::It).then_some(record)).cutting(cut))
        });
        ended.await
    }
}

/// Ends a use with its grant; says whether it was under way, and what has to be cut for it.
fn end_in(
    sql: &Sql<'_>,
    id: &EmergencyId,
    grant: GrantId,
    now: Timestamp,
) -> Result<(Took, Vec<CutOff>), StoreError> {
    let took = sql.end_emergency(id, now)?;
    sql.revoke_grant(&grant, now)?;
    Ok((took, vec![CutOff::UpTo { target: Target::Grant(grant), not_before: now }]))
}

/// A webhook, among the ways in which somebody is told.
pub(crate) const WEBHOOK: &str = "webhook";
/// A message.
pub(crate) const MAIL: &str = "mail";

/// Whether somebody reviews uses of emergency access.
pub(crate) fn is_reviewer(user: &User) -> bool {
    user.roles.iter().any(|role: &Role| role.as_str() == REVIEWER)
}

/// A use as its grant begins, from there; `None` if that is no grant of emergency access.
pub(crate) fn new_use(grant: &Grant, said: Declared, from: IpAddr, now: Timestamp) -> Option<EmergencyUse> {
    let emergency = grant.emergency.as_ref()?;
    Some(EmergencyUse {
        id: emergency.id.clone(),
        subject: grant.subject.clone(),
        client_id: grant.client_id.clone(),
        patient: grant.patient.clone()?,
        reason: said.reason,
        explanation: said.explanation,
        grant: grant.id.clone(),
        session: grant.session.clone()?,
        began_at: now,
        until: emergency.until,
        ended_at: None,
        review: None,
        told: Some(Told { question: fresh_id(), from, said: None }),
    })
}
