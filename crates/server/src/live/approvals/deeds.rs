//! What somebody may do once another has said yes: asking those who may say it, and using it up. The two-person rule.

use chartgate_access::approval::deed::{Approver, Deed, DeedState};
use chartgate_access::principal::User;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};

use super::Approvals;
use super::questions::{AskedBy, OpenQuestion, fresh_id};
use crate::store::StoreError;
use crate::store::deeds::KeptDeed;
use crate::store::pending::Took;
use crate::store::questions::Decided;
use crate::store::sign_in_approvals::Asked;

/// How it stands with a deed.
pub(crate) enum Standing {
    /// A yes was there, and is used up with this.
    Approved(KeptDeed),
    /// It waits for an answer.
    Waits(KeptDeed),
    /// Somebody said no, or who said yes may not say it any more.
    Denied(KeptDeed),
    /// Nobody was asked.
    Unasked,
}

impl Approvals {
    /// How it stands with the deed of this digest. A yes that is there is used up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn use_deed(&self, digest: String) -> Result<Standing, StoreError> {
        let now = self.0.clock.now();
        // Most have none that waits, and nobody else's writing is waited for.
        if self.0.store.read(|sql| sql.deed(&digest, now))?.is_none() {
            return Ok(Standing::Unasked);
        }
        self.0
            .store
            .write(move |sql| {
                let Some(kept) = sql.deed(&digest, now)? else { return Ok(Standing::Unasked) };
                Ok(match kept.state {
                    DeedState::Waiting => Standing::Waits(kept),
                    DeedState::Approved => match sql.use_deed(&kept, now)? {
                        Took::It => Standing::Approved(kept),
                        Took::Nothing => Standing::Denied(kept),
                    },
                    DeedState::Denied | DeedState::Used => Standing::Denied(kept),
                })
            })
            .await
    }

    /// Notes that it is on record what used it up. Where that fails it is said to be lost, beside the record that says what it was.
    pub(crate) async fn note_deed_used(&self, id: String) {
        let noted = self.0.store.write(move |sql| sql.note_deed_used(&id)).await;
        if let Err::<_, StoreError>(error) = noted {
            tracing::warn!(%error, "that the use of an approval is on record was not noted");
        }
    }

    /// Those who may say yes to it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn approvers(&self, deed: &Deed) -> Result<Vec<User>, StoreError> {
        let mut all = self.0.store.read(|sql| sql.users())?;
        all.retain(|user| deed.act.may_be_approved_by(user));
        Ok(all)
    }

    /// Asks for a yes. Nobody sees it before it is put.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn ask_deed(&self, deed: &Deed) -> Result<(String, Asked), StoreError> {
        let (id, deed) = (fresh_id(), deed.clone());
        let kept = id.clone();
        let asked = self.0.store.write(move |sql| sql.ask_deed(&kept, &deed)).await?;
        Ok((id, asked))
    }

    /// Puts it to them, once that is on record, and wakes their phones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn put_deed(&self, to: &[User], id: &str) -> Result<(), StoreError> {
        let question = id.to_owned();
        self.0.store.write(move |sql| sql.put_question(&question)).await?;
        for user in to {
            self.0.phones.wake(&user.name, id);
        }
        Ok(())
    }

    /// Decides one in this person's name, if they may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn decide_deed(
        &self,
        kept: &KeptDeed,
        by: &User,
        decided: Decided,
    ) -> Result<Took, StoreError> {
        let (kept, by, now) = (kept.clone(), by.name.clone(), self.0.clock.now());
        self.0.store.write(move |sql| sql.decide_deed(&kept, (&by, decided), now)).await
    }

    /// Answers it with what was decided.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn answer_deed(&self, id: &str, decided: Decided) -> Result<Took, StoreError> {
        let (id, now) = (id.to_owned(), self.0.clock.now());
        self.0.store.write(move |sql| sql.answer_deed(&id, decided, now)).await
    }

    /// What waits for this person's yes to another's deed, oldest first.
    pub(super) fn deeds_to(&self, user: &User, now: Timestamp) -> Result<Vec<OpenQuestion>, StoreError> {
        let waiting = self.0.store.read(|sql| sql.waiting_deeds(now))?;
        let to_them = waiting.into_iter().filter(|kept| kept.deed.act.may_be_approved_by(user));
        let open = to_them.map(|kept| OpenQuestion {
            question: kept.deed.question(&kept.id, &user.name),
            asked_by: AskedBy::Deed(Box::new(kept)),
        });
        Ok(open.collect())
    }

    /// Records of each of which nothing came that this is so.
    ///
    /// CRASH: what was recorded and is not noted yet is recorded again.
    pub(super) async fn lapse_deeds(&self, now: Timestamp) {
        let lapsed = self.0.store.read(|sql| sql.lapsed_deeds(now)).unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "what nobody approved cannot be read");
            Vec::new()
        });
        for (kept, reason) in lapsed {
            let mut record = Record::new(Event::ApprovalLapsed, Outcome::Deny, now);
            record.action = Some(Event::ApprovalLapsed.as_str().to_owned());
            record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
            record.resource = Some(Phi::new(kept.id.clone()));
            record.decision.reason = Some(reason.to_owned());
            describe(&mut record, &kept.deed);
            if let Err(error) = self.0.journal.append(&record, ()).await {
                tracing::error!(%error, "audit");
                return;
            }
            let noted = self.0.store.write(move |sql| sql.note_lapsed_deed(&kept.id, now)).await;
            if let Err::<_, StoreError>(error) = noted {
                tracing::warn!(%error, "that nothing came of what was asked was not noted");
            }
        }
    }
}

/// What records about a deed tell of it.
pub(crate) fn describe(record: &mut Record, deed: &Deed) {
    let act = &deed.act;
    let approver = match &act.approver {
        Approver::Another(roles) => roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" "),
        Approver::WhomItActsFor => "whom-it-acts-for".to_owned(),
    };
    record.route = Some(act.route.clone());
    for (name, value) in [
        ("asked", "deed".to_owned()),
        ("asker", act.asker.to_string()),
        ("client", act.client_id.to_string()),
        ("approver", approver),
        ("deed", act.digest()),
    ] {
        record.detail.insert(name.to_owned(), Phi::new(value));
    }
}
