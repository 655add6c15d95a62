//! What every request needs of the store, kept in memory: keys, cut-offs, the care table, the policies.
//!
//! Each changes through one method here, which writes the store first: so the next request sees what was committed,
//! and nothing that was not.

pub(crate) mod care;
pub(crate) mod cut_offs;
pub(crate) mod keys;
pub(crate) mod policies;
pub(crate) mod sessions;

use chartgate_access::token::revocation::Traits;
use chartgate_protocol::jose::claims::AccessTokenClaims;

/// What of a verified token bears on cut-offs; `None` if a claim has a form that we never give it.
pub(crate) fn traits_of(claims: &AccessTokenClaims, kid: String) -> Option<Traits> {
    Some(Traits {
        subject: claims.sub.as_str().parse().ok()?,
        session: claims.sid.as_ref().map(|sid| sid.as_str().parse()).transpose().ok()?,
        client_id: claims.client_id.as_str().parse().ok()?,
        grant: claims.grant_id.as_ref().map(|grant| grant.as_str().parse()).transpose().ok()?,
        key: kid,
        jti: claims.jti.as_str().parse().ok()?,
        issued_at: claims.iat.timestamp(),
    })
}
