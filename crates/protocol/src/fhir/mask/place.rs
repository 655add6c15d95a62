//! Where something stands in a record, and what is to be removed there. HL7 FHIR 4.0.1, elementdefinition.html#contentReference:
//! what is made as an element around it (`QuestionnaireResponse.item.item`) has all that this one has, and loses what it loses.

use crate::fhir::elements::Part;

/// What is still to be removed within a value: the rest of each path.
pub(super) type Paths<'p> = Vec<&'p [String]>;

/// An object on the way into a record.
pub(super) struct Place<'p> {
    /// What it is made of, where that is known.
    pub(super) part: Option<Part>,
    pub(super) paths: Paths<'p>,
    around: Option<&'p Place<'p>>,
}

/// What becomes of a member.
pub(super) enum Member<'p> {
    Removed,
    /// It stays, without what these lead to.
    Stays(Paths<'p>),
}

impl<'p> Place<'p> {
    /// A record.
    pub(super) fn record(part: Option<Part>, paths: Paths<'p>) -> Self {
        Self { part, paths, around: None }
    }

    /// An object within another one.
    pub(super) fn within(part: Option<Part>, paths: Paths<'p>, around: &'p Self) -> Self {
        Self { part, paths, around: Some(around) }
    }

    /// The type of a member, without the `_` of its extensions.
    pub(super) fn kind(&self, member: &str) -> Option<&'static str> {
        match member {
            "extension" | "modifierExtension" => Some("Extension"),
            _ => self.part.and_then(|part| part.kind(member)),
        }
    }

    /// What becomes of a member that is meant by the steps of which this is said.
    pub(super) fn member(&self, member: &str, is_meant: impl Fn(&str) -> bool) -> Member<'p> {
        let mut left: Paths<'p> = Vec::new();
        for path in &self.paths {
            match path.split_first() {
                Some((step, [])) if is_meant(step) => return Member::Removed,
                Some((step, rest)) if is_meant(step) => left.push(rest),
                Some(_) | None => {}
            }
        }
        left.extend(self.kind(member).into_iter().flat_map(|kind| self.paths_in(kind)));
        Member::Stays(left)
    }

    /// What is to be removed within the innermost object on the way that is of a type.
    fn paths_in(&self, kind: &str) -> Paths<'p> {
        match self.around {
            _ if self.part.is_some_and(|part| part.name() == kind) => self.paths.clone(),
            Some(around) => around.paths_in(kind),
            None => Vec::new(),
        }
    }
}
