//! Saying yes: with the number that the other screen shows, where it is ours, and with a passkey that signs what was shown. What
//! it signed stays on record, so that whoever was not there can verify it. Web Authentication Level 3 section 7.2; NIST SP
//! 800-63B-4 section 3.1.3.2.

use std::sync::Arc;

use axum::response::Response;
use chartgate_access::approval::sign_in::{Matched, Number};
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::base64url;
use chartgate_values::Phi;
use http::StatusCode;

use super::super::Login;
use super::super::authenticate::put_out_of_use;
use super::super::form::{Present, Visit, unavailable};
use super::{decide, over, own_word, record, settle, show};
use crate::live::approvals::questions::{AskedBy, OpenQuestion};
use crate::live::passkeys::{PasskeyRefused, Shown};
use crate::pages;
use crate::store::StoreError;
use crate::store::login_failures::Tried;
use crate::store::pending::Took;
use crate::store::questions::Decided;
use crate::store::second_factors::Used;
use crate::tongue::Id;

const WRONG_NUMBER: Id = Id::of("question-wrong-number");
const OVER: Id = Id::of("question-ended");
const TOO_OFTEN: Id = Id::of("question-too-often");
const NOT_SIGNED: Id = Id::of("question-not-signed");

/// What the browser is asked to sign with; nothing where the person has no passkey.
pub(super) fn options(
    login: &Login,
    present: &Present,
    open: &OpenQuestion,
) -> Result<Option<String>, StoreError> {
    let mut passkeys = login.store.read(|sql| sql.passkeys(&present.user.name))?;
    passkeys.retain(|passkey| passkey.suspected_at.is_none());
    let challenge = open.question.challenge();
    Ok((!passkeys.is_empty()).then(|| login.passkeys.request_over(&challenge, &passkeys)))
}

