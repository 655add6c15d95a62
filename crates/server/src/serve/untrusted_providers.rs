//! A provider that is taken out of the configuration is believed no more: what was opened with its word ends, on record.
//! NIST SP 800-63C-4 section 3.4.

use chartgate_access::ids::{GrantId, SessionId, Subject};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::Phi;

use crate::app::App;
use crate::config::Config;
use crate::store::StoreError;

/// What ended of whose.
enum Ended {
    Session(SessionId, Subject),
    Grant(GrantId, Subject),
}

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
    let ended = app.cut_offs.cut(move |sql, now| {
        let (mut ended, mut cut_offs) = (Vec::new(), Vec::new());
        for session in sql.sessions_not_of(&trusted)? {
            sql.end_session(&session.id, now)?;
            cut_offs.push(CutOff::UpTo { target: Target::Session(session.id.clone()), not_before: now });
            ended.push(Ended::Session(session.id, session.subject));
        }
        for grant in sql.grants_not_of(&trusted)? {
            sql.revoke_grant(&grant.id, now)?;
            cut_offs.push(CutOff::UpTo { target: Target::Grant(grant.id.clone()), not_before: now });
            ended.push(Ended::Grant(grant.id, grant.subject));
        }
        Ok::<_, StoreError>((ended, cut_offs))
    });
    let ended = ended.await.unwrap_or_else(|error| {
        tracing::error!(%error, "what a former provider vouched for was not ended");
        Vec::new()
    });
    for one in ended {
        let (event, id, subject) = match one {
            Ended::Session(id, subject) => (Event::SessionEnded, id.to_string(), subject),
            Ended::Grant(id, subject) => (Event::TokenRevoked, id.to_string(), subject),
        };
        let mut record = Record::new(event, Outcome::Allow, app.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(event.as_str().to_owned());
        match event {
            Event::SessionEnded => record.session = Some(id.clone()),
            _ => record.grant = Some(id.clone()),
        }
        record.resource = Some(Phi::new(id));
        record.decision.reason = Some("provider-removed".to_owned());
        record.detail.insert("user".to_owned(), Phi::new(subject.to_string()));
        if let Err(error) = app.log.journal.append(&record, ()).await {
            tracing::error!(%error, "audit");
        }
    }
}
