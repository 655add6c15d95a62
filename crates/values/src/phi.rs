//! Protected health information in a type that does not print.

use std::fmt;

/// Holds what could tell something of a patient. Prints as `<phi>`; has no `Serialize`.
#[derive(Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Marks a value as protected.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place to review.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, given away.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<phi>")
    }
}

impl<T> fmt::Display for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<phi>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_prints_as_nothing() {
        let name = Phi::new("Trenton Turner");
        assert_eq!(format!("{name} {name:?}"), "<phi> <phi>");
    }
}
