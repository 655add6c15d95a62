//! The policy enforcement points: everything under a route passes through here.
//!
//! [`authenticate`] says who asks, [`enforce`] what they may, [`respond`] what a refusal looks like; each kind of route
//! has a folder with the same names inside: `session` (a request from head to answer), `upstream` (the call), `mask`
//! (what of the answer leaves).

mod authenticate;
mod enforce;
mod exchange;
mod fhir;
mod http;
mod respond;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use chartgate_access::ids::PatientId;
use chartgate_access::principal::User;
use chartgate_access::purpose::Purposes;
use chartgate_audit::journal::Journal;
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_values::Clock;
use chartgate_values::seal::SealingKey;
use hyper::body::Incoming;
use hyper::{Request, Response};
use zeroize::Zeroizing;

use crate::config::{Route, RouteKind};
use crate::directory::{
    ByRoute, Carers, Encounters, FamilyNames, Forbidden, InCare, Names, PatientDirectory, Somebody, Supposing,
};
use crate::in_place::in_place;
use crate::live::approvals::Approvals;
use crate::live::care::LiveCare;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::keys::KeyRing;
use crate::live::policies::LivePolicies;
use crate::live::proofs::Proofs;
use crate::live::sessions::LiveSessions;
use crate::live::trusted_issuers::TrustedIssuers;
use crate::net::origin::Origin;
use crate::net::throttle::Throttle;
use crate::spool::Spools;
use crate::store::Store;
use authenticate::{Authenticator, Issuers, Live, Showing};
pub(crate) use fhir::Written;
use fhir::{Age, FhirUpstream, MINOR, Picking};
use http::HttpUpstream;
pub(crate) use http::{Streams, Watched};

/// What a gateway is built from.
pub(crate) struct Parts {
    pub(crate) issuer: String,
    pub(crate) routes: Arc<[Route]>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) issuers: Arc<TrustedIssuers>,
    pub(crate) purposes: Arc<Purposes>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) proofs: Arc<Proofs>,
    pub(crate) care: Arc<LiveCare>,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) sessions: Arc<LiveSessions>,
    /// Seals links to further pages.
    pub(crate) paging: SealingKey,
    /// From which clients get names for what is renamed for them.
    pub(crate) pseudonym_key: Zeroizing<[u8; 32]>,
    pub(crate) journal: Journal,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) spools: Arc<Spools>,
    pub(crate) written: Arc<Written>,
    /// Where exports are kept.
    pub(crate) store: Arc<Store>,
    pub(crate) approvals: Arc<Approvals>,
}

/// Whether a caller has shown who they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    Good,
    None,
}

/// What answers a path, as routes have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Behind {
    Fhir,
    Http,
    /// No route: it is ours, or nobody's.
    Nothing,
}

/// All routes with what stands in front of them.
pub(crate) struct Gateway {
    issuer: String,
    gates: Vec<Gate>,
    authenticator: Authenticator,
    care: Arc<LiveCare>,
    policies: Arc<LivePolicies>,
    paging: SealingKey,
    pseudonym_key: Zeroizing<[u8; 32]>,
    journal: Journal,
    throttle: Arc<Throttle>,
    streams: Arc<Streams>,
    spools: Arc<Spools>,
    store: Arc<Store>,
    approvals: Arc<Approvals>,
    clock: Arc<dyn Clock>,
}

/// One route, ready to be called.
struct Gate {
    routes: Arc<[Route]>,
    index: usize,
    upstream: Upstream,
}

enum Upstream {
    Fhir(Box<FhirUpstream>),
    Http(HttpUpstream),
}

