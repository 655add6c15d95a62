//! Token Status List: one bit for each token, in a list that anybody may fetch. draft-ietf-oauth-status-list.

use miniz_oxide::deflate::compress_to_vec_zlib;
use serde::Serialize;

use crate::base64url;
use crate::jose::Rejection;
use crate::jose::claims::{FromClaim, NumericDate, optional, required};
use crate::json::{self, Object};

/// `typ` of a list, section 5.1.
pub const STATUS_LIST_TYPE: &str = "statuslist+jwt";

/// The claim `status` of a token: where its status is. Section 6.1; other mechanisms are no business of ours.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TokenStatus {
    /// In a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_list: Option<StatusReference>,
}

/// A place in a list. Section 6.2.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct StatusReference {
    /// Which place.
    pub idx: u32,
    /// Of which list.
    pub uri: String,
}

impl FromClaim for TokenStatus {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        let status: Object<'_> = json::read(text).map_err(|_| Rejection::ClaimType(name))?;
        Ok(Self { status_list: optional(&status, "status_list")? })
    }
}

impl FromClaim for StatusReference {
    fn from_claim(name: &'static str, text: &str) -> Result<Self, Rejection> {
        let place: Object<'_> = json::read(text).map_err(|_| Rejection::ClaimType(name))?;
        let idx = place.read("idx").map_err(|_| Rejection::ClaimType("idx"))?;
        Ok(Self { idx: idx.ok_or(Rejection::MissingClaim("idx"))?, uri: required(&place, "uri")? })
    }
}

/// The claims of a list. Section 5.1.
#[derive(Clone, Debug, Serialize)]
pub struct StatusListClaims {
    /// Who says so.
    pub iss: String,
    /// The list's own address.
    pub sub: String,
    /// As of when.
    pub iat: NumericDate,
    /// When it is worth nothing any more.
    pub exp: NumericDate,
    /// How many seconds it may be kept.
    pub ttl: u64,
    /// The bits.
    pub status_list: StatusList,
}

/// The bits of a list: section 4.2.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct StatusList {
    bits: u8,
    lst: String,
}

impl StatusList {
    /// A list of so many tokens, of which these are invalid.
    #[must_use]
    pub fn of(size: u32, invalid: impl IntoIterator<Item = u32>) -> Self {
        let mut bytes = vec![0_u8; usize::try_from(size.div_ceil(8)).unwrap_or_default()];
        for idx in invalid {
            // Section 4.1: the first is the least significant bit.
            let byte = usize::try_from(idx / 8).ok().and_then(|at| bytes.get_mut(at));
            byte.into_iter().for_each(|byte| *byte |= 1 << (idx % 8));
        }
        // Section 4.1: in the ZLIB format, with the highest compression there is.
        Self { bits: 1, lst: base64url::encode(&compress_to_vec_zlib(&bytes, 10)) }
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec_zlib;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_drafts_own_example() {
        // Section 4.1: 0xB9, 0xA3.
        let invalid = [0, 3, 4, 5, 7, 8, 9, 13, 15];
        assert_eq!(
            serde_json::to_value(StatusList::of(16, invalid)).unwrap(),
            serde_json::json!({ "bits": 1, "lst": "eNrbuRgAAhcBXQ" })
        );
    }

    #[test]
    fn a_status_is_read_as_it_is_written_and_other_mechanisms_are_left_alone() {
        let read = |text: &str| TokenStatus::from_claim("status", text);
        let status_list = StatusReference { idx: 7, uri: "https://gate.test/status-lists/x".into() };
        let status = TokenStatus { status_list: Some(status_list) };
        assert_eq!(read(&serde_json::to_string(&status).unwrap()), Ok(status));
        assert_eq!(read("{\"other\":1}"), Ok(TokenStatus { status_list: None }));
        for bad in [
            "1",
            "{\"status_list\":{}}",
            "{\"status_list\":{\"idx\":-1,\"uri\":\"x\"}}",
            "{\"status_list\":{\"idx\":1}}",
            "{\"status_list\":{\"idx\":1.5,\"uri\":\"x\"}}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn exactly_the_invalid_ones_have_their_bit(
            size in 1_u32..2000,
            invalid in prop::collection::btree_set(0_u32..2000, 0..50),
        ) {
            let list = StatusList::of(size, invalid.iter().copied());
            let bytes = decompress_to_vec_zlib(&base64url::decode(&list.lst).unwrap()).unwrap();
            prop_assert_eq!(bytes.len(), size.div_ceil(8) as usize);
            for idx in 0..size {
                let is_set = bytes[(idx / 8) as usize] >> (idx % 8) & 1 == 1;
                prop_assert_eq!(is_set, invalid.contains(&idx));
            }
        }
    }
}
