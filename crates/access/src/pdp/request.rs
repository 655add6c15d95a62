//! Our questions in Cedar's words. The names are those of `policies/schema.cedarschema`.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};

use super::caller::{CallerKind, Facts};
use super::decide::Question;

/// The question does not fit the schema, so it cannot be asked; always a denial.
#[derive(Clone, Debug, thiserror::Error)]
#[error("question does not fit the policy schema: {0}")]
pub(super) struct Unaskable(String);

/// A question in Cedar's form.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) entities: Entities,
}

impl Asked {
    pub(super) fn build(facts: &Facts, question: &Question<'_>, schema: &Schema) -> Result<Self, Unaskable> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let principal = uid(
            match facts.kind {
                CallerKind::Person => "Chartgate::User",
                CallerKind::Workload => "Chartgate::Client",
            },
            facts.subject.as_str(),
        )?;
        let (action, resource, attributes) = match question {
            Question::Record { action, resource_type, relation, labels } => (
                action.as_str(),
                uid("Chartgate::Record", &format!("{resource_type}/{}", relation.as_str()))?,
                vec![
                    ("resource_type", text(resource_type)),
                    ("relation", text(relation.as_str())),
                    ("labels", RestrictedExpression::new_set(labels.iter().map(|label| text(label)))),
                ],
            ),
            Question::Endpoint { route, method, path } => (
                "call",
                uid("Chartgate::Endpoint", &format!("{route} {method} {path}"))?,
                vec![("route", text(route)), ("method", text(method)), ("path", text(path))],
            ),
        };
        let attributes: HashMap<_, _> =
            attributes.into_iter().map(|(name, v)| (name.to_owned(), v)).collect();
        let mut parents = HashSet::new();
        let mut entities = Vec::new();
        for role in &facts.roles {
            let role = uid("Chartgate::Role", role.as_str())?;
            entities.push(Entity::new_no_attrs(role.clone(), HashSet::new()));
            parents.insert(role);
        }
        entities.push(Entity::new_no_attrs(principal.clone(), parents));
        entities.push(Entity::new(resource.clone(), attributes, HashSet::new()).map_err(unaskable)?);
        let action = uid("Chartgate::Action", action)?;
        let request =
            Request::new(principal, action, resource, context(facts)?, Some(schema)).map_err(unaskable)?;
        Ok(Self { request, entities: Entities::from_entities(entities, Some(schema)).map_err(unaskable)? })
    }
}

fn context(facts: &Facts) -> Result<Context, Unaskable> {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let mut pairs = vec![
        ("client".to_owned(), text(facts.client_id.as_str())),
        ("amr".to_owned(), RestrictedExpression::new_set(facts.amr.iter().map(|method| text(method)))),
    ];
    if let Some(acr) = &facts.acr {
        pairs.push(("acr".to_owned(), text(acr)));
    }
    if let Some(purpose) = &facts.purpose_of_use {
        pairs.push(("purpose_of_use".to_owned(), text(purpose)));
    }
    Context::from_pairs(pairs).map_err(unaskable)
}

fn uid(type_name: &str, id: &str) -> Result<EntityUid, Unaskable> {
    let type_name: EntityTypeName = type_name.parse().map_err(unaskable)?;
    Ok(EntityUid::from_type_name_and_id(type_name, EntityId::new(id)))
}

fn unaskable(error: impl std::fmt::Display) -> Unaskable {
    Unaskable(error.to_string())
}
