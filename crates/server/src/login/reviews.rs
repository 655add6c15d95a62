//! Where privacy officers see uses of emergency access and say what they make of them. 45 CFR 164.308(a)(1)(ii)(D).

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::emergency::Disposition;
use chartgate_access::ids::EmergencyId;
use chartgate_access::permit::Withheld;
use chartgate_audit::reader::Filter;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::Login;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use crate::live::emergency::{LONGEST_NOTE, NotReviewed, is_reviewer};
use crate::pages;
use crate::store::StoreError;
use crate::store::emergency::{EmergencyNotice, EmergencyUse};
use crate::store::questions::Decided;
use crate::tongue::{Id, Tongue};

/// How soon everybody has been told, if nothing goes wrong.
const TOLD_WITHIN: Duration = Duration::from_mins(1);
/// How many accesses a page has room for.
const MOST_ACCESSES: usize = 200;

#[derive(Template)]
#[template(path = "emergency_reviews.html")]
struct ReviewsPage {
    t: Tongue,
    waiting: Vec<Shown>,
    reviewed: Vec<Shown>,
    /// How many wait in all; the page may not have room for them.
    total: usize,
}

#[derive(Template)]
#[template(path = "emergency_review.html")]
struct ReviewPage {
    t: Tongue,
    used: Shown,
    client: String,
    /// The newest, in their order.
    accesses: Vec<Access>,
    /// Whether there were others before them.
    more: bool,
    explanation: String,
    until: String,
    until_shown: String,
    reviewed_by: Option<String>,
    note: String,
    may_review: bool,
    dispositions: Vec<Choice>,
    longest: usize,
    problem: Option<String>,
    hidden: String,
}

pub(super) struct Choice {
    pub(super) code: &'static str,
    pub(super) words: &'static str,
}

/// An access by it, or a try to sign in.
pub(super) struct Access {
    pub(super) time: String,
    pub(super) shown: String,
    pub(super) what: String,
    /// The application by which, if there is one.
    pub(super) through: String,
    /// If it gave nothing, why.
    pub(super) ended: Option<Id>,
}

impl Access {
    pub(super) fn of(record: &Record, t: Tongue) -> Self {
        let resource = record.resource.as_ref().map_or("", |resource| resource.expose());
        Self {
            time: record.time.to_string(),
            shown: pages::seconds(record.time),
            through: record.actor.client_id.clone().unwrap_or_default(),
            what: match (record.event, &record.source_ip) {
                (Event::LoginFailed | Event::LoginSucceeded, Some(address)) => {
                    t.say("accesses-sign-in").with("address", address.expose()).plain()
                }
                (_, _) => format!("{} {resource}", record.action.as_deref().unwrap_or_default()),
            },
            ended: match record.outcome {
                Outcome::Allow => None,
                Outcome::Deny => Some(Id::of("accesses-refused")),
                Outcome::Error => Some(Id::of("accesses-failed")),
            },
        }
    }
}

/// A use, as a privacy officer reads of it.
struct Shown {
    id: String,
    user: String,
    patient: String,
    reason: &'static str,
    began: String,
    began_shown: String,
    disposition: &'static str,
    /// What its person said of it on their phone.
    own_word: &'static str,
    /// Whether its person said that it was not they.
    disowned: bool,
    /// Whether somebody who is to be told was not.
    untold: bool,
}

impl Shown {
    fn of(used: &EmergencyUse, notices: &[EmergencyNotice], now: Timestamp) -> Self {
        // The first attempts are made at once; what has not succeeded soon after has failed, whatever became of it.
        let is_late = now > used.began_at.plus(TOLD_WITHIN);
        Self {
            id: used.id.to_string(),
            user: used.subject.to_string(),
            patient: used.patient.to_string(),
            reason: used.reason.words(),
            began: used.began_at.to_string(),
            began_shown: pages::minutes(used.began_at),
            disposition: used.review.as_ref().map_or("", |review| review.disposition.words()),
            own_word: own_word(used),
            disowned: used.told.as_ref().is_some_and(|told| told.said == Some(Decided::No)),
            untold: notices.is_empty() || (is_late && notices.iter().any(|notice| notice.told_at.is_none())),
        }
    }
}

/// What the person in whose name it was says, in words.
fn own_word(used: &EmergencyUse) -> &'static str {
    match used.told.as_ref().map(|told| told.said) {
        None => "They were not asked",
        Some(None) => "Nothing, so far",
        Some(Some(Decided::Yes)) => "It was they (signed with a passkey of theirs)",
        Some(Some(Decided::No)) => "It was not they: it was ended",
    }
}

