//! The page of name and password, and the session that begins in the end. NIST SP 800-63B-4 section 3.1.1; ATTACKS O32.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::approval::known::Sight;
use chartgate_access::ids::SessionId;
use chartgate_access::login::assurance::{Assurance, Next, PASSWORD, SecondFactor, after_password};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_access::session::{AuthTime, Elsewhere, Session};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};
use http::{HeaderValue, StatusCode, header};

use super::agent::agent_of;
use super::authenticate::{self, Attempt, refuse};
use super::form::{Begun, Submission, Visit, see_other, stale, unavailable};
use super::known_browser::Place;
use super::provider::Way;
use super::second_factor::in_time;
use super::then::Then;
use super::{Login, enrol_factor, new_passkey, passkey, recovery, second_factor};
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::live::outbox::{Change, ChangeError};
use crate::net::cookie;
use crate::store::half_sign_ins::{First, There};
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    t: Tongue,
    application: Option<&'a str>,
    ways: Vec<Way>,
    problem: Option<Id>,
    username: &'a str,
    /// Where they go who do not know their password any more.
    forgot: Option<String>,
    /// What the browser is asked, where passkeys are offered.
    passkey: Option<String>,
    hidden: String,
}

const WRONG: Id = Id::of("sign-in-wrong");

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    show(&login, &visit, None, StatusCode::OK)
}

/// Shows the page, perhaps with what was wrong and the name that was typed.
pub(super) fn show(
    login: &Login,
    visit: &Visit,
    problem: Option<(Id, &str)>,
    status: StatusCode,
) -> Response {
    let (browser, then) = (&visit.browser, Then::of(&visit.form));
    let handle = visit.form.get("request");
    let begun = match handle.map(|handle| browser.pending(login, handle)).transpose() {
        Ok(Some(None)) => return stale(),
        Ok(begun) => begun.flatten(),
        Err(error) => return unavailable(&error),
    };
    let hint = begun.as_ref().and_then(|begun| begun.pending.login_hint.as_deref()).unwrap_or_default();
    let page = SignIn {
        t: browser.tongue,
        application: begun.as_ref().map(|begun| begun.client.client_id.as_str()),
        ways: Way::all(login, browser, then.hidden()),
        problem: problem.map(|(text, _)| text),
        username: problem.map_or(hint, |(_, username)| username),
        forgot: recovery::for_lost_password(login, &then),
        passkey: passkey::for_anybody(login, visit),
        hidden: browser.hidden(then.hidden().as_slice()),
    };
    let target = begun.as_ref().and_then(|begun| begun.pending.reply_to.form_target());
    browser.show_with_script(status, &page, target)
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let Visit { browser, form, origin, .. } = &visit;
    let begun = match form.get("request").map(|handle| browser.pending(&login, handle)).transpose() {
        Ok(Some(None)) => return stale(),
        Ok(begun) => begun.flatten(),
        Err(error) => return unavailable(&error),
    };
    let (typed, password) =
        (form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default());
    let attempt = match authenticate::password(&login, origin, typed, password).await {
        Ok(attempt) => attempt,
        Err(error) => return unavailable(&error),
    };
    let (user, right) = match attempt {
        Attempt::Good(user, right) => (user, right),
        Attempt::Refused(reason, user) => {
            return refuse(&login, origin, reason, user.as_ref(), || {
                show(&login, &visit, Some((reason.words().unwrap_or(WRONG), typed)), reason.status())
            })
            .await;
        }
    };
    let needed = needed(&login, begun.as_ref(), &user);
    let next = match login.factors.holds(&user.name) {
        Ok(holds) => after_password(holds, needed),
        Err(error) => return unavailable(&error),
    };
    let (name, first, then) = (user.name.clone(), First::Password, Then::of(form));
    // Whose password was set anew meanwhile was shut out by that, and is not half way in either.
    match next {
        Next::Prove => in_time(second_factor::ask(&login, &visit, (&user, first), right.stands(name)).await),
        Next::Enrol => {
            let to = (&user, first, None);
            in_time(enrol_factor::ask(&login, &visit, to, &then, right.stands(name)).await)
        }
        Next::EnrolAPasskey => {
            let to = (&user, first, None);
            in_time(new_passkey::ask(&login, &visit, to, &then, right.stands(name)).await)
        }
        Next::Session => {
            let begin = Begin {
                user: &user,
                amr: vec![PASSWORD.to_owned()],
                factor: None,
                elsewhere: None,
                with: None,
            };
            let settle = move |sql: &Sql<'_>, _| Ok((right.settle(sql, &name)? == Used::Now).then(Vec::new));
            match start_session(&login, &visit, begin, settle).await {
                Ok(Some(cookies)) => with_cookies(see_other(&then.target()), cookies),
                Ok(None) => stale(),
                Err(response) => response,
            }
        }
    }
}

