//! SMART scopes, versions 1 and 2. SMART App Launch 2.2, "Scopes and Launch Context".

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::json::Node;

mod constraint;

pub use constraint::Constraint;

/// On whose authority a scope reaches for data.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Level {
    /// The record of the one patient in the token's context.
    Patient,
    /// Whatever the signed-in person may see.
    User,
    /// Whatever the client itself may see.
    System,
}

/// What may be done: create, read, update, delete, search.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize)]
pub enum Permission {
    /// Type-level create.
    Create,
    /// Instance-level read, vread and history.
    Read,
    /// Instance-level update and patch.
    Update,
    /// Instance-level delete.
    Delete,
    /// Type- and system-level search and history.
    Search,
}

/// A set of [`Permission`]s.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Permissions(u8);

/// Which resource types a scope covers.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum TypePattern {
    /// `*`.
    All,
    /// One type, by name.
    One(String),
}

/// A scope such as `patient/Observation.rs?category=laboratory`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SmartScope {
    /// On whose authority.
    pub level: Level,
    /// For which types.
    pub types: TypePattern,
    /// To do what.
    pub permissions: Permissions,
    /// Search constraints (version 2): every one has to hold.
    pub constraints: Vec<Constraint>,
}

/// Why a token that looks like a SMART scope is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SmartScopeError {
    /// Not `patient/`, `user/` or `system/` at all: some other kind of scope.
    #[error("not a SMART resource scope")]
    NotSmart,
    /// The type is no FHIR type name.
    #[error("the resource type is malformed")]
    Type,
    /// The suffix is neither version 1 nor `cruds` in this order.
    #[error("the permissions are not `cruds` in this order, nor `read`, `write` or `*`")]
    Permissions,
    /// A parameter that scopes of the type cannot be constrained by, or a value that is no token.
    #[error("the constraint is not supported")]
    Constraint,
}

impl Permissions {
    /// All five.
    pub const ALL: Self = Self(0b1_1111);

    const ORDER: [(char, Permission); 5] = [
        ('c', Permission::Create),
        ('r', Permission::Read),
        ('u', Permission::Update),
        ('d', Permission::Delete),
        ('s', Permission::Search),
    ];

    /// Whether the set has this one.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Whether all of this set stand in `other`.
    #[must_use]
    pub fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => return Some(Self(bit(Permission::Read) | bit(Permission::Search))),
            "write" => {
                return Some(Self(
                    bit(Permission::Create) | bit(Permission::Update) | bit(Permission::Delete),
                ));
            }
            "*" => return Some(Self::ALL),
            "" => return None,
            _ => {}
        }
        let mut letters = text.chars().peekable();
        let mut set = 0;
        for (letter, permission) in Self::ORDER {
            if letters.next_if_eq(&letter).is_some() {
                set |= bit(permission);
            }
        }
        letters.next().is_none().then_some(Self(set))
    }
}

fn bit(permission: Permission) -> u8 {
    match permission {
        Permission::Create => 1,
        Permission::Read => 2,
        Permission::Update => 4,
        Permission::Delete => 8,
        Permission::Search => 16,
    }
}

impl TypePattern {
    /// Whether the pattern covers this type.
    #[must_use]
    pub fn covers(&self, resource_type: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(name) => name == resource_type,
        }
    }
}

impl SmartScope {
    /// Whether everything that `other` allows is allowed by this scope too.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let types = match (&self.types, &other.types) {
            (TypePattern::All, _) => true,
            (TypePattern::One(a), TypePattern::One(b)) => a == b,
            (TypePattern::One(_), TypePattern::All) => false,
        };
        types
            && self.level == other.level
            && other.permissions.is_subset_of(self.permissions)
            && self.constraints.iter().all(|own| other.constraints.iter().any(|theirs| own.includes(theirs)))
    }

    /// Whether a record fulfils all constraints. Its type is not looked at where there are none.
    #[must_use]
    pub fn holds(&self, record: &Node<'_>) -> bool {
        self.constraints.iter().all(|constraint| constraint.holds(record))
    }
}

