//! Which rule a request falls under. What is matched is the path as it came, which has one reading, and the same path
//! is what goes upstream.

use http::Method;

use crate::config::HttpRule;

/// A path pattern: literal segments, and `{name}` for any one segment.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Segment>);

#[derive(Clone, Debug)]
enum Segment {
    Literal(String),
    Any,
}

impl Pattern {
    pub(super) fn new(path: &str) -> Self {
        let segment = |text: &str| {
            if text.starts_with('{') && text.ends_with('}') {
                Segment::Any
            } else {
                Segment::Literal(text.to_owned())
            }
        };
        Self(path.split('/').map(segment).collect())
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let all = self.0.iter().all(|expected| match (expected, segments.next()) {
            (Segment::Literal(text), Some(segment)) => text == segment,
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
}
