//! Where privacy officers see what the log shows that somebody should look at, and say what they make of it. 45 CFR
//! 164.308(a)(1)(ii)(D).

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_audit::reader::Filter;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_audit::watch::{Disposition, Finding, FindingId};
use chartgate_values::Phi;
use http::StatusCode;

use super::Login;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::reviews::{Access, Choice, capital, officer_for, record, release};
use crate::live::emergency::LONGEST_NOTE;
use crate::live::findings::NotClosed;
use crate::pages;
use crate::store::StoreError;
use crate::store::watch::KeptFinding;
use crate::tongue::Tongue;

/// How many of the records that show it a page has room for.
const MOST_RECORDS: usize = 200;

#[derive(Template)]
#[template(path = "findings.html")]
struct FindingsPage {
    t: Tongue,
    open: Vec<Shown>,
    closed: Vec<Shown>,
    /// How many are open in all; the page may not have room for them.
    total: usize,
}

#[derive(Template)]
#[template(path = "finding.html")]
struct FindingPage {
    t: Tongue,
    finding: Shown,
    client: String,
    patients: Vec<String>,
    /// From how many on it is looked for.
    reached: Option<usize>,
    accesses: Vec<Access>,
    /// How many records it has no room for.
    more: usize,
    closed_by: Option<String>,
    note: String,
    may_close: bool,
    dispositions: Vec<Choice>,
    longest: usize,
    problem: Option<String>,
    hidden: String,
}

/// A finding, as a privacy officer reads of it.
struct Shown {
    id: String,
    rule: &'static str,
    whose: String,
    at: String,
    at_shown: String,
    disposition: &'static str,
}

impl Shown {
    fn of(kept: &KeptFinding, of: &str) -> Self {
        Self {
            id: kept.id.to_string(),
            rule: kept.rule.words(),
            whose: kept.subject.clone().unwrap_or_else(|| of.to_owned()),
            at: kept.at.to_string(),
            at_shown: pages::minutes(kept.at),
            disposition: kept.closed.as_ref().map_or("", |closed| closed.disposition.words()),
        }
    }
}

pub(super) async fn list(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let officer = match officer_for(&login, &visit, "/login?then=findings", Event::WatchRead).await {
        Ok(officer) => officer,
        Err(response) => return *response,
    };
    let listed = login.findings.list().and_then(|all| {
        let total = login.store.read(|sql| sql.open_findings())?;
        Ok::<_, StoreError>((all, total))
    });
    let (all, total) = match listed {
        Ok(listed) => listed,
        Err(error) => return unavailable(&error),
    };
    let mut page = FindingsPage { t: Tongue::English, open: Vec::new(), closed: Vec::new(), total };
    for kept in &all {
        let whole = match login.findings.whole(kept) {
            Ok(whole) => whole,
            Err(error) => return unavailable(&error),
        };
        let shown = Shown::of(kept, whole.of.expose());
        match &kept.closed {
            None => page.open.push(shown),
            Some(_) => page.closed.push(shown),
        }
    }
    // Which patients findings are about, the list does not show: it says whose acts they are.
    let record = record(&login, &visit, &officer, Event::WatchRead);
    release(&login, &record, visit.browser.show_in_english(&page)).await
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let Some(id) = id(&visit) else { return stale() };
    let sign_in = format!("/login?then=finding-{id}");
    let officer = match officer_for(&login, &visit, &sign_in, Event::WatchRead).await {
        Ok(officer) => officer,
        Err(response) => return *response,
    };
    show(&login, &visit, &officer, &id, None).await
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let Some(id) = id(&visit) else { return stale() };
    let sign_in = format!("/login?then=finding-{id}");
    let officer = match officer_for(&login, &visit, &sign_in, Event::WatchClosed).await {
        Ok(officer) => officer,
        Err(response) => return *response,
    };
    let (kept, finding) = match find(&login, &id) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let disposition: Option<Disposition> = visit.form.get("disposition").and_then(|code| code.parse().ok());
    let note = visit.form.get("note").unwrap_or_default().trim();
    let Some(disposition) = disposition.filter(|_| (1..=LONGEST_NOTE).contains(&note.chars().count())) else {
        let problem = "Choose what you make of it, and write a note.".to_owned();
        return show(&login, &visit, &officer, &id, Some(problem)).await;
    };
    let mut record = about(&login, &visit, &officer, (&kept, &finding), Event::WatchClosed);
    record.detail.insert("disposition".to_owned(), Phi::new(disposition.to_string()));
    record.detail.insert("note".to_owned(), Phi::new(note.to_owned()));
    if let Err(cause) = login.findings.may_close(&kept, &officer.user) {
        record.outcome = Outcome::Deny;
        record.decision.reason = Some(reason(&cause).to_owned());
        let answer = pages::message_in_english(StatusCode::FORBIDDEN, "Not closed", &capital(&cause));
        return release(&login, &record, answer).await;
    }
    let closing = login.findings.close(&kept, &officer.user, (disposition, note), record.clone());
    match closing.await {
        Ok(()) => see_other("/watch/findings"),
        Err(NotClosed::Store(error)) => unavailable(&error),
        Err(NotClosed::Unwritable(error) | NotClosed::Unrecorded(error)) => unavailable(&error),
        Err(error @ NotClosed::Unsealed) => unavailable(&error),
        // Somebody did meanwhile.
        Err(cause) => {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some(reason(&cause).to_owned());
            let answer = pages::message_in_english(StatusCode::CONFLICT, "Not closed", &capital(&cause));
            release(&login, &record, answer).await
        }
    }
}

