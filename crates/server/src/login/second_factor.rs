//! The page after the password: a passkey, a code of an authenticator application, or a recovery code. ATTACKS A03 to A05.
//!
//! Until it is right there is no session: what the browser has is a half sign-in, of which nothing comes but this page. A wrong
//! code, one that was used and one that never was get the same answer.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::FactorId;
use chartgate_access::login::assurance::{Next, after_code};
use chartgate_access::principal::{User, UserState};
use http::StatusCode;

use super::authenticate::{self, CodeAttempt, Reason, refuse};
use super::form::{Submission, Visit, see_other, stale, unavailable};
use super::known_browser::{self, PhoneHere};
use super::sign_in::{Begin, needed, start_session, with_cookies};
use super::then::Then;
use super::{Login, new_passkey, new_password, passkey, recovery};
use crate::entropy::{digest_of, opaque_secret};
use crate::live::factors::{FactorError, Proof};
use crate::live::passkeys::Ceremony;
use crate::store::half_sign_ins::{First, HalfSignIn, Stage};
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "second_factor.html")]
struct CodePage<'a> {
    t: Tongue,
    username: &'a str,
    problem: Option<Id>,
    /// Whether a passkey was added just now, and is to be shown for the first time.
    is_new: bool,
    takes_code: bool,
    has_app: bool,
    /// What the browser is asked, where the person has a passkey.
    passkey: Option<String>,
    /// Whether they can say yes on a phone in place of the code, or why they cannot here.
    asks_phone: bool,
    not_asked: Option<Id>,
    /// Where they go who have none of this any more.
    lost: Option<String>,
    hidden: String,
}

const WRONG: Id = Id::of("factor-wrong");

const NOT_ENOUGH: Id = Id::of("factor-not-enough");

/// A half sign-in that a browser goes on with.
pub(super) struct Half {
    pub(super) handle: String,
    pub(super) digest: String,
    pub(super) user: User,
    pub(super) first: First,
    pub(super) passkey: Option<FactorId>,
    pub(super) stage: Stage,
}

impl Half {
    /// The one that an address or a form names, if it is this browser's and its person may still sign in.
    pub(super) fn of(login: &Login, visit: &Visit) -> Result<Self, Box<Response>> {
        let handle = visit.form.get("sign_in").ok_or_else(stale)?;
        let (digest, browser, now) = (digest_of(handle), visit.browser.digest(), login.clock.now());
        let found = login.store.read(|sql| {
            let Some(half) = sql.half_sign_in(&digest, &browser, now)? else { return Ok(None) };
            Ok(sql.user(&half.subject)?.map(|user| (user, half)))
        });
        let found = found.map_err(|error: StoreError| unavailable(&error))?;
        let (user, HalfSignIn { first, passkey, stage, .. }) = found.ok_or_else(stale)?;
        Ok(Self { handle: handle.to_owned(), digest, user, first, passkey, stage })
    }

    /// Under which name its tries are counted.
    pub(super) fn counter(&self, login: &Login) -> String {
        let [counter, after_a_link] = login.passwords.counters(&self.user.name);
        match self.first {
            First::Link => after_a_link,
            First::Password | First::Passkey | First::Elsewhere(_) | First::PasswordAndLink => counter,
        }
    }
}

