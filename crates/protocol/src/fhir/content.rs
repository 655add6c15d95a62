//! Formats: JSON alone comes in and goes out. HL7 FHIR 4.0.1, http.html#mime-type, RFC 9110 sections 8.3 and 12.5.1.

use super::version::FhirVersion;

/// The client wants another format than JSON, or another version of FHIR than the one that is spoken there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("only application/fhir+json in the version of FHIR that is spoken here is offered")]
pub struct NotAcceptable;

/// The body is of another format than the one that is read there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the content type is not one that is read here")]
pub struct UnsupportedMediaType;

/// Checks that the client takes FHIR JSON. `_format`, where there is one, overrides `Accept`.
///
/// # Errors
/// [`NotAcceptable`].
pub fn acceptable(
    accept: Option<&str>,
    format: Option<&str>,
    version: FhirVersion,
) -> Result<(), NotAcceptable> {
    let is_offered = |range: &str| is_offered(range, version);
    let offered = match (format, accept) {
        (Some(format), _) => {
            let name = format.split(';').next().unwrap_or(format).trim_end();
            // A plus that the client forgot to escape is a space by now.
            matches!(name, "json" | "application/fhir json") || is_offered(format)
        }
        (None, Some(accept)) => accept.trim().is_empty() || accept.split(',').any(is_offered),
        (None, None) => true,
    };
    if offered { Ok(()) } else { Err(NotAcceptable) }
}

/// As what a Binary is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// As a resource.
    Resource,
    /// As the content that it holds.
    Content,
}

/// As what a client wants a Binary: as a resource if it says so by name, else as the content that it holds.
/// HL7 FHIR 4.0.1, binary.html#rest.
///
/// # Errors
/// [`NotAcceptable`], where it names nothing but other forms of the resource.
pub fn wanted_of_binary(
    accept: Option<&str>,
    format: Option<&str>,
    version: FhirVersion,
) -> Result<Wanted, NotAcceptable> {
    let Some(accept) = accept.filter(|accept| format.is_none() && !accept.trim().is_empty()) else {
        return match format {
            Some(_) => acceptable(accept, format, version).map(|()| Wanted::Resource),
            None => Ok(Wanted::Content),
        };
    };
    let of_resource = |range: &&str| {
        let (name, _) = media_type(range);
        JSON.contains(&name.as_str())
            || matches!(name.as_str(), "application/fhir+xml" | "application/fhir+turtle")
    };
    let (of_resource, others): (Vec<_>, Vec<_>) = accept.split(',').partition(of_resource);
    if of_resource.into_iter().any(|range| is_offered(range, version)) {
        return Ok(Wanted::Resource);
    }
    let positive = |range: &&str| {
        let (name, mut parameters) = media_type(range);
        name.contains('/')
            && parameters.all(|one| !one.to_ascii_lowercase().starts_with("q=") || is_positive_weight(one))
    };
    if others.iter().any(positive) { Ok(Wanted::Content) } else { Err(NotAcceptable) }
}

/// What content says it is, in a form that can stand in a header: a type, and a character set where it has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaType {
    name: String,
    charset: Option<String>,
}

impl MediaType {
    /// Reads one. RFC 9110 section 8.3.1.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let (name, mut parameters) = media_type(text);
        let (kind, subtype) = name.split_once('/')?;
        if !token(kind) || !token(subtype) {
            return None;
        }
        let charset = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim_matches('"');
            (name.eq_ignore_ascii_case("charset") && token(value)).then(|| value.to_ascii_lowercase())
        });
        Some(Self { charset, name })
    }

    /// Whether browsers run what is of this type: pages, and images and stylesheets that are programs.
    #[must_use]
    pub fn is_active(&self) -> bool {
        const ACTIVE: [&str; 8] = [
            "application/ecmascript",
            "application/javascript",
            "application/xhtml+xml",
            "application/xslt+xml",
            "image/svg+xml",
            "text/ecmascript",
            "text/html",
            "text/javascript",
        ];
        ACTIVE.contains(&self.name.as_str())
    }

    /// The type without its parameters, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Display for MediaType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.charset.as_ref().map_or(Ok(()), |charset| write!(f, "; charset={charset}"))
    }
}