/// How strongly somebody has to sign in, for what waits and for whom they are.
pub(super) fn needed(login: &Login, begun: Option<&Begun>, user: &User) -> Assurance {
    let asked = begun.map(|begun| begun.pending.assurance).unwrap_or_default();
    asked.max(login.second_factors.of(user))
}

/// An answer that gives the browser its session, or what else it is to keep.
pub(super) fn with_cookies(mut answer: Response, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

/// Who begins a session, and what they showed for it.
pub(super) struct Begin<'a> {
    pub(super) user: &'a User,
    pub(super) amr: Vec<String>,
    pub(super) factor: Option<SecondFactor>,
    /// Where they showed who they are, if not here.
    pub(super) elsewhere: Option<&'a There>,
    /// What is on record with it, of what belongs to it.
    pub(super) with: Option<Record>,
}

impl<'a> Begin<'a> {
    /// With a factor that was shown after this.
    pub(super) fn with_factor(user: &'a User, first: &'a First, factor: SecondFactor) -> Self {
        let (amr, elsewhere) = match first {
            First::Password | First::PasswordAndLink => (factor.amr(), None),
            First::Passkey => (factor.after_passkey(), None),
            // What comes of a link is a new password, and no session.
            First::Link => (factor.without_password(), None),
            First::Elsewhere(there) => (factor.without_password(), Some(there)),
        };
        Self { user, amr, factor: Some(factor), elsewhere, with: None }
    }
}

/// What came of beginning a session.
enum Came {
    Now,
    /// Somebody was quicker, or was shut out.
    Not,
    /// Its person signed out at their provider: what was to tell of it.
    SignedOutThere(Box<Record>),
}