impl FromStr for SmartScope {
    type Err = SmartScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (level, rest) = text.split_once('/').ok_or(SmartScopeError::NotSmart)?;
        let level = match level {
            "patient" => Level::Patient,
            "user" => Level::User,
            "system" => Level::System,
            _ => return Err(SmartScopeError::NotSmart),
        };
        let (name, query) = match rest.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (rest, None),
        };
        let (name, permissions) = name.split_once('.').ok_or(SmartScopeError::Permissions)?;
        let types = match name {
            "*" => TypePattern::All,
            name if is_type_name(name) => TypePattern::One(name.to_owned()),
            _ => return Err(SmartScopeError::Type),
        };
        let permissions = Permissions::parse(permissions).ok_or(SmartScopeError::Permissions)?;
        let constraints = match (query, &types) {
            (None, _) => Vec::new(),
            (Some(query), TypePattern::One(name)) => constraint::read(name, query)?,
            // What would be looked at differs from type to type.
            (Some(_), TypePattern::All) => return Err(SmartScopeError::Constraint),
        };
        Ok(Self { level, types, permissions, constraints })
    }
}

/// Whether a name could be a FHIR resource type: a capital letter, then letters.
#[must_use]
pub fn is_type_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphabetic())
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        })
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, permission) in Self::ORDER {
            if self.contains(permission) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for SmartScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = match &self.types {
            TypePattern::All => "*",
            TypePattern::One(name) => name,
        };
        write!(f, "{}/{types}.{}", self.level, self.permissions)?;
        match self.constraints.as_slice() {
            [] => Ok(()),
            some => write!(f, "?{}", constraint::write(some)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<SmartScope, SmartScopeError> {
        text.parse()
    }

    #[test]
    fn version_1_means_what_version_2_spells() {
        for (v1, v2) in [
            ("patient/Observation.read", "patient/Observation.rs"),
            ("user/*.write", "user/*.cud"),
            ("system/Patient.*", "system/Patient.cruds"),
        ] {
            assert_eq!(parse(v1), parse(v2));
        }
    }

    #[test]
    fn letters_out_of_order_or_repeated_are_no_scope() {
        for suffix in ["sr", "rr", "dc", "x", "", "reads", "cruds.", "Read"] {
            let text = format!("patient/Observation.{suffix}");
            assert_eq!(parse(&text), Err(SmartScopeError::Permissions), "{text}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_eq!(parse("openid"), Err(SmartScopeError::NotSmart));
        assert_eq!(parse("launch/patient"), Err(SmartScopeError::NotSmart));
        assert_eq!(parse("patient/observation.rs"), Err(SmartScopeError::Type));
        assert_eq!(parse("patient/../x.rs"), Err(SmartScopeError::Type));
        assert_eq!(parse("patient/Observation.rs?"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Observation.rs?code:in=x"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Observation.rs?patient.name=x"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Observation.rs?_filter=x"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Observation.rs?value-quantity=1"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Observation.rs?category="), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Observation.rs?category=a,"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/Patient.rs?category=x"), Err(SmartScopeError::Constraint));
        assert_eq!(parse("patient/*.rs?category=x"), Err(SmartScopeError::Constraint));
        let many = |n| format!("patient/Observation.rs?category={}", vec!["a"; n].join(","));
        assert!(parse(&many(16)).is_ok());
        assert_eq!(parse(&many(17)), Err(SmartScopeError::Constraint));
    }

    #[test]
    fn a_wide_scope_includes_a_narrow_one_and_not_the_other_way_round() {
        let wide = parse("patient/*.cruds").unwrap();
        let narrow = parse("patient/Observation.rs?category=laboratory").unwrap();
        let both = parse("patient/Observation.rs?category=vital-signs,laboratory").unwrap();
        let more = parse("patient/Observation.r?category=http://s.example|laboratory&status=final").unwrap();
        assert!(both.includes(&narrow) && !narrow.includes(&both));
        assert!(narrow.includes(&more) && both.includes(&more) && !more.includes(&narrow));
        assert!(!narrow.includes(&parse("patient/Observation.rs?status=final").unwrap()));
        assert!(wide.includes(&narrow));
        assert!(!narrow.includes(&wide));
        assert!(!narrow.includes(&parse("patient/Observation.rs").unwrap()));
        assert!(!wide.includes(&parse("user/Observation.rs").unwrap()));
    }

    proptest! {
        #[test]
        fn what_prints_reads_back(bits in 1_u8..32, values in prop::collection::vec("[a-z:/.+&=?#%]{1,20}", 0..4)) {
            let values: Vec<_> = values.iter().map(|value| value.parse().unwrap()).collect();
            let constraints = Constraint::new("Observation", "category", values).into_iter().collect();
            let types = TypePattern::One("Observation".into());
            let scope = SmartScope { level: Level::User, types, permissions: Permissions(bits), constraints };
            prop_assert_eq!(parse(&scope.to_string()), Ok(scope));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(patient|user|system)/.{0,60}") {
            let _ = parse(&text);
        }
    }
}