/// Checks that a body is FHIR JSON.
///
/// # Errors
/// [`UnsupportedMediaType`], also where nothing is said.
pub fn is_fhir_json(content_type: Option<&str>, version: FhirVersion) -> Result<(), UnsupportedMediaType> {
    is_type(content_type, &JSON, version)
}

/// Checks that a body is a JSON Patch. RFC 6902 section 6.
///
/// # Errors
/// [`UnsupportedMediaType`], also where nothing is said.
pub fn is_json_patch(content_type: Option<&str>, version: FhirVersion) -> Result<(), UnsupportedMediaType> {
    is_type(content_type, &["application/json-patch+json"], version)
}

/// Whether a patch may be one of FHIRPath: `Parameters` as FHIR JSON. fhirpatch.html.
pub(super) fn may_be_parameters(content_type: Option<&str>, version: FhirVersion) -> bool {
    is_type(content_type, &["application/fhir+json"], version).is_ok()
}

/// Checks that a body is a form.
///
/// # Errors
/// [`UnsupportedMediaType`], also where nothing is said.
pub fn is_form(content_type: Option<&str>, version: FhirVersion) -> Result<(), UnsupportedMediaType> {
    is_type(content_type, &["application/x-www-form-urlencoded"], version)
}

const JSON: [&str; 2] = ["application/fhir+json", "application/json"];

fn is_type(
    content_type: Option<&str>,
    names: &[&str],
    version: FhirVersion,
) -> Result<(), UnsupportedMediaType> {
    let (name, mut parameters) = media_type(content_type.ok_or(UnsupportedMediaType)?);
    if names.contains(&name.as_str()) && parameters.all(|parameter| is_harmless(parameter, version)) {
        return Ok(());
    }
    Err(UnsupportedMediaType)
}

/// Whether a media range covers what we offer.
fn is_offered(range: &str, version: FhirVersion) -> bool {
    let (name, mut parameters) = media_type(range);
    let covers = JSON.contains(&name.as_str()) || matches!(name.as_str(), "*/*" | "application/*");
    covers && parameters.all(|parameter| is_harmless(parameter, version) || is_positive_weight(parameter))
}

/// A media type in lower case, and its parameters.
fn media_type(text: &str) -> (String, impl Iterator<Item = &str>) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    (name, parts.filter(|parameter| !parameter.is_empty()))
}

/// Whether a parameter says what is so anyway.
fn is_harmless(parameter: &str, version: FhirVersion) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim_matches('"');
    (name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8"))
        || (name.eq_ignore_ascii_case("fhirVersion")
            && (value == version.as_str() || value == version.publication()))
}

