//! OAuth clients.

use std::collections::BTreeSet;

use chartgate_access::client::{
    AuthMethod, BoundTokens, Client, ClientKind, ClientOptions, Consent, GrantType, Permission,
    PushedRequests,
};
use chartgate_access::ids::{ClientId, Role};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::Event;
use chartgate_protocol::jose::{Algorithm, KeySet};
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_protocol::oauth::scope::ScopeSet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::entropy::{digest_of, opaque_secret};
use crate::store::StoreError;
use crate::store::users::Added;

/// A client to be registered. What is left out follows from its kind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClient {
    pub(crate) client_id: ClientId,
    pub(crate) kind: ClientKind,
    pub(crate) redirect_uris: Vec<RedirectUri>,
    pub(crate) grant_types: BTreeSet<GrantType>,
    pub(crate) scope: ScopeSet,
    pub(crate) audience: Option<String>,
    pub(crate) auth_method: Option<AuthMethod>,
    pub(crate) jwks: Option<Value>,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) consent: Option<Consent>,
    pub(crate) options: ClientOptions,
}

impl Administrator {
    /// Registers a client and shows it, with its secret this once.
    pub(super) async fn add_client(&self, by: Operator, new: NewClient) -> Result<Value, CommandError> {
        let client = settle(new)?;
        if self.store.read(|sql| sql.client(&client.client_id))?.is_some() {
            return Err(CommandError::NameTaken(client.client_id.to_string()));
        }
        let mut record = self.record(by, Event::ClientAdded, &client.client_id);
        note(&mut record, "kind", client.kind);
        note(&mut record, "scope", &client.scope);
        for actor in &client.options.may_act {
            note(&mut record, "may_act", actor);
        }
        for permission in &client.options.permissions {
            note(&mut record, "permission", permission);
        }
        let _ = self.append(&record).await?;
        for algorithm in client.options.signing_algorithms() {
            self.keys.offer(algorithm).await?;
        }
        let secret = uses_secret(&client).then(opaque_secret);
        let digest = secret.as_ref().map(|secret| digest_of(secret.expose()));
        let (added, now) = (client.clone(), self.clock.now());
        let outcome = self.store.write(move |sql| sql.add_client(&added, digest.as_deref(), now)).await;
        match outcome.map_err(|e: StoreError| CommandError::from(e))? {
            Added::Yes => Ok(with_secret(show(&client), secret.as_ref().map(|s| s.expose().as_str()))),
            Added::NameTaken => Err(CommandError::NameTaken(client.client_id.to_string())),
        }
    }

    pub(super) fn list_clients(&self) -> Result<Value, CommandError> {
        Ok(self.store.read(|sql| sql.clients())?.iter().map(show).collect())
    }

    pub(super) fn show_client(&self, id: &ClientId) -> Result<Value, CommandError> {
        Ok(show(&self.find_client(id)?))
    }

    pub(super) async fn rotate_secret(&self, by: Operator, id: ClientId) -> Result<Value, CommandError> {
        let client = self.find_client(&id)?;
        if !uses_secret(&client) {
            let method = client.token_endpoint_auth_method;
            return Err(CommandError::Invalid(format!("`{id}` uses {method}, which has no secret")));
        }
        let mut record = self.record(by, Event::ClientChanged, &id);
        note(&mut record, "change", "new secret");
        let _ = self.append(&record).await?;
        let secret = opaque_secret();
        let digest = digest_of(secret.expose());
        self.store.write(move |sql| sql.set_client_secret(&id, &digest)).await?;
        Ok(with_secret(show(&client), Some(secret.expose())))
    }

    /// Removes a client: its tokens and grants end with the commit.
    pub(super) async fn remove_client(&self, by: Operator, id: ClientId) -> Result<Value, CommandError> {
        let client = self.find_client(&id)?;
        let removed = id.clone();
        self.cut_offs
            .cut(move |sql, now| {
                sql.remove_client(&removed, now)?;
                let target = Target::Client(removed);
                Ok::<_, StoreError>(((), vec![CutOff::UpTo { target, not_before: now }]))
            })
            .await?;
        let _ = self.append(&self.record(by, Event::ClientRemoved, &id)).await?;
        Ok(show(&client))
    }

    fn find_client(&self, id: &ClientId) -> Result<Client, CommandError> {
        let unknown = || CommandError::Unknown { kind: "client", name: id.to_string() };
        self.store.read(|sql| sql.client(id))?.ok_or_else(unknown)
    }
}

fn uses_secret(client: &Client) -> bool {
    match client.token_endpoint_auth_method {
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => true,
        AuthMethod::None | AuthMethod::PrivateKeyJwt => false,
    }
}

