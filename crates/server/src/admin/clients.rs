//! OAuth clients.

use chartgate_access::client::{
    AuthMethod, BoundTokens, Client, ClientOptions, PushedRequests, SignedRequests, TokenStatus,
};
use chartgate_access::ids::ClientId;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::entropy::{digest_of, opaque_secret};
use crate::registration::{NewClient, settle};
use crate::store::StoreError;
use crate::store::users::Added;

impl Administrator {
    /// Registers a client and shows it, with its secret this once.
    pub(super) async fn add_client(&self, by: Operator, new: NewClient) -> Result<Value, CommandError> {
        if new.client_id.is_document() {
            let text = format!("`{}` is an address: whoever is there registers itself", new.client_id);
            return Err(CommandError::Invalid(text));
        }
        let client = settle(new)?;
        if self.store.read(|sql| sql.client(&client.client_id))?.is_some() {
            return Err(CommandError::NameTaken(client.client_id.to_string()));
        }
        let mut record = self.record(by, Event::ClientAdded, &client.client_id);
        note(&mut record, "kind", client.kind);
        note(&mut record, "profile", client.options.profile);
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

    pub(super) fn find_client(&self, id: &ClientId) -> Result<Client, CommandError> {
        let unknown = || CommandError::Unknown { kind: "client", name: id.to_string() };
        self.store.read(|sql| sql.client(id))?.ok_or_else(unknown)
    }
}

fn uses_secret(client: &Client) -> bool {
    match client.token_endpoint_auth_method {
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => true,
        AuthMethod::None
        | AuthMethod::PrivateKeyJwt
        | AuthMethod::TlsClientAuth
        | AuthMethod::SelfSignedTlsClientAuth => false,
    }
}

fn show(client: &Client) -> Value {
    let options = &client.options;
    let certificates = options.tls_client_certificate_bound_access_tokens;
    let mut shown = json!({
        "client_id": client.client_id,
        "kind": client.kind,
        "profile": options.profile,
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "redirect_uris": client.redirect_uris,
        "grant_types": client.grant_types,
        "scope": client.scope,
        "audience": client.audience,
        "roles": client.roles,
        "jwks": client.jwks,
        "jwks_uri": options.jwks_uri,
        "backchannel_client_notification_endpoint": options.backchannel_client_notification_endpoint,
        "consent": client.consent,
        "permissions": options.permissions,
        "may_act": options.may_act,
        "require_pushed_authorization_requests": options.pushed_requests == PushedRequests::Required,
        "backchannel_logout_uri": options.backchannel_logout_uri,
        "backchannel_logout_session_required": options.backchannel_logout_uri.is_some(),
        "token_status_list": options.token_status == TokenStatus::Listed,
        "authorization_details_types": options.authorization_details_types,
        "require_signed_request_object": options.require_signed_request_object == SignedRequests::Required,
        "id_token_signed_response_alg": options.id_token_signed_response_alg,
        "dpop_bound_access_tokens": options.dpop_bound_access_tokens == BoundTokens::Required,
        "tls_client_certificate_bound_access_tokens": certificates == BoundTokens::Required,
        "post_logout_redirect_uris": options.post_logout_redirect_uris,
    });
    show_responses(options, &mut shown);
    if let (Some(subject), Value::Object(members)) = (&options.tls_client_auth, &mut shown) {
        members.insert(subject.member().to_owned(), subject.name().into());
    }
    shown
}

/// By their registered names.
fn show_responses(options: &ClientOptions, shown: &mut Value) {
    let (responses, Value::Object(members)) = (&options.responses, shown) else { return };
    for (name, algorithm) in [
        ("userinfo", responses.userinfo_signed_response_alg),
        ("introspection", responses.introspection_signed_response_alg),
    ] {
        members.extend(algorithm.map(|algorithm| (format!("{name}_signed_response_alg"), json!(algorithm))));
    }
    for (name, encryption) in [
        ("request_object_encryption", options.request_object_encryption),
        ("id_token_encrypted_response", responses.id_token_encrypted_response),
        ("userinfo_encrypted_response", responses.userinfo_encrypted_response),
        ("introspection_encrypted_response", responses.introspection_encrypted_response),
    ] {
        let Some(encryption) = encryption else { continue };
        let (alg, enc) = (encryption.management.name(), encryption.content.name());
        members.insert(format!("{name}_alg"), alg.into());
        members.insert(format!("{name}_enc"), enc.into());
    }
}

fn with_secret(mut shown: Value, secret: Option<&str>) -> Value {
    if let (Some(secret), Value::Object(members)) = (secret, &mut shown) {
        members.insert("client_secret".to_owned(), secret.into());
    }
    shown
}