impl Gateway {
    /// Prepares every route.
    ///
    /// # Errors
    /// If an upstream cannot be prepared: a CA that cannot be read.
    pub(crate) fn new(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            issuer,
            routes,
            keys,
            issuers,
            purposes,
            cut_offs,
            proofs,
            care,
            policies,
            sessions,
            paging,
            pseudonym_key,
            journal,
            throttle,
            clock,
            streams,
            spools,
            written,
            store,
            approvals,
        } = parts;
        let mut gates = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let upstream = match &route.kind {
                RouteKind::Fhir { version, care, consent, minors, .. } => {
                    let asked = (&**care, consent, *minors);
                    let spools = Arc::clone(&spools);
                    let upstream = FhirUpstream::new(route, *version, asked, &issuer, spools, &written)?;
                    Upstream::Fhir(Box::new(upstream))
                }
                RouteKind::Http { allow } => Upstream::Http(HttpUpstream::new(route, allow)?),
            };
            gates.push(Gate { routes: Arc::clone(&routes), index, upstream });
        }
        let authenticator = Authenticator::new(
            &issuer,
            &routes,
            Issuers { ours: keys, trusted: issuers, purposes },
            Live { cut_offs, sessions, proofs, clock: Arc::clone(&clock) },
        );
        Ok(Self {
            issuer,
            gates,
            authenticator,
            care,
            policies,
            paging,
            pseudonym_key,
            journal,
            throttle,
            streams,
            spools,
            store,
            approvals,
            clock,
        })
    }

    /// What answers a path.
    pub(crate) fn behind(&self, path: &str) -> Behind {
        match self.gate(path).map(|gate| &gate.upstream) {
            Some(Upstream::Fhir(_)) => Behind::Fhir,
            Some(Upstream::Http(_)) => Behind::Http,
            None => Behind::Nothing,
        }
    }

    /// Whether a request to a route shows a token that is good there.
    pub(crate) fn standing<B>(&self, origin: &Origin, request: &Request<B>) -> Standing {
        match self.gate(request.uri().path()) {
            Some(gate) if self.authenticator.recognise(Showing::of(origin, request), gate.index).is_ok() => {
                Standing::Good
            }
            Some(_) | None => Standing::None,
        }
    }

    /// Asks the servers behind FHIR routes which version of FHIR they are of.
    pub(crate) async fn look_at_versions(&self) {
        let now = self.clock.now();
        let looks = self.gates.iter().filter_map(|gate| match &gate.upstream {
            Upstream::Fhir(upstream) => Some(upstream.look_at_version(now)),
            Upstream::Http(_) => None,
        });
        futures_util::future::join_all(looks.collect::<Vec<_>>()).await;
    }

    /// Begins with what another one knows of the same servers behind FHIR routes.
    pub(crate) fn follow(&self, old: &Self) {
        for (_, upstream) in self.fhir_routes(None) {
            for (_, before) in old.fhir_routes(None) {
                upstream.follow(before);
            }
        }
    }

    /// Answers a request to a route.
    pub(crate) async fn handle(&self, origin: &Origin, request: Request<Incoming>) -> Response<Body> {
        let Some(gate) = self.gate(request.uri().path()) else {
            return respond::no_route();
        };
        match &gate.upstream {
            Upstream::Fhir(upstream) => fhir::handle(self, gate, upstream, origin, request).await,
            Upstream::Http(upstream) => {
                in_place(|| http::handle(self, gate, upstream, origin, request)).await
            }
        }
    }

    /// The FHIR route of an audience.
    fn fhir(&self, audience: &str) -> Option<(&Route, &FhirUpstream)> {
        self.fhir_routes(Some(audience)).next()
    }

    fn gate(&self, path: &str) -> Option<&Gate> {
        self.gates.iter().find(|gate| {
            let rest = path.strip_prefix(gate.route().path.as_str());
            // What a route says of itself is the authorization server's to answer.
            rest.is_some_and(|r| r.is_empty() || (r.starts_with('/') && !r.starts_with("/.well-known/")))
        })
    }
}

impl Gate {
    fn route(&self) -> &Route {
        // INVARIANT: made from this index of these routes.
        #[expect(clippy::indexing_slicing, reason = "the index is that of the route")]
        &self.routes[self.index]
    }
}

impl PatientDirectory for Gateway {
    fn names<'a>(
        &'a self,
        origin: &'a Origin,
        user: &'a User,
        audience: &'a str,
        patients: &'a BTreeSet<PatientId>,
    ) -> Names<'a> {
        Box::pin(async move {
            match self.fhir(audience) {
                Some((route, upstream)) => {
                    fhir::names(&Picking { gateway: self, route, upstream, origin, user }, patients).await
                }
                None => Ok(BTreeMap::new()),
            }
        })
    }

    fn encounters<'a>(
        &'a self,
        origin: &'a Origin,
        user: &'a User,
        audience: &'a str,
        patient: &'a PatientId,
    ) -> Encounters<'a> {
        Box::pin(async move {
            match self.fhir(audience) {
                Some((route, upstream)) => {
                    fhir::encounters(&Picking { gateway: self, route, upstream, origin, user }, patient).await
                }
                None => Ok(Vec::new()),
            }
        })
    }

    fn in_care<'a>(
        &'a self,
        audience: Option<&'a str>,
        somebody: Somebody<'a>,
        wanted: Option<&'a PatientId>,
    ) -> ByRoute<'a, InCare> {
        Box::pin(self.in_care(audience, somebody, wanted))
    }

    fn routes(&self) -> Vec<(&str, FhirVersion)> {
        self.fhir_routes(None).map(|(route, upstream)| (route.name.as_str(), upstream.version())).collect()
    }

    fn forbidden<'a>(&'a self, patient: &'a PatientId, supposing: Supposing<'a>) -> ByRoute<'a, Forbidden> {
        Box::pin(async move {
            let mut found = Vec::new();
            for (route, upstream) in self.fhir_routes(None) {
                let said = upstream.forbidden(patient, supposing, &*self.clock).await;
                found.extend(said.map(|said| (route.name.as_str(), said)));
            }
            found
        })
    }

    fn ages<'a>(&'a self, patient: Option<&'a PatientId>) -> ByRoute<'a, Labels> {
        Box::pin(async move {
            let mut found = Vec::new();
            for (route, upstream) in self.fhir_routes(None).filter(|(_, upstream)| upstream.labels_minors()) {
                let labels = match patient {
                    None => Labels::from([MINOR.to_owned()]),
                    Some(patient) => {
                        let ages = upstream.ages_of(&[patient.clone()].into(), &*self.clock).await;
                        Age::labels(&ages.into_values().collect::<Vec<_>>())
                    }
                };
                found.push((route.name.as_str(), labels));
            }
            found
        })
    }

    fn carers_of<'a>(&'a self, patient: &'a PatientId) -> ByRoute<'a, Carers> {
        Box::pin(self.carers_of(patient))
    }

    fn family_names<'a>(
        &'a self,
        route: &'a str,
        patients: &'a BTreeSet<PatientId>,
    ) -> Pin<Box<dyn Future<Output = Result<FamilyNames, String>> + Send + 'a>> {
        Box::pin(async move {
            match self.fhir_routes(None).find(|(own, _)| own.name == route) {
                Some((_, upstream)) => upstream.family_names(patients).await,
                None => Ok(FamilyNames::new()),
            }
        })
    }
}
