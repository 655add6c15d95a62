//! Search constraints of scopes. SMART App Launch 2.2, "Finer-grained resource constraints using search parameters".

use super::SmartScopeError;
use crate::fhir::token::{TokenParameter, TokenValue, list};
use crate::form::{Form, percent_encode};
use crate::json::Node;

/// One constraint: a record has to have one of the values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Constraint {
    parameter: &'static TokenParameter,
    values: Vec<TokenValue>,
}

impl Constraint {
    /// That a record of a type has one of these values of a parameter.
    ///
    /// # Errors
    /// [`SmartScopeError::Constraint`] if scopes of the type cannot be constrained so.
    pub fn new(
        resource_type: &str,
        parameter: &str,
        values: Vec<TokenValue>,
    ) -> Result<Self, SmartScopeError> {
        let parameter = TokenParameter::find(resource_type, parameter).ok_or(SmartScopeError::Constraint)?;
        match values.len() {
            1..=MAX_VALUES => Ok(Self { parameter, values }),
            _ => Err(SmartScopeError::Constraint),
        }
    }

    /// What is looked at.
    #[must_use]
    pub fn parameter(&self) -> &'static TokenParameter {
        self.parameter
    }

    /// Of what a record has to have one.
    #[must_use]
    pub fn values(&self) -> &[TokenValue] {
        &self.values
    }

    /// Whether a record fulfils it.
    #[must_use]
    pub fn holds(&self, record: &Node<'_>) -> bool {
        self.parameter.has(record, &self.values)
    }

    /// Whether what fulfils `other` fulfils this too.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.parameter == other.parameter
            && other.values.iter().all(|value| self.values.iter().any(|own| own.includes(value)))
    }
}

/// Reads the query of a scope of a type. All have to hold.
pub(super) fn read(resource_type: &str, query: &str) -> Result<Vec<Constraint>, SmartScopeError> {
    let form = Form::parse_repeating(query).map_err(|_| SmartScopeError::Constraint)?;
    let constraints = form
        .iter()
        .map(|(name, text)| {
            let values = text.split(',').map(|value| value.parse().map_err(|_| SmartScopeError::Constraint));
            Constraint::new(resource_type, name, values.collect::<Result<_, _>>()?)
        })
        .collect::<Result<Vec<_>, _>>()?;
    match constraints.len() {
        1..=MAX_CONSTRAINTS => Ok(constraints),
        _ => Err(SmartScopeError::Constraint),
    }
}

/// The constraints as a query, as applications write and compare them: nothing is escaped that can stand by itself.
pub(super) fn write(constraints: &[Constraint]) -> String {
    let one = |own: &Constraint| format!("{}={}", own.parameter.name(), escaped(&list(&own.values)));
    constraints.iter().map(one).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '%' | '+' | '&' | '#' | '"' => percent_encode(character.encode_utf8(&mut [0; 4]), &mut out),
            plain => out.push(plain),
        }
    }
    out
}

/// The most constraints of a scope, and values of a constraint: each is looked at for each record.
const MAX_CONSTRAINTS: usize = 4;
const MAX_VALUES: usize = 16;
