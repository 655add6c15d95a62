//! Where a person sees what waits for their answer, and says no to it: on their phone, or wherever they are signed in.
//! ATTACKS O20.
//!
//! What is shown is what is signed (`chartgate_access::approval::question`). No is as easy as yes, and is one step from telling
//! privacy officers. Nobody sees or answers what another is asked, and there is no answer from a notification.

mod own_word;
mod yes;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chartgate_access::approval::deed::Approver;
use chartgate_access::approval::question::{Action, Line};
use chartgate_access::ids::Subject;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Login;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use super::then::is_question;
use crate::entropy::digest_of;
use crate::live::approvals::deeds::describe;
use crate::live::approvals::questions::{AskedBy, OpenQuestion};
use crate::live::approvals::{Decision, NotAnswered};
use crate::net::cookie;
use crate::pages::{self, Scripts};
use crate::store::pending::Took;
use crate::store::questions::Decided;
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "approve.html")]
struct ListPage<'a> {
    t: Tongue,
    username: &'a str,
    questions: Vec<Shown>,
    state: String,
    /// What this phone is called, if it is one of theirs.
    phone: Option<String>,
}

/// A question in the list.
struct Shown {
    id: String,
    who: String,
    what: Id,
    until: String,
    until_shown: String,
}

#[derive(Template)]
#[template(path = "approve_question.html")]
struct QuestionPage<'a> {
    t: Tongue,
    id: &'a str,
    lines: Vec<Line>,
    words: &'static WordsOf,
    /// What the browser is asked to sign with, where the person has a passkey.
    passkey: Option<String>,
    problem: Option<Id>,
    hidden: String,
}

/// What a page asks, and the words for each answer.
struct WordsOf {
    title: Id,
    yes: Id,
    /// What there is between yes and a report, if anything.
    no: Option<Id>,
    report: Id,
    when: Id,
    /// A number that the other screen shows, and what to do where there was none.
    number: Option<(Id, Id)>,
}

const OF_A_CLIENT: WordsOf = WordsOf {
    title: Id::of("question"),
    yes: Id::of("question-approve"),
    no: Some(Id::of("question-deny")),
    report: Id::of("question-report"),
    when: Id::of("question-report-when"),
    number: None,
};

const OF_A_SIGN_IN: WordsOf =
    WordsOf { number: Some((Id::of("question-number"), Id::of("question-change-password"))), ..OF_A_CLIENT };

const OF_AN_EMERGENCY: WordsOf = WordsOf {
    title: Id::of("opened"),
    yes: Id::of("opened-mine"),
    no: None,
    report: Id::of("opened-not-mine"),
    when: Id::of("opened-what"),
    number: None,
};

impl Shown {
    fn of(open: &OpenQuestion) -> Self {
        let question = &open.question;
        Self {
            id: question.id.clone(),
            who: question.lines().into_iter().next().map(|line| line.value).unwrap_or_default(),
            what: match &question.action {
                Action::SignIn => Id::of("approve-sign-in"),
                Action::Act => Id::of("approve-act"),
                Action::Opened(_) => Id::of("approve-opened"),
                Action::Deed(deed) => match deed.act.approver {
                    Approver::Another(_) => Id::of("approve-deed"),
                    Approver::WhomItActsFor => Id::of("approve-deed-agent"),
                },
            },
            until: question.expiry.to_string(),
            until_shown: pages::seconds(question.expiry),
        }
    }
}

