//! What a command takes though nothing here knows it: told, and not refused, for what knows it may come later.

use chartgate_access::ids::Role;
use chartgate_access::login::assurance::Whom;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::oauth::introspection::INTROSPECTION_SCOPE;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::revocations::REVOCATIONS_SCOPE;
use chartgate_protocol::smart::scope::{SmartScope, SmartScopeError, TypePattern};
use serde_json::Value;

use super::Administrator;
use crate::config::{Config, HttpRule, RouteKind};
use crate::log_tiles::AUDIT_ROLES;

/// Scopes that mean something whatever is configured: OpenID Connect's, SMART's for identity and launch, and our own.
const NAMED: [&str; 12] = [
    "openid",
    "profile",
    "email",
    "fhirUser",
    "offline_access",
    "online_access",
    "launch",
    "launch/patient",
    "launch/encounter",
    "account.apps",
    INTROSPECTION_SCOPE,
    REVOCATIONS_SCOPE,
];

impl Administrator {
    /// Says of an answer what of these scopes and roles opens nothing here.
    pub(super) fn warning<'r>(
        &self,
        mut answer: Value,
        scope: &ScopeSet,
        roles: impl IntoIterator<Item = &'r Role>,
    ) -> Value {
        let (config, policies) = (self.in_force.config(), self.policies.current());
        let of_scopes = scope.iter().filter_map(|token| odd_scope(token, &config));
        let is_unknown = |role: &&Role| !policies.names_role(role) && !is_named(role, &config);
        let of_roles = roles.into_iter().filter(is_unknown).map(|role| {
            format!("role `{role}`: no policy, no rule of an `http` route and nothing of ours names it")
        });
        let warnings: Vec<String> = of_scopes.chain(of_roles).collect();
        if let (false, Value::Object(members)) = (warnings.is_empty(), &mut answer) {
            members.insert("warnings".to_owned(), warnings.into());
        }
        answer
    }
}

/// Why a scope opens nothing, if it opens nothing.
fn odd_scope(token: &str, config: &Config) -> Option<String> {
    let why = match token.parse::<SmartScope>() {
        Ok(SmartScope { types: TypePattern::One(name), .. }) if name.parse::<ResourceType>().is_err() => {
            format!("FHIR has no type `{name}`")
        }
        Ok(_) => return None,
        Err(SmartScopeError::NotSmart) if NAMED.contains(&token) || names_scope(config, token) => {
            return None;
        }
        Err(SmartScopeError::NotSmart) => {
            "no rule of an `http` route and nothing of ours names it".to_owned()
        }
        Err(error @ (SmartScopeError::Type | SmartScopeError::Permissions | SmartScopeError::Constraint)) => {
            error.to_string()
        }
    };
    Some(format!("scope `{token}`: {why}"))
}

fn names_scope(config: &Config, token: &str) -> bool {
    rules(config).any(|rule| rule.scope.as_deref() == Some(token))
}

/// Whether something other than a policy asks for this role.
fn is_named(role: &Role, config: &Config) -> bool {
    let required = &config.second_factors;
    let asks = |whom: &Whom| match whom {
        Whom::Everybody => false,
        Whom::OfRoles(roles) => roles.contains(role),
    };
    AUDIT_ROLES.contains(&role.as_str())
        || rules(config).any(|rule| rule.roles.contains(role) || rule.approved_by.contains(role))
        || [&required.two_factors, &required.phishing_resistant, &required.hardware_key].into_iter().any(asks)
}

fn rules(config: &Config) -> impl Iterator<Item = &HttpRule> {
    config.routes.iter().flat_map(|route| match &route.kind {
        RouteKind::Fhir { .. } => &[][..],
        RouteKind::Http { allow } => allow,
    })
}