/// Fills in what follows from the kind, and refuses what makes no sense together.
fn settle(new: NewClient) -> Result<Client, CommandError> {
    let invalid = |text: String| Err(CommandError::Invalid(text));
    let id = new.client_id;
    if id.is_foreign() {
        return invalid(format!("`{id}` is a name of another issuer's"));
    }
    let method = new.auth_method.unwrap_or(match new.kind {
        ClientKind::Public => AuthMethod::None,
        ClientKind::Backend if new.jwks.is_some() || new.options.jwks_uri.is_some() => {
            AuthMethod::PrivateKeyJwt
        }
        ClientKind::Confidential | ClientKind::Backend => AuthMethod::ClientSecretBasic,
    });
    let grant_types = if new.grant_types.is_empty() {
        match new.kind {
            ClientKind::Public | ClientKind::Confidential => {
                BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken])
            }
            ClientKind::Backend => BTreeSet::from([GrantType::ClientCredentials]),
        }
    } else {
        new.grant_types
    };
    match (new.kind, method) {
        (ClientKind::Public, AuthMethod::None) => {}
        (ClientKind::Public, other) => {
            return invalid(format!("a public client keeps no secret, so not {other}"));
        }
        (ClientKind::Confidential | ClientKind::Backend, AuthMethod::None) => {
            return invalid("only a public client may use the method none".to_owned());
        }
        (ClientKind::Confidential | ClientKind::Backend, _) => {}
    }
    if grant_types.contains(&GrantType::ClientCredentials) && new.kind == ClientKind::Public {
        return invalid("a public client cannot use client_credentials".to_owned());
    }
    if grant_types.contains(&GrantType::TokenExchange) && new.kind == ClientKind::Public {
        return invalid("a public client cannot exchange tokens".to_owned());
    }
    if grant_types.contains(&GrantType::AuthorizationCode) && new.redirect_uris.is_empty() {
        return invalid("authorization_code needs a --redirect-uri".to_owned());
    }
    if new.options.permissions.contains(&Permission::IntrospectAny) && method == AuthMethod::None {
        return invalid("introspect:any needs a client that shows who it is".to_owned());
    }
    if let Some(other) = new.options.signing_algorithms().find(|a| !Algorithm::SIGNING.contains(a)) {
        return invalid(format!(
            "nothing is signed with {other}, only with RS256, PS256, ES256, ES384, EdDSA"
        ));
    }
    let is_web = |uri: &&RedirectUri| uri.as_str().starts_with("http");
    if let Some(uri) = new.options.post_logout_redirect_uris.iter().find(|uri| !is_web(uri)) {
        return invalid(format!("`{uri}` has to be https, or http to a loopback address"));
    }
    match (method, &new.jwks, &new.options.jwks_uri) {
        (_, Some(_), Some(_)) => return invalid("a client has either keys or an address of keys".to_owned()),
        (AuthMethod::PrivateKeyJwt, None, None) => {
            return invalid("private_key_jwt needs --jwks-file or --jwks-uri".to_owned());
        }
        (_, Some(jwks), None) => match KeySet::parse(jwks.to_string().as_bytes()) {
            Ok(keys) if keys.keys().next().is_some() => {}
            Ok(_) => return invalid("the key set has no key that can verify an assertion".to_owned()),
            Err(e) => return invalid(format!("the key set does not parse: {e}")),
        },
        (_, None, Some(_))
        | (AuthMethod::None | AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, None, None) => {}
    }
    Ok(Client {
        client_id: id,
        kind: new.kind,
        token_endpoint_auth_method: method,
        redirect_uris: new.redirect_uris,
        grant_types,
        scope: new.scope,
        audience: new.audience,
        roles: new.roles,
        jwks: new.jwks,
        consent: new.consent.unwrap_or(Consent::Ask),
        options: new.options,
    })
}

fn show(client: &Client) -> Value {
    json!({
        "client_id": client.client_id,
        "kind": client.kind,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "redirect_uris": client.redirect_uris,
        "grant_types": client.grant_types,
        "scope": client.scope,
        "audience": client.audience,
        "roles": client.roles,
        "jwks": client.jwks,
        "jwks_uri": client.options.jwks_uri,
        "consent": client.consent,
        "permissions": client.options.permissions,
        "may_act": client.options.may_act,
        "require_pushed_authorization_requests": client.options.pushed_requests == PushedRequests::Required,
        "id_token_signed_response_alg": client.options.id_token_signed_response_alg,
        "dpop_bound_access_tokens": client.options.dpop_bound_access_tokens == BoundTokens::Required,
        "post_logout_redirect_uris": client.options.post_logout_redirect_uris,
    })
}

fn with_secret(mut shown: Value, secret: Option<&str>) -> Value {
    if let (Some(secret), Value::Object(members)) = (secret, &mut shown) {
        members.insert("client_secret".to_owned(), secret.into());
    }
    shown
}
