//! The demo's people and clients.

use std::collections::BTreeSet;

use anyhow::Context as _;
use chartgate_access::client::{AuthMethod, ClientKind, ClientOptions, Consent, GrantType};
use chartgate_access::ids::{Role, Subject};
use chartgate_protocol::jose::{Algorithm, SigningKey};
use chartgate_protocol::oauth::authorization_details::DetailType;
use serde_json::{Value, json};

use crate::admin::{Administrator, Command, LinkBy, NewUser, Operator};
use crate::entropy::opaque_secret;
use crate::install::terminal_client;
use crate::live::findings::Facts;
use crate::passwords::Passwords;
use crate::registration::NewClient;

/// A person of the demo.
pub(super) struct Person {
    pub(super) name: &'static str,
    role: &'static str,
    fhir_user: Option<String>,
    facts: Facts,
    /// Their panel; `None` where the role sees every patient, or none.
    pub(super) panel: Option<Vec<String>>,
}

/// Everybody, for these patients: the physician cares for the first third, the nurse for the next with some in common,
/// one by what the records say, and the last but one is a person of their own.
pub(super) fn people(patients: &[String]) -> Vec<Person> {
    let third = patients.len().div_ceil(3).max(1);
    let panel = |from: usize| patients.iter().skip(from).take(third).cloned().collect::<Vec<_>>();
    let pat = patients.first().map(|id| format!("Patient/{id}"));
    let person = |name, role, fhir_user: Option<String>, panel| {
        let facts = match name {
            "cleo" => Facts { family_name: Some("Marchetti".to_owned()), ..Facts::default() },
            "bea" => Facts {
                own_record: from_last(patients, 2).and_then(|id| id.parse().ok()),
                ..Facts::default()
            },
            _ => Facts::default(),
        };
        Person { name, role, fhir_user, facts, panel }
    };
    let practitioner = |name: &str| Some(format!("Practitioner/{name}"));
    vec![
        person("ada", "administrator", None, None),
        person("dana", "physician", practitioner("dana"), Some(panel(0))),
        person("nils", "nurse", practitioner("nils"), Some(panel(third / 2))),
        // By what the sample server says, no row of the table.
        person("cleo", "physician", practitioner("cleo"), None),
        person("bea", "billing", None, None),
        person("pia", "privacy-officer", None, None),
        person("remy", "researcher", None, None),
        person("pat", "patient", pat, Some(patients.first().cloned().into_iter().collect())),
    ]
}

