//! Whose word is taken for what authenticators are.

use std::fs;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::section::{Reading, Section};
use crate::live::passkeys::authenticators::{Authenticators, Model, Root};

/// Longest file of roots that is read.
const LONGEST_ROOTS: u64 = 1 << 20;
/// Longest name of a model, in characters.
const LONGEST_NAME: usize = 60;

/// Reads roots and models.
pub(super) fn read(reading: &mut Reading<'_>, section: &mut Section) -> Authenticators {
    let (line, key) = (section.line_of("authenticator_models"), section.key("authenticator_models"));
    let mut models = Vec::new();
    for text in section.texts(reading, "authenticator_models") {
        match model(&text) {
            Some(model) => models.push(model),
            None => {
                let problem = format!(
                    "`{text}` is no AAGUID such as `cb69481e-8ff7-4039-93ec-0a2729a154a8`, with or without a name behind it"
                );
                reading.error(line, key.clone(), problem);
            }
        }
    }
    let roots = roots(reading, section);
    if roots.is_empty() && !models.is_empty() {
        reading.error(
            line,
            key,
            "wants `authenticator_roots` beside it: without a root no model is believed",
        );
    }
    Authenticators { roots, models }
}

/// An AAGUID, and what the model is called.
fn model(text: &str) -> Option<(Model, Option<String>)> {
    let (id, name) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    Some((id.parse().ok()?, (!name.is_empty()).then_some(name)))
}

fn roots(reading: &mut Reading<'_>, section: &mut Section) -> Vec<Root> {
    let (line, key) = (section.line_of("authenticator_roots"), section.key("authenticator_roots"));
    let Some(path) = section.path(reading, "authenticator_roots") else { return Vec::new() };
    let is_short = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST_ROOTS);
    let text = is_short.then(|| fs::read(&path).ok()).flatten().unwrap_or_default();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = found.unwrap_or_default();
    if certificates.is_empty() {
        let problem = format!("`{}` is no file of certificates in PEM, of 1 MiB at the most", path.display());
        reading.error(line, key, problem);
        return Vec::new();
    }
    let mut roots = Vec::new();
    for (number, certificate) in (1..).zip(certificates) {
        match Root::from_der(&certificate) {
            Ok(root) => roots.push(root),
            Err(cause) => {
                let problem =
                    format!("certificate {number} in `{}` vouches for nobody: {cause}", path.display());
                reading.error(line, key.clone(), problem);
            }
        }
    }
    roots
}

#[cfg(feature = "passkeys")]
#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use chartgate_access::login::assurance::Offered;
    use chartgate_protocol::webauthn::authenticator::Maker;

    use super::super::Config;

    const GOOD: &str = "issuer = \"https://gate.example.org\"\n[tls]\ncertificate = \"Cargo.toml\"\n\
                        private_key = \"Cargo.toml\"\n[sign_in]\n";
    const MODEL: &str = "cb69481e-8ff7-4039-93ec-0a2729a154a8";

    fn read(sign_in: &str) -> Result<Config, String> {
        Config::read(&format!("{GOOD}{sign_in}"), Path::new(env!("CARGO_MANIFEST_DIR")), &[])
            .map_err(|errors| errors.iter().map(|error| format!("{error}\n")).collect())
    }

    struct Roots(PathBuf);

    impl Roots {
        fn new(name: &str, text: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("chartgate-roots-{name}-{}.pem", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        fn key(&self) -> String {
            format!("authenticator_roots = {:?}\n", self.0)
        }
    }

    impl Drop for Roots {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn roots_make_hardware_known_and_models_have_names_if_they_are_given_some() {
        assert_eq!(read("").unwrap().offered, Offered::Passkeys);
        let both = format!("{}{}", Maker::new("One").root(), Maker::new("Two").root());
        let file = Roots::new("both", &both);
        let models =
            format!("authenticator_models = [\"{MODEL} Key 5 NFC\", \"{}\"]\n", MODEL.replace('a', "b"));
        let roles = "hardware_key_roles = [\"administrator\"]\n";
        let config = read(&format!("{}{models}{roles}", file.key())).unwrap();
        assert_eq!(config.offered, Offered::HardwareKeys);
        let subjects: Vec<&str> =
            config.authenticators.roots.iter().map(|root| root.subject.as_str()).collect();
        assert_eq!(subjects, ["CN=One", "CN=Two"]);
        let model = MODEL.parse().unwrap();
        assert_eq!(config.authenticators.name_of(model), "Key 5 NFC");
        assert!(config.authenticators.takes(model));
        assert!(!config.authenticators.takes("eeeeeeee-8ff7-4039-93ec-0a2729a154a8".parse().unwrap()));
    }

    #[test]
    fn whoever_wants_hardware_says_by_whose_word() {
        let good = Roots::new("good", &Maker::new("One").root());
        let leaf = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap().cert.pem();
        let leaf = Roots::new("leaf", &leaf);
        let none = Roots::new("none", "no certificate");
        let roles = "hardware_key_roles = [\"administrator\"]\n";
        for (text, part) in [
            (roles.to_owned(), "`sign_in.hardware_key_roles`: wants `authenticator_roots`"),
            (format!("authenticator_models = [\"{MODEL}\"]"), "`sign_in.authenticator_models`: wants `auth"),
            (format!("{}authenticator_models = [\"x\"]", good.key()), "`x` is no AAGUID"),
            (format!("{}passkeys = \"off\"\n{roles}", good.key()), "wants passkeys, which are not offered"),
            (leaf.key(), "vouches for nobody: it is no CA"),
            (none.key(), "is no file of certificates in PEM"),
            ("authenticator_roots = \"missing.pem\"".to_owned(), "is no file of certificates in PEM"),
            (format!("{}hardware_key_roles = [\"a b\"]", good.key()), "`a b` is no name of a role"),
        ] {
            let told = read(&text).map(drop).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
