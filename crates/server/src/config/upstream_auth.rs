//! The gateway's own credential towards an upstream.

use chartgate_values::Secret;
use http::{HeaderValue, Uri};

use super::Tls;
use super::route::upstream_url;
use super::section::{Reading, Section};

/// What an upstream gets in place of the caller's token.
#[derive(Debug)]
pub(crate) enum UpstreamAuth {
    /// None.
    None,
    /// RFC 6750.
    Bearer(Secret<String>),
    /// RFC 7617.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret<String>,
    },
    /// A token that we fetch.
    ClientCredentials(ClientCredentials),
    /// RFC 8446 section 4.4.2: certificate, chain and key, in PEM.
    ClientCertificate(Tls),
}

impl UpstreamAuth {
    /// What of it is not printed.
    pub(super) const fn secret(&self) -> Option<&Secret<String>> {
        match self {
            Self::Bearer(secret)
            | Self::Basic { password: secret, .. }
            | Self::ClientCredentials(ClientCredentials { client_secret: secret, .. }) => Some(secret),
            Self::None | Self::ClientCertificate(_) => None,
        }
    }
}

/// How a token is fetched. RFC 6749 section 4.4.
#[derive(Debug)]
pub(crate) struct ClientCredentials {
    pub(crate) token_url: Uri,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret<String>,
    pub(crate) scope: Option<String>,
}

impl UpstreamAuth {
    /// Reads `upstream_auth` of a route.
    pub(super) fn read(reading: &mut Reading<'_>, section: &mut Section) -> Self {
        let table = section.optional_table(reading, "upstream_auth");
        Self::of(reading, table)
    }

    /// Reads a table of this kind, if there is one.
    pub(super) fn of(reading: &mut Reading<'_>, table: Option<Section>) -> Self {
        let Some(mut auth) = table else { return Self::None };
        let name = auth.key("").trim_end_matches('.').to_owned();
        let line = auth.line();
        let mut found = Vec::new();
        found.extend(bearer(reading, &mut auth));
        let basic = auth.optional_table(reading, "basic").and_then(|table| basic(reading, table));
        found.extend(basic);
        let fetched = auth.optional_table(reading, "client_credentials");
        found.extend(fetched.and_then(|table| client_credentials(reading, table)));
        let certificate = auth.optional_table(reading, "client_certificate");
        found.extend(certificate.and_then(|table| Tls::read(reading, table)).map(Self::ClientCertificate));
        auth.finish(reading);
        let first = found.pop();
        if !found.is_empty() {
            reading.error(line, name, "has more than one kind of credential");
        }
        first.unwrap_or(Self::None)
    }
}

/// One that no header takes would be none at all, and we would call without saying who we are.
fn bearer(reading: &mut Reading<'_>, auth: &mut Section) -> Option<UpstreamAuth> {
    let line = auth.line_of("bearer");
    let token = auth.secret(reading, "bearer")?;
    if token.expose().trim().is_empty() || HeaderValue::from_str(token.expose()).is_err() {
        reading.error(line, auth.key("bearer"), "is empty, or has a character that cannot stand in a header");
        return None;
    }
    Some(UpstreamAuth::Bearer(token))
}

fn basic(reading: &mut Reading<'_>, mut basic: Section) -> Option<UpstreamAuth> {
    let username = basic.required_text(reading, "username");
    let password = required_secret(reading, "password", &mut basic);
    basic.finish(reading);
    Some(UpstreamAuth::Basic { username: username?, password: password? })
}

fn client_credentials(reading: &mut Reading<'_>, mut section: Section) -> Option<UpstreamAuth> {
    let token_url = upstream_url(reading, "token_url", &mut section);
    let client_id = section.required_text(reading, "client_id");
    let client_secret = required_secret(reading, "client_secret", &mut section);
    let scope = section.text(reading, "scope");
    section.finish(reading);
    Some(UpstreamAuth::ClientCredentials(ClientCredentials {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
    }))
}

fn required_secret(reading: &mut Reading<'_>, key: &str, section: &mut Section) -> Option<Secret<String>> {
    if !section.has(key) {
        reading.error(section.line(), section.key(key), "is missing");
    }
    section.secret(reading, key)
}