/// Why it is no yes.
enum NoYes {
    /// This is wrong, and can be tried again.
    Again(&'static str, Id),
    /// There is nothing left to try.
    Ended(&'static str, Id),
}

pub(super) async fn submit(
    login: &Arc<Login>,
    visit: &Visit,
    present: &Present,
    open: OpenQuestion,
) -> Response {
    let shown = match number(login, visit, &open).await {
        Ok(Ok(())) => signature(login, visit, present, &open).await,
        Ok(Err(no)) => Ok(Err(no)),
        Err(response) => return *response,
    };
    match shown {
        Ok(Ok(shown)) => approve(login, visit, present, open, &shown).await,
        Ok(Err(no)) => refuse(login, visit, present, &open, no).await,
        Err(response) => *response,
    }
}

/// Looks at the number. It is counted where passwords and codes are.
async fn number(
    login: &Login,
    visit: &Visit,
    open: &OpenQuestion,
) -> Result<Result<(), NoYes>, Box<Response>> {
    let AskedBy::SignIn(kept) = &open.asked_by else { return Ok(Ok(())) };
    let now = login.clock.now();
    login.throttle.count(visit.origin.ip);
    let counter = login.passwords.blind(kept.approval.subject.as_str());
    let counted = counter.clone();
    let failures = login.store.write(move |sql| sql.begin_login(&counted, now)).await;
    let failures = failures.map_err(|error: StoreError| unavailable(&error))?;
    if failures.check(now).is_err() {
        return Ok(Err(NoYes::Again("throttled", TOO_OFTEN)));
    }
    let typed = visit.form.get("number").and_then(|typed| typed.parse::<Number>().ok());
    let matched = login.approvals.match_number(kept, typed).await.map_err(|error| unavailable(&error))?;
    if matched == Matched::Right {
        // Nor is it a failure of the signature that has to follow it.
        let tried = Tried { before: failures.last, at: now };
        let taken_back = login.store.write(move |sql| sql.take_back_login(&counter, tried)).await;
        taken_back.map_err(|error: StoreError| unavailable(&error))?;
    }
    Ok(match matched {
        Matched::Right => Ok(()),
        Matched::Wrong => Err(NoYes::Again("wrong-number", WRONG_NUMBER)),
        Matched::Over => Err(NoYes::Ended("wrong-number", OVER)),
    })
}

/// Looks at what was signed, and by whose key; it is used up with that.
async fn signature(
    login: &Login,
    visit: &Visit,
    present: &Present,
    open: &OpenQuestion,
) -> Result<Result<Shown, NoYes>, Box<Response>> {
    let text = visit.form.get("credential").unwrap_or_default();
    let claimed = login.passkeys.claimed(text).map_err(|error| unavailable(&error))?;
    let Some(claimed) = claimed else { return Ok(Err(NoYes::Again("unknown-passkey", NOT_SIGNED))) };
    let id = claimed.id().clone();
    let name = present.user.name.clone();
    let now = login.clock.now();
    let shown = match login.passkeys.verify_over(claimed, &name, &open.question.challenge()) {
        Ok(shown) => shown,
        Err(refused) => {
            if matches!(refused, PasskeyRefused::Suspected) {
                let suspected = put_out_of_use(login, &visit.origin, &present.user, id).await;
                suspected.map_err(|error| unavailable(&error))?;
            }
            return Ok(Err(NoYes::Again(refused.code(), NOT_SIGNED)));
        }
    };
    if let AskedBy::Emergency(opened) = &open.asked_by
        && let Some((reason, words)) = own_word::shows_nothing(opened, present, &shown.passkey)
    {
        return Ok(Err(NoYes::Again(reason, words)));
    }
    let used = shown.clone();
    match login.store.write(move |sql| used.use_up(sql, now)).await {
        Ok(Used::Now) => Ok(Ok(shown)),
        Ok(Used::Before) => Ok(Err(NoYes::Again("used-passkey", NOT_SIGNED))),
        Err::<_, StoreError>(error) => Err(Box::new(unavailable(&error))),
    }
}

async fn approve(
    login: &Arc<Login>,
    visit: &Visit,
    present: &Present,
    open: OpenQuestion,
    shown: &Shown,
) -> Response {
    match decide(login, present, &open, Decided::Yes).await {
        Ok(Took::It) => {}
        Ok(Took::Nothing) => return over(),
        Err(error) => return unavailable(&error),
    }
    let mut record = record(login, visit, present, &open, event(&open));
    let evidence = &shown.evidence;
    // With these, whoever has the record verifies it: docs/approvals.md.
    let signed = [
        ("signed", open.question.signed_text()),
        ("passkey", shown.passkey.id.to_string()),
        ("credential_id", base64url::encode(&shown.passkey.credential_id)),
        ("public_key", base64url::encode(&shown.passkey.public_key)),
        ("authenticator_data", base64url::encode(&evidence.authenticator_data)),
        ("client_data", base64url::encode(&evidence.client_data)),
        ("signature", base64url::encode(&evidence.signature)),
        ("flags", shown.signed.flags.byte().to_string()),
        ("backup", shown.backup().code().to_owned()),
    ];
    record.detail.extend(signed.map(|(name, value)| (name.to_owned(), Phi::new(value))));
    let (title, text) = match &open.asked_by {
        AskedBy::SignIn(_) => (Id::of("question-approved-title"), Id::of("question-approved-screen")),
        AskedBy::Client(_) => (Id::of("question-approved-title"), Id::of("question-approved-client")),
        AskedBy::Deed(_) => (Id::of("question-approved-title"), Id::of("question-approved-deed")),
        AskedBy::Emergency(used) => {
            own_word::about(&mut record, used);
            (Id::of("opened-acknowledged-title"), Id::of("opened-acknowledged"))
        }
    };
    let answer = pages::message(StatusCode::OK, title, text);
    let recorded = match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => recorded,
        Err(error) if matches!(open.asked_by, AskedBy::Emergency(_)) => {
            return own_word::unsaid(login, &open.question.id, &error).await;
        }
        Err(error) => return unavailable(&error),
    };
    match settle(login, visit, present, open, Decided::Yes).await {
        Ok(Took::It) => Withheld::release(recorded),
        Ok(Took::Nothing) => over(),
        Err(error) => unavailable(&error),
    }
}

async fn refuse(login: &Login, visit: &Visit, present: &Present, open: &OpenQuestion, no: NoYes) -> Response {
    let (reason, answer) = match no {
        NoYes::Again(reason, words) => (reason, show(login, visit, present, open, Some(words))),
        NoYes::Ended(reason, words) => {
            (reason, pages::message(StatusCode::GONE, Id::of("question-over-title"), words))
        }
    };
    let mut record = record(login, visit, present, open, event(open));
    record.outcome = Outcome::Deny;
    record.decision.reason = Some(reason.to_owned());
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

/// As what a yes is recorded.
fn event(open: &OpenQuestion) -> Event {
    match open.asked_by {
        AskedBy::Client(_) | AskedBy::SignIn(_) | AskedBy::Deed(_) => Event::ApprovalGranted,
        AskedBy::Emergency(_) => Event::EmergencyAcknowledged,
    }
}
