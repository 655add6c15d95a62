//! The most that a client may be that registers itself, and the one way from what it says to what it is. RFC 7591 section 5,
//! ATTACKS O25.
//!
//! Documents, registrations and changes of registrations all come here: what they ask for becomes a registration within the
//! policy, [`settle`] judges it as it judges everybody's, and the outcome, not the request, is held against the policy.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chartgate_access::client::responses::ResponseOptions;
use chartgate_access::client::{
    AuthMethod, BoundTokens, Client, ClientKind, ClientOptions, Consent, GrantType, PushedRequests,
    Registrar, SignedRequests, covered,
};
use chartgate_access::ids::ClientId;
use chartgate_access::profile::Profile;
use chartgate_protocol::oauth::client_metadata::{ClientMetadata, Demand, PublishedKeys};
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_protocol::oauth::scope::ScopeSet;
use serde::{Deserialize, Serialize};

use super::{NewClient, Unregistrable, settle};

/// The most that such a client may be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) scope: ScopeSet,
    /// Where browsers may be sent for it.
    pub(crate) redirect_hosts: BTreeSet<RedirectHost>,
    pub(crate) grant_types: BTreeSet<GrantType>,
    pub(crate) auth_methods: BTreeSet<AuthMethod>,
    /// Where its tokens are good if a request does not say.
    pub(crate) audience: Option<String>,
    /// By whose rules it has to go.
    pub(crate) profile: Profile,
}

/// Where browsers may be sent for such a client.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum RedirectHost {
    /// `*`: wherever a redirect URI may lead.
    Any,
    /// `loopback`: to a program on the person's own machine, by an address of it or by the name `localhost`.
    Loopback,
    /// A host, with its port if it is not 443, by https.
    Host(String),
    /// An application's own scheme, as `org.example.app:`. RFC 8252 section 7.1.
    Scheme(String),
}

/// The text names no such place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no host such as \"app.example.org\", no scheme such as \"org.example.app:\", not \"loopback\" and not \"*\""
)]
pub(crate) struct NoRedirectHost(String);

impl FromStr for RedirectHost {
    type Err = NoRedirectHost;

    fn from_str(text: &str) -> Result<Self, NoRedirectHost> {
        let wrong = || NoRedirectHost(text.to_owned());
        match (text, text.strip_suffix(':')) {
            ("*", _) => Ok(Self::Any),
            ("loopback", _) => Ok(Self::Loopback),
            (_, Some(scheme)) => {
                let leads =
                    format!("{scheme}:/").parse::<RedirectUri>().is_ok_and(|uri| uri.origin().is_none());
                leads.then(|| Self::Scheme(scheme.to_owned())).ok_or_else(wrong)
            }
            (host, None) => {
                let address = format!("https://{host}/").parse::<ClientId>();
                let is_host = address.is_ok_and(|id| id.document_host() == Some(host));
                is_host.then(|| Self::Host(host.to_owned())).ok_or_else(wrong)
            }
        }
    }
}

impl RedirectHost {
    /// Whether a URI leads there.
    pub(crate) fn admits(&self, uri: &RedirectUri) -> bool {
        let origin = uri.origin();
        match self {
            Self::Any => true,
            Self::Loopback => origin.is_some_and(|origin| origin.starts_with("http://")),
            Self::Host(host) => origin.is_some_and(|origin| origin.strip_prefix("https://") == Some(host)),
            Self::Scheme(scheme) => uri.as_str().split_once(':').is_some_and(|(own, _)| own == scheme),
        }
    }
}

impl fmt::Display for RedirectHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Loopback => f.write_str("loopback"),
            Self::Host(host) => f.write_str(host),
            Self::Scheme(scheme) => write!(f, "{scheme}:"),
        }
    }
}

impl TryFrom<String> for RedirectHost {
    type Error = NoRedirectHost;

    fn try_from(text: String) -> Result<Self, NoRedirectHost> {
        text.parse()
    }
}

impl From<RedirectHost> for String {
    fn from(host: RedirectHost) -> Self {
        host.to_string()
    }
}

impl Policy {
    /// What a client is by what it says, for the first time or anew.
    ///
    /// # Errors
    /// [`Unregistrable`], by the first cause.
    pub(crate) fn judge(
        &self,
        id: ClientId,
        registrar: Registrar,
        said: ClientMetadata,
    ) -> Result<Client, Unregistrable> {
        let client = settle(self.asked_for(id, registrar, said)?)?;
        self.check(&client)?;
        Ok(client)
    }

    /// What is left of a client that this policy admitted in another state, if it still admits it at all.
    pub(crate) fn still(&self, mut client: Client) -> Option<Client> {
        client.scope = covered(&self.scope, &client.scope);
        client.redirect_uris.retain(|uri| self.admits(uri));
        client.options.post_logout_redirect_uris.retain(|uri| self.admits(uri));
        client.grant_types.retain(|grant| self.grant_types.contains(grant));
        client.options.profile = self.profile;
        (self.check(&client).is_ok() && client.check_profile().is_ok()).then_some(client)
    }

    fn admits(&self, uri: &RedirectUri) -> bool {
        self.redirect_hosts.iter().any(|host| host.admits(uri))
    }

