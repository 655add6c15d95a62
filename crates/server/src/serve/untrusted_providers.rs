//! A provider that is taken out of the configuration is believed no more: what was opened with its word ends, on record.
//! NIST SP 800-63C-4 section 3.4.

use chartgate_access::ids::Subject;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};

use crate::app::App;
use crate::config::Config;
use crate::live::outbox::{Change, ChangeError};
use crate::store::StoreError;

/// Ends sessions, and access that was kept while away, that began at a provider which is not there any more. Until then its
/// sessions open no page and its grants no token.
pub(super) async fn end_what_they_vouched_for(app: &App, config: &Config) {
    let trusted: Vec<String> =
        config.identity_providers.iter().map(|provider| provider.issuer.to_string()).collect();
    let found = app.store.read(|sql| {
        Ok::<_, StoreError>(
            !sql.sessions_not_of(&trusted)?.is_empty() || !sql.grants_not_of(&trusted)?.is_empty(),
        )
    });
    match found {
        Ok(false) => return,
        Ok(true) => {}
        Err(error) => return tracing::error!(%error, "what a former provider vouched for was not looked for"),
    }
    let ended = app.outbox.commit(move |sql, now| {
        let (mut records, mut cut_offs) = (Vec::new(), Vec::new());
        for session in sql.sessions_not_of(&trusted)? {
            sql.end_session(&session.id, now)?;
            let id = session.id.to_string();
            let record = record(Event::SessionEnded, &id, &session.subject, now);
            records.push(Record { session: Some(id), ..record });
            cut_offs.push(CutOff::UpTo { target: Target::Session(session.id), not_before: now });
        }
        for grant in sql.grants_not_of(&trusted)? {
            sql.revoke_grant(&grant.id, now)?;
            let id = grant.id.to_string();
            let record = record(Event::TokenRevoked, &id, &grant.subject, now);
            records.push(Record { grant: Some(id), ..record });
            cut_offs.push(CutOff::UpTo { target: Target::Grant(grant.id), not_before: now });
        }
        Ok::<_, ChangeError>(Change::told_by((), records).cutting(cut_offs))
    });
    match ended.await {
        Ok(()) => {}
        Err(ChangeError::Store(error)) => {
            tracing::error!(%error, "what a former provider vouched for was not ended");
        }
        Err(ChangeError::Unrecorded(error)) => tracing::error!(%error, "audit"),
    }
}

/// That something of somebody's ended.
fn record(event: Event, id: &str, of: &Subject, now: Timestamp) -> Record {
    let mut record = Record::new(event, Outcome::Allow, now);
    record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
    record.action = Some(event.as_str().to_owned());
    record.resource = Some(Phi::new(id.to_owned()));
    record.decision.reason = Some("provider-removed".to_owned());
    record.detail.insert("user".to_owned(), Phi::new(of.to_string()));
    record
}
