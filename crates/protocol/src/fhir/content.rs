//! Formats: JSON alone comes in and goes out. HL7 FHIR 4.0.1, http.html#mime-type, RFC 9110 sections 8.3 and 12.5.1.

/// The client wants another format than JSON, or another version of FHIR than R4.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("only application/fhir+json of FHIR 4.0 is offered")]
pub struct NotAcceptable;

/// The body is of another format than the one that is read there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the content type is not one that is read here")]
pub struct UnsupportedMediaType;

/// Checks that the client takes FHIR JSON. `_format`, where there is one, overrides `Accept`.
///
/// # Errors
/// [`NotAcceptable`].
pub fn acceptable(accept: Option<&str>, format: Option<&str>) -> Result<(), NotAcceptable> {
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

/// Checks that a body is FHIR JSON.
///
/// # Errors
/// [`UnsupportedMediaType`], also where nothing is said.
pub fn is_fhir_json(content_type: Option<&str>) -> Result<(), UnsupportedMediaType> {
    is_type(content_type, &JSON)
}

/// Checks that a body is a JSON Patch. RFC 6902 section 6.
///
/// # Errors
/// [`UnsupportedMediaType`], also where nothing is said.
pub fn is_json_patch(content_type: Option<&str>) -> Result<(), UnsupportedMediaType> {
    is_type(content_type, &["application/json-patch+json"])
}

/// Whether a patch may be one of FHIRPath: `Parameters` as FHIR JSON. fhirpatch.html.
pub(super) fn may_be_parameters(content_type: Option<&str>) -> bool {
    is_type(content_type, &["application/fhir+json"]).is_ok()
}

/// Checks that a body is a form.
///
/// # Errors
/// [`UnsupportedMediaType`], also where nothing is said.
pub fn is_form(content_type: Option<&str>) -> Result<(), UnsupportedMediaType> {
    is_type(content_type, &["application/x-www-form-urlencoded"])
}

const JSON: [&str; 2] = ["application/fhir+json", "application/json"];

fn is_type(content_type: Option<&str>, names: &[&str]) -> Result<(), UnsupportedMediaType> {
    let (name, mut parameters) = media_type(content_type.ok_or(UnsupportedMediaType)?);
    if names.contains(&name.as_str()) && parameters.all(is_harmless) {
        return Ok(());
    }
    Err(UnsupportedMediaType)
}

/// Whether a media range covers what we offer.
fn is_offered(range: &str) -> bool {
    let (name, mut parameters) = media_type(range);
    let covers = JSON.contains(&name.as_str()) || matches!(name.as_str(), "*/*" | "application/*");
    covers && parameters.all(|parameter| is_harmless(parameter) || is_positive_weight(parameter))
}

/// A media type in lower case, and its parameters.
fn media_type(text: &str) -> (String, impl Iterator<Item = &str>) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    (name, parts.filter(|parameter| !parameter.is_empty()))
}

/// Whether a parameter says what is so anyway.
fn is_harmless(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim_matches('"');
    (name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8"))
        || (name.eq_ignore_ascii_case("fhirVersion") && matches!(value, "4.0" | "4.0.1"))
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
            assert_eq!(acceptable(Some(accept), None), Ok(()), "{accept}");
        }
        for format in ["json", "application/json", "application/fhir+json", "application/fhir json"] {
            assert_eq!(acceptable(Some("text/html"), Some(format)), Ok(()), "{format}");
        }
        assert_eq!(acceptable(None, None), Ok(()));
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
            assert_eq!(acceptable(Some(accept), None), Err(NotAcceptable), "{accept}");
        }
        for format in ["xml", "html", "", "JSONP", "application/fhir+xml", "ttl"] {
            assert_eq!(acceptable(Some("application/json"), Some(format)), Err(NotAcceptable), "{format}");
        }
    }

    #[test]
    fn a_body_says_what_it_is() {
        assert_eq!(is_fhir_json(Some("application/fhir+json;charset=\"utf-8\"")), Ok(()));
        assert_eq!(is_form(Some("application/x-www-form-urlencoded")), Ok(()));
        assert_eq!(is_json_patch(Some("application/json-patch+json; charset=utf-8")), Ok(()));
        for other in [
            None,
            Some("application/json"),
            Some("application/merge-patch+json"),
            Some("application/xml-patch+xml"),
        ] {
            assert_eq!(is_json_patch(other), Err(UnsupportedMediaType), "{other:?}");
        }
        for other in
            [None, Some(""), Some("application/json-patch+json"), Some("application/json; charset=utf-16")]
        {
            assert_eq!(is_fhir_json(other), Err(UnsupportedMediaType), "{other:?}");
        }
        assert_eq!(is_form(Some("application/json")), Err(UnsupportedMediaType));
    }
}
