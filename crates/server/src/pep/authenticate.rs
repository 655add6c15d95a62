//! Who asks. RFC 6750, RFC 9068 section 4, RFC 9449 section 7.
//!
//! A signature is verified once for each token: what it proved is kept by the token's digest and the audience it was
//! proved for. What can change meanwhile is looked at every time: expiry, cut-offs, the key, the session's idle time, and whether
//! the request may use a token that is bound.

use std::sync::Arc;

use chartgate_access::purpose::Purposes;
use chartgate_access::token::revocation::Revoked;
use chartgate_protocol::jose::{
    AccessTokenVerifier, Claimed, ExpectedAudience, Presentation, ProtectedTokenVerifier, Protection,
    ReaderKeys, Rejection,
};
use chartgate_protocol::oauth::dpop::ProvenKey;
use chartgate_values::{Clock, Timestamp};
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, Request};

use crate::config::{Route, SignInDemand, TokenForm};
use crate::live::cut_offs::LiveCutOffs;
use crate::live::keys::{KeyRing, OWN_CONTENT, Ring};
use crate::live::proofs::{Place, Proofs, holder_of};
use crate::live::proven::{Proven, key_of};
use crate::live::sessions::LiveSessions;
use crate::live::trusted_issuers::{TrustedIssuer, TrustedIssuers};
use crate::net::access_token::{Scheme, read};
use crate::net::origin::Origin;
pub(super) use authenticated::Authenticated;
pub(super) use not_authenticated::NotAuthenticated;

mod authenticated;
mod not_authenticated;

/// Tokens whose proof is kept.
const REMEMBERED: usize = 8_192;

/// Verifies the tokens of all routes.
pub(super) struct Authenticator {
    verifiers: Vec<ProtectedTokenVerifier>,
    keys: Arc<KeyRing>,
    issuers: Arc<TrustedIssuers>,
    purposes: Arc<Purposes>,
    /// How people have to have signed in, by route.
    demands: Box<[SignInDemand]>,
    /// What absolute addresses of people's own FHIR resources begin with.
    bases: Box<[String]>,
    live: Live,
    proven: Proven<Authenticated>,
}

/// Whose tokens are believed.
pub(super) struct Issuers {
    pub(super) ours: Arc<KeyRing>,
    pub(super) trusted: Arc<TrustedIssuers>,
    /// Which purposes of use those of others may name.
    pub(super) purposes: Arc<Purposes>,
}

/// What may change about a token while it lives, and what is used up with it.
pub(super) struct Live {
    pub(super) cut_offs: Arc<LiveCutOffs>,
    pub(super) sessions: Arc<LiveSessions>,
    pub(super) proofs: Arc<Proofs>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A request that shows a token.
#[derive(Clone, Copy)]
pub(super) struct Showing<'a> {
    headers: &'a HeaderMap,
    place: Place<'a>,
}

impl<'a> Showing<'a> {
    pub(super) fn of<B>(origin: &'a Origin, request: &'a Request<B>) -> Self {
        let (method, path) = (request.method().as_str(), request.uri().path());
        Self { headers: request.headers(), place: Place { door: &origin.door, method, path } }
    }

    pub(super) fn of_head(origin: &'a Origin, head: &'a Head) -> Self {
        let (method, path) = (head.method.as_str(), head.uri.path());
        Self { headers: &head.headers, place: Place { door: &origin.door, method, path } }
    }
}

/// A token that a request may use, and the key that it proved where the token is bound to one.
pub(super) struct Recognised {
    pub(super) token: Arc<Authenticated>,
    proven: Option<ProvenKey>,
}

/// Whether a token that an answer was made for is still believed while it goes out.
#[derive(Clone)]
pub(super) struct Guard {
    cut_offs: Arc<LiveCutOffs>,
    token: Arc<Authenticated>,
}

impl Guard {
    /// # Errors
    /// [`Revoked`].
    pub(super) fn check(&self) -> Result<(), Revoked> {
        self.cut_offs.check(&self.token.traits)
    }
}

impl Recognised {
    /// By which scheme the token came.
    pub(super) fn scheme(&self) -> Scheme {
        if self.proven.is_some() { Scheme::Dpop } else { Scheme::Bearer }
    }
}

impl Authenticator {
    pub(super) fn new(
        issuer: &str,
        routes: &[Route],
        Issuers { ours: keys, trusted: issuers, purposes }: Issuers,
        live: Live,
    ) -> Self {
        let verifier = |route: &Route| ProtectedTokenVerifier {
            verifier: AccessTokenVerifier::new(issuer, ExpectedAudience::OneOf(vec![route.audience.clone()])),
            protection: match route.tokens {
                TokenForm::Signed => Protection::Signed,
                TokenForm::Encrypted => Protection::SignedAndEncrypted(vec![OWN_CONTENT]),
            },
        };
        Self {
            verifiers: routes.iter().map(verifier).collect(),
            keys,
            issuers,
            purposes,
            demands: routes.iter().map(|route| route.sign_in.clone()).collect(),
            bases: routes.iter().map(|route| format!("{}/", route.audience)).collect(),
            live,
            proven: Proven::new(REMEMBERED),
        }
    }

