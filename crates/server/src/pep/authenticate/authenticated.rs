//! What a token proved: its caller, and everything that can change about it. RFC 9068 section 2.2.

use std::sync::Arc;

use chartgate_access::emergency::is_eligible;
use chartgate_access::ids::FhirUser;
use chartgate_access::login::assurance::Assurance;
use chartgate_access::pdp::caller::{Caller, CallerKind, Details, Facts};
use chartgate_access::pdp::decide::{LastCounsel, Pdp};
use chartgate_access::purpose::Purposes;
use chartgate_access::token::access_token;
use chartgate_access::token::revocation::Traits;
use chartgate_audit::record::{Actor, ActorKind, Delegate, Record};
use chartgate_protocol::jose::claims::{AccessTokenClaims, Confirmation, NumericDate};
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::{Phi, Timestamp};

use super::NotAuthenticated;
use crate::config::SignInDemand;
use crate::live::keys::{KeyRing, Ring};
use crate::live::tokens::{delegates, traits_of};
use crate::live::trusted_issuers::{LiveIssuers, SKEW, TrustedIssuer};

/// What a token proved.
pub(in crate::pep) struct Authenticated {
    pub(in crate::pep) caller: Caller,
    /// What the policies said to it so far.
    pub(in crate::pep) last_counsel: LastCounsel,
    pub(super) traits: Traits,
    pub(super) expires: NumericDate,
    /// What it is bound to.
    pub(super) cnf: Option<Confirmation>,
    auth_time: Option<Timestamp>,
    /// Those who act by it.
    delegates: Box<[Delegate]>,
    /// Who issued it, if not we.
    issuer: Option<Foreign>,
    /// The name of our key that reads it, where it is encrypted.
    encrypted_to: Option<String>,
}

/// Where a token of another issuer's comes from.
struct Foreign {
    issuer: Arc<TrustedIssuer>,
    kid: String,
}

impl Authenticated {
    /// What one of our own tokens says, signed by the key of this name, and encrypted to that one if it is.
    pub(super) fn read(
        claims: &AccessTokenClaims,
        kid: String,
        encrypted_to: Option<String>,
    ) -> Option<Self> {
        let fhir_user = claims.fhir_user.as_ref().map(|f| f.as_str().parse()).transpose().ok()?;
        let own = Self::of(claims, traits_of(claims, kid)?, fhir_user, Details::read(claims)?)?;
        Some(Self { encrypted_to, ..own })
    }

    /// The same for a trusted issuer's.
    pub(super) fn read_foreign(
        claims: &AccessTokenClaims,
        issuer: &Arc<TrustedIssuer>,
        kid: String,
        bases: &[String],
    ) -> Option<Self> {
        // Elsewhere a person may have a resource of the same name that is somebody else's here.
        let local = |text: &str| {
            let within = bases.iter().find_map(|base| text.strip_prefix(base.as_str()));
            within.unwrap_or(text).parse().ok()
        };
        let fhir_user = claims.fhir_user.as_ref().and_then(|f| local(f.as_str()));
        let traits = issuer.traits_of(claims, &kid)?;
        // A person may have been given a name that is a client's: somebody who signed in is no program.
        let signed_in = claims.sid.is_some() || claims.auth_time.is_some() || !claims.amr.is_empty();
        if claims.sub == claims.client_id && signed_in {
            return None;
        }
        // What another issuer calls details says nothing here.
        let mut own = Self::of(claims, traits, fhir_user, Details::default())?;
        own.caller.facts.acr = claims.acr.as_ref().and_then(|acr| issuer.strength(acr.as_str()));
        own.caller.facts.amr = issuer.methods(&claims.amr).into_iter().collect();
        Some(Self { issuer: Some(Foreign { issuer: Arc::clone(issuer), kid }), ..own })
    }

    /// The same with a purpose of use that somebody with its roles may have here. What comes with emergency access alone
    /// comes with ours alone, and what is no code says nothing here.
    pub(super) fn with_purpose_by(mut self, purposes: &Purposes) -> Result<Self, NotAuthenticated> {
        let facts = &mut self.caller.facts;
        let named = facts.purpose_of_use.take().and_then(|code| code.parse::<PurposeOfUse>().ok());
        if let Some(named) = named.filter(|named| !named.is_of_emergencies()) {
            let chosen = purposes.choose(&facts.roles, Some(named)).map_err(|_| NotAuthenticated::Purpose)?;
            facts.purpose_of_use = chosen.map(|purpose| purpose.to_string());
        }
        Ok(self)
    }

