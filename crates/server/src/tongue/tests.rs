use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fluent_syntax::ast::{self, Entry, Expression, InlineExpression, PatternElement};
use proptest::prelude::*;

use super::*;

/// The variables of each message of a language.
fn messages(texts: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for text in texts {
        let parsed = fluent_syntax::parser::parse(*text).expect("what is written is Fluent");
        for entry in parsed.body {
            let message = match entry {
                Entry::Message(message) => message,
                Entry::Comment(_) => continue,
                other => panic!("a message or a comment, and not {other:?}"),
            };
            let name = message.id.name.to_owned();
            assert!(message.attributes.is_empty(), "{name} has no attributes");
            let mut variables = BTreeSet::new();
            gather(&message.value.expect("it says something"), &mut variables);
            assert!(all.insert(name.clone(), variables).is_none(), "{name} stands once");
        }
    }
    all
}

fn gather(pattern: &ast::Pattern<&str>, variables: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        let inline = match element {
            PatternElement::TextElement { value } => {
                assert!(!value.contains(|letter| SIGNS.contains(&letter)), "signs are for what is given");
                assert!(!value.contains(['<', '>', '&']), "no message is HTML: {value}");
                continue;
            }
            PatternElement::Placeable { expression: Expression::Inline(inline) } => inline,
            PatternElement::Placeable { expression: Expression::Select { selector, variants } } => {
                variants.iter().for_each(|variant| gather(&variant.value, variables));
                selector
            }
        };
        match inline {
            InlineExpression::VariableReference { id } => variables.insert(id.name.to_owned()),
            other => panic!("a variable, and not {other:?}"),
        };
    }
}

#[test]
fn both_languages_have_the_same_messages_with_the_same_variables() {
    let (english, spanish) = (messages(&texts::ENGLISH), messages(&texts::SPANISH));
    let names = |all: &BTreeMap<String, _>| all.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(&english).symmetric_difference(&names(&spanish)).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    for (name, variables) in &english {
        assert_eq!(variables, &spanish[name], "{name}");
    }
}

#[test]
fn no_message_is_the_same_in_both_languages_but_those_that_say_no_word() {
    let plain = |tongue: Tongue, id: &str| {
        let message = tongue.bundle().get_message(id).and_then(|found| found.value()).unwrap();
        tongue.bundle().format_pattern(message, None, &mut Vec::new()).into_owned()
    };
    let same: Vec<String> = messages(&texts::ENGLISH)
        .into_keys()
        .filter(|id| plain(Tongue::English, id) == plain(Tongue::Spanish, id))
        .collect();
    assert_eq!(same, ["change-line"]);
}

/// A place that says a message: its name, and what it gives with it.
struct Place {
    at: String,
    id: String,
    given: BTreeSet<String>,
}

fn files(dir: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|own| own == ending) && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Every `say("…")`, `Id::of("…")` and `Words::of("…")`, with the calls that follow it.
fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for (path, text) in files("templates", "html").into_iter().chain(files("src", "rs")) {
        for call in [".say(\"", "Id::of(\"", "Words::of(\""] {
            for (start, _) in text.match_indices(call) {
                let after = text.split_at(start).1.strip_prefix(call).unwrap();
                let (id, rest) = after.split_once('"').unwrap();
                // Something else is said there.
                if id.contains(' ') {
                    continue;
                }
                places.push(Place {
                    at: path.display().to_string(),
                    id: id.to_owned(),
                    given: given(rest.strip_prefix(')').unwrap_or_default()),
                });
            }
        }
    }
    places
}

