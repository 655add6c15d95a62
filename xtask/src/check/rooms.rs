//! The server's rooms: what answers clients, what shows pages, what stands in front of records. None imports another,
//! so that each can be read, tested and replaced by itself; what two need has a place of its own.

use super::files::Sources;
use super::rust;

const ROOMS: [&str; 4] = ["authorization_server", "login", "pep", "console"];
const SERVER: &str = "crates/server/src/";

/// Imports from one room into another.
pub(super) fn check(sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources.rust() {
        let Some(module) = path.strip_prefix(SERVER).and_then(|path| path.strip_suffix(".rs")) else {
            continue;
        };
        let Some(room) = module.split('/').next().filter(|first| ROOMS.contains(first)) else { continue };
        let code = rust::without_comments(text);
        let mut names = rust::first_names(&code, "crate::");
        // One `super` for each part of the path leads to the crate's root; a module within the file takes one more.
        let depth = module.split('/').count();
        for supers in [depth, depth.saturating_add(1)] {
            names.extend(rust::first_names(&code, &"super::".repeat(supers)));
        }
        for other in ROOMS.iter().filter(|other| **other != room && names.iter().any(|name| name == *other)) {
            wrong.push(format!("{path} imports from {other}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_from_another_room_is_found_however_it_is_written() {
        for import in
            ["use crate::login::Login;", "use crate::{net, login::Login};", "use super::super::login::Login;"]
        {
            let sources = Sources::of(&[("crates/server/src/pep/fhir.rs", import)]);
            assert_eq!(check(&sources), ["crates/server/src/pep/fhir.rs imports from login"], "{import}");
        }
    }

    #[test]
    fn a_room_may_import_itself_and_what_is_shared() {
        let code = "use crate::pep::respond; use crate::store::Store; use super::login; // crate::login";
        let sources = Sources::of(&[
            ("crates/server/src/pep/fhir.rs", code),
            ("crates/server/src/app.rs", "use crate::login;"),
        ]);
        assert!(check(&sources).is_empty());
    }
}
