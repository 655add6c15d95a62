//! What somebody says of emergency access in their name. That it was they, their passkey signs; that it was not needs nothing but
//! a word, ends the access and the session it came from, and tells privacy officers. 45 CFR 164.312(a)(2)(ii).

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Event, Record};
use chartgate_values::Phi;
use http::{StatusCode, header};

use super::{over, record};
use crate::live::approvals::questions::OpenQuestion;
use crate::live::outbox::ChangeError;
use crate::login::form::{Present, Visit, unavailable};
use crate::login::{Login, sessions};
use crate::net::cookie;
use crate::pages;
use crate::store::StoreError;
use crate::store::emergency::EmergencyUse;
use crate::store::passkeys::StoredPasskey;
use crate::store::pending::Took;
use crate::tongue::Id;

/// It was somebody else.
pub(super) async fn disown(
    login: &Arc<Login>,
    visit: &Visit,
    present: &Present,
    open: &OpenQuestion,
    used: &EmergencyUse,
) -> Response {
    let mut record = record(login, visit, present, open, Event::EmergencyDisowned);
    about(&mut record, used);
    record.detail.insert("ended_session".to_owned(), Phi::new(used.session.to_string()));
    let mut ended = sessions::record_of_end(login, visit, present);
    ended.session = Some(used.session.to_string());
    match login.emergencies.disown(used, &open.question.id, [ended, record]).await {
        Ok(Took::It) => {}
        // It is in force, and on record as soon as that can be. They have to do what is left to them now.
        Err(ChangeError::Unrecorded(error)) => tracing::error!(%error, "audit"),
        Ok(Took::Nothing) => return over(),
        Err(ChangeError::Store(error)) => return unavailable(&error),
    }
    let mut answer =
        pages::message(StatusCode::OK, Id::of("opened-disowned-title"), Id::of("opened-disowned"));
    if used.session == present.session.id {
        answer.headers_mut().append(header::SET_COOKIE, cookie::clear(cookie::SESSION));
    }
    answer
}

/// What did not come to be on record can be said again.
pub(super) async fn unsaid(login: &Login, question: &str, error: &AppendError) -> Response {
    let question = question.to_owned();
    let taken_back = login.store.write(move |sql| sql.unsay_of_emergency(&question)).await;
    if let Err::<_, StoreError>(error) = taken_back {
        tracing::warn!(%error, "what somebody said of emergency access can be said again after a restart");
    }
    unavailable(error)
}

/// Why a yes shows nothing, if so: whoever opened the record could have said it, with no more than a password.
pub(super) fn shows_nothing(
    used: &EmergencyUse,
    present: &Present,
    by: &StoredPasskey,
) -> Option<(&'static str, Id)> {
    if used.session == present.session.id {
        return Some(("same-session", Id::of("opened-same-session")));
    }
    (by.added_at > used.began_at.minus(ESTABLISHED)).then(|| ("new-passkey", Id::of("opened-new-passkey")))
}

/// How long before a use a passkey was added that counts for it: whoever has no more than a password adds one first.
const ESTABLISHED: Duration = Duration::from_hours(24);

/// Notes what is on record by now.
pub(super) async fn note(login: &Login, question: &str) -> Result<Took, StoreError> {
    let (question, now) = (question.to_owned(), login.clock.now());
    login.store.write(move |sql| sql.note_own_word(&question, now)).await
}

/// What a record about a use has more than others.
pub(super) fn about(record: &mut Record, used: &EmergencyUse) {
    record.grant = Some(used.grant.to_string());
    record.detail.insert("emergency".to_owned(), Phi::new(used.id.to_string()));
}