async fn show(
    login: &Login,
    visit: &Visit,
    officer: &Present,
    id: &FindingId,
    problem: Option<String>,
) -> Response {
    let (kept, finding) = match find(login, id) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let records = match records(login, &finding).await {
        Ok(records) => records,
        Err(error) => return unavailable(&error),
    };
    let may = login.findings.may_close(&kept, &officer.user);
    let page = FindingPage {
        t: Tongue::English,
        client: finding.client.clone().unwrap_or_default(),
        patients: finding.patients.iter().map(|patient| patient.expose().clone()).collect(),
        reached: finding.reached,
        more: finding.records.len().saturating_sub(MOST_RECORDS),
        accesses: records.iter().map(|access| Access::of(access, Tongue::English)).collect(),
        closed_by: kept.closed.as_ref().map(|closed| closed.by.to_string()),
        note: login.findings.note(&kept).unwrap_or_default(),
        may_close: may.is_ok(),
        dispositions: Disposition::ALL
            .iter()
            .map(|known| Choice { code: known.as_str(), words: known.words() })
            .collect(),
        longest: LONGEST_NOTE,
        problem: problem.or_else(|| match may {
            Err(NotClosed::OwnActs) => Some(capital(&NotClosed::OwnActs)),
            Ok(()) | Err(_) => None,
        }),
        hidden: visit.browser.hidden(&[("id", id.as_str())]),
        finding: Shown::of(&kept, finding.of.expose()),
    };
    let record = about(login, visit, officer, (&kept, &finding), Event::WatchRead);
    release(login, &record, visit.browser.show_in_english(&page)).await
}

fn find(login: &Login, id: &FindingId) -> Result<(KeptFinding, Finding), Box<Response>> {
    let found = login.findings.find(id).map_err(|error| Box::new(unavailable(&error)))?;
    let (kept, _) = found.ok_or_else(|| Box::new(stale()))?;
    let finding = login.findings.whole(&kept).map_err(|error| Box::new(unavailable(&error)))?;
    Ok((kept, finding))
}

/// The records that show it, the first of them.
async fn records(login: &Login, finding: &Finding) -> anyhow::Result<Vec<Record>> {
    let indexes: Vec<u64> = finding.records.iter().copied().take(MOST_RECORDS).collect();
    let log = Arc::clone(&login.log);
    let found = tokio::task::spawn_blocking(move || {
        let picked = log.reader.pick(indexes.into_iter(), &Filter::default()).collect::<Result<Vec<_>, _>>();
        picked.map(|entries| entries.into_iter().map(|entry| entry.record).collect())
    });
    Ok(found.await??)
}

fn id(visit: &Visit) -> Option<FindingId> {
    visit.form.get("id")?.parse().ok()
}

fn about(
    login: &Login,
    visit: &Visit,
    officer: &Present,
    (kept, finding): (&KeptFinding, &Finding),
    event: Event,
) -> Record {
    let mut record = record(login, visit, officer, event);
    record.resource = Some(Phi::new(kept.id.to_string()));
    record.patients.clone_from(&finding.patients);
    record.detail.insert("finding".to_owned(), Phi::new(kept.id.to_string()));
    if let Some(user) = &kept.subject {
        record.detail.insert("user".to_owned(), Phi::new(user.clone()));
    }
    record
}

fn reason(cause: &NotClosed) -> &'static str {
    match cause {
        NotClosed::NotAReviewer => "not-a-reviewer",
        NotClosed::OwnActs => "own-acts",
        NotClosed::Closed => "closed-already",
        NotClosed::Store(_) | NotClosed::Unsealed | NotClosed::Unwritable(_) | NotClosed::Unrecorded(_) => {
            "store-unavailable"
        }
    }
}
