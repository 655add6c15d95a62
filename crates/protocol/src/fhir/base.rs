//! Where the records live: our own base URL and the upstream's. HL7 FHIR 4.0.1, http.html#general.

use std::fmt;
use std::str::FromStr;

use super::version::FhirVersion;

/// The base URL of a FHIR service, without a slash at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl(String);

/// The two names of one service: what clients call it, and what the upstream calls itself; and which FHIR it speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrls {
    /// What clients see.
    pub public: BaseUrl,
    /// What we call; it leaves no answer.
    pub upstream: BaseUrl,
    /// The version of FHIR of its resources.
    pub version: FhirVersion,
}

/// The text is no base URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an http or https URL without user information, query, fragment, escapes and dot segments")]
pub struct MalformedBase;

impl BaseUrl {
    /// What follows the base in a URL that lies under it: empty, or beginning with `/` or `?`.
    #[must_use]
    pub fn strip<'a>(&self, url: &'a str) -> Option<&'a str> {
        let rest = url.strip_prefix(&self.0)?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
    }
}

impl FromStr for BaseUrl {
    type Err = MalformedBase;

    fn from_str(text: &str) -> Result<Self, MalformedBase> {
        let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or(MalformedBase)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]/".contains(&b);
        if !rest.bytes().all(plain) {
            return Err(MalformedBase);
        }
        let without_slash = rest.strip_suffix('/').unwrap_or(rest);
        if without_slash.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(MalformedBase);
        }
        Ok(Self(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_plain_url() {
        assert_eq!(
            "https://a.org:8443/fhir/".parse::<BaseUrl>().unwrap().to_string(),
            "https://a.org:8443/fhir"
        );
        assert!("http://[::1]:8080".parse::<BaseUrl>().is_ok());
        for text in [
            "",
            "a.org",
            "ftp://a",
            "https://",
            "https:///fhir",
            "https://u@a/f",
            "https://a/f?x",
            "https://a/../b",
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(MalformedBase), "{text}");
        }
    }

    #[test]
    fn only_what_lies_under_a_base_is_stripped_of_it() {
        let base: BaseUrl = "https://a/fhir".parse().unwrap();
        assert_eq!(base.strip("https://a/fhir/Patient/1"), Some("/Patient/1"));
        assert_eq!(base.strip("https://a/fhir?_getpages=1"), Some("?_getpages=1"));
        assert_eq!(base.strip("https://a/fhir"), Some(""));
        for url in ["https://a/fhirx/Patient/1", "https://a/fhir.evil/", "http://a/fhir/", "https://A/fhir/"]
        {
            assert_eq!(base.strip(url), None, "{url}");
        }
    }
}
