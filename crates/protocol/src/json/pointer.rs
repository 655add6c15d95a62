//! JSON Pointer. RFC 6901.

use std::borrow::Cow;

/// Where in a value something stands: the names and positions that lead there, unescaped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pointer(Vec<String>);

/// The text is no pointer: RFC 6901 section 3.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a JSON Pointer")]
pub struct NoPointer;

impl Pointer {
    /// Reads a pointer as a string of JSON has it: section 5.
    ///
    /// # Errors
    /// [`NoPointer`].
    pub fn parse(text: &str) -> Result<Self, NoPointer> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let steps = text.strip_prefix('/').ok_or(NoPointer)?;
        steps.split('/').map(|step| unescape(step).map(Cow::into_owned)).collect::<Result<_, _>>().map(Self)
    }

    /// The steps, the first one first.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// Whether it leads through the place of the other one to somewhere within it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

/// Section 4: `~1` is a slash and `~0` a tilde, and a tilde alone is nothing.
fn unescape(step: &str) -> Result<Cow<'_, str>, NoPointer> {
    let mut parts = step.split('~');
    let first = parts.next().unwrap_or_default();
    if first.len() == step.len() {
        return Ok(Cow::Borrowed(step));
    }
    let mut whole = first.to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (None, Some(rest)) => ('/', rest),
            (None, None) => return Err(NoPointer),
        };
        whole.push(letter);
        whole.push_str(rest);
    }
    Ok(Cow::Owned(whole))
}

/// The position that a step names in an array: section 4, without zeros in front of it.
pub(super) fn position(step: &str) -> Option<usize> {
    let plain = step.bytes().all(|b| b.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    if plain { step.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(text: &str) -> Option<Vec<String>> {
        Pointer::parse(text).ok().map(|pointer| pointer.0)
    }

    #[test]
    fn the_examples_of_rfc_6901_section_5_are_read() {
        for (text, expected) in [
            ("", &[][..]),
            ("/foo", &["foo"]),
            ("/foo/0", &["foo", "0"]),
            ("/", &[""]),
            ("/a~1b", &["a/b"]),
            ("/c%d", &["c%d"]),
            ("/k\"l", &["k\"l"]),
            ("/ ", &[" "]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
        ] {
            assert_eq!(steps(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["a", "a/b", "#/a", "/~", "/a~", "/~2", "/a/~x/b", " /a"] {
            assert_eq!(steps(text), None, "{text}");
        }
    }

    #[test]
    fn a_position_is_written_in_one_way() {
        assert_eq!((position("0"), position("17")), (Some(0), Some(17)));
        for step in ["", "-", "-1", "+1", "01", "00", "1.0", "1e0", "١", "99999999999999999999999"] {
            assert_eq!(position(step), None, "{step}");
        }
    }

    proptest! {
        #[test]
        fn any_steps_are_read_back(steps in prop::collection::vec(".{0,6}", 0..5)) {
            let escaped = |step: &String| format!("/{}", step.replace('~', "~0").replace('/', "~1"));
            let text: String = steps.iter().map(escaped).collect();
            prop_assert_eq!(Pointer::parse(&text).map(|pointer| pointer.0), Ok(steps));
        }
    }
}