/// Whom the demo watches: a patient who attracts the curious, and one whom nobody has a reason to look for.
pub(super) fn watched(patients: &[String]) -> [(&'static str, Option<&String>); 2] {
    [("vip", from_last(patients, 5)), ("canary", from_last(patients, 1))]
}

fn from_last(patients: &[String], place: usize) -> Option<&String> {
    patients.len().checked_sub(place).and_then(|at| patients.get(at))
}

/// Adds everybody, and gives what scripts need to know of them.
pub(super) async fn add_people(
    administrator: &Administrator,
    people: &[Person],
    second_factors: &[Subject],
) -> anyhow::Result<Vec<Value>> {
    let mut shown = Vec::new();
    for person in people {
        let password = password_for(&administrator.passwords, person.name)?;
        let role: Role = person.role.parse()?;
        administrator
            .carry_out(
                OWNER,
                Command::UserAdd(NewUser {
                    name: person.name.parse()?,
                    roles: BTreeSet::from([role]),
                    fhir_user: person.fhir_user.as_deref().map(str::parse).transpose()?,
                    email: Some(format!("{}@clinic.example", person.name)),
                    password: Some(password.clone()),
                    facts: person.facts.clone(),
                    link: LinkBy::Hand,
                }),
            )
            .await?;
        let mut entry = json!({ "username": person.name, "password": password, "roles": [person.role] });
        if let Value::Object(members) = &mut entry {
            if let Some(fhir_user) = &person.fhir_user {
                members.insert("fhir_user".to_owned(), fhir_user.as_str().into());
            }
            if second_factors.iter().any(|name| name.as_str() == person.name) {
                let secret = administrator.give_authenticator(OWNER, person.name.parse()?).await?;
                members.insert("totp_secret".to_owned(), secret.expose().as_str().into());
            }
            if let Some(panel) = &person.panel {
                members.insert("patients".to_owned(), panel.clone().into());
            }
        }
        shown.push(entry);
        // A patient sees their own chart by who they are; the care table is for those who care for others.
        let panel = person.panel.iter().flatten().filter(|_| person.role != "patient");
        let pairs =
            panel.map(|id| Ok((person.name.parse()?, id.parse()?))).collect::<anyhow::Result<Vec<_>>>()?;
        if !pairs.is_empty() {
            administrator.carry_out(OWNER, Command::CareAdd { pairs }).await?;
        }
    }
    Ok(shown)
}

/// Adds the demo's clients, and gives what scripts need to know of them.
pub(super) async fn add_clients(administrator: &Administrator) -> anyhow::Result<Vec<Value>> {
    administrator.carry_out(OWNER, terminal_client()?).await?;
    let key = SigningKey::generate(Algorithm::ES384)?;
    let private: Value = serde_json::from_slice(key.to_private_jwk()?.expose())?;
    let jwks = json!({ "keys": [key.public_jwk()] });
    let people =
        "openid profile fhirUser launch/patient launch/encounter offline_access patient/*.cruds user/*.cruds";
    let code = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let itself = [GrantType::ClientCredentials];
    let clients = [
        client("demo-web", ClientKind::Confidential, AuthMethod::ClientSecretBasic, &code, people, None)?,
        client("demo-app", ClientKind::Public, AuthMethod::None, &code, people, None)?,
        client(
            "demo-service",
            ClientKind::Confidential,
            AuthMethod::ClientSecretBasic,
            &itself,
            SYSTEM,
            None,
        )?,
        client("demo-backend", ClientKind::Backend, AuthMethod::PrivateKeyJwt, &itself, SYSTEM, Some(jwks))?,
    ];
    let mut shown = Vec::new();
    for new in clients {
        let is_backend = new.kind == ClientKind::Backend;
        let mut entry = administrator.carry_out(OWNER, Command::ClientAdd(Box::new(new))).await?;
        if let Value::Object(members) = &mut entry {
            members.retain(|name, _| {
                ["client_id", "client_secret", "kind", "redirect_uris", "scope"].contains(&name.as_str())
            });
            if is_backend {
                members.insert("private_jwk".to_owned(), private.clone());
            }
        }
        shown.push(entry);
    }
    Ok(shown)
}

/// What the demo's programs may ask for.
const SYSTEM: &str = "system/*.rs";

/// The demo acts as the owner of its folder.
const OWNER: Operator = Operator { uid: 0 };

fn client(
    id: &str,
    kind: ClientKind,
    auth_method: AuthMethod,
    grants: &[GrantType],
    scope: &str,
    jwks: Option<Value>,
) -> anyhow::Result<NewClient> {
    let for_people = grants.contains(&GrantType::AuthorizationCode);
    let callbacks = ["http://127.0.0.1/callback", "http://[::1]/callback"];
    let redirect_uris =
        callbacks.iter().filter(|_| for_people).map(|uri| uri.parse()).collect::<Result<_, _>>()?;
    let roles = if for_people { BTreeSet::new() } else { BTreeSet::from(["service".parse()?]) };
    Ok(NewClient {
        client_id: id.parse()?,
        kind,
        redirect_uris,
        grant_types: grants.iter().copied().collect(),
        scope: scope.parse()?,
        audience: None,
        auth_method: Some(auth_method),
        jwks,
        roles,
        consent: Some(if id == "demo-web" { Consent::Never } else { Consent::Ask }),
        options: ClientOptions {
            authorization_details_types: for_people
                .then_some(DetailType::EmergencyAccess)
                .into_iter()
                .collect(),
            ..ClientOptions::default()
        },
    })
}

/// A password that may be set: the list of common ones takes one word in 65,536 for one of its own, and the demo is begun often.
fn password_for(passwords: &Passwords, name: &str) -> anyhow::Result<String> {
    let tries = std::iter::repeat_with(password).take(16);
    let mut taken = tries.filter(|tried| passwords.check(tried, name).is_ok());
    taken.next().context("no password may be set")
}

/// A password that nobody guesses and everybody can type.
fn password() -> String {
    let secret = opaque_secret();
    let letters: Vec<char> =
        secret.expose().chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let groups: Vec<String> = letters.chunks(5).take(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}