/// RFC 9110 section 12.4.2: a weight of nought means never.
fn is_positive_weight(parameter: &str) -> bool {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    value.and_then(|value| value.parse::<f32>().ok()).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_by_any_of_its_names_is_acceptable() {
        for accept in [
            "",
            "*/*",
            "application/*",
            "application/fhir+json",
            "Application/JSON; charset=UTF-8",
            "application/fhir+json; fhirVersion=4.0",
            "text/html, application/xml;q=0.9, */*;q=0.8",
        ] {
            assert_eq!(acceptable(Some(accept), None, FhirVersion::R4), Ok(()), "{accept}");
        }
        for format in ["json", "application/json", "application/fhir+json", "application/fhir json"] {
            assert_eq!(acceptable(Some("text/html"), Some(format), FhirVersion::R4), Ok(()), "{format}");
        }
        assert_eq!(acceptable(None, None, FhirVersion::R4), Ok(()));
    }

    #[test]
    fn a_version_is_acceptable_where_it_is_spoken() {
        for (version, is_so) in FhirVersion::ALL.into_iter().zip([false, true, false]) {
            let accept = acceptable(Some("application/fhir+json; fhirVersion=4.3"), None, version);
            assert_eq!(accept.is_ok(), is_so, "{version}");
            let sent = is_fhir_json(Some("application/fhir+json; fhirVersion=4.3.0"), version);
            assert_eq!(sent.is_ok(), is_so, "{version}");
        }
    }

    #[test]
    fn every_other_format_is_not() {
        for accept in [
            "application/fhir+xml",
            "text/turtle",
            "application/json;q=0",
            "application/fhir+json; fhirVersion=5.0",
            "application/jsonx",
            ",",
        ] {
            assert_eq!(acceptable(Some(accept), None, FhirVersion::R4), Err(NotAcceptable), "{accept}");
        }
        for format in ["xml", "html", "", "JSONP", "application/fhir+xml", "ttl"] {
            assert_eq!(
                acceptable(Some("application/json"), Some(format), FhirVersion::R4),
                Err(NotAcceptable),
                "{format}"
            );
        }
    }

    #[test]
    fn a_binary_is_its_content_unless_the_resource_is_named() {
        let wanted = |accept, format| wanted_of_binary(accept, format, FhirVersion::R4);
        for accept in
            ["application/fhir+json", "application/json", "application/pdf, application/fhir+json;q=0.1"]
        {
            assert_eq!(wanted(Some(accept), None), Ok(Wanted::Resource), "{accept}");
        }
        for accept in
            ["", "*/*", "application/pdf", "text/html, */*;q=0.1", "application/fhir+json;q=0, image/png"]
        {
            assert_eq!(wanted(Some(accept), None), Ok(Wanted::Content), "{accept}");
        }
        assert_eq!(wanted(None, None), Ok(Wanted::Content));
        assert_eq!(wanted(Some("application/pdf"), Some("json")), Ok(Wanted::Resource));
        for accept in ["application/fhir+xml", "application/fhir+json;fhirVersion=5.0", "*/*;q=0", "pdf", ","]
        {
            assert_eq!(wanted(Some(accept), None), Err(NotAcceptable), "{accept}");
        }
        assert_eq!(wanted(None, Some("xml")), Err(NotAcceptable));
    }

    #[test]
    fn a_media_type_can_stand_in_a_header_or_is_none() {
        let read = |text: &str| MediaType::of(text).map(|read| read.to_string());
        assert_eq!(read("Text/Plain; Charset=\"UTF-8\"; x=y").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(read("application/hl7-cda+xml").as_deref(), Some("application/hl7-cda+xml"));
        for text in ["", "pdf", "/", "a/", "a b/c", "a/b\r\nx: y", "a/b/c", "ä/b"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("a/b; charset=x\r\ny").as_deref(), Some("a/b"));
    }

    #[test]
    fn a_body_says_what_it_is() {
        assert_eq!(is_fhir_json(Some("application/fhir+json;charset=\"utf-8\""), FhirVersion::R4), Ok(()));
        assert_eq!(is_form(Some("application/x-www-form-urlencoded"), FhirVersion::R4), Ok(()));
        assert_eq!(
            is_json_patch(Some("application/json-patch+json; charset=utf-8"), FhirVersion::R4),
            Ok(())
        );
        for other in [
            None,
            Some("application/json"),
            Some("application/merge-patch+json"),
            Some("application/xml-patch+xml"),
        ] {
            assert_eq!(is_json_patch(other, FhirVersion::R4), Err(UnsupportedMediaType), "{other:?}");
        }
        for other in
            [None, Some(""), Some("application/json-patch+json"), Some("application/json; charset=utf-16")]
        {
            assert_eq!(is_fhir_json(other, FhirVersion::R4), Err(UnsupportedMediaType), "{other:?}");
        }
        assert_eq!(is_form(Some("application/json"), FhirVersion::R4), Err(UnsupportedMediaType));
    }
}
