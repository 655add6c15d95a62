//! What an operator may say of a client, one by one: for a change says some of it and leaves the rest as it is.

use std::collections::BTreeSet;

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use serde::{Deserialize, Serialize};

use super::NewClient;

/// One thing that can be said of a client, as the command line calls it. Its name and kind are none: they are what others know
/// it by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Setting {
    Profile,
    RedirectUri,
    Grant,
    Scope,
    Audience,
    AuthMethod,
    /// A key set, or the address of one: of the two a client has one.
    Keys,
    BackchannelClientNotificationEndpoint,
    Role,
    Permission,
    PostLogoutRedirectUri,
    MayAct,
    RequirePushedAuthorizationRequests,
    BackchannelLogoutUri,
    FrontchannelLogoutUri,
    TokenStatusList,
    AuthorizationDetailsType,
    RequireSignedRequestObject,
    BackchannelAuthenticationRequestSigningAlg,
    IdTokenSignedResponseAlg,
    DpopBoundAccessTokens,
    TlsClientCertificateBoundAccessTokens,
    TlsClientAuth,
    IdTokenEncryptedResponse,
    UserinfoSignedResponseAlg,
    UserinfoEncryptedResponse,
    IntrospectionSignedResponseAlg,
    IntrospectionEncryptedResponse,
    RequestObjectEncryption,
}

impl Setting {
    /// Takes it over from what is said, where it may not be said: then it is as if it never had been.
    fn take(self, from: &NewClient, to: &mut NewClient) {
        let (said, options) = (&from.options, &mut to.options);
        match self {
            Self::Profile => options.profile = said.profile,
            Self::RedirectUri => to.redirect_uris.clone_from(&from.redirect_uris),
            Self::Grant => to.grant_types.clone_from(&from.grant_types),
            Self::Scope => to.scope.clone_from(&from.scope),
            Self::Audience => to.audience.clone_from(&from.audience),
            Self::AuthMethod => to.auth_method = from.auth_method,
            Self::Keys => {
                to.jwks.clone_from(&from.jwks);
                options.jwks_uri.clone_from(&said.jwks_uri);
            }
            Self::BackchannelClientNotificationEndpoint => options
                .backchannel_client_notification_endpoint
                .clone_from(&said.backchannel_client_notification_endpoint),
            Self::Role => to.roles.clone_from(&from.roles),
            Self::Permission => options.permissions.clone_from(&said.permissions),
            Self::PostLogoutRedirectUri => {
                options.post_logout_redirect_uris.clone_from(&said.post_logout_redirect_uris);
            }
            Self::MayAct => options.may_act.clone_from(&said.may_act),
            Self::RequirePushedAuthorizationRequests => options.pushed_requests = said.pushed_requests,
            Self::BackchannelLogoutUri => {
                options.backchannel_logout_uri.clone_from(&said.backchannel_logout_uri);
            }
            Self::FrontchannelLogoutUri => {
                options.frontchannel_logout_uri.clone_from(&said.frontchannel_logout_uri);
            }
            Self::TokenStatusList => options.token_status = said.token_status,
            Self::AuthorizationDetailsType => {
                options.authorization_details_types.clone_from(&said.authorization_details_types);
            }
            Self::RequireSignedRequestObject => {
                options.require_signed_request_object = said.require_signed_request_object;
            }
            Self::BackchannelAuthenticationRequestSigningAlg => {
                options.backchannel_authentication_request_signing_alg =
                    said.backchannel_authentication_request_signing_alg;
            }
            Self::IdTokenSignedResponseAlg => {
                options.id_token_signed_response_alg = said.id_token_signed_response_alg;
            }
            Self::DpopBoundAccessTokens => options.dpop_bound_access_tokens = said.dpop_bound_access_tokens,
            Self::TlsClientCertificateBoundAccessTokens => {
                options.tls_client_certificate_bound_access_tokens =
                    said.tls_client_certificate_bound_access_tokens;
            }
            Self::TlsClientAuth => options.tls_client_auth.clone_from(&said.tls_client_auth),
            Self::IdTokenEncryptedResponse => {
                options.responses.id_token_encrypted_response = said.responses.id_token_encrypted_response;
            }
            Self::UserinfoSignedResponseAlg => {
                options.responses.userinfo_signed_response_alg = said.responses.userinfo_signed_response_alg;
            }
            Self::UserinfoEncryptedResponse => {
                options.responses.userinfo_encrypted_response = said.responses.userinfo_encrypted_response;
            }
            Self::IntrospectionSignedResponseAlg => {
                options.responses.introspection_signed_response_alg =
                    said.responses.introspection_signed_response_alg;
            }
            Self::IntrospectionEncryptedResponse => {
                options.responses.introspection_encrypted_response =
                    said.responses.introspection_encrypted_response;
            }
            Self::RequestObjectEncryption => {
                options.request_object_encryption = said.request_object_encryption;
            }
        }
    }

    /// Whether anything of it is said.
    pub(crate) fn is_said(self, of: &NewClient) -> bool {
        let bare = NewClient::bare(of.client_id.clone(), of.kind);
        let mut with = bare.clone();
        self.take(of, &mut with);
        with != bare
    }
}

/// A change of a registered client: what these settings are from now on. All others stay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientChange {
    /// What is said. Of the settings below nothing is said where they are to be as if they never had been.
    pub(crate) said: NewClient,
    pub(crate) settings: BTreeSet<Setting>,
}

impl ClientChange {
    /// Whose.
    pub(crate) fn client_id(&self) -> &ClientId {
        &self.said.client_id
    }

    /// What is to be registered in place of what is: to be judged as everything that is.
    pub(crate) fn of(&self, client: Client) -> NewClient {
        let mut changed = NewClient::from(client);
        self.settings.iter().for_each(|setting| setting.take(&self.said, &mut changed));
        changed
    }
}

#[cfg(test)]
mod tests;
