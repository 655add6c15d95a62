//! The policy enforcement points: everything under a route passes through here.
//!
//! [`authenticate`] says who asks, [`enforce`] what they may, [`respond`] what a refusal looks like; each kind of route
//! has a folder with the same names inside: `session` (a request from head to answer), `upstream` (the call), `mask`
//! (what of the answer leaves).

mod authenticate;
mod enforce;
mod fhir;
mod http;
mod respond;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use chartgate_access::ids::PatientId;
use chartgate_access::principal::User;
use chartgate_audit::journal::Journal;
use chartgate_values::Clock;
use ::http::{Request, Response};

use crate::config::{Route, RouteKind};
use crate::live::care::LiveCare;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::keys::KeyRing;
use crate::live::policies::LivePolicies;
use crate::live::sessions::LiveSessions;
use crate::login::{DirectoryError, Names, PatientDirectory};
use crate::net::origin::Origin;
use crate::net::throttle::Throttle;
use authenticate::Authenticator;
use fhir::FhirUpstream;
use http::HttpUpstream;

/// What a gateway is built from.
pub(crate) struct Parts {
    pub(crate) issuer: String,
    pub(crate) routes: Arc<[Route]>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) care: Arc<LiveCare>,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) journal: Journal,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// All routes with what stands in front of them.
pub(crate) struct Gateway {
    issuer: String,
    gates: Vec<Gate>,
    authenticator: Authenticator,
    care: Arc<LiveCare>,
    policies: Arc<LivePolicies>,
    journal: Journal,
    throttle: Arc<Throttle>,
    clock: Arc<dyn Clock>,
}

/// One route, ready to be called.
struct Gate {
    routes: Arc<[Route]>,
    index: usize,
    upstream: Upstream,
}

enum Upstream {
    Fhir(FhirUpstream),
    Http(HttpUpstream),
}
