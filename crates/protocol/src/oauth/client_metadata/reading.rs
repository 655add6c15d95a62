//! Members one by one: absent and `null` are the same, and anything else has to be of its form.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use super::{ClientMetadataError, GrantType, PublishedKeys};
use crate::json::Object;
use crate::oauth::https_uri::HttpsUri;
use crate::oauth::redirect::RedirectUri;
use crate::oauth::scope::ScopeSet;

/// A member as `T`.
pub(super) fn choice<'a, T: Deserialize<'a>>(
    object: &Object<'a>,
    name: &'static str,
) -> Result<Option<T>, ClientMetadataError> {
    let found = object.read::<Option<T>>(name).map_err(|_| ClientMetadataError::Member(name))?;
    Ok(found.flatten())
}

/// A member that is a text.
pub(super) fn text(object: &Object<'_>, name: &'static str) -> Result<Option<String>, ClientMetadataError> {
    choice(object, name)
}

/// A member that is a list of texts, not too many.
pub(super) fn texts(
    object: &Object<'_>,
    name: &'static str,
) -> Result<Option<Vec<String>>, ClientMetadataError> {
    match choice::<Vec<String>>(object, name)? {
        Some(list) if list.len() > MAX_LIST => Err(ClientMetadataError::Member(name)),
        list => Ok(list),
    }
}

/// A member that is one of a closed list, or an address: whatever reads itself from text.
pub(super) fn choices<T: FromStr>(
    object: &Object<'_>,
    name: &'static str,
) -> Result<Option<T>, ClientMetadataError> {
    text(object, name)?.map(|text| text.parse().map_err(|_| ClientMetadataError::Member(name))).transpose()
}

pub(super) fn scope(object: &Object<'_>) -> Result<Option<ScopeSet>, ClientMetadataError> {
    // Some write the empty text where they ask for nothing in particular.
    let named = text(object, "scope")?.filter(|scope| !scope.is_empty());
    named.map(|scope| scope.parse().map_err(|_| ClientMetadataError::Member("scope"))).transpose()
}

/// Grants, all of which we have to know.
pub(super) fn grants(object: &Object<'_>) -> Result<Option<BTreeSet<GrantType>>, ClientMetadataError> {
    const NAME: &str = "grant_types";
    // RFC 7591 section 2: where none is named, it is the code.
    let named = texts(object, NAME)?.filter(|list| !list.is_empty());
    named
        .map(|list| {
            let grants = list.iter().map(|name| name.parse().map_err(|_| ClientMetadataError::Member(NAME)));
            grants.collect()
        })
        .transpose()
}

/// Addresses that a browser may be sent to.
pub(super) fn redirect_uris(
    object: &Object<'_>,
    name: &'static str,
) -> Result<Vec<RedirectUri>, ClientMetadataError> {
    let mut found = Vec::new();
    for uri in texts(object, name)?.unwrap_or_default() {
        if uri.len() > MAX_URI {
            return Err(ClientMetadataError::Member(name));
        }
        let uri = uri.parse()?;
        if !found.contains(&uri) {
            found.push(uri);
        }
    }
    Ok(found)
}

pub(super) fn keys(object: &Object<'_>) -> Result<Option<PublishedKeys>, ClientMetadataError> {
    let keys = choice::<Value>(object, "jwks")?;
    if keys.as_ref().is_some_and(has_private_half) {
        return Err(ClientMetadataError::Secret);
    }
    match (keys, choices::<HttpsUri>(object, "jwks_uri")?) {
        (Some(_), Some(_)) => Err(ClientMetadataError::TwoKeySets),
        (Some(keys), None) => Ok(Some(PublishedKeys::These(keys))),
        (None, Some(uri)) => Ok(Some(PublishedKeys::At(uri))),
        (None, None) => Ok(None),
    }
}

/// Whether a key set, or one key in it, shows what its owner has to keep: RFC 7518 sections 6.2.2, 6.3.2 and 6.4.
fn has_private_half(keys: &Value) -> bool {
    let keys = keys.get("keys").and_then(Value::as_array).into_iter().flatten();
    keys.into_iter().any(|key| PRIVATE_MEMBERS.iter().any(|name| key.get(name).is_some()))
}

const PRIVATE_MEMBERS: [&str; 2] = ["d", "k"];
/// More than any application needs.
const MAX_LIST: usize = 32;
const MAX_URI: usize = 2048;
