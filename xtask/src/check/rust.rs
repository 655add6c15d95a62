//! As much of Rust's grammar as the rules need.

/// Whether a file holds tests only.
pub(super) fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// A file without the tests at its end.
pub(super) fn production(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(before, _)| before)
}

/// A file without its comments. What stands behind a colon is an address in a text.
pub(super) fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| {
        let mut begins = line.match_indices("//").filter_map(|(at, _)| line.get(..at));
        begins.find(|code| !code.ends_with(':')).unwrap_or(line)
    });
    code.collect::<Vec<_>>().join("\n")
}

/// The first names of all paths that start with `prefix`, such as `crate::`: both of `crate::a` and of `crate::{b, c::d}`.
pub(super) fn first_names(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let (before, after) = (code.get(..at).unwrap_or_default(), code.get(at..).unwrap_or_default());
        let inside_a_path =
            before.ends_with("::") || before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if inside_a_path {
            continue;
        }
        let rest = after.strip_prefix(prefix).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => names.extend(top_level(group).into_iter().map(identifier)),
            None => names.push(identifier(rest)),
        }
    }
    names
}

/// The items of a `{…}` group whose opening brace is already read, each as it begins.
fn top_level(group: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0_usize);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' if depth == 0 => {
                items.extend(group.get(start..at));
                break;
            }
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.extend(group.get(start..at));
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    items
}

/// The identifier that a text starts with.
fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_imports_are_read_one_by_one() {
        let code = "use crate::{net::{tls, listen}, pep::Gateway,\n  self};\nuse crate::store::Store; let a = crate::log::X;";
        assert_eq!(first_names(code, "crate::"), ["net", "pep", "self", "store", "log"]);
    }

    #[test]
    fn a_prefix_within_a_longer_path_is_not_one() {
        assert!(first_names("macro_crate::login", "crate::").is_empty());
        assert_eq!(first_names("super::super::login", "super::super::"), ["login"]);
        assert!(first_names("super::super::super::login", "super::super::login").is_empty());
    }

    #[test]
    fn comments_are_not_code() {
        assert_eq!(without_comments("a // crate::pep\n/// crate::login\nb"), "a \n\nb");
        let line = "f(\"https://a.example\", crate::pep::X); // see https://a.example";
        assert_eq!(without_comments(line), "f(\"https://a.example\", crate::pep::X); ");
    }
}
