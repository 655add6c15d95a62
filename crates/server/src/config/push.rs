//! Messages that wake people's phones. RFC 8030, RFC 8292.

use super::section::{Reading, Section};

/// Which services such messages may go through, and whom a service may turn to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Push {
    /// Hosts; with `*.` in front all below one.
    pub(crate) services: Vec<PushService>,
    /// `mailto:` or `https:`. RFC 8292 section 2.1.
    pub(crate) contact: String,
}

/// A host, or all below one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PushService(String);

/// The services of Chromium and Android, Firefox, Safari and iOS, and Windows.
const KNOWN: [&str; 4] =
    ["fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com"];

impl Push {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, issuer: &str) -> Self {
        let (line, key) = (section.line_of("services"), section.key("services"));
        let named = if section.has("services") {
            section.texts(reading, "services")
        } else {
            KNOWN.map(str::to_owned).into()
        };
        let mut services = Vec::new();
        for name in named {
            match PushService::parse(&name) {
                Some(service) => services.push(service),
                None => reading.error(line, &key, format!("`{name}` is neither a host nor `*.` and one")),
            }
        }
        let line = section.line_of("contact");
        let contact = section.text(reading, "contact");
        if contact.as_ref().is_some_and(|contact| !is_contact(contact)) {
            reading.error(line, section.key("contact"), "has to be mailto: or https:// and an address");
        }
        section.finish(reading);
        Self { services, contact: contact.unwrap_or_else(|| issuer.to_owned()) }
    }

    /// Whether messages may go to this host.
    pub(crate) fn allows(&self, host: &str) -> bool {
        self.services.iter().any(|service| service.includes(host))
    }
}

fn is_contact(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    is_plain && ["mailto:", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

impl PushService {
    fn parse(text: &str) -> Option<Self> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_host = !host.is_empty() && host.bytes().all(plain) && !host.starts_with('.');
        is_host.then(|| Self(text.to_owned()))
    }

    fn includes(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.strip_suffix(below).is_some_and(|name| !name.is_empty()),
            None => host == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_host_or_all_below_one() {
        let allows = |service: &str, host: &str| PushService::parse(service).unwrap().includes(host);
        assert!(allows("fcm.googleapis.com", "fcm.googleapis.com"));
        assert!(!allows("fcm.googleapis.com", "evil-fcm.googleapis.com"));
        assert!(allows("*.push.apple.com", "web.push.apple.com"));
        for other in
            ["push.apple.com", ".push.apple.com", "evilpush.apple.com", "web.push.apple.com.evil.example"]
        {
            assert!(!allows("*.push.apple.com", other), "{other}");
        }
        for bad in
            ["", "*", "*.", "https://a.example", "a.example:443", "A.example", "a.*.example", ".example"]
        {
            assert_eq!(PushService::parse(bad), None, "{bad}");
        }
    }
}