pub(super) async fn list(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    // The script loads this page again by itself: that is nobody's activity (45 CFR 164.312(a)(2)(iii)).
    let present = match Present::unmoved(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other("/login?then=approve"),
        Err(error) => return unavailable(&error),
    };
    let found = login.approvals.questions_to(&present.user).and_then(|questions| {
        let phones = login.store.read(|sql| sql.phones(&present.user.name))?;
        let this = super::phones::this_one(&login, &visit, &present)?;
        let phone = phones.into_iter().find(|phone| this.as_ref() == Some(&phone.id));
        Ok((questions, phone.map(|phone| phone.label)))
    });
    let (questions, phone) = match found {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    let page = ListPage {
        t: visit.browser.tongue,
        username: present.user.name.as_str(),
        state: state_of(&questions),
        questions: questions.iter().map(Shown::of).collect(),
        phone,
    };
    visit.browser.show_with(StatusCode::OK, &page, None, Scripts::App)
}

/// What a page compares, to see whether something is new.
fn state_of(questions: &[OpenQuestion]) -> String {
    let ids: Vec<&str> = questions.iter().map(|open| open.question.id.as_str()).collect();
    digest_of(ids.join(" "))
}

/// How things stand, for the script of a page that is open. It is nobody's activity.
pub(super) async fn state(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let present = match Present::unmoved(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => return unavailable(&error),
    };
    let state = match visit.form.get("id") {
        None => login.approvals.questions_to(&present.user).map(|questions| state_of(&questions)),
        Some(id) => login
            .approvals
            .question_to(&present.user, id)
            .map(|open| if open.is_some() { "waiting" } else { "over" }.to_owned()),
    };
    match state {
        Ok(state) => told(state),
        Err(error) => unavailable(&error),
    }
}

/// A word for a script.
pub(super) fn told(state: String) -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], state).into_response()
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match asked(&login, &visit, Present::unmoved) {
        Ok((present, open)) => show(&login, &visit, &present, &open, None),
        Err(response) => *response,
    }
}

/// Who is signed in, and the question that an address or a form names, while it waits for them.
fn asked(
    login: &Login,
    visit: &Visit,
    who: fn(&Login, &HeaderMap) -> Result<Option<Present>, StoreError>,
) -> Result<(Present, OpenQuestion), Box<Response>> {
    let id = visit.form.get("id").filter(|id| is_question(id)).ok_or_else(over)?;
    let present = who(login, &visit.headers).map_err(|error| unavailable(&error))?;
    let present = present.ok_or_else(|| see_other(&format!("/login?then=question-{id}")))?;
    let open = login.approvals.question_to(&present.user, id).map_err(|error| unavailable(&error))?;
    Ok((present, open.ok_or_else(over)?))
}

fn over() -> Response {
    pages::message(StatusCode::GONE, Id::of("question-over-title"), Id::of("question-over"))
}

fn show(
    login: &Login,
    visit: &Visit,
    present: &Present,
    open: &OpenQuestion,
    problem: Option<Id>,
) -> Response {
    let passkey = match yes::options(login, present, open) {
        Ok(passkey) => passkey,
        Err(error) => return unavailable(&error),
    };
    let page = QuestionPage {
        t: visit.browser.tongue,
        id: &open.question.id,
        lines: open.question.lines(),
        words: match &open.question.action {
            Action::SignIn => &OF_A_SIGN_IN,
            Action::Act | Action::Deed(_) => &OF_A_CLIENT,
            Action::Opened(_) => &OF_AN_EMERGENCY,
        },
        passkey,
        problem,
        hidden: visit.browser.hidden(&[("id", &open.question.id)]),
    };
    visit.browser.show_with(StatusCode::OK, &page, None, Scripts::App)
}

/// What somebody says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Approve,
    Deny,
    Report,
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        match text {
            "approve" => Some(Self::Approve),
            "deny" => Some(Self::Deny),
            "report" => Some(Self::Report),
            _ => None,
        }
    }
}

/// What is recorded of a no, and what its page says.
type No = (Event, Id, Id);

const DENIED: No = (Event::ApprovalDenied, Id::of("question-denied-title"), Id::of("question-denied"));
const REPORTED: No =
    (Event::ApprovalReported, Id::of("question-reported-title"), Id::of("question-reported"));

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let (present, open) = match asked(&login, &visit, Present::of) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match visit.form.get("decision").and_then(Answer::read) {
        Some(Answer::Approve) => yes::submit(&login, &visit, &present, open).await,
        Some(Answer::Deny) => refuse(&login, &visit, &present, open, DENIED).await,
        Some(Answer::Report) => refuse(&login, &visit, &present, open, REPORTED).await,
        None => stale(),
    }
}

