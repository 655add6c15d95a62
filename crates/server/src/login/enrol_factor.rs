//! Enrolling an authenticator application: a picture to scan, one code to show that it works, then recovery codes. NIST SP
//! 800-63B-4 section 4.1; ATTACKS A05, A07.
//!
//! It begins with a proof that is minutes old: the password, and a factor where the person has one. What it ends is every
//! other session of theirs, which began with less.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::{FactorId, SessionId, Subject};
use chartgate_access::login::assurance::{Holds, SecondFactor};
use chartgate_access::principal::{User, UserState};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::totp::{Code, TotpSecret};
use chartgate_values::{Phi, Secret, Timestamp};
use fast_qr::convert::Builder as _;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, QRBuilder};
use http::StatusCode;

use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::second_factor::{Half, go_on_with};
use super::sign_in::{Begin, person, start_session, with_cookies};
use super::then::Then;
use super::{Login, new_passkey, recovery};
use crate::live::factors::{Factors, MOST, NewRecoveryCodes};
use crate::store::half_sign_ins::{First, HalfSignIn, Stage};
use crate::store::second_factors::{StoredFactor, Used};
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "enrol_factor.html")]
struct EnrolPage<'a> {
    t: Tongue,
    username: &'a str,
    is_required: bool,
    /// Whether it takes the place of all that there was.
    replaces: bool,
    picture: String,
    secret: String,
    problem: Option<Id>,
    /// Where a passkey can be added instead.
    instead: Option<String>,
    hidden: String,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub(super) struct RecoveryPage<'a> {
    pub(super) t: Tongue,
    pub(super) username: &'a str,
    pub(super) codes: &'a [Secret<String>],
    pub(super) target: String,
}

const WRONG: Id = Id::of("new-app-wrong");

/// Lets whoever showed enough enrol an application, and do nothing else until they have; unless what they showed does not stand
/// any more.
pub(super) async fn ask(
    login: &Login,
    visit: &Visit,
    (user, first, passkey): (&User, First, Option<FactorId>),
    then: &Then<'_>,
    ground: impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static,
) -> Result<Option<Response>, Box<Response>> {
    let new = |digest: &str| {
        let offered = login.factors.offer(&user.name, digest)?;
        let half = HalfSignIn { subject: user.name.clone(), first, passkey, stage: Stage::Enrol(offered) };
        Ok((half, "/login/factor"))
    };
    go_on_with(login, visit, then, (new, ground)).await
}

/// What was offered to somebody.
struct Offer {
    half: Half,
    secret: TotpSecret,
}

impl Offer {
    fn of(login: &Login, visit: &Visit) -> Result<Self, Box<Response>> {
        let half = Half::of(login, visit)?;
        let Stage::Enrol(sealed) = &half.stage else { return Err(Box::new(stale())) };
        let secret = login.factors.offered(&half.user.name, &half.digest, sealed);
        let secret = secret.map_err(|error| unavailable(&error))?;
        Ok(Self { half, secret })
    }
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Offer::of(&login, &visit) {
        Ok(offer) => show(&login, &visit, &offer, None),
        Err(response) => *response,
    }
}

fn show(login: &Login, visit: &Visit, offer: &Offer, problem: Option<Id>) -> Response {
    let Offer { half, secret } = offer;
    let then = Then::of(&visit.form);
    let target = match then.form_target(login, visit) {
        Ok(target) => target,
        Err(response) => return *response,
    };
    let found = Present::of(login, &visit.headers)
        .and_then(|present| Ok((present, new_passkey::may_be_instead(login, half)?)));
    let (is_required, may_be_instead) = match found {
        Ok((present, may_be)) => (present.is_none_or(|present| present.user.name != half.user.name), may_be),
        Err(error) => return unavailable(&error),
    };
    let fields: Vec<_> = std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).collect();
    let place = login.issuer.strip_prefix("https://").unwrap_or(&login.issuer);
    let uri = secret.key_uri(place, half.user.name.as_str());
    let Some(picture) = picture(uri.expose()) else { return unavailable(&"a picture cannot be drawn") };
    let letters: Vec<char> = secret.base32().expose().chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    let page = EnrolPage {
        t: visit.browser.tongue,
        username: half.user.name.as_str(),
        is_required,
        replaces: half.first.replaces(),
        picture,
        secret: groups.join(" "),
        problem,
        instead: may_be_instead.then(|| instead(half, &then)),
        hidden: visit.browser.hidden(&fields),
    };
    visit.browser.show(StatusCode::OK, &page, target.as_deref())
}

fn instead(half: &Half, then: &Then<'_>) -> String {
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    format!("/login/new-passkey?sign_in={}{more}", half.handle)
}

