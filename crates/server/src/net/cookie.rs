//! Our cookies. RFC 6265bis: the `__Host-` prefix ties them to this host, path `/` and TLS.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

/// A signed-in session.
pub(crate) const SESSION: &str = "__Host-session";
/// A browser, signed in or not: what it began, only it can go on with.
pub(crate) const BROWSER: &str = "__Host-browser";
/// The language that the sign-in of a browser asked for.
pub(crate) const LANGUAGE: &str = "__Host-language";
/// A phone on which somebody answers what they are asked. It opens nothing: it is what the phone is known again by.
pub(crate) const PHONE: &str = "__Host-phone";
/// A browser in which somebody has shown more than a password. It opens nothing: without it nobody's phone is asked from there.
pub(crate) const KNOWN: &str = "__Host-known";

/// The value of a cookie that comes once; one that comes twice is nobody's.
pub(crate) fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (own, value) = pair.trim().split_once('=')?;
        (own == name).then_some(value)
    });
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

/// Sets a cookie that no script can read and that ends with the browser.
pub(crate) fn set(name: &str, value: &str) -> HeaderValue {
    header(&format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax"))
}

/// Sets one that stays for as long as browsers allow. RFC 6265bis section 5.5.
pub(crate) fn keep(name: &str, value: &str) -> HeaderValue {
    header(&format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=34560000"))
}

/// Sets one that stays for so long.
pub(crate) fn keep_for(name: &str, value: &str, life: Duration) -> HeaderValue {
    header(&format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}", life.as_secs()))
}

/// Takes a cookie away.
pub(crate) fn clear(name: &str) -> HeaderValue {
    header(&format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"))
}

fn header(text: &str) -> HeaderValue {
    // INVARIANT: names are ours, values base64url.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o32_a_cookie_that_comes_twice_is_nobodys() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=1; __Host-session=x; b=2".parse().unwrap());
        assert_eq!(read(&headers, SESSION), Some("x"));
        headers.append(header::COOKIE, "__Host-session=y".parse().unwrap());
        assert_eq!(read(&headers, SESSION), None);
    }
}
