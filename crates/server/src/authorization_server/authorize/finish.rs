//! What comes of a request that was approved: a code, or a device's grant. OpenID Connect Core section 3.1.2.5; RFC 8628 section 3.4.

use std::sync::Arc;

use axum::response::Response;
use chartgate_access::grant::Grant;
use chartgate_access::grant::authorization_code::{Approval, ConsentGiven, PendingAuthorization};
use chartgate_access::grant::polling::Answer;
use chartgate_access::ids::{ClientId, GrantId, SessionId, Subject};
use chartgate_access::login::steps::{Approved, grantable_by_a_person};
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::reply::{bad_request, expired, unavailable};
use crate::authorization_server::AuthorizationServer;
use crate::authorization_server::token::{describe_details, describe_grant};
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::live::emergency;
use crate::live::outbox::{Change, ChangeError};
use crate::net::origin::Origin;
use crate::pages;
use crate::store::pending::Took;
use crate::store::{Sql, StoreError};
use crate::tongue::Id;

/// Keeps what was approved: a code, which goes to the client, or the grant for a device that asks for it.
pub(super) async fn finish(
    server: &AuthorizationServer,
    origin: &Origin,
    digest: &str,
    pending: PendingAuthorization,
    approved: Approved,
) -> Response {
    // What was approved is not used up for nothing: the page can be loaded again.
    if let Err(error) = server.outbox.may_give() {
        return unavailable(&error);
    }
    // What cuts the person off from here on cuts this off too: that they are still signed in is asked again below.
    let (now, session) = (server.clock.now(), approved.session.clone());
    let (declared, to) = (pending.emergency.clone(), pending.addressee());
    let consent = Consented::of(&pending, &approved);
    let emergency_for = server.emergencies.config.limits.duration;
    let approval = pending.into_approval(approved, GrantId::random(&mut SystemEntropy), emergency_for, now);
    let event = if declared.is_some() { Event::EmergencyGranted } else { Event::ConsentGranted };
    let mut record = origin.record(event, Outcome::Allow, now);
    let secret = opaque_secret();
    let (grant, answer) = match &approval {
        Approval::Code(code, to) => {
            (&code.grant, server.answering().answer(to, &[("code", secret.expose())]))
        }
        Approval::Device(grant, _) => {
            record.detail.insert("device".to_owned(), Phi::new("user code".to_owned()));
            let (title, text) = (Id::of("consent-allowed-title"), Id::of("consent-allowed"));
            (&**grant, pages::message(StatusCode::OK, title, text))
        }
    };
    describe_grant(&mut record, grant);
    record.detail.insert("scope".to_owned(), Phi::new(grant.scope.to_string()));
    describe_details(&mut record, &grant.authorization_details);
    let new = declared.map(|declared| {
        record.detail.insert("reason".to_owned(), Phi::new(declared.reason.to_string()));
        let explanation = server.emergencies.open(&declared.id, &declared.explanation);
        record.detail.extend(explanation.map(|text| ("explanation".to_owned(), Phi::new(text))));
        emergency::new_use(grant, declared, origin.ip, now)
    });
    let new = match new {
        // There is no code for emergency access that nobody would be told of.
        Some(None) => return unavailable(&"a grant of emergency access is incomplete"),
        new => new.flatten(),
    };
    let code = match approval {
        Approval::Code(code, _) => code,
        Approval::Device(grant, device) => {
            let connected = Connected { grant, device, session, consent };
            return connect(server, digest, connected, record, answer).await;
        }
    };
    let told = new.as_ref().and_then(|new| Some((new.subject.clone(), new.told.clone()?.question)));
    let (handle, code_digest) = (digest.to_owned(), digest_of(secret.expose()));
    let (subject, client_id) = (code.grant.subject.clone(), code.grant.client_id.clone());
    let emergencies = Arc::clone(&server.emergencies);
    let finished = server.outbox.commit(move |sql, _| {
        if sql.has_ended(&session)? || sql.take_pending(&handle)? == Took::Nothing {
            return Ok(Change::none(Finished::Before));
        }
        if let Some(Err(_)) = new.map(|new| emergencies.begin(sql, &new)).transpose()? {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some("unreviewed-emergency-access".to_owned());
            return Ok(Change::told_by(Finished::Blocked, [record]));
        }
        if let Some(consent) = &consent {
            consent.remember(sql, now)?;
        }
        sql.use_client(&subject, &client_id, now)?;
        sql.add_code(&code_digest, &code)?;
        Ok::<_, ChangeError>(Change::told_by(Finished::Now, [record]))
    });
    match finished.await {
        Ok(Finished::Now) => {
            if let Some((to, question)) = told {
                server.approvals.tell_of_emergency(&to, &question);
            }
            answer
        }
        Ok(Finished::Blocked) => {
            let description = "earlier emergency access has not been reviewed";
            match &to {
                Some(to) => server.answering().refuse(to, ErrorCode::AccessDenied, Some(description)),
                None => bad_request(description),
            }
        }
        Ok(Finished::Before) => expired(),
        Err(error) => unavailable(&error),
    }
}