/// Starts a session under a new id (ATTACKS O32), and ends the one that the browser had, with its tokens. `act` belongs to
/// it: codes that are used up for it, failures that are forgotten. Where it gives nothing, somebody was quicker, and there is
/// no session; else what it cuts off. Gives the browser's cookies: the session's, and the one that it is known by from now on.
pub(super) async fn start_session<A>(
    login: &Login,
    visit: &Visit,
    begin: Begin<'_>,
    act: A,
) -> Result<Option<Vec<HeaderValue>>, Response>
where
    A: FnOnce(&Sql<'_>, Timestamp) -> Result<Option<Vec<CutOff>>, StoreError> + Send + 'static,
{
    login.outbox.may_give().map_err(|error| unavailable(&error))?;
    let now: Timestamp = login.clock.now();
    let auth_time = begin.elsewhere.map_or(now, |there| there.auth_time);
    let at_provider = begin.elsewhere.map(|there| {
        let signed_in_at = (there.told == AuthTime::Said).then_some(there.auth_time);
        (there.issuer.clone(), there.session.clone(), signed_in_at)
    });
    // Whom a provider vouched for that is believed no more, nobody vouches for.
    if begin.elsewhere.is_some_and(|there| !login.providers.are_of(&there.issuer)) {
        return Ok(None);
    }
    let secret = opaque_secret();
    let session = Session {
        id: SessionId::random(&mut SystemEntropy),
        subject: begin.user.name.clone(),
        auth_time,
        last_seen: now,
        ended_at: None,
        amr: begin.amr,
        agent: agent_of(&visit.headers),
        elsewhere: begin
            .elsewhere
            .map(|there| Elsewhere { issuer: there.issuer.clone(), auth_time: there.told }),
    };
    let mut record = record_of(visit, begin.user, &session);
    if let Some(factor) = begin.factor {
        record.detail.insert("factor".to_owned(), Phi::new(factor.code().to_owned()));
    }
    if let Some(there) = begin.elsewhere {
        record.detail.insert("provider".to_owned(), Phi::new(there.provider.clone()));
    }
    let place = Place::of(&visit.headers, &session.subject);
    let sight = Sight::of(session.assurance(), begin.factor);
    let cookies =
        [cookie::set(cookie::SESSION, secret.expose())].into_iter().chain(place.cookie(sight)).collect();
    let (digest, former) =
        (digest_of(secret.expose()), cookie::read(&visit.headers, cookie::SESSION).map(digest_of));
    let with = begin.with;
    let begun = login.outbox.commit(move |sql, now| {
        // Whoever was shut out since they showed who they are does not get in.
        if sql.user(&session.subject)?.is_none_or(|user| user.state != UserState::Enabled) {
            return Ok(Change::none(Came::Not));
        }
        // Nor does whoever signed out there since they signed in there.
        if let Some((issuer, there, signed_in_at)) = &at_provider
            && sql.is_signed_out_there(issuer, &session.subject, (there, *signed_in_at))?
        {
            return Ok(Change::none(Came::SignedOutThere(Box::new(record))));
        }
        let Some(mut cut) = act(sql, now)? else { return Ok(Change::none(Came::Not)) };
        let mut left_open = None;
        if let Some(former) = former.map(|digest| sql.session_by_cookie(&digest)).transpose()?.flatten() {
            let issuer = sql.open_at(&former.id)?;
            let id_token = sql.provider_id_token(&former.id)?;
            left_open = issuer.map(|issuer| (issuer, id_token.filter(|_| former.subject == session.subject)));
            sql.end_session(&former.id, now)?;
            cut.push(CutOff::UpTo { target: Target::Session(former.id), not_before: now });
        }
        sql.add_session(&session, &digest)?;
        match (&at_provider, left_open) {
            (Some((_, there, _)), _) => sql.note_session_there(&session.id, there)?,
            // Whoever shows more here is signed in there still.
            (None, Some((issuer, id_token))) => {
                sql.note_open_at(&session.id, &issuer, id_token.as_deref())?;
            }
            (None, None) => {}
        }
        let browser = place.note(sql, &session, sight, now)?;
        record
            .detail
            .extend(browser.map(|before| ("browser".to_owned(), Phi::new(before.code().to_owned()))));
        Ok::<_, ChangeError>(Change::told_by(Came::Now, [record].into_iter().chain(with)).cutting(cut))
    });
    match begun.await {
        Ok(Came::Now) => Ok(Some(cookies)),
        Ok(Came::Not) => Ok(None),
        Ok(Came::SignedOutThere(record)) => Err(signed_out_there(login, *record).await),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Nobody is let in who signed out at their provider in the meantime.
async fn signed_out_there(login: &Login, mut record: Record) -> Response {
    record.event = Event::LoginFailed;
    record.outcome = Outcome::Deny;
    record.decision.reason = Some("signed-out-there".to_owned());
    record.session = None;
    match login.journal.append(&record, Withheld::new(stale())).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

/// That a session began.
fn record_of(visit: &Visit, user: &User, session: &Session) -> Record {
    let mut record = visit.origin.record(Event::LoginSucceeded, Outcome::Allow, session.last_seen);
    record.action = Some("login".to_owned());
    record.actor = person(user);
    record.session = Some(session.id.to_string());
    record.acr = session.assurance().acr().map(str::to_owned);
    record.amr = session.amr.clone();
    record.auth_time = session.known_auth_time();
    record
}

/// What records say of a person.
pub(super) fn person(user: &User) -> Actor {
    Actor {
        sub: Some(user.name.to_string()),
        kind: ActorKind::Human,
        fhir_user: user.fhir_user.as_ref().map(|f| Phi::new(f.to_string())),
        roles: user.roles.iter().map(ToString::to_string).collect(),
        ..Actor::default()
    }
}
