//! Pages and steps of signing in: who you are, whose record and which visit, whether the application may; setting a
//! password; signing out.

mod accesses;
mod account;
mod admission;
mod agent;
mod app_files;
mod approve;
mod apps;
mod ask_phone;
mod authenticate;
mod consent;
mod device;
mod emergency;
mod encounter;
mod end_session;
mod enrol;
mod enrol_factor;
mod factors;
mod findings;
mod form;
mod known_browser;
mod new_passkey;
mod new_password;
mod once_more;
mod own_emergencies;
mod own_password;
mod passkey;
mod patient;
mod phones;
mod provider;
mod recovery;
mod reviews;
mod second_factor;
mod sessions;
mod sign_in;
mod sign_out_there;
mod signed_out;
mod signed_out_there;
mod then;
mod wishes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use chartgate_access::grant::authorization_code::PendingAuthorization;
use chartgate_access::login::assurance::{Offered, Required};
use chartgate_access::purpose::Purposes;
use chartgate_access::session::Timeouts;
use chartgate_audit::journal::Journal;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::Clock;
use http::StatusCode;

use crate::audit_index::LogReading;
use crate::authorization_response::Answering;
use crate::config::Recovery;
use crate::directory::PatientDirectory;
use crate::live::approvals::Approvals;
use crate::live::apps::Apps;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::emergency::Emergencies;
use crate::live::factors::Factors;
use crate::live::findings::Findings;
use crate::live::identity_providers::Providers;
use crate::live::keys::KeyRing;
use crate::live::outbox::Outbox;
use crate::live::passkeys::Passkeys;
use crate::live::phones::Phones;
use crate::live::policies::LivePolicies;
use crate::live::sessions::LiveSessions;
use crate::net::throttle::Throttle;
use crate::pages;
use crate::passwords::Passwords;
use crate::registration::in_force::ClientsInForce;
use crate::store::Store;
use crate::tongue::Id;

/// What the pages work with.
pub(crate) struct Login {
    pub(crate) issuer: String,
    pub(crate) timeouts: Timeouts,
    pub(crate) second_factors: Arc<Required>,
    pub(crate) offered: Offered,
    pub(crate) recovery: Recovery,
    pub(crate) factors: Arc<Factors>,
    pub(crate) passkeys: Arc<Passkeys>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) store: Arc<Store>,
    pub(crate) clients: Arc<ClientsInForce>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) purposes: Arc<Purposes>,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) phones: Arc<Phones>,
    pub(crate) emergencies: Arc<Emergencies>,
    pub(crate) findings: Arc<Findings>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) directory: Arc<dyn PatientDirectory>,
    pub(crate) journal: Journal,
    pub(crate) log: Arc<LogReading>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Login {
    /// What a person sees who said no: the way back to the client, which learns of it there, or the end of the page.
    /// RFC 6749 section 4.1.2.1, RFC 9207.
    fn denial(&self, pending: &PendingAuthorization) -> Response {
        let Some(to) = pending.addressee() else {
            let (title, text) = (Id::of("consent-denied-title"), Id::of("consent-denied"));
            return pages::message(StatusCode::OK, title, text);
        };
        let answering = Answering { issuer: &self.issuer, keys: &self.keys, now: self.clock.now() };
        answering.refuse(&to, ErrorCode::AccessDenied, None)
    }
}

/// Forms of these pages are short.
const MAX_FORM: usize = 16 << 10;

/// All pages.
pub(crate) fn router(login: Arc<Login>) -> Router {
    Router::new()
        .route("/login", get(sign_in::page).post(sign_in::submit))
        .route("/login/with/{name}", get(provider::leave))
        .route("/login/with/{name}/back", get(provider::back))
        .route("/login/with/{name}/signed-out", get(sign_out_there::back))
        .route("/login/with/{name}/backchannel-logout", post(signed_out_there::submit))
        .route("/login/code", get(second_factor::page).post(second_factor::submit))
        .route("/login/passkey", post(passkey::submit))
        .route("/login/new-passkey", get(new_passkey::page).post(new_passkey::submit))
        .route("/login/phone", get(ask_phone::page).post(ask_phone::submit))
        .route("/login/phone/state", get(ask_phone::state))
        .route("/login/factor", get(enrol_factor::page).post(enrol_factor::submit))
        .route("/login/patient", get(patient::page).post(patient::submit))
        .route("/login/encounter", get(encounter::page).post(encounter::submit))
        .route("/login/consent", get(consent::page).post(consent::submit))
        .route("/login/emergency", get(emergency::page).post(emergency::submit))
        .route("/emergency", get(own_emergencies::page).post(own_emergencies::end))
        .route("/emergency/reviews", get(reviews::list))
        .route("/emergency/review", get(reviews::page).post(reviews::submit))
        .route("/watch/findings", get(findings::list))
        .route("/watch/finding", get(findings::page).post(findings::submit))
        .route("/login/enrol", get(enrol::page).post(enrol::submit))
        .route("/login/forgot", get(recovery::ask_for_password).post(recovery::asked_for_password))
        .route("/login/lost", get(recovery::ask_for_factors).post(recovery::asked_for_factors))
        .route("/login/recover", get(recovery::link::page).post(recovery::link::submit))
        .route("/login/new-password", get(new_password::page).post(new_password::submit))
        .route("/device", get(device::page).post(device::submit))
        .route("/account", get(account::page))
        .route("/account/factors", get(factors::page).post(factors::submit))
        .route("/account/password", get(own_password::page).post(own_password::submit))
        .route("/account/sessions", get(sessions::page).post(sessions::submit))
        .route("/account/accesses", get(accesses::page))
        .route("/account/apps", get(apps::page).post(apps::disconnect))
        .route("/approve", get(approve::list))
        .route("/approve/state", get(approve::state))
        .route("/approve/question", get(approve::page).post(approve::submit))
        .route("/approve/phone", get(phones::page).post(phones::submit))
        .merge(app_files::router())
        .route("/logout", post(account::sign_out))
        .route("/end-session", get(end_session::by_query).post(end_session::by_form))
        .route("/end-session/continue", get(end_session::proceed).post(end_session::decide))
        .route("/assets/chartgate.css", get(pages::stylesheet))
        .route("/assets/passkeys.js", get(pages::passkeys_script))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn(pages::speak))
        .with_state(login)
}
