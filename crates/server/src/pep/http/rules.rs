//! Which rule a request falls under. What is matched is the path as it came, which has one reading, and the same path
//! is what goes upstream.

use http::Method;

use crate::config::HttpRule;
use crate::net::path::decoded;

/// A path pattern: literal segments, and `{name}` for any one segment.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Segment>);

#[derive(Clone, Debug)]
enum Segment {
    /// What it reads as: `%24` is `$` to whoever is behind, so it is here (RFC 3986 section 6.2.2).
    Literal(Vec<u8>),
    Any,
}

impl Pattern {
    pub(super) fn new(path: &str) -> Self {
        let segment = |text: &str| {
            if text.starts_with('{') && text.ends_with('}') {
                Segment::Any
            } else {
                Segment::Literal(decoded(text).into_owned())
            }
        };
        Self(path.split('/').map(segment).collect())
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let all = self.0.iter().all(|expected| match (expected, segments.next()) {
            (Segment::Literal(text), Some(segment)) => *text == *decoded(segment),
            (Segment::Any, Some(segment)) => !segment.is_empty(),
            (Segment::Literal(_) | Segment::Any, None) => false,
        });
        all && segments.next().is_none()
    }
}

/// The first rule that names this method and path.
pub(super) fn find<'r>(
    rules: &'r [(Pattern, HttpRule)],
    method: &Method,
    path: &str,
) -> Option<&'r HttpRule> {
    rules
        .iter()
        .find(|(pattern, rule)| rule.methods.contains(method) && pattern.matches(path))
        .map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g01_a_pattern_matches_whole_segments_and_nothing_else() {
        let pattern = Pattern::new("/orders/{id}");
        assert!(pattern.matches("/orders/17"));
        for path in
            ["/orders", "/orders/", "/orders/17/", "/orders/17/lines", "/Orders/17", "/orders//17", "/x/17"]
        {
            assert!(!pattern.matches(path), "{path}");
        }
        assert!(Pattern::new("/orders").matches("/orders"));
    }

    #[test]
    fn g01_a_literal_is_the_same_however_it_is_spelt() {
        for (pattern, path) in [
            ("/orders/$purge", "/orders/%24purge"),
            ("/orders/%24purge", "/orders/$purge"),
            ("/orders/x:cancel", "/orders/x%3Acancel"),
            ("/orders/caf%C3%A9", "/orders/caf%c3%a9"),
            ("/orders/café", "/orders/caf%C3%A9"),
        ] {
            assert!(Pattern::new(pattern).matches(path), "{pattern} {path}");
        }
        assert!(!Pattern::new("/orders/$purge").matches("/orders/%2524purge"));
        assert!(!Pattern::new("/orders/$purge").matches("/orders/purge"));
    }
}
