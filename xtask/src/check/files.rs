//! The repository's files, and rules that need no more than their names and words.

use std::collections::BTreeMap;
use std::path::Path;

/// Every text file that is, or would be, in version control.
pub(super) struct Sources {
    /// Path from the root to content.
    texts: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the files with these paths; what is not text is left out.
    pub(super) fn read<'p>(root: &Path, paths: impl Iterator<Item = &'p str>) -> anyhow::Result<Self> {
        let mut texts = BTreeMap::new();
        for path in paths {
            let file = root.join(path);
            // One that is deleted but still in the index.
            if !file.is_file() {
                continue;
            }
            if let Ok(text) = String::from_utf8(std::fs::read(&file)?) {
                texts.insert(path.to_owned(), text);
            }
        }
        Ok(Self { texts })
    }

    #[cfg(test)]
    pub(super) fn of(texts: &[(&str, &str)]) -> Self {
        let owned = texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { texts: owned.collect() }
    }

    /// All, with their paths.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// One of them.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a folder with files in it.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.texts
            .keys()
            .any(|p| p.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

/// Where aws-lc-rs may be named. In the server that is TLS, randomness, passwords, and two places that take a plain digest.
const REACHES_CRYPTO: [&str; 15] = [
    "bench/",
    "crates/audit/",
    "crates/protocol/",
    "crates/server/src/entropy.rs",
    "crates/server/src/live/policies.rs",
    "crates/server/src/net/tls.rs",
    "crates/server/src/crypto_module.rs",
    "crates/server/src/passwords",
    "crates/server/tests/",
    "crates/server/src/live/proven.rs",
    "crates/verify/src/https.rs",
    "crates/verify/src/verifier/tests.rs",
    "crates/values/src/entropy.rs",
    "crates/values/src/mac.rs",
    "crates/values/src/seal.rs",
];

/// Files that name aws-lc-rs and may not.
pub(super) fn crypto_reach(sources: &Sources) -> Vec<String> {
    let naming = sources.rust().filter(|(path, text)| {
        text.contains("aws_lc_rs")
            && !path.starts_with("xtask/")
            && !REACHES_CRYPTO.iter().any(|p| path.starts_with(p))
    });
    naming.map(|(path, _)| format!("{path} names aws_lc_rs")).collect()
}

/// Files called `mod.rs`.
pub(super) fn module_names(sources: &Sources) -> Vec<String> {
    sources.rust().filter(|(path, _)| path.ends_with("/mod.rs")).map(|(path, _)| path.to_owned()).collect()
}

/// Words that no file may have: folders of somebody's machine, and what a merge leaves. Cut in two, for this is a file.
const WORDS: [&str; 6] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("<<<<", "<<< "),
    concat!(">>>>", ">>> "),
];

/// Lines with a forbidden word.
pub(super) fn words(sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources.all() {
        for (number, line) in (1_usize..).zip(text.lines()) {
            for word in WORDS.iter().filter(|word| line.contains(*word)) {
                wrong.push(format!("{path}:{number}: `{}`", word.trim_end()));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_named_by_a_page_is_found() {
        let sources = Sources::of(&[
            ("crates/server/src/login/form.rs", "use aws_lc_rs::hmac;"),
            ("crates/protocol/src/jose/jws.rs", "use aws_lc_rs::signature;"),
        ]);
        assert_eq!(crypto_reach(&sources), ["crates/server/src/login/form.rs names aws_lc_rs"]);
    }

    #[test]
    fn mod_rs_is_found() {
        let sources = Sources::of(&[("crates/a/src/b/mod.rs", ""), ("crates/a/src/b.rs", "")]);
        assert_eq!(module_names(&sources), ["crates/a/src/b/mod.rs"]);
    }

    #[test]
    fn a_machine_s_path_is_found_with_its_line() {
        let path = WORDS[0];
        let sources = Sources::of(&[("a.md", &format!("fine\nsee {path}x\n")), ("b.md", "see work/x")]);
        assert_eq!(words(&sources), [format!("a.md:2: `{path}`")]);
    }

    #[test]
    fn a_folder_exists_by_its_files_only() {
        let sources = Sources::of(&[("docs/adr/0001-five-crates.md", "")]);
        assert!(sources.has("docs/adr/"));
        assert!(sources.has("docs/adr/0001-five-crates.md"));
        assert!(!sources.has("docs/ad"));
    }
}
