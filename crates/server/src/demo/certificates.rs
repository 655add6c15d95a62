//! A CA and a certificate of our own: for the demo, and for a new installation until it has a real one.

use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::secrets::write_new;

/// Makes `tls/ca.pem`, `tls/cert.pem` (with the CA behind it) and `tls/key.pem` for this host, if they are not there.
///
/// # Errors
/// What the library or the disk says.
pub(crate) fn self_signed(dir: &Path, authority: &str) -> anyhow::Result<()> {
    let tls = dir.join("tls");
    let certificate = tls.join("cert.pem");
    if certificate.exists() {
        return Ok(());
    }
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Chartgate local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let host = host(authority);
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, host);
    params.subject_alt_names = names(host)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let own = params.signed_by(&key, &ca)?;

    write_new(&tls.join("key.pem"), key.serialize_pem().as_bytes())?;
    let write = |name: &str, text: String| {
        let path = tls.join(name);
        std::fs::write(&path, text).with_context(|| format!("{}", path.display()))
    };
    write("ca.pem", ca.pem())?;
    write("cert.pem", format!("{}{}", own.pem(), ca.pem()))
}

fn host(authority: &str) -> &str {
    let without_port = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    without_port.trim_matches(['[', ']'])
}

/// The host itself, and the loopback names, so that it can be tried on the machine.
fn names(host: &str) -> anyhow::Result<Vec<SanType>> {
    let mut names = Vec::new();
    for name in [host, "localhost", "127.0.0.1", "::1"] {
        let name = match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into()?),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
