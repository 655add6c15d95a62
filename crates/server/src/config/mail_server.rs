//! The server that takes our e-mail.

use std::path::PathBuf;

use chartgate_values::Secret;

use super::section::{Reading, Section};

/// Where e-mail is handed over. RFC 5321, RFC 8314.
#[derive(Debug)]
pub(crate) struct MailServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: MailEncryption,
    /// Who signs its certificate, if not one of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Who we are there, where it wants to know.
    pub(crate) login: Option<(String, Secret<String>)>,
    /// Whom our e-mail comes from.
    pub(crate) from: String,
}

/// When a connection becomes TLS. Without TLS nothing is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MailEncryption {
    /// After `STARTTLS` (RFC 3207); a server that does not offer it gets nothing.
    StartTls,
    /// From the first byte on.
    Implicit,
}

impl MailServer {
    /// Reads `[mail]`, if it is there.
    pub(super) fn read(reading: &mut Reading<'_>, section: Option<Section>) -> Option<Self> {
        let mut section = section?;
        let host = section.required_text(reading, "server");
        let line = section.line_of("encryption");
        let encryption = match section.text(reading, "encryption").as_deref() {
            None | Some("starttls") => MailEncryption::StartTls,
            Some("implicit") => MailEncryption::Implicit,
            Some(other) => {
                let problem = format!("`{other}` is not one of starttls, implicit");
                reading.error(line, section.key("encryption"), problem);
                MailEncryption::StartTls
            }
        };
        let usual = match encryption {
            MailEncryption::StartTls => 587,
            MailEncryption::Implicit => 465,
        };
        let port = section.number(reading, "port", usual, 1..=u16::MAX.into());
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        let ca = section.path(reading, "ca");
        let line = section.line_of("username");
        let username = section.text(reading, "username");
        let login = match (username, section.secret(reading, "password")) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                reading.error(line, section.key("username"), "`username` and `password` go together");
                None
            }
        };
        let (line, key) = (section.line_of("from"), section.key("from"));
        let from = section.required_text(reading, "from").filter(|from| {
            let is_one = from.parse::<lettre::message::Mailbox>().is_ok();
            if !is_one {
                reading.error(line, &key, "has to be one address: `Chartgate <no-reply@clinic.example>`");
            }
            is_one
        });
        section.finish(reading);
        Some(Self { host: host?, port, encryption, ca, login, from: from? })
    }
}