/// A picture of a text, to stand in a page.
fn picture(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
    Some(SvgBuilder::default().margin(4).to_str(&code))
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let offer = match Offer::of(&login, &visit) {
        Ok(offer) => offer,
        Err(response) => return *response,
    };
    let (user, now) = (&offer.half.user, login.clock.now());
    if user.state != UserState::Enabled {
        return stale();
    }
    login.throttle.count(visit.origin.ip);
    let code = visit.form.get("code").and_then(|typed| typed.parse::<Code>().ok());
    let Some(step) = code.and_then(|code| offer.secret.matching(code, now)) else {
        return show(&login, &visit, &offer, Some(WRONG));
    };
    let label = visit.form.get("label").unwrap_or_default();
    let kept = login.factors.confirmed(&user.name, label, &offer.secret, step, now);
    let (factor, holds) = match kept.and_then(|factor| Ok((factor, login.factors.holds(&user.name)?))) {
        Ok(kept) => kept,
        Err(error) => return unavailable(&error),
    };
    let codes = codes_for(&offer.half, holds);
    match confirm(&login, &visit, &offer, factor, codes.as_ref()).await {
        Ok(answer) => answer,
        Err(response) => *response,
    }
}

/// Keeps the factor and begins a session with it; every other one of the person's ends.
async fn confirm(
    login: &Login,
    visit: &Visit,
    offer: &Offer,
    factor: StoredFactor,
    codes: Option<&NewRecoveryCodes>,
) -> Result<Response, Box<Response>> {
    let (user, now) = (&offer.half.user, login.clock.now());
    let mut record = visit.origin.record(Event::FactorAdded, Outcome::Allow, now);
    record.action = Some(Event::FactorAdded.as_str().to_owned());
    record.actor = person(user);
    record.resource = Some(Phi::new(factor.id.to_string()));
    record.detail.insert("factor".to_owned(), Phi::new(SecondFactor::AuthenticatorApp.code().to_owned()));
    record.detail.insert("after".to_owned(), Phi::new(offer.half.first.code().to_owned()));
    if let Some(opener) = &offer.half.passkey {
        record.detail.insert("after_passkey".to_owned(), Phi::new(opener.to_string()));
    }
    if let Some(codes) = codes {
        record.detail.insert("recovery_codes".to_owned(), Phi::new(codes.digests.len().to_string()));
    }
    if offer.half.first.replaces() {
        let replaced = recovery::replaced(login, &user.name).map_err(|error| unavailable(&error))?;
        record.detail.insert("replaced".to_owned(), Phi::new(replaced));
    }
    let begin = Begin {
        with: Some(record),
        ..Begin::with_factor(user, &offer.half.first, SecondFactor::AuthenticatorApp)
    };
    let (name, digest) = (user.name.clone(), offer.half.digest.clone());
    let (digests, counter) =
        (codes.map(|codes| codes.digests.clone()), login.passwords.blind(user.name.as_str()));
    let replacing = offer.half.first.replaces().then(|| recovery::Replacing::by(login, user));
    let keep = move |sql: &Sql<'_>, at| {
        if sql.take_half_sign_in(&digest, now)?.is_none() {
            return Ok(None);
        }
        let mut cut = Vec::new();
        if let Some(replacing) = replacing {
            let Some(gone) = replacing.replace(sql, at)? else { return Ok(None) };
            cut = gone;
        }
        if sql.factors(&name)?.len() >= MOST {
            return Ok(None);
        }
        // Whoever else is about to enrol with less than this is not any more.
        sql.void_half_sign_ins(&name)?;
        sql.add_factor(&name, &factor)?;
        if let Some(digests) = digests {
            sql.set_recovery_codes(&name, &digests, now)?;
        }
        sql.clear_login_failures(&counter)?;
        cut.extend(end_open_sessions(sql, &name, None, at)?);
        Ok(Some(cut))
    };
    let begun = start_session(login, visit, begin, keep).await?;
    let cookies = begun.ok_or_else(stale)?;
    let target = Then::of(&visit.form).target();
    let answer = match codes {
        Some(codes) => {
            let page = RecoveryPage {
                t: visit.browser.tongue,
                username: user.name.as_str(),
                codes: &codes.shown,
                target,
            };
            visit.browser.show(StatusCode::OK, &page, None)
        }
        None => see_other(&target),
    };
    Ok(with_cookies(answer, cookies))
}

/// The recovery codes that come with what is enrolled: those that somebody has in their drawer stay good, unless all that they
/// had gives way to it.
pub(super) fn codes_for(half: &Half, holds: Holds) -> Option<NewRecoveryCodes> {
    let has_none = holds == Holds::Nothing || half.first.replaces();
    has_none.then(|| Factors::new_recovery_codes(&half.user.name))
}

/// Ends what a person has open, but for this: it began with other factors than they have now. Nor are the browsers known any
/// more that they were seen in by these.
pub(super) fn end_open_sessions(
    sql: &Sql<'_>,
    of: &Subject,
    but: Option<&SessionId>,
    now: Timestamp,
) -> Result<Vec<CutOff>, StoreError> {
    let mut cut = Vec::new();
    sql.forget_browsers(of)?;
    for session in sql.open_sessions(Some(of))?.into_iter().filter(|session| Some(&session.id) != but) {
        sql.end_session(&session.id, now)?;
        cut.push(CutOff::UpTo { target: Target::Session(session.id), not_before: now });
    }
    Ok(cut)
}
