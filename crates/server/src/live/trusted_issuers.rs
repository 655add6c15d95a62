//! Identity providers whose access tokens are believed at routes: which, by which keys, and what their tokens say here.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use chartgate_access::ids::{ClientId, Jti, SessionId, Subject};
use chartgate_access::login::assurance::Assurance;
use chartgate_access::token::revocation::Traits;
use chartgate_protocol::jose::claims::{AccessTokenClaims, Identifier};
use chartgate_protocol::jose::foreign_token::{ClaimPath, ForeignTokenVerifier, Names};
use chartgate_protocol::jose::{
    AccessTokenVerifier, Claimed, ExpectedAudience, KeySet, Presentation, Rejection,
};
use chartgate_values::Timestamp;
use http::Uri;

use super::remote_keys::RemoteKeys;
use crate::config::{self, IssuerKeys};
use crate::net::client::HttpClient;

/// How far the clocks of others may be ahead.
pub(crate) const SKEW: Duration = Duration::from_secs(30);

/// All of them, as the configuration in force names them.
#[derive(Default)]
pub(crate) struct LiveIssuers(RwLock<Arc<TrustedIssuers>>);

/// All of them, as one configuration names them.
#[derive(Default)]
pub(crate) struct TrustedIssuers(Vec<Arc<TrustedIssuer>>);

/// One of them.
pub(crate) struct TrustedIssuer {
    pub(crate) keys: Arc<RemoteKeys>,
    /// Where they are published, if they are.
    published: Option<Published>,
    verifier: ForeignTokenVerifier,
    methods: Names,
    strengths: Names,
    names_people_by: Option<ClaimPath>,
}

/// An address of keys, and the CA that vouches for its server.
#[derive(Eq, PartialEq)]
struct Published {
    url: Uri,
    ca: Option<Vec<u8>>,
}

impl LiveIssuers {
    /// Those in force now.
    pub(crate) fn current(&self) -> Arc<TrustedIssuers> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in force.
    pub(crate) fn replace(&self, issuers: Arc<TrustedIssuers>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = issuers;
    }
}

impl TrustedIssuers {
    /// Prepares all that a configuration names.
    ///
    /// # Errors
    /// If keys in a file or a CA cannot be read.
    pub(crate) fn new(configured: &[config::TrustedIssuer]) -> anyhow::Result<Self> {
        configured.iter().map(|one| TrustedIssuer::new(one).map(Arc::new)).collect::<Result<_, _>>().map(Self)
    }

    /// Learns the keys that those before them had from the same places: a new configuration makes nobody's server answer, and a
    /// pause of it is none of all who signed in there.
    pub(crate) fn follow(&self, old: &Self) {
        for issuer in &self.0 {
            let same = |known: &&Arc<TrustedIssuer>| known.published == issuer.published;
            if issuer.published.is_some()
                && let Some(known) = old.0.iter().find(same)
            {
                issuer.keys.follow(&known.keys);
            }
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|issuer| issuer.name())
    }

    /// The one that a token claims to come from.
    pub(crate) fn of(&self, said: &Claimed) -> Option<&Arc<TrustedIssuer>> {
        self.named(said.iss.as_ref()?.as_str())
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<TrustedIssuer>> {
        self.0.iter().find(|issuer| issuer.name() == name)
    }
}

impl TrustedIssuer {
    fn new(configured: &config::TrustedIssuer) -> anyhow::Result<Self> {
        let read = |file: &Path| std::fs::read(file).with_context(|| format!("{}", file.display()));
        let (keys, published) = match &configured.keys {
            IssuerKeys::At { url, ca } => {
                let keys = RemoteKeys::of_operators(HttpClient::new(url, ca.as_deref())?, url.clone());
                (keys, Some(Published { url: url.clone(), ca: ca.as_deref().map(read).transpose()? }))
            }
            IssuerKeys::In(file) => {
                let set = KeySet::parse(&read(file)?).with_context(|| format!("{}", file.display()))?;
                (RemoteKeys::fixed(set), None)
            }
        };
        let audience = ExpectedAudience::OneOf(configured.audiences.clone());
        let verifier = ForeignTokenVerifier {
            verifier: AccessTokenVerifier {
                token_type: configured.token_type,
                skew: SKEW,
                ..AccessTokenVerifier::new(configured.issuer.clone(), audience)
            },
            claims: configured.claims.clone(),
            roles: configured.roles.clone(),
            scopes: configured.scopes.clone(),
        };
        Ok(Self {
            keys: Arc::new(keys),
            published,
            verifier,
            methods: configured.methods.clone(),
            strengths: configured.strengths.clone(),
            names_people_by: configured.jwt_bearer.clone(),
        })
    }

    /// Its `iss`.
    pub(crate) fn name(&self) -> &str {
        &self.verifier.verifier.issuer
    }

    /// Where it names people of ours, if it may speak for them.
    pub(crate) fn names_people_by(&self) -> Option<&ClaimPath> {
        self.names_people_by.as_ref()
    }

    /// How it says that somebody signed in, as far as the configuration says what that means here: what policies read as a
    /// key of ours or as two factors is not its to say by itself.
    pub(crate) fn methods(&self, amr: &[Identifier]) -> Vec<String> {
        let said = amr.iter().map(Identifier::as_str).collect();
        self.methods.call(said).into_iter().map(str::to_owned).collect()
    }

    /// How strongly somebody signed in, by the word that it has here. A word of its own that the configuration does not name stays
    /// what it is there; one that is ours says nothing until the configuration says that it means the same.
    pub(crate) fn strength(&self, acr: &str) -> Option<String> {
        let named = self.strengths.call(vec![acr]).first().map(|ours| (*ours).to_owned());
        named.or_else(|| Assurance::named(acr).is_none().then(|| acr.to_owned()))
    }

    /// Verifies a token by the keys as they are held.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub(crate) fn verify(
        &self,
        token: &str,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<(AccessTokenClaims, String), Rejection> {
        self.verifier.verify_signed(token, &self.keys.held(), presentation, now)
    }

    /// What of a verified token bears on cut-offs; `None` if a name in it is none that we take.
    pub(crate) fn traits_of(&self, claims: &AccessTokenClaims, kid: &str) -> Option<Traits> {
        let issuer = self.name();
        Some(Traits {
            subject: Subject::foreign(issuer, claims.sub.as_str()).ok()?,
            session: claims
                .sid
                .as_ref()
                .map(|sid| SessionId::foreign(issuer, sid.as_str()))
                .transpose()
                .ok()?,
            client_id: ClientId::foreign(issuer, claims.client_id.as_str()).ok()?,
            grant: None,
            key: format!("{issuer}#{kid}"),
            jti: Jti::foreign(issuer, claims.jti.as_str()).ok()?,
            issued_at: claims.iat.timestamp(),
        })
    }
}
