//! How answers to a client are signed and encrypted.

use anyhow::Context as _;
use chartgate_access::client::responses::{Encryption, ResponseOptions};
use chartgate_protocol::jose::Algorithm;

#[derive(Debug, clap::Args)]
pub(super) struct Responses {
    /// How its ID tokens are encrypted to a key of --jwks-file or --jwks-uri: ECDH-ES, ECDH-ES+A256KW or RSA-OAEP-256.
    #[arg(long)]
    id_token_encrypted_response_alg: Option<String>,
    /// With A128CBC-HS256 (unless said otherwise), A256CBC-HS512, A128GCM or A256GCM.
    #[arg(long, requires = "id_token_encrypted_response_alg")]
    id_token_encrypted_response_enc: Option<String>,
    /// What answers of userinfo are signed with, as JWTs.
    #[arg(long)]
    userinfo_signed_response_alg: Option<Algorithm>,
    /// How they are encrypted.
    #[arg(long)]
    userinfo_encrypted_response_alg: Option<String>,
    /// With what.
    #[arg(long, requires = "userinfo_encrypted_response_alg")]
    userinfo_encrypted_response_enc: Option<String>,
    /// What answers of introspection are signed with, where it asks for JWTs (RFC 9701).
    #[arg(long)]
    introspection_signed_response_alg: Option<Algorithm>,
    /// How they are encrypted.
    #[arg(long)]
    introspection_encrypted_response_alg: Option<String>,
    /// With what.
    #[arg(long, requires = "introspection_encrypted_response_alg")]
    introspection_encrypted_response_enc: Option<String>,
}

/// How a client encrypts its request objects.
#[derive(Debug, clap::Args)]
pub(super) struct RequestObjects {
    /// How it encrypts its signed authorization requests to our key: then none is taken that is not encrypted.
    #[arg(long)]
    request_object_encryption_alg: Option<String>,
    /// With what.
    #[arg(long, requires = "request_object_encryption_alg")]
    request_object_encryption_enc: Option<String>,
}

impl RequestObjects {
    pub(super) fn encryption(&self) -> anyhow::Result<Option<Encryption>> {
        let (alg, enc) = (&self.request_object_encryption_alg, &self.request_object_encryption_enc);
        let named = |alg: &String| Encryption::named(alg, enc.as_deref());
        alg.as_ref().map(named).transpose().context("--request-object-encryption-alg")
    }
}

impl Responses {
    pub(super) fn options(&self) -> anyhow::Result<ResponseOptions> {
        Ok(ResponseOptions {
            id_token_encrypted_response: encryption(
                "id-token",
                self.id_token_encrypted_response_alg.as_deref(),
                self.id_token_encrypted_response_enc.as_deref(),
            )?,
            userinfo_signed_response_alg: self.userinfo_signed_response_alg,
            userinfo_encrypted_response: encryption(
                "userinfo",
                self.userinfo_encrypted_response_alg.as_deref(),
                self.userinfo_encrypted_response_enc.as_deref(),
            )?,
            introspection_signed_response_alg: self.introspection_signed_response_alg,
            introspection_encrypted_response: encryption(
                "introspection",
                self.introspection_encrypted_response_alg.as_deref(),
                self.introspection_encrypted_response_enc.as_deref(),
            )?,
        })
    }
}

fn encryption(of: &str, alg: Option<&str>, enc: Option<&str>) -> anyhow::Result<Option<Encryption>> {
    alg.map(|alg| Encryption::named(alg, enc))
        .transpose()
        .with_context(|| format!("--{of}-encrypted-response-alg"))
}
