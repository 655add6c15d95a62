//! JWTs for a client: signed as it asks, and encrypted to its key where it asks for that. OpenID Connect Core
//! section 16.14, RFC 9701 section 5.

use chartgate_access::client::Client;
use chartgate_access::client::responses::Encryption;
use chartgate_protocol::jose::jwe::{self, Recipient};
use chartgate_protocol::jose::{Algorithm, jws};
use serde::Serialize;

use super::AuthorizationServer;
use crate::entropy::SystemEntropy;
use crate::live::client_keys::NoKeys;

/// How a client wants something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// `None`: as we sign everything that its profile lets us.
    pub(super) signed: Option<Algorithm>,
    /// `None`: not at all.
    pub(super) encrypted: Option<Encryption>,
}

/// It cannot be had so; never is anything given out less protected than was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMade {
    /// No key of ours for the algorithm.
    #[error("there is no key to sign with")]
    NoSigningKey,
    /// The client has no key for the encryption.
    #[error("the client has no key to encrypt to")]
    NoKey,
    /// The library, or a token that is too long.
    #[error("{0}")]
    Failed(String),
}

/// A JWT of this `typ` for a client.
///
/// # Errors
/// [`NotMade`].
pub(super) async fn jwt_for(
    server: &AuthorizationServer,
    client: &Client,
    typ: &str,
    claims: &(impl Serialize + Sync),
    wanted: Wanted,
) -> Result<String, NotMade> {
    let ring = server.keys.current();
    let key = ring.for_client(client, wanted.signed).ok_or(NotMade::NoSigningKey)?;
    let Some(Encryption { management, content }) = wanted.encrypted else {
        return jws::sign(key, typ, claims).map_err(|error| NotMade::Failed(error.to_string()));
    };
    let to = server.client_keys.to_encrypt(client, management).await.map_err(|NoKeys| NotMade::NoKey)?;
    let recipient = Recipient { key: &to, content };
    jwe::sign_and_encrypt(key, typ, claims, recipient, &mut SystemEntropy)
        .map_err(|error| NotMade::Failed(error.to_string()))
}