async fn refuse(
    login: &Arc<Login>,
    visit: &Visit,
    present: &Present,
    open: OpenQuestion,
    (event, title, text): No,
) -> Response {
    if let AskedBy::Emergency(used) = &open.asked_by {
        return own_word::disown(login, visit, present, &open, used).await;
    }
    match decide(login, present, &open, Decided::No).await {
        Ok(Took::It) => {}
        Ok(Took::Nothing) => return over(),
        Err(error) => return unavailable(&error),
    }
    let record = record(login, visit, present, &open, event);
    let answered = pages::message(StatusCode::OK, title, text);
    let recorded = match login.journal.append(&record, Withheld::new(answered)).await {
        Ok(recorded) => recorded,
        Err(error) => return unavailable(&error),
    };
    match settle(login, visit, present, open, Decided::No).await {
        Ok(Took::It) => Withheld::release(recorded),
        Ok(Took::Nothing) => over(),
        Err(error) => unavailable(&error),
    }
}

/// Decides a question. Nothing comes of that before it is on record, but that a no to a sign-in shuts out whoever began it.
async fn decide(
    login: &Login,
    present: &Present,
    open: &OpenQuestion,
    decided: Decided,
) -> Result<Took, StoreError> {
    match &open.asked_by {
        AskedBy::Deed(kept) => login.approvals.decide_deed(kept, &present.user, decided).await,
        AskedBy::SignIn(kept) => {
            let took = login.approvals.decide(&open.question.id, decided).await?;
            if took == Took::It && decided == Decided::No {
                shut_out(login, &present.user.name, &kept.half).await?;
            }
            Ok(took)
        }
        AskedBy::Client(_) | AskedBy::Emergency(_) => {
            login.approvals.decide(&open.question.id, decided).await
        }
    }
}

/// Whoever is half way in knows the password and is not its person.
async fn shut_out(login: &Login, of: &Subject, half: &str) -> Result<(), StoreError> {
    let (name, half) = (of.clone(), half.to_owned());
    let refused = move |sql: &Sql<'_>| {
        sql.void_half_sign_in(&name, &half)?;
        // Where they sit, its person was seen before.
        sql.forget_browsers(&name)
    };
    login.store.write(refused).await
}

/// Gives what was decided, and is on record, to whoever asked.
async fn settle(
    login: &Arc<Login>,
    visit: &Visit,
    present: &Present,
    open: OpenQuestion,
    decided: Decided,
) -> Result<Took, StoreError> {
    let (name, now) = (present.user.name.clone(), login.clock.now());
    if let Some(digest) = cookie::read(&visit.headers, cookie::PHONE).map(digest_of) {
        login.store.write(move |sql| sql.use_phone(&name, &digest, now)).await?;
    }
    match open.asked_by {
        AskedBy::SignIn(kept) => login.approvals.answer_sign_in(&kept, decided).await,
        AskedBy::Deed(kept) => login.approvals.answer_deed(&kept.id, decided).await,
        AskedBy::Emergency(_) => own_word::note(login, &open.question.id).await,
        AskedBy::Client(request) => {
            let found = (*request, present.user.clone());
            let decision = match decided {
                Decided::Yes => Decision::Approve,
                Decided::No => Decision::Deny,
            };
            match login.approvals.answer(open.question.id, found, decision).await {
                Ok(()) => Ok(Took::It),
                Err(NotAnswered::Store(error)) => Err(error),
                Err(NotAnswered::Unknown | NotAnswered::TooLate(_) | NotAnswered::UserDisabled) => {
                    Ok(Took::Nothing)
                }
            }
        }
    }
}

/// A record of an answer: what was shown, and from where it was asked.
fn record(login: &Login, visit: &Visit, present: &Present, open: &OpenQuestion, event: Event) -> Record {
    let question = &open.question;
    let mut record = visit.origin.record(event, Outcome::Allow, login.clock.now());
    record.action = Some(event.as_str().to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record.resource = Some(Phi::new(question.id.clone()));
    record.purpose_of_use = question.purpose.map(|purpose| purpose.code().to_owned());
    record.patients = question.patient.iter().map(|patient| Phi::new(patient.to_string())).collect();
    let facts = [
        ("asked", Some(question.action.name().to_owned())),
        ("user", Some(question.actor.to_string())),
        ("client", question.client.as_ref().map(ToString::to_string)),
        ("asked_from", question.from.map(|ip| ip.to_string())),
    ];
    for (name, value) in facts {
        record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
    }
    if let AskedBy::Deed(kept) = &open.asked_by {
        describe(&mut record, &kept.deed);
    }
    record.detail.extend(question.told().map(|(name, value)| (name.to_owned(), Phi::new(value))));
    record
}