/// Keeps a half sign-in for a browser, and says where it goes on: the page of its stage. In one step with its ground, which that
/// uses up or looks at once more; nothing where that does not stand any more, or its person was shut out: what ends with a
/// password or a session is not to be begun by it a moment later.
pub(super) async fn begin_half(
    login: &Login,
    visit: &Visit,
    then: &Then<'_>,
    (new, ground): (
        impl FnOnce(&str) -> Result<(HalfSignIn, &'static str), FactorError>,
        impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static,
    ),
) -> Result<Option<String>, Box<Response>> {
    login.outbox.may_give().map_err(|error| unavailable(&error))?;
    let handle = opaque_secret();
    let digest = digest_of(handle.expose());
    let (half, page) = new(&digest).map_err(|error| unavailable(&error))?;
    let (browser, now) = (visit.browser.digest(), login.clock.now());
    let kept = login.store.write(move |sql| {
        let is_enabled = sql.user(&half.subject)?.is_some_and(|user| user.state == UserState::Enabled);
        let used = if is_enabled { ground(sql)? } else { Used::Before };
        if used == Used::Now {
            sql.add_half_sign_in(&digest, &browser, &half, now)?;
        }
        Ok::<_, StoreError>(used)
    });
    let used = kept.await.map_err(|error| unavailable(&error))?;
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    Ok((used == Used::Now).then(|| format!("{page}?sign_in={}{more}", handle.expose())))
}

/// The same, and sends the browser there.
pub(super) async fn go_on_with(
    login: &Login,
    visit: &Visit,
    then: &Then<'_>,
    (new, ground): (
        impl FnOnce(&str) -> Result<(HalfSignIn, &'static str), FactorError>,
        impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static,
    ),
) -> Result<Option<Response>, Box<Response>> {
    let address = begin_half(login, visit, then, (new, ground)).await?;
    Ok(address.map(|address| see_other(&address)))
}

/// The answer, or that it is too late for one.
pub(super) fn in_time(came: Result<Option<Response>, Box<Response>>) -> Response {
    came.map_or_else(|response| *response, |answer| answer.unwrap_or_else(stale))
}

/// Asks whoever showed this first for the second factor.
pub(super) async fn ask(
    login: &Login,
    visit: &Visit,
    (user, first): (&User, First),
    ground: impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static,
) -> Result<Option<Response>, Box<Response>> {
    if first == First::Password {
        known_browser::note_not_asked(login, visit, user).await?;
    }
    let half = HalfSignIn { subject: user.name.clone(), first, passkey: None, stage: Stage::Prove };
    go_on_with(login, visit, &Then::of(&visit.form), (|_: &str| Ok((half, "/login/code")), ground)).await
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Half::of(&login, &visit) {
        Ok(half @ Half { stage: Stage::Prove, .. }) => show(&login, &visit, &half, None, StatusCode::OK),
        Ok(_) => stale(),
        Err(response) => *response,
    }
}

/// Shows the page, perhaps with what was wrong.
pub(super) fn show(
    login: &Login,
    visit: &Visit,
    half: &Half,
    problem: Option<Id>,
    status: StatusCode,
) -> Response {
    let (then, name) = (Then::of(&visit.form), &half.user.name);
    let begun = match then.begun(login, visit) {
        Ok(begun) => begun,
        Err(response) => return *response,
    };
    let read = login.store.read(|sql| {
        Ok::<_, StoreError>((
            login.factors.holds_in(sql, name)?,
            !sql.factors(name)?.is_empty(),
            sql.recovery_codes(name)?.left,
        ))
    });
    let needed = needed(login, begun.as_ref(), &half.user);
    let passkey = passkey::for_one(login, Ceremony::SecondFactor { half: &half.digest }, name, needed);
    let phone = PhoneHere::of(login, visit, (&half.user, &half.first), begun.as_ref());
    let ((holds, has_app, codes_left), passkey, phone) =
        match read.and_then(|read| Ok((read, passkey?, phone?))) {
            Ok(read) => read,
            Err(error) => return unavailable(&error),
        };
    let is_new = visit.form.get("added").is_some();
    let added = is_new.then_some(("added", "passkey"));
    let fields: Vec<_> =
        std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).chain(added).collect();
    let is_enough = after_code(holds, needed) != Next::Prove;
    let lost = match recovery::for_lost_factors(login, half, &then) {
        Ok(lost) => lost.filter(|_| !is_new),
        Err(error) => return unavailable(&error),
    };
    let page = CodePage {
        t: visit.browser.tongue,
        username: name.as_str(),
        problem,
        is_new,
        takes_code: is_enough && !is_new && (has_app || codes_left > 0),
        has_app,
        asks_phone: !is_new && phone == PhoneHere::Asked,
        not_asked: phone.words().filter(|_| !is_new),
        passkey,
        lost,
        hidden: visit.browser.hidden(&fields),
    };
    let target = begun.as_ref().and_then(|begun| begun.pending.reply_to.form_target());
    visit.browser.show_with_script(status, &page, target)
}

/// What comes after a right code.
pub(super) fn next(login: &Login, visit: &Visit, half: &Half) -> Result<Next, Box<Response>> {
    let begun = Then::of(&visit.form).begun(login, visit)?;
    let holds = login.factors.holds(&half.user.name).map_err(|error| unavailable(&error))?;
    Ok(after_code(holds, needed(login, begun.as_ref(), &half.user)))
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let half = match Half::of(&login, &visit) {
        Ok(half @ Half { stage: Stage::Prove, .. }) => half,
        Ok(_) => return stale(),
        Err(response) => return *response,
    };
    let next = match next(&login, &visit, &half) {
        Ok(Next::Prove) => return show(&login, &visit, &half, Some(NOT_ENOUGH), StatusCode::OK),
        Ok(next) => next,
        Err(response) => return *response,
    };
    let typed = visit.form.get("code").unwrap_or_default();
    let reason = match authenticate::code(&login, &visit.origin, &half, typed).await {
        Ok(CodeAttempt::Refused(reason)) => reason,
        Ok(CodeAttempt::Good(proof, counter)) => {
            let came = match (&half.first, next) {
                (First::Link, _) => set_a_password(&login, &visit, &half, proof).await,
                (_, Next::EnrolAPasskey) => enrol_a_passkey(&login, &visit, &half, proof).await,
                (_, Next::Session | Next::Prove | Next::Enrol) => {
                    begin(&login, &visit, &half, proof, counter).await
                }
            };
            match came {
                Ok(Some(answer)) => return answer,
                Ok(None) => Reason::WrongCode,
                Err(response) => return response,
            }
        }
        Err(error) => return unavailable(&error),
    };
    refuse(&login, &visit.origin, reason, Some(&half.user), || {
        show(&login, &visit, &half, Some(reason.words().unwrap_or(WRONG)), reason.status())
    })
    .await
}

/// A session, unless the code was used before.
async fn begin(
    login: &Login,
    visit: &Visit,
    half: &Half,
    proof: Proof,
    counter: String,
) -> Result<Option<Response>, Response> {
    let factor = proof.factor();
    let begin = Begin::with_factor(&half.user, &half.first, factor);
    let (name, digest, now) = (half.user.name.clone(), half.digest.clone(), login.clock.now());
    let use_up = move |sql: &Sql<'_>, _| {
        if proof.use_up(sql, &name, now)? == Used::Before || sql.take_half_sign_in(&digest, now)?.is_none() {
            return Ok(None);
        }
        sql.clear_login_failures(&counter)?;
        Ok(Some(Vec::new()))
    };
    let cookies = start_session(login, visit, begin, use_up).await?;
    Ok(cookies.map(|cookies| with_cookies(see_other(&Then::of(&visit.form).target()), cookies)))
}

