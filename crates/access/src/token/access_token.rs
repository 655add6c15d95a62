//! Minting: from a grant, or from a client for itself, to the claims of an access token. RFC 9068 section 2.2.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_protocol::fhir::name::ResourceId;
use chartgate_protocol::jose::claims::{
    AccessTokenClaims, Audience, Confirmation, IdTokenClaims, Identifier, NumericDate,
};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oidc::claims_request::AskedClaim;
use chartgate_values::Timestamp;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::grant::Grant;
use crate::grant::token_exchange::Exchanged;
use crate::ids::Jti;
use crate::issue::MayIssue;
use crate::principal::User;

/// What every token says besides who and what.
#[derive(Clone, Debug)]
pub struct Mint<'a> {
    /// Our name.
    pub issuer: &'a str,
    /// How long access and ID tokens live.
    pub ttl: Duration,
    /// The access token's name.
    pub jti: Jti,
    /// What the access token is bound to.
    pub cnf: Option<Confirmation>,
    /// The present.
    pub now: Timestamp,
}

/// A value is no claim; cannot come of values that were parsed before.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` cannot stand in a token")]
pub struct NotAClaim(&'static str);

impl Mint<'_> {
    /// When the token ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.now.floor_to_second().plus(self.ttl)
    }

    /// The access token of a person's grant, for this scope.
    ///
    /// # Errors
    /// [`NotAClaim`].
    pub fn for_person(
        &self,
        _gate: &MayIssue,
        grant: &Grant,
        user: &User,
        scope: &ScopeSet,
    ) -> Result<AccessTokenClaims, NotAClaim> {
        let roles = user.roles.iter().map(|role| claim("roles", role.as_str())).collect::<Result<_, _>>()?;
        Ok(AccessTokenClaims {
            sid: grant.session.as_ref().map(|id| claim("sid", id.as_str())).transpose()?,
            grant_id: Some(claim("grant_id", grant.id.as_str())?),
            roles,
            acr: acr(grant)?,
            amr: grant.amr.iter().map(|method| claim("amr", method)).collect::<Result<_, _>>()?,
            auth_time: grant.auth_time.map(NumericDate::from),
            fhir_user: user.fhir_user.as_ref().map(|f| claim("fhirUser", f.as_str())).transpose()?,
            patient: grant.patient.as_ref().map(|p| claim("patient", p.as_str())).transpose()?,
            encounter: encounter(grant).map(|e| claim("encounter", e.as_str())).transpose()?,
            authorization_details: details(&grant.authorization_details)?,
            purpose_of_use: grant.purpose_of_use.map(|p| claim("purpose_of_use", p.code())).transpose()?,
            ..self.bare(user.name.as_str(), grant.client_id.as_str(), &grant.audience, scope)?
        })
    }

    /// The access token that another one was exchanged for: of the same grant, with what is left of it. `client` is the
    /// one that it is issued to.
    ///
    /// # Errors
    /// [`NotAClaim`].
    pub fn exchanged(
        &self,
        gate: &MayIssue,
        grant: &Grant,
        user: &User,
        client: &Client,
        exchanged: &Exchanged,
    ) -> Result<AccessTokenClaims, NotAClaim> {
        Ok(AccessTokenClaims {
            aud: Audience::one(exchanged.audience.clone()),
            client_id: claim("client_id", client.client_id.as_str())?,
            act: exchanged.act.clone(),
            // What is exchanged is narrowed by scopes, which details stand beside.
            authorization_details: Vec::new(),
            ..self.for_person(gate, grant, user, &exchanged.scope)?
        })
    }

    /// The access token of a client for itself.
    ///
    /// # Errors
    /// [`NotAClaim`].
    pub fn for_client(
        &self,
        _gate: &MayIssue,
        client: &Client,
        audience: &str,
        scope: &ScopeSet,
        purpose: Option<PurposeOfUse>,
    ) -> Result<AccessTokenClaims, NotAClaim> {
        let id = client.client_id.as_str();
        let roles =
            client.roles.iter().map(|role| claim("roles", role.as_str())).collect::<Result<_, _>>()?;
        let purpose_of_use = purpose.map(|p| claim("purpose_of_use", p.code())).transpose()?;
        Ok(AccessTokenClaims { roles, purpose_of_use, ..self.bare(id, id, audience, scope)? })
    }

    /// The ID token beside a person's access token. OpenID Connect Core section 2.
    ///
    /// # Errors
    /// [`NotAClaim`].
    pub fn id_token(&self, _gate: &MayIssue, grant: &Grant, user: &User) -> Result<IdTokenClaims, NotAClaim> {
        let asked = |claim| grant.claims.id_token.contains(&claim);
        let wants_fhir_user = ["fhirUser", "profile"].iter().any(|scope| grant.scope.contains(scope))
            || asked(AskedClaim::FhirUser);
        let fhir_user = user.fhir_user.as_ref().filter(|_| wants_fhir_user);
        Ok(IdTokenClaims {
            iss: self.issuer.to_owned(),
            sub: claim("sub", user.name.as_str())?,
            aud: Audience::one(grant.client_id.as_str()),
            exp: self.expires_at().into(),
            iat: self.now.into(),
            auth_time: grant.auth_time.map(NumericDate::from),
            nonce: grant.nonce.clone(),
            acr: acr(grant)?,
            amr: grant.amr.iter().map(|method| claim("amr", method)).collect::<Result<_, _>>()?,
            azp: Some(claim("azp", grant.client_id.as_str())?),
            sid: grant.session.as_ref().map(|id| claim("sid", id.as_str())).transpose()?,
            at_hash: None,
            fhir_user: fhir_user.map(|f| claim("fhirUser", f.as_str())).transpose()?,
            email: user.email.clone().filter(|_| asked(AskedClaim::Email)),
        })
    }

    fn bare(
        &self,
        subject: &str,
        client: &str,
        audience: &str,
        scope: &ScopeSet,
    ) -> Result<AccessTokenClaims, NotAClaim> {
        Ok(AccessTokenClaims {
            iss: self.issuer.to_owned(),
            sub: claim("sub", subject)?,
            aud: Audience::one(audience),
            exp: NumericDate::from(self.expires_at()),
            iat: NumericDate::from(self.now),
            nbf: None,
            jti: claim("jti", self.jti.as_str())?,
            client_id: claim("client_id", client)?,
            scope: scope.clone(),
            sid: None,
            grant_id: None,
            roles: Vec::new(),
            acr: None,
            amr: Vec::new(),
            auth_time: None,
            fhir_user: None,
            patient: None,
            encounter: None,
            purpose_of_use: None,
            act: None,
            cnf: self.cnf.clone(),
            authorization_details: Vec::new(),
            status: None,
        })
    }
}

fn details(granted: &[AuthorizationDetail]) -> Result<Vec<Map<String, Value>>, NotAClaim> {
    let written = |detail| serde_json::to_value(detail).and_then(serde_json::from_value);
    granted.iter().map(written).collect::<Result<_, _>>().map_err(|_| NotAClaim("authorization_details"))
}

/// How strongly the person signed in, where that was here.
fn acr(grant: &Grant) -> Result<Option<Identifier>, NotAClaim> {
    grant.assurance.acr().map(|acr| claim("acr", acr)).transpose()
}

fn claim(name: &'static str, text: &str) -> Result<Identifier, NotAClaim> {
    text.parse().map_err(|_| NotAClaim(name))
}

/// The roles of a set of claims that are roles of ours; others mean nothing to our policies.
#[must_use]
pub fn roles(claims: &AccessTokenClaims) -> BTreeSet<crate::ids::Role> {
    claims.roles.iter().filter_map(|role| role.as_str().parse().ok()).collect()
}
/// The encounter that an EHR told of, or a person picked.
fn encounter(grant: &Grant) -> Option<&ResourceId> {
    grant.launch.as_ref()?.encounter.as_ref()
}
