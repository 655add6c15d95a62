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

impl<'a> Credentials<'a> {
    /// Reads the value of `Authorization` and all lines of `DPoP`. `None` is another scheme, or no token.
    ///
    /// A proof belongs to the scheme `DPoP`. Beside `Bearer` it would be sent by somebody who believes his token to be
    /// bound, while it was looked at as if it was not; RFC 9449 section 7.2 warns of that downgrade.
    ///
    /// # Errors
    /// [`ProofError`] if scheme and proof do not go together.
    pub fn read(authorization: &'a str, proofs: &[&'a str]) -> Result<Option<Self>, ProofError> {
        let proof = sole_proof(proofs)?;
        let Some((scheme, token)) = authorization.split_once(' ').filter(|(_, token)| is_token68(token))
        else {
            return Ok(None);
        };
        match proof {
            Some(proof) if scheme.eq_ignore_ascii_case("DPoP") => Ok(Some(Self::Dpop { token, proof })),
            None if scheme.eq_ignore_ascii_case("DPoP") => Err(ProofError::Missing),
            Some(_) if scheme.eq_ignore_ascii_case("Bearer") => Err(ProofError::Unasked),
            None if scheme.eq_ignore_ascii_case("Bearer") => Ok(Some(Self::Bearer { token })),
            Some(_) | None => Ok(None),
        }
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

/// RFC 9110 section 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o13_scheme_and_proof_go_together_and_there_is_one_proof() {
        let read = Credentials::read;
        assert_eq!(read("Bearer t.t", &[]), Ok(Some(Credentials::Bearer { token: "t.t" })));
        assert_eq!(read("dpop t.t", &["p"]), Ok(Some(Credentials::Dpop { token: "t.t", proof: "p" })));
        assert_eq!(read("DPoP t.t", &[]), Err(ProofError::Missing));
        assert_eq!(read("Bearer t.t", &["p"]), Err(ProofError::Unasked));
        for proofs in [&["p", "p"][..], &["p,p"], &["p, "], &["p", "q", "r"]] {
            assert_eq!(read("DPoP t.t", proofs), Err(ProofError::Several));
            assert_eq!(read("Bearer t.t", proofs), Err(ProofError::Several));
        }
        for other in ["Basic eA==", "DPoP", "DPoP ", "DPoP  t", "DPoP t u", "DPoP t,u", "Bearer ==", ""] {
            assert_eq!(read(other, &["p"]), Ok(None), "{other}");
        }
        assert!(!format!("{:?}", read("Bearer t.t", &[])).contains("t.t"));
    }
}