pub(super) async fn list(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let officer = match officer(&login, &visit, "/login?then=reviews").await {
        Ok(officer) => officer,
        Err(response) => return *response,
    };
    let all = login.emergencies.list().and_then(|all| {
        let with_notices = all.into_iter().map(|used| {
            let notices = login.store.read(|sql| sql.emergency_notices(&used.id))?;
            Ok((used, notices))
        });
        with_notices.collect::<Result<Vec<_>, StoreError>>()
    });
    let all = match all {
        Ok(all) => all,
        Err(error) => return unavailable(&error),
    };
    let total = match login.store.read(|sql| sql.waiting_emergencies()) {
        Ok(total) => total,
        Err::<_, StoreError>(error) => return unavailable(&error),
    };
    let mut page = ReviewsPage { t: Tongue::English, waiting: Vec::new(), reviewed: Vec::new(), total };
    for (used, notices) in &all {
        let shown = Shown::of(used, notices, login.clock.now());
        match used.review.as_ref().map(|review| review.disposition) {
            None | Some(Disposition::NeedsFollowUp) => page.waiting.push(shown),
            Some(Disposition::Appropriate | Disposition::Inappropriate) => page.reviewed.push(shown),
        }
    }
    let mut record = record(&login, &visit, &officer, Event::EmergencyRead);
    record.patients = all.iter().map(|(used, _)| Phi::new(used.patient.to_string())).collect();
    let answer = visit.browser.show_in_english(&page);
    release(&login, &record, answer).await
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let Some(id) = id(&visit) else { return stale() };
    let officer = match officer(&login, &visit, &format!("/login?then=review-{id}")).await {
        Ok(officer) => officer,
        Err(response) => return *response,
    };
    show(&login, &visit, &officer, &id, None).await
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let Some(id) = id(&visit) else { return stale() };
    let officer = match officer(&login, &visit, &format!("/login?then=review-{id}")).await {
        Ok(officer) => officer,
        Err(response) => return *response,
    };
    let used = match login.emergencies.find(&id) {
        Ok(Some((used, _))) => used,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let disposition: Option<Disposition> = visit.form.get("disposition").and_then(|code| code.parse().ok());
    let note = visit.form.get("note").unwrap_or_default().trim();
    let Some(disposition) = disposition.filter(|_| (1..=LONGEST_NOTE).contains(&note.chars().count())) else {
        let problem = "Choose what you make of it, and write a note.".to_owned();
        return show(&login, &visit, &officer, &id, Some(problem)).await;
    };
    let mut record = about(&login, &visit, &officer, &used, Event::EmergencyReviewed);
    record.detail.insert("disposition".to_owned(), Phi::new(disposition.to_string()));
    record.detail.insert("note".to_owned(), Phi::new(note.to_owned()));
    if let Err(cause) = login.emergencies.may_review(&used, &officer.user) {
        record.outcome = Outcome::Deny;
        record.decision.reason = Some(reason(&cause).to_owned());
        let answer = pages::message_in_english(StatusCode::FORBIDDEN, "Not reviewed", &capital(&cause));
        return release(&login, &record, answer).await;
    }
    let reviewing = login.emergencies.review(&used, &officer.user, (disposition, note), record.clone());
    match reviewing.await {
        Ok(()) => see_other("/emergency/reviews"),
        Err(NotReviewed::Store(error)) => unavailable(&error),
        Err(NotReviewed::Unwritable(error) | NotReviewed::Unrecorded(error)) => unavailable(&error),
        // Somebody did meanwhile.
        Err(cause) => {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some(reason(&cause).to_owned());
            let answer = pages::message_in_english(StatusCode::CONFLICT, "Not reviewed", &capital(&cause));
            release(&login, &record, answer).await
        }
    }
}

async fn show(
    login: &Login,
    visit: &Visit,
    officer: &Present,
    id: &EmergencyId,
    problem: Option<String>,
) -> Response {
    let (used, notices) = match login.emergencies.find(id) {
        Ok(Some(found)) => found,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let (accesses, more) = match accesses(login, id).await {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    let may = login.emergencies.may_review(&used, &officer.user);
    let text = |sealed: &[u8]| login.emergencies.open(id, sealed).unwrap_or_default();
    let until = used.ended_at.unwrap_or(used.until);
    let page = ReviewPage {
        t: Tongue::English,
        client: used.client_id.to_string(),
        more,
        accesses: accesses.iter().map(|access| Access::of(access, Tongue::English)).collect(),
        explanation: text(&used.explanation),
        until: until.to_string(),
        until_shown: pages::minutes(until),
        reviewed_by: used.review.as_ref().map(|review| review.by.to_string()),
        note: used.review.as_ref().map(|review| text(&review.note)).unwrap_or_default(),
        may_review: may.is_ok(),
        dispositions: Disposition::ALL
            .into_iter()
            .map(|known| Choice { code: known.code(), words: known.words() })
            .collect(),
        longest: LONGEST_NOTE,
        problem: problem.or_else(|| match may {
            Err(NotReviewed::OwnUse) => Some(capital(&NotReviewed::OwnUse)),
            Ok(()) | Err(_) => None,
        }),
        hidden: visit.browser.hidden(&[("id", id.as_str())]),
        used: Shown::of(&used, &notices, login.clock.now()),
    };
    let record = about(login, visit, officer, &used, Event::EmergencyRead);
    release(login, &record, visit.browser.show_in_english(&page)).await
}

/// What was done by a use, as the log has it.
async fn accesses(login: &Login, id: &EmergencyId) -> anyhow::Result<(Vec<Record>, bool)> {
    let filter = Filter {
        event: Some(Event::Access),
        emergency: Some(Phi::new(id.to_string())),
        limit: Some(MOST_ACCESSES.saturating_add(1)),
        ..Filter::default()
    };
    let log = Arc::clone(&login.log);
    let found = tokio::task::spawn_blocking(move || log.find(&filter)).await??;
    let earlier = found.len().saturating_sub(MOST_ACCESSES);
    Ok((found.into_iter().skip(earlier).map(|entry| entry.record).collect(), earlier > 0))
}

fn id(visit: &Visit) -> Option<EmergencyId> {
    visit.form.get("id")?.parse().ok()
}

/// Who is signed in, if they are a privacy officer; or the page in place of that.
async fn officer(login: &Login, visit: &Visit, sign_in: &str) -> Result<Present, Box<Response>> {
    officer_for(login, visit, sign_in, Event::EmergencyRead).await
}

/// The same, for what is recorded as this.
pub(super) async fn officer_for(
    login: &Login,
    visit: &Visit,
    sign_in: &str,
    event: Event,
) -> Result<Present, Box<Response>> {
    let present = Present::of(login, &visit.headers).map_err(|e| unavailable(&e))?;
    let present = present.ok_or_else(|| see_other(sign_in))?;
    if is_reviewer(&present.user) {
        return Ok(present);
    }
    let text = "This page is for privacy officers.";
    let mut record = record(login, visit, &present, event);
    record.outcome = Outcome::Deny;
    record.decision.reason = Some(reason(&NotReviewed::NotAReviewer).to_owned());
    let answer = pages::message_in_english(StatusCode::FORBIDDEN, "Not for your role", text);
    Err(Box::new(release(login, &record, answer).await))
}

fn about(login: &Login, visit: &Visit, officer: &Present, used: &EmergencyUse, event: Event) -> Record {
    let mut record = record(login, visit, officer, event);
    record.resource = Some(Phi::new(used.id.to_string()));
    record.grant = Some(used.grant.to_string());
    record.patients = vec![Phi::new(used.patient.to_string())];
    record.detail.insert("emergency".to_owned(), Phi::new(used.id.to_string()));
    record.detail.insert("user".to_owned(), Phi::new(used.subject.to_string()));
    record
}

pub(super) fn record(login: &Login, visit: &Visit, officer: &Present, event: Event) -> Record {
    let mut record = visit.origin.record(event, Outcome::Allow, login.clock.now());
    record.action = Some(event.as_str().to_owned());
    record.actor = person(&officer.user);
    record.session = Some(officer.session.id.to_string());
    record
}

pub(super) async fn release(login: &Login, record: &Record, answer: Response) -> Response {
    match login.journal.append(record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

fn reason(cause: &NotReviewed) -> &'static str {
    match cause {
        NotReviewed::NotAReviewer => "not-a-reviewer",
        NotReviewed::OwnUse => "own-use",
        NotReviewed::Reviewed => "reviewed-already",
        NotReviewed::Store(_)
        | NotReviewed::Unsealed
        | NotReviewed::Unwritable(_)
        | NotReviewed::Unrecorded(_) => "store-unavailable",
    }
}

/// A cause as a sentence for people.
pub(super) fn capital(cause: &impl std::fmt::Display) -> String {
    let text = cause.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
