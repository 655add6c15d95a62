//! Showing once more who one is before a record is opened in an emergency: a session says who signed in, not who sits there
//! now. A passkey does in any case, so that whoever has no password here is let in; where a second factor is required, it takes the
//! strongest that the person has. 45 CFR 164.312(d); ATTACKS A05.

use axum::response::Response;
use chartgate_access::login::assurance::{Assurance, Holds, OnceMore, once_more};
use chartgate_audit::record::Outcome;
use chartgate_protocol::oauth::authorization_details::EmergencyAccess;
use http::StatusCode;

use super::{record, show};
use crate::live::passkeys::Ceremony;
use crate::login::account::end_session;
use crate::login::authenticate::{self, Again, CodeAsked, Shown, again_by_passkey};
use crate::login::form::{Asked, Visit, unavailable};
use crate::login::once_more::{Confirmed, recorded};
use crate::login::sign_in::needed;
use crate::login::{Login, passkey};
use crate::pages;
use crate::store::StoreError;
use crate::tongue::{Id, Words};

const WRONG: Id = Id::of("emergency-wrong");
const WRONG_CODE: Id = Id::of("once-more-wrong");
const WRONG_PASSKEY: Id = Id::of("once-more-wrong-passkey");
const BY_PASSKEY: Id = Id::of("emergency-by-passkey");

/// What the person can confirm with, and has to.
pub(super) struct Means {
    /// What it takes.
    pub(super) takes: OnceMore,
    /// How strongly they have to be signed in.
    needed: Assurance,
    /// What the browser is asked, where the person has a passkey that is good for something.
    pub(super) passkey: Option<String>,
    /// Whether there is a password to be asked for.
    pub(super) has_password: bool,
}

impl Means {
    /// Those of whoever is signed in, for what they ask here.
    pub(super) fn of(login: &Login, asked: &Asked) -> Result<Self, StoreError> {
        let name = &asked.present.user.name;
        let needed = needed(login, Some(&asked.begun), &asked.present.user);
        let passkey = passkey::for_one(login, ceremony(asked), name, needed)?;
        // One that is out of use, or not offered here, opens nothing: then it is a code.
        let has = match (&passkey, login.factors.holds(name)?) {
            (Some(_), _) => Holds::APasskey,
            (None, Holds::Codes | Holds::APasskey | Holds::AHardwareKey) => Holds::Codes,
            (None, Holds::Nothing) => Holds::Nothing,
        };
        let takes = once_more(has, needed);
        let has_password = login.store.read(|sql| sql.password_hash(name))?.is_some();
        Ok(Self { takes, needed, passkey, has_password })
    }

    /// What is said to whoever could confirm with nothing, if that is so.
    pub(super) fn are_none(&self) -> Option<Words> {
        match (&self.passkey, self.has_password, self.takes) {
            (Some(_), _, _) => None,
            (None, true, OnceMore::Nothing) => Some(Words::of("emergency-nothing-enough")),
            (None, true, OnceMore::Password | OnceMore::PasswordAndCode | OnceMore::Passkey) => None,
            (None, false, _) => Some(Words::of("emergency-nothing")),
        }
    }
}

/// What is signed here opens this request in this session, and changes nothing else.
fn ceremony(asked: &Asked) -> Ceremony<'_> {
    Ceremony::Emergency { session: &asked.present.session.id, request: &asked.begun.digest }
}

/// What somebody confirmed, and by what, in words for the record; or the answer where they did not.
pub(super) async fn confirmed(
    login: &Login,
    visit: &Visit,
    asked: &Asked,
    access: &EmergencyAccess,
) -> Result<(Confirmed, &'static str), Response> {
    let typed = |name| visit.form.get(name).unwrap_or_default();
    let means = Means::of(login, asked).map_err(|error| unavailable(&error))?;
    let by_password = |code| Shown { password: typed("password"), code };
    let (present, origin) = (&asked.present, &visit.origin);
    let (came, by, wrong) = match (typed("credential"), means.takes) {
        ("", OnceMore::Passkey | OnceMore::Nothing) => {
            let mut refused = record(login, visit, asked, access, Outcome::Deny);
            refused.decision.reason = Some("passkey-needed".to_owned());
            let answer = show(login, visit, asked, access, Some(BY_PASSKEY), None);
            return Err(recorded(login, &refused, answer).await);
        }
        ("", OnceMore::Password) => {
            let came = authenticate::again(login, origin, present, by_password(CodeAsked::No)).await;
            (came.map_err(|error| unavailable(&error))?, "password", WRONG)
        }
        ("", OnceMore::PasswordAndCode) => {
            let shown = by_password(CodeAsked::Typed(typed("code")));
            let came = authenticate::again(login, origin, present, shown).await;
            (came.map_err(|error| unavailable(&error))?, "password-and-code", WRONG_CODE)
        }
        (brought, _) => {
            let ceremony = (ceremony(asked), means.needed);
            let came = again_by_passkey(login, origin, present, ceremony, brought).await;
            (came.map_err(|error| unavailable(&error))?, "passkey", WRONG_PASSKEY)
        }
    };
    let (reason, answer) = match came {
        Again::Right(proven) => return Ok((Confirmed::of(present, proven), by)),
        Again::Refused(reason) => {
            let problem = reason.words().unwrap_or(wrong);
            (reason.code(), show(login, visit, asked, access, Some(problem), None))
        }
        Again::Spent(reason) => {
            let (title, text) = (Id::of("sign-out-done"), Id::of("emergency-spent"));
            let answer = pages::message(StatusCode::FORBIDDEN, title, text);
            (reason.code(), end_session(login, origin, present, None, answer).await)
        }
    };
    let mut refused = record(login, visit, asked, access, Outcome::Deny);
    refused.decision.reason = Some(reason.to_owned());
    Err(recorded(login, &refused, answer).await)
}
