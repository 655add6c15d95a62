//! `chartgate client add` and `client change`: from words to a registration. RFC 7591 section 2 for what the words mean.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chartgate_access::client::{
    AuthMethod, BoundTokens, ClientKind, ClientOptions, GrantType, Permission, PushedRequests, Registrar,
    SignedRequests, TokenStatus,
};
use chartgate_access::ids::{ClientId, Role};
use chartgate_access::profile::Profile;
use chartgate_protocol::jose::Algorithm;
use chartgate_protocol::oauth::authorization_details::DetailType;
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_protocol::oauth::mtls::{RegisteredSubject, SUBJECT_MEMBERS};
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_protocol::oauth::scope::ScopeSet;
use clap::ValueEnum as _;

mod responses;

use super::WrongUsage;
use super::operate::read;
use crate::admin::Command;
use crate::registration::NewClient;
use crate::registration::settings::{ClientChange, Setting};
use responses::{RequestObjects, Responses};

#[derive(Debug, clap::Args)]
pub(super) struct Registration {
    /// Its name (`client_id`), for ever: no name is given twice, also not after `client remove`.
    id: ClientId,
    /// public: keeps no secret (an app in a browser or on a phone); confidential: a server that keeps one, and acts for
    /// people; backend: a program that acts for itself alone, with the grant client_credentials.
    #[arg(long)]
    kind: ClientKind,
    #[command(flatten)]
    settings: Settings,
}

/// A change of a registered client.
#[derive(Debug, clap::Args)]
pub(super) struct Change {
    /// Which client.
    id: ClientId,
    #[command(flatten)]
    settings: Settings,
    /// Something that is to be as if it had never been said; may be given several times.
    #[arg(long, value_enum, value_name = "SETTING")]
    unset: Vec<Setting>,
}

/// What is said of a client.
#[derive(Debug, clap::Args)]
struct Settings {
    /// By whose rules it was written: smart (without it), fapi2, mcp or plain.
    #[arg(long)]
    profile: Option<Profile>,
    /// Where browsers may be sent, to the letter: https, a scheme of the application's own, or http to the person's machine
    /// (`127.0.0.1` and `[::1]` without a port mean any; `localhost`, for public clients alone, means the port it has); may
    /// be given several times.
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<RedirectUri>,
    /// A grant by its registered name; may be given several times. Without one, authorization_code and refresh_token, or
    /// for a backend client_credentials.
    #[arg(long = "grant")]
    grants: Vec<GrantType>,
    /// All that it may ask for, with spaces between: FHIR scopes (`user/*.rs`, `system/Patient.rs`), `openid` and its like,
    /// scopes that rules of `http` routes name.
    #[arg(long)]
    scope: Option<ScopeSet>,
    /// What its tokens are for where it names no `resource`: a route's audience or address (docs/clients.md, "Which route a
    /// token is for").
    #[arg(long)]
    audience: Option<String>,
    /// How it shows who it is: none (public), client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth or
    /// self_signed_tls_client_auth. Without it, none for a public one; private_key_jwt for a backend with keys, and where
    /// the profile wants keys; else client_secret_basic.
    #[arg(long)]
    auth_method: Option<AuthMethod>,
    /// A file with the client's public keys as a JWK Set.
    #[arg(long)]
    jwks_file: Option<PathBuf>,
    /// Where the client publishes its keys; asked for when they are needed.
    #[arg(long, conflicts_with = "jwks_file")]
    jwks_uri: Option<HttpsUri>,
    /// Where the client is told that a person has answered (CIBA, ping).
    #[arg(long)]
    backchannel_client_notification_endpoint: Option<HttpsUri>,
    /// A role that it has where it acts for itself, such as service: for people it acts with theirs; may be given several
    /// times.
    #[arg(long = "role")]
    roles: Vec<Role>,
    /// Something that clients may not do otherwise: introspect:any, launch:create; may be given several times.
    #[arg(long = "permission")]
    permissions: Vec<Permission>,
    /// Where a browser may go once its person is signed out; may be given several times.
    #[arg(long = "post-logout-redirect-uri")]
    post_logout_redirect_uris: Vec<RedirectUri>,
    /// A client that may exchange this one's tokens, to act for its people; may be given several times.
    #[arg(long = "may-act")]
    may_act: Vec<ClientId>,
    /// Refuse authorization requests that it did not push first (RFC 9126).
    #[arg(long)]
    require_pushed_authorization_requests: bool,
    /// Where it is told that a session ended, by whatever (OpenID Connect Back-Channel Logout).
    #[arg(long)]
    backchannel_logout_uri: Option<HttpsUri>,
    /// What a browser shows in a frame once its person is signed out in it (OpenID Connect Front-Channel Logout).
    #[arg(long)]
    frontchannel_logout_uri: Option<HttpsUri>,
    /// Give its access tokens a `status` claim: a place in a list that anybody may fetch (Token Status List).
    #[arg(long)]
    token_status_list: bool,
    /// Details that it may ask for beside scopes (RFC 9396): fhir_records; may be given several times.
    #[arg(long = "authorization-details-type")]
    authorization_details_types: Vec<DetailType>,
    /// Refuse authorization requests that it did not sign (RFC 9101).
    #[arg(long)]
    require_signed_request_object: bool,
    /// What its questions to people elsewhere (CIBA) are signed with: then none is taken that is not.
    #[arg(long)]
    backchannel_authentication_request_signing_alg: Option<Algorithm>,
    /// What its ID tokens are signed with: RS256, PS256, ES256, ES384 or EdDSA.
    #[arg(long)]
    id_token_signed_response_alg: Option<Algorithm>,
    /// Refuse token requests that prove no key, so that all its tokens are bound to one (RFC 9449).
    #[arg(long)]
    dpop_bound_access_tokens: bool,
    /// Bind its tokens to the certificate of the connection (RFC 8705), and refuse requests that show none.
    #[arg(long)]
    tls_client_certificate_bound_access_tokens: bool,
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    responses: Responses,
    #[command(flatten)]
    request_objects: RequestObjects,
}

