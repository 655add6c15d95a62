//! What the answer to a write is to be. RFC 7240 section 4.2; HL7 FHIR 4.0.1, http.html#return.

/// What of what was stored comes back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Returns {
    /// The record, if the caller may read it.
    #[default]
    Representation,
    /// Where it is and which version, and nothing of it.
    Minimal,
}

impl Returns {
    /// Reads the values of `Prefer`, of which the first preference for an answer counts. What is not known is no
    /// preference: RFC 7240 section 2.
    pub fn read<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let preferences = values.flat_map(|value| value.split(',')).filter_map(|one| one.split(';').next());
        let returns = |preference: &str| {
            let (name, value) = preference.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("return").then(|| value.to_ascii_lowercase())
        };
        match preferences.filter_map(returns).next().as_deref() {
            Some("minimal") => Self::Minimal,
            Some(_) | None => Self::Representation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_preference_for_an_answer_counts_and_others_are_none() {
        for (values, expected) in [
            (&[][..], Returns::Representation),
            (&["return=minimal"], Returns::Minimal),
            (&["respond-async, Return = \"minimal\"; x=1"], Returns::Minimal),
            (&["handling=strict", "return=minimal"], Returns::Minimal),
            (&["return=representation, return=minimal"], Returns::Representation),
            (&["return=OperationOutcome"], Returns::Representation),
            (&["minimal", "returns=minimal", "return"], Returns::Representation),
        ] {
            assert_eq!(Returns::read(values.iter().copied()), expected, "{values:?}");
        }
    }
}
