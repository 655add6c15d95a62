//! The access token of a request. RFC 6750 section 2.1, RFC 9449 section 7.1: in the header, once, and nowhere else.

use chartgate_protocol::oauth::dpop::{Credentials, CredentialsError};
use http::{HeaderMap, HeaderName, header};

/// Where proofs are. RFC 9449 section 4.1.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// Where nonces for them are given. RFC 9449 section 8.
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The one access token, and the proof beside it where its scheme asks for one.
///
/// # Errors
/// [`CredentialsError`].
pub(crate) fn read(headers: &HeaderMap) -> Result<Credentials<'_>, CredentialsError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (None, _) => return Err(CredentialsError::Missing),
        (Some(value), None) => value.to_str().map_err(|_| CredentialsError::Malformed)?,
        (Some(_), Some(_)) => return Err(CredentialsError::Malformed),
    };
    // Looked for only where the scheme wants them: most requests have none.
    Credentials::read(value, std::iter::once_with(|| proofs(headers)).flatten())
}

/// All lines of `DPoP`. One that is no text is no proof either.
pub(crate) fn proofs(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(DPOP).iter().map(|line| line.to_str().unwrap_or_default())
}

/// Which scheme a request was made by, for whoever answers it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Scheme {
    #[default]
    Bearer,
    Dpop,
}

impl Scheme {
    /// What was tried, whether or not it was any good.
    pub(crate) fn of(read: &Result<Credentials<'_>, CredentialsError>) -> Self {
        match read {
            Ok(Credentials::Dpop { .. }) | Err(CredentialsError::Proof(_)) => Self::Dpop,
            Ok(Credentials::Bearer { .. }) | Err(CredentialsError::Missing | CredentialsError::Malformed) => {
                Self::Bearer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chartgate_protocol::oauth::dpop::ProofError;

    fn headers(values: &[(HeaderName, &str)]) -> HeaderMap {
        values.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    #[test]
    fn g05_one_header_with_one_token() {
        let one = headers(&[(header::AUTHORIZATION, "Bearer a.b-c")]);
        assert_eq!(read(&one), Ok(Credentials::Bearer { token: "a.b-c" }));
        assert_eq!(read(&HeaderMap::new()), Err(CredentialsError::Missing));
        let two = headers(&[(header::AUTHORIZATION, "Bearer a"), (header::AUTHORIZATION, "Bearer a")]);
        assert_eq!(read(&two), Err(CredentialsError::Malformed));
    }

    #[test]
    fn o13_two_proofs_are_none() {
        let token = (header::AUTHORIZATION, "DPoP t");
        let (one, another) = ((DPOP, "p"), (DPOP, "q"));
        let shown = headers(&[token.clone(), one.clone()]);
        assert_eq!(read(&shown), Ok(Credentials::Dpop { token: "t", proof: "p" }));
        let shown = headers(&[token.clone(), one, another]);
        assert_eq!(read(&shown), Err(CredentialsError::Proof(ProofError::Several)));
        let shown = headers(&[token]);
        assert_eq!(read(&shown), Err(CredentialsError::Proof(ProofError::Missing)));
        assert_eq!(Scheme::of(&read(&shown)), Scheme::Dpop);
    }
}
