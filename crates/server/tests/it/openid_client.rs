//! openid-client, as others wrote it, against the program: `tests/openid_client/grants.mjs`.

use std::path::Path;
use std::process::Command;

use crate::gateway::{Gateway, Scratch};
use crate::mtls::self_signed;
use crate::routes::free_ports;

#[test]
fn openid_client_proves_keys_and_certificates_pushes_signs_and_is_answered_signed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid_client");
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("node") || !has("npm") {
        println!("skipped: needs node and npm; `make test` installs them");
        return;
    }
    let installed = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(installed.status.success(), "npm ci: {}", String::from_utf8_lossy(&installed.stderr));
    let [port, _] = free_ports();
    let listen = format!("CHARTGATE_LISTEN__MTLS=127.0.0.1:{port}");
    let gateway = Gateway::demo_in(Scratch::new("openid-client"), &[], &["env", &listen]);
    let (identity, jwks) = self_signed();
    let scratch = gateway.scratch();
    scratch.write("certificate.json", jwks.to_string());
    scratch.write("certificate.pem", pem("CERTIFICATE", &identity.chain[0]));
    scratch.write("certificate.key", pem("PRIVATE KEY", &identity.key));
    scratch.write("ca.pem", std::fs::read(gateway.ca_file()).unwrap());
    let run = Command::new("node")
        .arg("grants.mjs")
        .arg(scratch.path().join("ready.json"))
        .arg(env!("CARGO_BIN_EXE_chartgate"))
        .arg(scratch.path())
        .env("NODE_EXTRA_CA_CERTS", gateway.ca_file())
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(told.trim(), "smart passed\nfapi2 passed\nmtls passed");
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
