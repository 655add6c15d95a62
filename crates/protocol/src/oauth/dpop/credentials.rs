//! How an access token is sent. RFC 9449 section 7.1, RFC 6750 section 2.1.

use super::{ProofError, sole_proof};

/// An access token as it was sent; not verified yet.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Credentials<'a> {
    /// Whoever has it may use it.
    Bearer {
        /// The token.
        token: &'a str,
    },
    /// Whoever proves the key that it is bound to may use it.
    Dpop {
        /// The token.
        token: &'a str,
        /// The proof.
        proof: &'a str,
    },
}

/// Why there is no token to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CredentialsError {
    /// No `Authorization` header, or another scheme.
    #[error("no access token")]
    Missing,
    /// Something that is no token (ATTACKS G05).
    #[error("Authorization is not one well-formed access token")]
    Malformed,
    /// The scheme is `DPoP`, and there is not one proof beside it.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl<'a> Credentials<'a> {
    /// The token, however it was sent.
    #[must_use]
    pub fn token(self) -> &'a str {
        let (Self::Bearer { token } | Self::Dpop { token, .. }) = self;
        token
    }

    /// Reads the value of `Authorization`, and all lines of `DPoP` where the scheme asks for one.
    ///
    /// SPEC: a proof beside `Bearer` is not looked at. RFC 9449 section 7.2 warns of a bound token that is sent as if it
    /// was not; that is known by the token, which has to be looked at anyway.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn read(
        authorization: &'a str,
        proofs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, CredentialsError> {
        let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
        let is_dpop = scheme.eq_ignore_ascii_case("DPoP");
        if !is_dpop && !scheme.eq_ignore_ascii_case("Bearer") {
            let several = authorization.contains(',');
            return Err(if several { CredentialsError::Malformed } else { CredentialsError::Missing });
        }
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(CredentialsError::Malformed);
        }
        if !is_dpop {
            return Ok(Self::Bearer { token });
        }
        let proof = sole_proof(proofs)?.ok_or(ProofError::Missing)?;
        Ok(Self::Dpop { token, proof })
    }
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bearer { .. } => "Bearer <token>",
            Self::Dpop { .. } => "DPoP <token>",
        })
    }
}

/// RFC 6750 section 2.1, RFC 9110 section 11.2. By a table: every request's token is looked at.
fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).is_some_and(|is_token| *is_token)
}

#[expect(clippy::indexing_slicing, reason = "the compiler does it, and would say so")]
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        let is_mark = matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        table[byte as usize] = is_mark || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(authorization: &'a str, proofs: &[&'a str]) -> Result<Credentials<'a>, CredentialsError> {
        Credentials::read(authorization, proofs.iter().copied())
    }

    #[test]
    fn o13_the_scheme_asks_for_one_proof() {
        assert_eq!(read("Bearer t.t", &[]), Ok(Credentials::Bearer { token: "t.t" }));
        assert_eq!(read("bearer t.t", &["p"]), Ok(Credentials::Bearer { token: "t.t" }));
        assert_eq!(read("dpop t.t", &["p"]), Ok(Credentials::Dpop { token: "t.t", proof: "p" }));
        assert_eq!(read("DPoP t.t", &[]), Err(ProofError::Missing.into()));
        for proofs in [&["p", "p"][..], &["p,p"], &["p, "], &["p", "q", "r"]] {
            assert_eq!(read("DPoP t.t", proofs), Err(ProofError::Several.into()));
        }
        assert!(!format!("{:?}", read("Bearer t.t", &[])).contains("t.t"));
    }

    #[test]
    fn g05_one_token_or_none() {
        for other in ["Basic eA==", "", "Negotiate x"] {
            assert_eq!(read(other, &["p"]), Err(CredentialsError::Missing), "{other}");
        }
        for scheme in ["Bearer", "DPoP"] {
            for bad in ["", " ", "  t", " t u", " t,u", " t, Bearer u", " t\"", " \u{e9}"] {
                let value = format!("{scheme}{bad}");
                assert_eq!(read(&value, &["p"]), Err(CredentialsError::Malformed), "{value}");
            }
        }
        assert_eq!(read("Basic x, Bearer y", &[]), Err(CredentialsError::Malformed));
    }
}
