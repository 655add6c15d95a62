//! Where signing in leads: what waits for it is named in the address of its pages, and nothing else is gone to.

use axum::response::Response;
use chartgate_access::ids::EmergencyId;
use chartgate_audit::watch::FindingId;
use chartgate_protocol::form::Form;

use super::Login;
use super::form::{Begun, Visit, stale, unavailable};

/// What the person goes on with once they are signed in.
pub(super) enum Then<'a> {
    /// An application's request.
    Request(&'a str),
    /// The code of a device.
    Device,
    /// Their applications.
    Apps,
    /// What they sign in with.
    Factors,
    /// Their password.
    Password,
    /// Where they are signed in.
    Sessions,
    /// What was done as them.
    Accesses,
    /// Emergency access.
    Emergency,
    /// Its reviews.
    Reviews,
    /// One of them.
    Review(&'a str, EmergencyId),
    /// What the log shows that somebody should look at.
    Findings,
    /// One of that.
    Finding(&'a str, FindingId),
    /// Their phones.
    Phones,
    /// What waits for their answer.
    Approve,
    /// One of that.
    Question(&'a str, &'a str),
    /// Nothing in particular.
    Account,
}

impl<'a> Then<'a> {
    pub(super) fn of(form: &'a Form) -> Self {
        match (form.get("request"), form.get("then")) {
            (Some(handle), _) => Self::Request(handle),
            (None, Some("device")) => Self::Device,
            (None, Some("apps")) => Self::Apps,
            (None, Some("factors")) => Self::Factors,
            (None, Some("password")) => Self::Password,
            (None, Some("sessions")) => Self::Sessions,
            (None, Some("accesses")) => Self::Accesses,
            (None, Some("emergency")) => Self::Emergency,
            (None, Some("reviews")) => Self::Reviews,
            (None, Some("findings")) => Self::Findings,
            (None, Some("approve")) => Self::Approve,
            (None, Some("phones")) => Self::Phones,
            (None, Some(other)) => {
                let review = other.strip_prefix("review-").and_then(|id| id.parse().ok());
                let finding = other.strip_prefix("finding-").and_then(|id| id.parse().ok());
                let question = other.strip_prefix("question-").filter(|id| is_question(id));
                match (review, finding, question) {
                    (Some(id), _, _) => Self::Review(other, id),
                    (None, Some(id), _) => Self::Finding(other, id),
                    (None, None, Some(id)) => Self::Question(other, id),
                    (None, None, None) => Self::Account,
                }
            }
            (None, None) => Self::Account,
        }
    }

    pub(super) fn hidden(&self) -> Option<(&str, &str)> {
        match self {
            Self::Request(handle) => Some(("request", handle)),
            Self::Device => Some(("then", "device")),
            Self::Apps => Some(("then", "apps")),
            Self::Factors => Some(("then", "factors")),
            Self::Password => Some(("then", "password")),
            Self::Sessions => Some(("then", "sessions")),
            Self::Accesses => Some(("then", "accesses")),
            Self::Emergency => Some(("then", "emergency")),
            Self::Reviews => Some(("then", "reviews")),
            Self::Findings => Some(("then", "findings")),
            Self::Approve => Some(("then", "approve")),
            Self::Phones => Some(("then", "phones")),
            Self::Review(then, _) | Self::Finding(then, _) | Self::Question(then, _) => Some(("then", then)),
            Self::Account => None,
        }
    }

    /// The page to sign in on, to go on with this.
    pub(super) fn sign_in(&self) -> String {
        match self.hidden() {
            Some((name, value)) => format!("/login?{name}={value}"),
            None => "/login".to_owned(),
        }
    }

    pub(super) fn target(&self) -> String {
        match self {
            Self::Request(handle) => format!("/authorize/continue?request={handle}"),
            Self::Device => "/device".to_owned(),
            Self::Apps => "/account/apps".to_owned(),
            Self::Factors => "/account/factors".to_owned(),
            Self::Password => "/account/password".to_owned(),
            Self::Sessions => "/account/sessions".to_owned(),
            Self::Accesses => "/account/accesses".to_owned(),
            Self::Emergency => "/emergency".to_owned(),
            Self::Reviews => "/emergency/reviews".to_owned(),
            Self::Findings => "/watch/findings".to_owned(),
            Self::Finding(_, id) => format!("/watch/finding?id={id}"),
            Self::Review(_, id) => format!("/emergency/review?id={id}"),
            Self::Approve => "/approve".to_owned(),
            Self::Phones => "/approve/phone".to_owned(),
            Self::Question(_, id) => format!("/approve/question?id={id}"),
            Self::Account => "/account".to_owned(),
        }
    }

    /// Where a form that leads there may lead to in the end, beside ourselves; or that what waited is over.
    pub(super) fn form_target(&self, login: &Login, visit: &Visit) -> Result<Option<String>, Box<Response>> {
        let begun = self.begun(login, visit)?;
        Ok(begun.and_then(|begun| begun.pending.reply_to.form_target().map(str::to_owned)))
    }

    /// The request that waits, if it is one; or that it is over.
    pub(super) fn begun(&self, login: &Login, visit: &Visit) -> Result<Option<Begun>, Box<Response>> {
        let Self::Request(handle) = self else { return Ok(None) };
        let begun = visit.browser.pending(login, handle).map_err(|error| unavailable(&error))?;
        Ok(Some(begun.ok_or_else(stale)?))
    }
}

/// Whether a text can be the name of a question: hexadecimal digits.
pub(super) fn is_question(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