    /// Watches over a token.
    pub(super) fn guard(&self, token: Arc<Authenticated>) -> Guard {
        Guard { cut_offs: Arc::clone(&self.live.cut_offs), token }
    }

    /// Finds out who calls a route. A proof that comes with it is used up.
    ///
    /// # Errors
    /// [`NotAuthenticated`], by the first cause.
    pub(super) fn authenticate(
        &self,
        request: Showing<'_>,
        route: usize,
    ) -> Result<Recognised, NotAuthenticated> {
        let recognised = self.recognise(request, route)?;
        if let Some(key) = &recognised.proven {
            self.live.proofs.use_up(key, holder_of(key), self.live.clock.now())?;
        }
        Ok(recognised)
    }

    /// The nonce that has to be given beside the answer, if any.
    pub(super) fn next_nonce(&self, outcome: &Result<Recognised, NotAuthenticated>) -> Option<HeaderValue> {
        let outcome = match outcome {
            Ok(Recognised { proven: Some(key), .. }) => Ok(Some(key)),
            Err(NotAuthenticated::Proof(cause)) => Err(*cause),
            Ok(Recognised { proven: None, .. }) | Err(_) => return None,
        };
        self.live.proofs.next_nonce(outcome, self.live.clock.now())
    }

    /// The same, without using anything up.
    ///
    /// # Errors
    /// [`NotAuthenticated`], by the first cause.
    pub(super) fn recognise(
        &self,
        request: Showing<'_>,
        route: usize,
    ) -> Result<Recognised, NotAuthenticated> {
        let credentials = read(request.headers)?;
        let token = credentials.token();
        let now = self.live.clock.now();
        let ring = self.keys.current();
        let key = key_of(token, route);
        let known = self.proven.get(&key);
        let authenticated = match known {
            Some(known) if known.expires.is_after(now) && known.keys_are_held(&ring) => known,
            Some(_) | None => {
                let proof = Arc::new(self.prove(token, route, &ring, now)?);
                self.proven.insert(key, &proof);
                proof
            }
        };
        let proven = self.live.proofs.check(&credentials, request.place, authenticated.cnf.as_ref(), now)?;
        self.live.cut_offs.check(&authenticated.traits)?;
        if let Some(session) = &authenticated.traits.session {
            self.live.sessions.used(session).map_err(|_| NotAuthenticated::SessionOver)?;
        }
        self.demands.get(route).map_or(Ok(()), |demand| authenticated.meets(demand, now))?;
        Ok(Recognised { token: authenticated, proven })
    }

    /// Verifies a token that nothing is known of.
    fn prove(
        &self,
        token: &str,
        route: usize,
        ours: &Ring,
        now: Timestamp,
    ) -> Result<Authenticated, NotAuthenticated> {
        let verifier = self.verifiers.get(route).ok_or(NotAuthenticated::ForeignClaims)?;
        // What others issue is signed alone, so that it opens nothing that wants encryption.
        if verifier.protection == Protection::Signed
            && let Some(issuer) = self.trusted_issuer_of(token)?
        {
            let (claims, kid) = issuer.verify(token, Presentation::ASKED_ABOUT, now)?;
            let read = Authenticated::read_foreign(&claims, issuer, kid, &self.bases);
            return read.ok_or(NotAuthenticated::ForeignClaims)?.with_purpose_by(&self.purposes);
        }
        let keys = ReaderKeys { verifying: &ours.verifying, decrypting: &ours.decrypting };
        let (claims, kid) = verifier.verify_signed(token, keys, Presentation::ASKED_ABOUT, now)?;
        let encrypted_to = verifier.protection.reader_of(token);
        Authenticated::read(&claims, kid, encrypted_to).ok_or(NotAuthenticated::ForeignClaims)
    }

    fn trusted_issuer_of(&self, token: &str) -> Result<Option<&Arc<TrustedIssuer>>, Rejection> {
        if self.issuers.is_empty() {
            return Ok(None);
        }
        Ok(self.issuers.of(&Claimed::read(token)?))
    }

    /// Asks a trusted issuer for its keys, if a request shows a token for which those that are held do not suffice.
    pub(super) async fn fetch_keys_for(&self, headers: &HeaderMap) {
        if self.issuers.is_empty() {
            return;
        }
        let said = read(headers).ok().and_then(|credentials| Claimed::read(credentials.token()).ok());
        if let Some(said) = said
            && let Some(issuer) = self.issuers.of(&said)
            && let Some(kid) = &said.kid
        {
            issuer.keys.for_kid(kid).await;
        }
    }
}
