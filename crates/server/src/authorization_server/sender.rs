//! What the sender of a client's request proves to have, beside who it is. RFC 9449 section 5, RFC 8705 section 3.

use chartgate_access::client::{AuthMethod, Client};
use chartgate_access::token::binding::Possession;
use chartgate_protocol::jose::Thumbprint;
use chartgate_protocol::oauth::dpop::{ProofError, ProvenKey, sole_proof};
use chartgate_values::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::AuthorizationServer;
use crate::live::proofs::{Place, Prover};
use crate::net::access_token::{DPOP_NONCE, proofs};
use crate::net::origin::Origin;

/// What was proved.
#[derive(Debug, Default)]
pub(super) struct Sender {
    key: Option<ProvenKey>,
    certificate: Option<Thumbprint>,
}

/// The nonce beside an answer, where the client's next proof needs another.
pub(super) type NextNonce = Option<[(HeaderName, HeaderValue); 1]>;

impl Sender {
    /// Judges the proof of a request that was posted to `path`, if it has one. It is not used up yet. A certificate was
    /// proved by its connection.
    ///
    /// # Errors
    /// [`ProofError`].
    pub(super) fn read(
        server: &AuthorizationServer,
        origin: &Origin,
        path: &str,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Self, ProofError> {
        let proof = sole_proof(proofs(headers))?;
        let place = Place { door: &origin.door, method: "POST", path };
        let key = proof.map(|proof| server.proofs.verify(proof, place, None, now)).transpose()?;
        let certificate = origin.door.certificate().map(|shown| shown.thumbprint().clone());
        Ok(Self { key, certificate })
    }

    /// The key that was proved.
    pub(super) fn key(&self) -> Option<&Thumbprint> {
        self.key.as_ref().map(|key| &key.thumbprint)
    }

    /// For whoever decides what tokens are bound to.
    pub(super) fn possession(&self) -> Possession<'_> {
        Possession {
            key: self.key(),
            algorithm: self.key.as_ref().map(|key| key.algorithm),
            certificate: self.certificate.as_ref(),
        }
    }

    /// Uses the proof up, for a client that has shown nothing but its name if it is a public one.
    ///
    /// # Errors
    /// [`ProofError`].
    pub(super) fn use_up_early(
        &self,
        server: &AuthorizationServer,
        client: &Client,
    ) -> Result<(), ProofError> {
        let id = client.client_id.clone();
        match client.token_endpoint_auth_method {
            AuthMethod::None => self.use_up_by(server, Prover::Unproven(id)),
            AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::PrivateKeyJwt
            | AuthMethod::TlsClientAuth
            | AuthMethod::SelfSignedTlsClientAuth => self.use_up_by(server, Prover::Client(id)),
        }
    }

    /// Uses the proof up, once what was granted to the client was shown: so that nobody else takes its room.
    ///
    /// # Errors
    /// [`ProofError`].
    pub(super) fn use_up(&self, server: &AuthorizationServer, client: &Client) -> Result<(), ProofError> {
        self.use_up_by(server, Prover::Client(client.client_id.clone()))
    }

    fn use_up_by(&self, server: &AuthorizationServer, by: Prover) -> Result<(), ProofError> {
        self.key.as_ref().map_or(Ok(()), |key| server.proofs.use_up(key, by, server.clock.now()))
    }

    /// The nonce to be given beside the answer.
    pub(super) fn next_nonce(&self, server: &AuthorizationServer) -> NextNonce {
        let nonce = server.proofs.next_nonce(Ok(self.key.as_ref()), server.clock.now());
        nonce.map(|nonce| [(DPOP_NONCE, nonce)])
    }
}