/// The one name that the certificate of a client of `tls_client_auth` has to have. RFC 8705 section 2.1.2.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Subject {
    /// For `tls_client_auth`: the subject of its certificate, such as "CN=app,O=Clinic,C=US" (RFC 4514).
    #[arg(long)]
    tls_client_auth_subject_dn: Option<String>,
    /// Or a DNS name of its certificate.
    #[arg(long)]
    tls_client_auth_san_dns: Option<String>,
    /// Or a URI.
    #[arg(long)]
    tls_client_auth_san_uri: Option<String>,
    /// Or an IP address.
    #[arg(long)]
    tls_client_auth_san_ip: Option<String>,
    /// Or an e-mail address.
    #[arg(long)]
    tls_client_auth_san_email: Option<String>,
}

impl Subject {
    fn registered(self) -> anyhow::Result<Option<RegisteredSubject>> {
        let names = [
            self.tls_client_auth_subject_dn,
            self.tls_client_auth_san_dns,
            self.tls_client_auth_san_uri,
            self.tls_client_auth_san_ip,
            self.tls_client_auth_san_email,
        ];
        let given = SUBJECT_MEMBERS.into_iter().zip(names).find_map(|(member, name)| Some((member, name?)));
        let Some((member, name)) = given else { return Ok(None) };
        RegisteredSubject::new(member, &name)
            .map(Some)
            .with_context(|| format!("--{}", member.replace('_', "-")))
    }
}

fn bound(wanted: bool) -> BoundTokens {
    if wanted { BoundTokens::Required } else { BoundTokens::Optional }
}

impl Registration {
    pub(super) fn command(self) -> anyhow::Result<Command> {
        Ok(Command::ClientAdd(Box::new(self.settings.said(self.id, self.kind)?)))
    }
}

impl Change {
    pub(super) fn command(self) -> anyhow::Result<Command> {
        // What equals what is said where nothing is.
        let also = [
            self.settings.profile.map(|_| Setting::Profile),
            self.settings.scope.as_ref().map(|_| Setting::Scope),
        ];
        // Its kind is no setting: what is written here changes none.
        let said = self.settings.said(self.id, ClientKind::Confidential)?;
        let given = Setting::value_variants().iter().copied().filter(|setting| setting.is_said(&said));
        let mut settings: BTreeSet<Setting> = given.chain(also.into_iter().flatten()).collect();
        for unset in self.unset {
            if !settings.insert(unset) {
                bail!(WrongUsage(format!("--unset {}: it is given as well, or twice", name(unset))));
            }
        }
        if settings.is_empty() {
            bail!(WrongUsage(
                "nothing is said that is to change: see `chartgate client change --help`".to_owned()
            ));
        }
        Ok(Command::ClientChange(Box::new(ClientChange { said, settings })))
    }
}

fn name(setting: Setting) -> String {
    setting.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Settings {
    fn said(self, client_id: ClientId, kind: ClientKind) -> anyhow::Result<NewClient> {
        Ok(NewClient {
            client_id,
            kind,
            redirect_uris: self.redirect_uris,
            grant_types: self.grants.into_iter().collect(),
            scope: self.scope.unwrap_or_default(),
            audience: self.audience,
            auth_method: self.auth_method,
            jwks: self.jwks_file.as_deref().map(json).transpose()?,
            roles: self.roles.into_iter().collect(),
            consent: None,
            options: ClientOptions {
                profile: self.profile.unwrap_or_default(),
                registrar: Registrar::Operator,
                permissions: self.permissions.into_iter().collect(),
                post_logout_redirect_uris: self.post_logout_redirect_uris,
                may_act: self.may_act.into_iter().collect(),
                pushed_requests: if self.require_pushed_authorization_requests {
                    PushedRequests::Required
                } else {
                    PushedRequests::Optional
                },
                authorization_details_types: self.authorization_details_types.into_iter().collect(),
                require_signed_request_object: if self.require_signed_request_object {
                    SignedRequests::Required
                } else {
                    SignedRequests::Optional
                },
                backchannel_authentication_request_signing_alg: self
                    .backchannel_authentication_request_signing_alg,
                jwks_uri: self.jwks_uri,
                backchannel_logout_uri: self.backchannel_logout_uri,
                frontchannel_logout_uri: self.frontchannel_logout_uri,
                token_status: if self.token_status_list {
                    TokenStatus::Listed
                } else {
                    TokenStatus::Unlisted
                },
                backchannel_client_notification_endpoint: self.backchannel_client_notification_endpoint,
                request_object_encryption: self.request_objects.encryption()?,
                responses: self.responses.options()?,
                id_token_signed_response_alg: self.id_token_signed_response_alg,
                dpop_bound_access_tokens: bound(self.dpop_bound_access_tokens),
                tls_client_certificate_bound_access_tokens: bound(
                    self.tls_client_certificate_bound_access_tokens,
                ),
                tls_client_auth: self.subject.registered()?,
            },
        })
    }
}

fn json(path: &Path) -> anyhow::Result<serde_json::Value> {
    serde_json::from_str(&read(path)?).with_context(|| format!("{}", path.display()))
}