/// The names in `.with("name", …).strong("name", …)`, through brackets that match.
fn given(mut rest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    loop {
        let trimmed = rest.trim_start();
        let Some(call) = trimmed.strip_prefix('.') else { return names };
        let Some((method, after)) = call.split_once('(') else { return names };
        if !["with", "number", "choose", "strong", "code", "time", "link"].contains(&method) {
            return names;
        }
        let Some(name) = after.trim_start().strip_prefix('"').and_then(|name| name.split_once('"')) else {
            return names;
        };
        names.insert(name.0.to_owned());
        let mut depth = 1_usize;
        let end = after.find(|letter| {
            match letter {
                '(' => depth = depth.saturating_add(1),
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        rest = after.split_at(end.unwrap()).1.strip_prefix(')').unwrap();
    }
}

/// Messages whose variables are given where they are told, and not where they are named.
const GIVEN_LATER: [&str; 6] = [
    "apps-session",
    "apps-keeps",
    "apps-approved",
    "factors-passkey-bound",
    "factors-passkey-eligible",
    "factors-passkey-synced",
];

#[test]
fn what_pages_say_exists_with_what_is_given_and_nothing_is_unused() {
    let (messages, places) = (messages(&texts::ENGLISH), places());
    let mut unused: BTreeSet<&str> = messages.keys().map(String::as_str).collect();
    for Place { at, id, given } in &places {
        let variables = messages.get(id).unwrap_or_else(|| panic!("{at} says {id}, which there is not"));
        if !GIVEN_LATER.contains(&id.as_str()) {
            assert_eq!(variables, given, "{id} in {at}");
        }
        unused.remove(id.as_str());
    }
    assert_eq!(unused.into_iter().collect::<Vec<_>>(), Vec::<&str>::new(), "said nowhere");
}

/// Pages of privacy officers, which are in English alone, and what tells of a log.
const IN_ENGLISH: [&str; 7] = [
    "emergency_review.html",
    "emergency_reviews.html",
    "evidence.html",
    "finding.html",
    "findings.html",
    "report.html",
    "frame.html",
];

#[test]
fn no_page_for_people_has_words_of_its_own() {
    for (path, text) in files("templates", "html") {
        if IN_ENGLISH.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let mut rest = text.as_str();
        let mut outside = String::new();
        // What stands between tags and outside of expressions, and in attributes that are read aloud or shown.
        while let Some(start) = rest.find(['{', '<']) {
            let (before, at) = rest.split_at(start);
            outside.extend([before, " "]);
            rest = match at {
                expression if expression.starts_with("{{") => expression.split_once("}}").unwrap().1,
                block if block.starts_with("{%") => block.split_once("%}").unwrap().1,
                tag => {
                    let (tag, after) = tag_and_rest(tag);
                    outside.push_str(&read_aloud(tag));
                    after
                }
            };
        }
        outside.push_str(rest);
        let words: Vec<&str> =
            outside.split_whitespace().filter(|word| word.contains(char::is_alphabetic)).collect();
        assert_eq!(words, Vec::<&str>::new(), "{}", path.display());
    }
}

/// A tag, which may have expressions within it, and what comes after.
fn tag_and_rest(text: &str) -> (&str, &str) {
    let mut rest = text;
    loop {
        rest = rest.split_at(rest.find(['>', '{']).unwrap()).1;
        if let Some(after) = rest.strip_prefix('>') {
            return text.split_at(text.len().saturating_sub(after.len()));
        }
        let end = if rest.starts_with("{{") { "}}" } else { "%}" };
        rest = rest.split_once(end).unwrap().1;
    }
}

/// Words of a tag itself.
fn read_aloud(tag: &str) -> String {
    let mut words = String::new();
    for name in ["title", "placeholder", "aria-label", "alt", "data-cancelled", "data-known"] {
        if let Some((_, value)) = tag.split_once(&format!(" {name}=\"")) {
            let own = value.split(['"', '{']).next().unwrap();
            words.push_str(own);
            words.push(' ');
        }
    }
    words
}

fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn a_browser_is_spoken_to_as_its_sign_in_asked_or_else_as_it_says_itself() {
    let of = |headers: &HeaderMap| Tongue::of(headers);
    assert_eq!(of(&HeaderMap::new()), Tongue::English);
    assert_eq!(of(&headers(&[("accept-language", "es-MX,es;q=0.9,en;q=0.8")])), Tongue::Spanish);
    assert_eq!(of(&headers(&[("accept-language", "de, fr;q=0.9")])), Tongue::English);
    assert_eq!(of(&headers(&[("accept-language", "es; nonsense")])), Tongue::English);
    let spanish = [("accept-language", "es"), ("cookie", "__Host-language=en")];
    assert_eq!(of(&headers(&spanish)), Tongue::English);
    let unknown = [("accept-language", "es"), ("cookie", "__Host-language=de")];
    assert_eq!(of(&headers(&unknown)), Tongue::Spanish);
    let mut twice = headers(&[("accept-language", "de")]);
    twice.append(header::ACCEPT_LANGUAGE, HeaderValue::from_static("es"));
    assert_eq!(of(&twice), Tongue::Spanish);
}

#[test]
fn a_browser_reads_what_it_names_and_anything_where_it_names_nothing() {
    let reads = |accepts: &[(&'static str, &str)], tongue: Tongue| tongue.is_read(&headers(accepts));
    assert!(reads(&[], Tongue::Spanish) && reads(&[], Tongue::English));
    let both = [("accept-language", "en-US, es-MX;q=0.1")];
    assert!(reads(&both, Tongue::Spanish) && reads(&both, Tongue::English));
    assert!(!reads(&[("accept-language", "en-US,en;q=0.5")], Tongue::Spanish));
    assert!(!reads(&[("accept-language", "es;q=0, en")], Tongue::Spanish));
    assert!(!reads(&[("accept-language", "nonsense;")], Tongue::Spanish), "nor what cannot be read");
}

#[test]
fn numbers_and_choices_are_agreed_with() {
    let left = |t: Tongue, minutes: u64| t.say("emergency-own-what").number("minutes", &minutes).plain();
    assert!(left(Tongue::Spanish, 1).ends_with("un máximo de 1 minuto."));
    assert!(left(Tongue::Spanish, 15).ends_with("un máximo de 15 minutos."));
    let said = |how| Tongue::English.say("sessions-this").with("since", "today").choose("how", &how).plain();
    assert_eq!(said("password-code"), "Signed in today with a password and a code.");
    assert_eq!(said("elsewhere"), "Signed in today elsewhere.");
}

#[test]
fn what_is_given_stands_out_as_it_was_given() {
    let html = Tongue::English.say("sign-in-to").strong("application", "<b>&").to_string();
    assert_eq!(html, "to continue to <strong>&#60;b&#62;&#38;</strong>");
    let linked = Tongue::Spanish.say("question-no-passkey").link(
        "link",
        "/a\"b",
        Tongue::Spanish.say("question-add-one"),
    );
    assert!(linked.to_string().ends_with("<a href=\"/a&#34;b\">añada una</a>."), "{linked}");
    assert!(linked.plain().ends_with("ninguna: añada una."));
}

proptest! {
    #[test]
    fn nothing_that_is_given_is_markup_or_another_thing_that_is_given(one in ".{0,20}", other in ".{0,20}") {
        let one = format!("{one}\u{e001}<i>");
        let said = Tongue::English.say("encounter-for").strong("application", &one).strong("patient", &other);
        let html = said.to_string();
        prop_assert_eq!(html.matches('<').count(), 4);
        prop_assert_eq!(html.matches("<strong>").count(), 2);
        prop_assert_eq!(
            said.plain(),
            format!("{one} asks which visit of the patient {other} this is about.")
        );
    }
}
