//! Pages that tell the truth: what they name exists, and the configuration page has every key.

use std::collections::BTreeSet;

use super::files::Sources;
use super::rust;

/// Paths that start like this are paths of ours.
const OURS: [&str; 8] = ["crates/", "docs/", "policies/", "xtask/", "bench/", "fuzz/", "deploy/", ".ci/"];
const HIPAA_MAP: &str = "docs/hipaa-map.md";
const CONFORMANCE: &str = "docs/openid-conformance.md";
const SMART_CONFORMANCE: &str = "docs/smart-conformance.md";
/// Pages that name tests.
const NAMING_TESTS: [&str; 3] = [HIPAA_MAP, CONFORMANCE, SMART_CONFORMANCE];
const CONFIG_PAGE: &str = "docs/config.md";
const CONFIG_READERS: [&str; 2] = ["crates/server/src/config.rs", "crates/server/src/config/"];

/// Links, paths and tests that pages name and that are not there.
pub(super) fn check(sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources.all().filter(|(path, _)| path.ends_with(".md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in links(text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") && !sources.has(&joined(folder, file)) {
                wrong.push(format!("{path} links to {target}"));
            }
        }
        for word in code_words(text) {
            let named = OURS.iter().any(|ours| word.starts_with(ours));
            if named && !word.contains(['*', '<', '{', '…', ' ']) && !sources.has(word) {
                wrong.push(format!("{path} names `{word}`"));
            }
        }
    }
    wrong.extend(missing_tests(sources));
    wrong
}

/// Tests that these pages name, by their functions' names, and that no file has.
fn missing_tests(sources: &Sources) -> Vec<String> {
    NAMING_TESTS.iter().flat_map(|page| missing_tests_of(sources, page)).collect()
}

fn missing_tests_of(sources: &Sources, page: &str) -> Vec<String> {
    let Some(text) = sources.text(page) else { return vec![format!("there is no {page}")] };
    let named = code_words(text).into_iter().filter(|word| {
        word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    let missing = named.filter(|name| !sources.rust().any(|(_, text)| text.contains(&format!("fn {name}("))));
    missing.map(|name| format!("{page} names the test `{name}`")).collect()
}

/// Keys that the code reads and the page does not have, and the other way round.
pub(super) fn config_keys(sources: &Sources) -> Vec<String> {
    let readers = sources.rust().filter(|(path, _)| {
        !rust::is_test(path) && CONFIG_READERS.iter().any(|reader| path.starts_with(reader))
    });
    let mut read: BTreeSet<&str> = BTreeSet::new();
    for (_, text) in readers {
        read.extend(keys_read(rust::production(text)));
    }
    let Some(page) = sources.text(CONFIG_PAGE) else { return vec![format!("there is no {CONFIG_PAGE}")] };
    let documented = keys_documented(page);
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> =
        documented.iter().flat_map(|key| key.split('.').map(str::to_owned)).collect();
    let mut wrong: Vec<String> =
        read.iter().filter(|key| !names.contains(**key)).map(|key| format!("`{key}` is missing")).collect();
    let unread = documented.iter().filter(|key| !read.contains(last(key).as_str()));
    wrong.extend(unread.map(|key| format!("`{key}` is read by nothing")));
    wrong
}

/// Keys that a source file asks a section for: the text after `reading,`.
fn keys_read(text: &str) -> Vec<&str> {
    let asked = text.split("reading,").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    asked.filter_map(|rest| rest.split('"').next()).collect()
}

/// Keys that the page has a row for: the first cell, in backticks.
fn keys_documented(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// What stands between backticks within a line.
fn code_words(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// A relative path, from the root.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_paths_to_nothing_are_found() {
        let sources = Sources::of(&[
            (
                "docs/a.md",
                "[ok](../README.md#x) [web](https://a.example/b) [gone](b.md) `crates/x/src/y.rs` `crates/*`",
            ),
            ("README.md", "`docs/a.md`"),
            (HIPAA_MAP, ""),
            (CONFORMANCE, ""),
            (SMART_CONFORMANCE, ""),
        ]);
        assert_eq!(check(&sources), ["docs/a.md links to b.md", "docs/a.md names `crates/x/src/y.rs`"]);
    }

    #[test]
    fn a_test_that_is_gone_is_found() {
        let sources = Sources::of(&[
            (HIPAA_MAP, "| a | `idle_sessions_end` `never_written` `max_answer!` |"),
            (CONFORMANCE, "| `idle_sessions_end`, `dropped_since` | idle |"),
            (SMART_CONFORMANCE, "| 14 | PKCE | `lost_with_it` |"),
            ("crates/a/src/b.rs", "fn idle_sessions_end() {}"),
        ]);
        assert_eq!(
            check(&sources),
            [
                "docs/hipaa-map.md names the test `never_written`",
                "docs/openid-conformance.md names the test `dropped_since`",
                "docs/smart-conformance.md names the test `lost_with_it`"
            ]
        );
    }

    #[test]
    fn keys_are_compared_both_ways() {
        let sources = Sources::of(&[
            (
                "crates/server/src/config.rs",
                "section.text(reading, \"url\"); section.duration(\n reading,\n \"ttl\", x)",
            ),
            (CONFIG_PAGE, "| key | default |\n| `store.url` | none |\n| `store.gone` | 1 |\n"),
        ]);
        assert_eq!(config_keys(&sources), ["`ttl` is missing", "`store.gone` is read by nothing"]);
    }
}