    /// Whether the policy allows what came out.
    fn check(&self, client: &Client) -> Result<(), Unregistrable> {
        let invalid = |text: String| Err(Unregistrable::Metadata(text));
        let (method, options) = (client.token_endpoint_auth_method, &client.options);
        if !self.auth_methods.contains(&method) {
            return invalid(format!("the method {method} is not offered to clients that register so"));
        }
        if let Some(grant) = client.grant_types.iter().find(|grant| !self.grant_types.contains(grant)) {
            return invalid(format!("the grant {grant} is not offered to clients that register so"));
        }
        if let Some(uri) = client.redirect_uris.iter().find(|uri| !self.admits(uri)) {
            let text = format!("`{uri}` does not lead where clients that register so may send browsers");
            return Err(Unregistrable::RedirectUri(text));
        }
        if !options.post_logout_redirect_uris.iter().all(|uri| self.admits(uri)) {
            return invalid("post_logout_redirect_uris lead where browsers may not be sent".to_owned());
        }
        if covered(&self.scope, &client.scope) != client.scope {
            return invalid("the scope is wider than clients that register so may have".to_owned());
        }
        // None of this can be said from outside; if it ever could, it would end here.
        let is_plain = client.roles.is_empty()
            && options.permissions.is_empty()
            && options.may_act.is_empty()
            && options.authorization_details_types.is_empty()
            && client.consent == Consent::Ask
            && options.profile == self.profile;
        if is_plain { Ok(()) } else { invalid("a client is not given this by itself".to_owned()) }
    }

    /// The registration that it asks for, without what nobody can ask for: roles, permissions, silence in consent.
    fn asked_for(
        &self,
        id: ClientId,
        registrar: Registrar,
        said: ClientMetadata,
    ) -> Result<NewClient, Unregistrable> {
        // RFC 7591 section 2: the code, where no grant is named.
        let grant_types = said.grant_types.unwrap_or_else(|| BTreeSet::from([GrantType::AuthorizationCode]));
        let method = said.token_endpoint_auth_method.unwrap_or_else(|| self.method_for(said.keys.as_ref()));
        let scope = match &said.scope {
            None => self.scope.clone(),
            Some(asked) => {
                let scope = covered(&self.scope, asked);
                if scope.is_empty() {
                    let text = "no scope of these is given to clients that register so".to_owned();
                    return Err(Unregistrable::Metadata(text));
                }
                scope
            }
        };
        let (jwks, jwks_uri) = match said.keys {
            Some(PublishedKeys::These(keys)) => (Some(keys), None),
            Some(PublishedKeys::At(uri)) => (None, Some(uri)),
            None => (None, None),
        };
        let more = said.particulars;
        let mut options = ClientOptions {
            registrar,
            profile: self.profile,
            jwks_uri,
            post_logout_redirect_uris: said.post_logout_redirect_uris,
            backchannel_logout_uri: more.backchannel_logout_uri,
            frontchannel_logout_uri: more.frontchannel_logout_uri,
            backchannel_client_notification_endpoint: more.backchannel_client_notification_endpoint,
            backchannel_authentication_request_signing_alg: more
                .backchannel_authentication_request_signing_alg,
            tls_client_auth: more.tls_client_auth,
            id_token_signed_response_alg: more.id_token_signed_response_alg,
            request_object_encryption: more.request_object_encryption,
            responses: ResponseOptions {
                id_token_encrypted_response: more.id_token_encrypted_response,
                userinfo_signed_response_alg: more.userinfo_signed_response_alg,
                userinfo_encrypted_response: more.userinfo_encrypted_response,
                introspection_signed_response_alg: more.introspection_signed_response_alg,
                introspection_encrypted_response: more.introspection_encrypted_response,
            },
            ..ClientOptions::default()
        };
        for demand in said.demands {
            match demand {
                Demand::DpopBoundTokens => options.dpop_bound_access_tokens = BoundTokens::Required,
                Demand::PushedRequests => options.pushed_requests = PushedRequests::Required,
                Demand::SignedRequests => options.require_signed_request_object = SignedRequests::Required,
                Demand::CertificateBoundTokens => {
                    options.tls_client_certificate_bound_access_tokens = BoundTokens::Required;
                }
            }
        }
        Ok(NewClient {
            client_id: id,
            kind: kind_of(method, &grant_types),
            redirect_uris: said.redirect_uris,
            grant_types,
            scope,
            audience: self.audience.clone(),
            auth_method: Some(method),
            jwks,
            roles: BTreeSet::new(),
            consent: Some(Consent::Ask),
            options,
        })
    }

    /// RFC 7591 section 2: a secret in the header, where no method is named and one may have it; else what is nearest.
    fn method_for(&self, keys: Option<&PublishedKeys>) -> AuthMethod {
        let basic = AuthMethod::ClientSecretBasic;
        match keys {
            _ if self.auth_methods.contains(&basic) => basic,
            Some(_) => AuthMethod::PrivateKeyJwt,
            None => AuthMethod::None,
        }
    }
}

fn kind_of(method: AuthMethod, grants: &BTreeSet<GrantType>) -> ClientKind {
    let for_itself = |grant: &GrantType| match grant {
        GrantType::ClientCredentials | GrantType::TokenExchange | GrantType::JwtBearer => true,
        GrantType::AuthorizationCode | GrantType::RefreshToken | GrantType::DeviceCode | GrantType::Ciba => {
            false
        }
    };
    match method {
        AuthMethod::None => ClientKind::Public,
        _ if grants.iter().all(for_itself) => ClientKind::Backend,
        _ => ClientKind::Confidential,
    }
}

#[cfg(test)]
mod tests;
