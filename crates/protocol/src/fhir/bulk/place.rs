//! Where an upstream keeps what it exports: below its base alone.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fhir::base::BaseUrls;

/// What follows the upstream's base in a URL of its own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UpstreamPlace(String);

/// The text is no plain path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a path without escapes and dot segments")]
pub struct MalformedPlace;

impl UpstreamPlace {
    /// A place by its URL. One on another host, or beside the base, is none.
    #[must_use]
    pub fn of(url: &str, bases: &BaseUrls) -> Option<Self> {
        bases.upstream.strip(url)?.parse().ok()
    }

    /// What follows the base.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamPlace {
    type Err = MalformedPlace;

    fn from_str(text: &str) -> Result<Self, MalformedPlace> {
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~$=:,@".contains(&b);
        let is_step = |segment: &str| matches!(segment, "" | "." | "..") || !segment.bytes().all(plain);
        let path_is_plain = match path.strip_prefix('/') {
            Some(below) => !below.split('/').any(is_step),
            None => path.is_empty() && query.is_some(),
        };
        let query_is_plain = query.is_none_or(|query| {
            !query.is_empty() && query.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
        });
        if path_is_plain && query_is_plain { Ok(Self(text.to_owned())) } else { Err(MalformedPlace) }
    }
}

impl TryFrom<String> for UpstreamPlace {
    type Error = MalformedPlace;

    fn try_from(text: String) -> Result<Self, MalformedPlace> {
        text.parse()
    }
}

impl From<UpstreamPlace> for String {
    fn from(place: UpstreamPlace) -> Self {
        place.0
    }
}