/// What came of a request.
enum Finished {
    Now,
    /// Others of this person began meanwhile.
    Blocked,
    Before,
}

/// What somebody said yes to on the page of this very request.
struct Consented {
    by: Subject,
    to: ClientId,
    scope: ScopeSet,
}

impl Consented {
    /// Nothing, where they were not asked.
    fn of(pending: &PendingAuthorization, approved: &Approved) -> Option<Self> {
        let said = pending.said_by(&approved.subject);
        (said.consent == ConsentGiven::Approved).then(|| Self {
            by: said.by,
            to: pending.client_id.clone(),
            scope: grantable_by_a_person(&pending.scope),
        })
    }

    /// With what comes of it, and with the record of that: nothing is remembered of which the log does not tell.
    fn remember(&self, sql: &Sql<'_>, now: Timestamp) -> Result<(), StoreError> {
        sql.set_consent(&self.by, &self.to, &self.scope, now)
    }
}

/// What a device gets.
struct Connected {
    grant: Box<Grant>,
    /// The digest of its own code.
    device: String,
    session: SessionId,
    consent: Option<Consented>,
}

/// Lets a device have what was approved. A code goes to its client with its record; what a device fetches by itself is on record
/// before it is there.
async fn connect(
    server: &AuthorizationServer,
    digest: &str,
    Connected { grant, device, session, consent }: Connected,
    mut record: Record,
    answer: Response,
) -> Response {
    let recorded = match server.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => recorded,
        Err(error) => {
            tracing::error!(%error, "audit");
            return unavailable(&error);
        }
    };
    let (handle, now) = (digest.to_owned(), server.clock.now());
    let taken = server.store.write(move |sql| {
        if sql.has_ended(&session)? || sql.take_pending(&handle)? == Took::Nothing {
            return Ok(Took::Nothing);
        }
        let (subject, client_id) = (grant.subject.clone(), grant.client_id.clone());
        if sql.answer_device(&device, Answer::Approved(grant), now)? == Took::Nothing {
            return Ok(Took::Nothing);
        }
        if let Some(consent) = &consent {
            consent.remember(sql, now)?;
        }
        sql.use_client(&subject, &client_id, now)?;
        Ok(Took::It)
    });
    let (reason, answer) = match taken.await {
        Ok(Took::It) => return Withheld::release(recorded),
        Ok(Took::Nothing) => ("expired", expired()),
        Err::<_, StoreError>(error) => ("not-kept", unavailable(&error)),
    };
    // Nothing came of it, whose record says that something would.
    record.outcome = Outcome::Deny;
    record.decision.reason = Some(reason.to_owned());
    match server.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => {
            tracing::error!(%error, "audit");
            unavailable(&error)
        }
    }
}
