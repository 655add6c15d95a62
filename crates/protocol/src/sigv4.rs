//! AWS Signature Version 4 of a request in one piece, for storage that speaks S3.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use chartgate_values::{Secret, Timestamp};

/// As whom requests are signed, and for where.
#[derive(Debug)]
pub struct S3Credential {
    /// The id of the key, which is no secret.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret<String>,
    /// The region, such as `us-east-1`.
    pub region: String,
}

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, encoded as it is sent.
    pub path: &'a str,
    /// Header names in lower case, sorted, and values; `host` and `x-amz-date` among them.
    pub headers: &'a [(&'a str, String)],
    /// SHA-256 of the body, in hexadecimal.
    pub payload: &'a str,
    /// When; `x-amz-date` says the same.
    pub at: Timestamp,
}

/// A time as `x-amz-date` has it: `20130524T000000Z`.
#[must_use]
pub fn amz_date(at: Timestamp) -> String {
    let text = at.floor_to_second().to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    let plain: String = seconds.chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{plain}Z")
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

impl S3Credential {
    /// The header `authorization` of a request.
    #[must_use]
    pub fn authorize(&self, request: &ToSign<'_>) -> String {
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n\n", request.method, request.path);
        for (name, value) in request.headers {
            // INVARIANT: memory takes what is written.
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", request.payload);
        let date = amz_date(request.at);
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let seed = Secret::new(format!("AWS4{}", self.secret_access_key.expose()));
        let mut key = sign(seed.expose().as_bytes(), day);
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = sign(key.as_ref(), part);
        }
        let signature = hex(sign(key.as_ref(), &text).as_ref());
        let id = &self.access_key_id;
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

fn sign(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "PUT Object" of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header".
    #[test]
    fn amazons_own_example_is_signed_as_it_says() {
        let credential = S3Credential {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            region: "us-east-1".to_owned(),
        };
        let payload = sha256_hex(b"Welcome to Amazon S3.");
        assert_eq!(payload, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
        let at = "2013-05-24T00:00:00Z".parse().unwrap();
        assert_eq!(amz_date(at), "20130524T000000Z");
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT".to_owned()),
            ("host", "examplebucket.s3.amazonaws.com".to_owned()),
            ("x-amz-content-sha256", payload.clone()),
            ("x-amz-date", amz_date(at)),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY".to_owned()),
        ];
        let path = "/test%24file.text";
        let request = ToSign { method: "PUT", path, headers: &headers, payload: &payload, at };
        assert_eq!(
            credential.authorize(&request),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
             Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
    }
}