    fn of(
        claims: &AccessTokenClaims,
        traits: Traits,
        fhir_user: Option<FhirUser>,
        details: Details,
    ) -> Option<Self> {
        // RFC 9068 section 2.2: a client that acts for itself is its own subject.
        let kind = if claims.sub == claims.client_id { CallerKind::Workload } else { CallerKind::Person };
        let tokens = || claims.scope.iter();
        Some(Self {
            caller: Caller {
                facts: Facts {
                    kind,
                    subject: traits.subject.clone(),
                    client_id: traits.client_id.clone(),
                    roles: access_token::roles(claims),
                    acr: claims.acr.as_ref().map(ToString::to_string),
                    amr: claims.amr.iter().map(ToString::to_string).collect(),
                    purpose_of_use: claims.purpose_of_use.as_ref().map(ToString::to_string),
                },
                smart: tokens().filter_map(|token| token.parse().ok()).collect(),
                scopes: tokens().map(str::to_owned).collect(),
                details,
                patient: claims.patient.as_ref().map(|id| id.as_str().parse()).transpose().ok()?,
                fhir_user,
            },
            last_counsel: LastCounsel::default(),
            expires: claims.exp,
            cnf: claims.cnf.clone(),
            auth_time: claims.auth_time.map(NumericDate::timestamp),
            delegates: delegates(claims.act.as_ref()).into(),
            traits,
            issuer: None,
            encrypted_to: None,
        })
    }

    /// Whether the keys by which it was verified, and read where it is encrypted, are still good.
    pub(super) fn keys_are_held(&self, ours: &Ring) -> bool {
        if self.encrypted_to.as_ref().is_some_and(|kid| ours.decrypting.get(kid).is_err()) {
            return false;
        }
        match &self.issuer {
            None => ours.verifying.get(&self.traits.key).is_ok(),
            Some(Foreign { issuer, kid }) => issuer.keys.held().get(kid).is_ok(),
        }
    }

    /// The same for what stays open: another issuer is to be trusted still, and is asked for its keys again when it is time, by
    /// the configuration of now. Nobody else's token is encrypted to us.
    pub(in crate::pep) async fn is_vouched_for(&self, ours: &KeyRing, trusted: &LiveIssuers) -> bool {
        let Some(Foreign { issuer, kid }) = &self.issuer else {
            return self.keys_are_held(&ours.current());
        };
        match trusted.current().named(issuer.name()) {
            Some(issuer) => issuer.keys.for_kid(kid).await.get(kid).is_ok(),
            None => false,
        }
    }

    /// Whether its person signed in as a route demands. RFC 9470. Who acts for itself does not sign in.
    pub(super) fn meets(&self, demand: &SignInDemand, now: Timestamp) -> Result<(), NotAuthenticated> {
        let facts = &self.caller.facts;
        let recent = |age| self.auth_time.is_some_and(|at| at <= now.plus(SKEW) && now <= at.plus(age));
        // Another issuer's word means what it means there: it has to be the same. Of a word that is ours, more is enough.
        let is_strong = |acr: &String| {
            demand.acr_values.contains(acr)
                || Assurance::named(acr).is_some_and(|own| own.meets_one_of(&demand.acr_values))
        };
        let met = demand.max_age.is_none_or(recent)
            && (demand.acr_values.is_empty() || facts.acr.as_ref().is_some_and(is_strong));
        match facts.kind {
            CallerKind::Workload => Ok(()),
            CallerKind::Person if met => Ok(()),
            CallerKind::Person => Err(NotAuthenticated::SignIn),
        }
    }

    /// Whether this person may be told that there is emergency access: they could get it, and this is not it.
    pub(in crate::pep) fn may_hear_of_emergencies(&self, pdp: &Pdp) -> bool {
        let facts = &self.caller.facts;
        self.issuer.is_none()
            && self.caller.details.emergency.is_none()
            && is_eligible(pdp, facts, PurposeOfUse::EMERGENCY_TREATMENT)
    }

    /// What bears on cut-offs.
    pub(in crate::pep) fn traits(&self) -> &Traits {
        &self.traits
    }

    /// When it ends by itself.
    pub(in crate::pep) fn expires(&self) -> Timestamp {
        self.expires.timestamp()
    }

    /// What the record says of the caller.
    pub(in crate::pep) fn describe(&self, record: &mut Record) {
        let facts = &self.caller.facts;
        record.actor = Actor {
            sub: Some(facts.subject.to_string()),
            client_id: Some(facts.client_id.to_string()),
            kind: match facts.kind {
                CallerKind::Person if !self.delegates.is_empty() => ActorKind::Agent,
                CallerKind::Person => ActorKind::Human,
                CallerKind::Workload => ActorKind::Workload,
            },
            fhir_user: self.caller.fhir_user.as_ref().map(|f| Phi::new(f.to_string())),
            roles: facts.roles.iter().map(ToString::to_string).collect(),
        };
        record.on_behalf_of = self.delegates.to_vec();
        record.purpose_of_use.clone_from(&facts.purpose_of_use);
        record.session = self.traits.session.as_ref().map(ToString::to_string);
        record.grant = self.traits.grant.as_ref().map(ToString::to_string);
        record.jti = Some(self.traits.jti.to_string());
        record.acr.clone_from(&facts.acr);
        record.amr = facts.amr.iter().cloned().collect();
        record.auth_time = self.auth_time;
        if let Some(emergency) = &self.caller.details.emergency {
            record.detail.insert("emergency".to_owned(), Phi::new(emergency.id.to_string()));
        }
    }
}
