//! Files that one can hold in one's head: aim at 250 production lines, ask why at 400, stop at 600.

use super::files::Sources;
use super::rust;

const ASK: usize = 400;
const STOP: usize = 600;

/// Files to ask about, and files that are too long.
pub(super) fn check(sources: &Sources) -> (Vec<String>, Vec<String>) {
    let (mut long, mut too_long) = (Vec::new(), Vec::new());
    for (path, text) in sources.rust().filter(|(path, _)| !rust::is_test(path)) {
        let lines = rust::production(text).lines().count();
        if lines > STOP {
            too_long.push(format!("{path} has {lines} production lines"));
        } else if lines > ASK {
            long.push(format!("{path} has {lines} production lines: why?"));
        }
    }
    (long, too_long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_production_lines_count() {
        let line = "fn f() {}\n";
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(700));
        let sources = Sources::of(&[
            ("crates/a/src/short.rs", &format!("{}{tests}", line.repeat(400))),
            ("crates/a/src/long.rs", &line.repeat(401)),
            ("crates/a/src/too_long.rs", &format!("{}{tests}", line.repeat(601))),
            ("crates/a/src/b/tests.rs", &line.repeat(2000)),
        ]);
        let (long, too_long) = check(&sources);
        assert_eq!(long, ["crates/a/src/long.rs has 401 production lines: why?"]);
        assert_eq!(too_long, ["crates/a/src/too_long.rs has 601 production lines"]);
    }
}
