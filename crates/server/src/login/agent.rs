//! What a browser says that it is, in words that its person knows it by. RFC 9110 section 10.1.5.
//!
//! They are our words and never the browser's: nothing that somebody else chose is kept or shown.

use http::{HeaderMap, header};

use crate::tongue::Tongue;

/// Names that browsers give themselves, the more particular first: most say that they are several.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "a Mac"),
    ("Linux", "Linux"),
    ("BSD", "BSD"),
];

/// The browser of a request, as in `Firefox on Windows`; none if it says nothing that we know.
pub(super) fn agent_of(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(header::USER_AGENT)?.to_str().ok()?;
    let known = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| said.contains(mark)).map(|(_, words)| *words)
    };
    match (known(&BROWSERS), known(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(known), None) | (None, Some(known)) => Some(known.to_owned()),
        (None, None) => None,
    }
}

/// The same in a language, for whoever reads of it.
pub(super) fn agent_in(t: Tongue, agent: Option<&str>) -> String {
    let Some(agent) = agent else { return t.say("agent-unknown").plain() };
    let system = |system: &str| match system {
        "an iPhone" => t.say("agent-an-iphone").plain(),
        "an iPad" => t.say("agent-an-ipad").plain(),
        "a Mac" => t.say("agent-a-mac").plain(),
        name => name.to_owned(),
    };
    match agent.split_once(" on ") {
        Some((browser, on)) => t.say("agent-on").with("browser", browser).with("system", system(on)).plain(),
        None => system(agent),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_are_called_what_people_call_them_and_others_nothing() {
        for (said, called) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
                Some("Firefox on Windows"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                Some("Edge on Windows"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
                Some("Safari on a Mac"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
                Some("Chrome on an iPhone"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                Some("Chrome on Android"),
            ),
            ("curl/8.14.1", None),
            ("<script>alert(1)</script>", None),
        ] {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_str(said).unwrap())]);
            assert_eq!(agent_of(&headers).as_deref(), called, "{said}");
        }
        assert_eq!(agent_of(&HeaderMap::new()), None);
    }
}
