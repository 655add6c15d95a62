//! A new installation: folders, keys, policies, and for `init` the first administrator.

pub(crate) mod beginning;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use chartgate_access::client::{AuthMethod, ClientKind, ClientOptions, Consent, GrantType};
use chartgate_protocol::oauth::authorization_details::DetailType;
use serde_json::Value;

use crate::admin::{Administrator, Command, LinkBy, NewUser, Operator};
use crate::app::{App, log_origin};
use crate::cli::print;
use crate::config::{self, Config};
use crate::live::findings::Facts;
use crate::registration::NewClient;
use crate::secrets::Secrets;
use beginning::Beginning;

/// The policy pack that comes with us.
const POLICIES: [(&str, &str); 16] = [
    ("schema.cedarschema", include_str!("../../../policies/schema.cedarschema")),
    ("administrator.cedar", include_str!("../../../policies/administrator.cedar")),
    ("billing.cedar", include_str!("../../../policies/billing.cedar")),
    ("endpoints.cedar", include_str!("../../../policies/endpoints.cedar")),
    ("minors.cedar", include_str!("../../../policies/minors.cedar")),
    ("nurse.cedar", include_str!("../../../policies/nurse.cedar")),
    ("emergency.cedar", include_str!("../../../policies/emergency.cedar")),
    ("purpose.cedar", include_str!("../../../policies/purpose.cedar")),
    ("patient.cedar", include_str!("../../../policies/patient.cedar")),
    ("physician.cedar", include_str!("../../../policies/physician.cedar")),
    ("researcher.cedar", include_str!("../../../policies/researcher.cedar")),
    ("service.cedar", include_str!("../../../policies/service.cedar")),
    ("shared.cedar", include_str!("../../../policies/shared.cedar")),
    ("consent.cedar", include_str!("../../../policies/consent.cedar")),
    ("special.cedar", include_str!("../../../policies/special.cedar")),
    ("tests/pack.json", include_str!("../../../policies/tests/pack.json")),
];

/// The client of `chartgate login`.
pub(crate) const TERMINAL_CLIENT: &str = "chartgate-cli";

/// `chartgate init`: makes everything but the certificate, and prints the first administrator's one-time link.
pub(crate) fn init(dir: &Path, issuer: &str) -> anyhow::Result<()> {
    if let Some(problem) = config::wrong_issuer(issuer) {
        bail!("--issuer: {problem}");
    }
    let file = beginning::file(dir);
    let Some(beginning) = Beginning::of(dir)? else {
        bail!("{} is there already; nothing was changed", file.display());
    };
    folders(dir)?;
    let port = issuer.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(443);
    let written = beginning.file();
    std::fs::write(&written, template(issuer, port)).with_context(|| format!("{}", written.display()))?;
    let authority = issuer.strip_prefix("https://").unwrap_or(issuer);
    crate::demo::self_signed(dir, authority)?;
    let config = read(&written)?;
    let (begun, lock) = beginning.into_lock(&config.data_dir)?;
    keys(&config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let shown = runtime.block_on(async {
        let app = App::open(config, lock)?;
        let made = first_administrator(&app.administrator).await;
        // While the folder is ours: whoever begins here next finds an installation.
        let made = made.and_then(|shown| begun.finish().map(|()| shown));
        tokio::task::spawn_blocking(move || app.close()).await?;
        made
    })?;
    print::line(&format!("Made {}", file.display()));
    print::line("The certificate in tls/ is our own: put yours in its place before others use this.");
    print::line(&format!(
        "Start with: chartgate serve --config {}\nThen, within 24 hours, the first administrator sets a password at\n\n  {}",
        file.display(),
        print::plain(shown.get("enrolment_link").unwrap_or(&Value::Null))
    ));
    Ok(())
}

async fn first_administrator(administrator: &Administrator) -> anyhow::Result<Value> {
    let by = Operator { uid: crate::admin::client::own_uid()? };
    administrator.carry_out(by, terminal_client()?).await?;
    let admin = NewUser {
        name: "admin".parse()?,
        roles: BTreeSet::from(["administrator".parse()?]),
        fhir_user: None,
        email: None,
        password: None,
        facts: Facts::default(),
        link: LinkBy::Hand,
    };
    Ok(administrator.carry_out(by, Command::UserAdd(admin)).await?)
}

/// The client of `chartgate login`, which every installation has.
pub(crate) fn terminal_client() -> anyhow::Result<Command> {
    Ok(Command::ClientAdd(Box::new(NewClient {
        client_id: TERMINAL_CLIENT.parse()?,
        kind: ClientKind::Public,
        redirect_uris: vec!["http://127.0.0.1/callback".parse()?],
        grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
        scope: "openid profile fhirUser launch/patient patient/*.cruds user/*.cruds".parse()?,
        audience: None,
        auth_method: Some(AuthMethod::None),
        jwks: None,
        roles: BTreeSet::new(),
        consent: Some(Consent::Ask),
        options: ClientOptions {
            authorization_details_types: BTreeSet::from([DetailType::EmergencyAccess]),
            ..ClientOptions::default()
        },
    })))
}

/// Makes the folders and the policy pack.
pub(crate) fn folders(dir: &Path) -> anyhow::Result<()> {
    for folder in ["", "data", "tls", "secrets", "policies", "policies/tests"] {
        beginning::make(&dir.join(folder))?;
    }
    for (name, text) in POLICIES {
        let path = dir.join("policies").join(name);
        if !path.exists() {
            std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
        }
    }
    Ok(())
}

/// Makes the secrets of an installation that has none.
pub(crate) fn keys(config: &Config) -> anyhow::Result<()> {
    Ok(Secrets::create(&config.data_dir, &log_origin(config))?)
}

/// Reads the configuration that was just written.
pub(crate) fn read(file: &Path) -> anyhow::Result<Config> {
    Config::load(file).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}:\n{}", file.display(), lines.join("\n"))
    })
}

fn template(issuer: &str, port: u16) -> String {
    format!(
        r#"# Chartgate. Every key can be overridden by CHARTGATE_<TABLE>__<KEY>; `chartgate config check` says what is wrong.
issuer   = "{issuer}"   # also the public base URL
data_dir = "data"

[listen]
https   = "0.0.0.0:{port}"
metrics = "127.0.0.1:9464"

[tls]
certificate = "tls/cert.pem"
private_key = "tls/key.pem"

[policy]
dir = "policies"

# What stands behind the gateway:
#
# [[route]]
# name          = "ehr"
# kind          = "fhir"
# path          = "/fhir"
# upstream      = "https://fhir.internal:8080/fhir"
# upstream_auth = {{ bearer = {{ file = "secrets/fhir" }} }}
"#
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chartgate_access::pdp::policy_set::{Policies, PolicyFile};

    use super::POLICIES;

    #[test]
    fn docs_policies_md_names_every_policy_of_the_pack_and_whom_it_is_for() {
        let file = |(name, text): &(&str, &str)| PolicyFile { name: (*name).into(), text: (*text).into() };
        let cedar: Vec<_> = POLICIES.iter().filter(|(name, _)| name.ends_with(".cedar")).map(file).collect();
        let schema = POLICIES.iter().find(|(name, _)| name.ends_with("schema")).map(file).unwrap();
        let ids = Policies::read(&schema, &cedar).unwrap().ids();
        let page = include_str!("../../../docs/policies.md");
        let table = page.split_once("| who | may | policy |").unwrap().1;
        let table = table.split_once("\n\n").unwrap().0;
        let rows = table.lines().filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
        let told: BTreeSet<String> =
            rows.flat_map(|row| row.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        assert_eq!(told, ids);
    }
}