/// No session: a passkey has to be enrolled first, and the code was the proof for that. The failures before are kept until it
/// is.
async fn enrol_a_passkey(
    login: &Login,
    visit: &Visit,
    half: &Half,
    proof: Proof,
) -> Result<Option<Response>, Response> {
    let (to, then) = ((&half.user, half.first.clone(), None), Then::of(&visit.form));
    let asked = new_passkey::ask(login, visit, to, &then, spending(login, half, proof)).await;
    asked.map_err(|response| *response)
}

/// No session either: whoever came by a link sets a new password, and signs in with it.
async fn set_a_password(
    login: &Login,
    visit: &Visit,
    half: &Half,
    proof: Proof,
) -> Result<Option<Response>, Response> {
    let shown = (&half.user, proof.factor());
    new_password::ask(login, visit, shown, spending(login, half, proof)).await.map_err(|response| *response)
}

/// What uses a code up, and the half sign-in that it belongs to.
fn spending(
    login: &Login,
    half: &Half,
    proof: Proof,
) -> impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static {
    let (name, digest, now) = (half.user.name.clone(), half.digest.clone(), login.clock.now());
    move |sql| {
        // A code that is wrong leaves the rest as it is.
        if proof.use_up(sql, &name, now)? == Used::Before {
            return Ok(Used::Before);
        }
        Ok(if sql.take_half_sign_in(&digest, now)?.is_some() { Used::Now } else { Used::Before })
    }
}
