//! What a service says of itself.

use std::path::PathBuf;
use std::time::Duration;

use chartgate_values::Secret;

/// What a service says of itself: who issues its tokens, what their audience is, and as which client it follows the feed.
#[derive(Debug)]
pub struct Settings {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) feed_limit: Duration,
    pub(crate) proofs_for: Option<String>,
}

impl Settings {
    /// The client is registered with `chartgate client add ID --kind backend --scope revocations:read`.
    #[must_use]
    pub fn new(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            client_id: client_id.into(),
            client_secret: Secret::new(client_secret.into()),
            ca_file: None,
            feed_limit: Duration::from_secs(30),
            proofs_for: None,
        }
    }

    /// The CA of the issuer's certificate, in PEM, in place of the system's.
    #[must_use]
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self { ca_file: Some(path.into()), ..self }
    }

    /// How old what is known of cut-offs may be (30 s; 4 s to an hour): beyond that everything is denied.
    #[must_use]
    pub fn feed_limit(self, limit: Duration) -> Self {
        Self { feed_limit: limit.clamp(Duration::from_secs(4), Duration::from_hours(1)), ..self }
    }

    /// Takes tokens that are bound to a key (DPoP, RFC 9449), with a proof for the request at this base URL, such as
    /// `https://lab.example.org`: the one by which callers know this service. A proof is for this URL with the path that the
    /// layer sees, so where a router takes a part of the path away before (axum's `nest`), that part belongs to it.
    ///
    /// A proof is good once in this process, for a minute. Another replica of the service, or this one after a restart, does
    /// not know which were used.
    #[must_use]
    pub fn proofs_for(self, base_url: impl Into<String>) -> Self {
        Self { proofs_for: Some(base_url.into()), ..self }
    }

    /// How long a question may wait at the issuer: so short that the next answer comes in time.
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs((self.feed_limit.as_secs() / 4).clamp(1, 15))
    }
}
