//! Commands that an administrator gives: from words to a [`Command`].

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chartgate_access::emergency::Disposition;
use chartgate_access::ids::{
    CareSource, ClientId, EmergencyId, FhirUser, PatientId, Role, SessionId, Subject,
};
use chartgate_audit::watch::{Disposition as WatchDisposition, FindingId};
use chartgate_values::Timestamp;
use clap::Subcommand;
use serde_json::Value;

use super::invitation::Invitation;
use super::print::{self, Output};
use super::registration::{Change, Registration};
use crate::admin::client::give;
use crate::admin::{Command, LinkBy, NewUser, Rotation};
use crate::config::Config;
use crate::live::approvals::Decision;
use crate::live::findings::Facts;

/// Nouns that an administrator has power over.
#[derive(Debug, Subcommand)]
pub(super) enum Operate {
    /// People.
    #[command(subcommand)]
    User(UserWord),
    /// OAuth clients.
    #[command(subcommand)]
    Client(ClientWord),
    /// Who may see which patients.
    #[command(subcommand)]
    Care(CareWord),
    /// Signing keys.
    #[command(subcommand)]
    Key(KeyWord),
    /// Sessions.
    #[command(subcommand)]
    Session(SessionWord),
    /// Questions to people that wait for an answer.
    #[command(subcommand)]
    Approval(ApprovalWord),
    /// Uses of emergency access, and their review.
    #[command(subcommand)]
    Emergency(EmergencyWord),
    /// What of the log somebody should look at.
    #[command(subcommand)]
    Watch(WatchWord),
}

#[derive(Debug, Subcommand)]
pub(super) enum UserWord {
    /// Add a person; without a password they get a one-time link.
    Add {
        /// The name that they sign in with, for ever: no name is given twice.
        name: Subject,
        /// A role; may be given several times.
        #[arg(long = "role")]
        roles: Vec<Role>,
        /// Their own FHIR resource, such as Practitioner/dana.
        #[arg(long)]
        fhir_user: Option<FhirUser>,
        /// Where they are written to: one-time links, and what they are told of their account.
        #[arg(long)]
        email: Option<String>,
        /// A file with the password in its first line.
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// Send the one-time link to their e-mail address, in place of printing it.
        #[arg(long, conflicts_with = "password_file", requires = "email")]
        send_link: bool,
        #[command(flatten)]
        facts: KnownFacts,
    },
    /// Note what is known of a person besides, in place of what was: to find what they should not look at.
    Know {
        /// Their name.
        name: Subject,
        #[command(flatten)]
        facts: KnownFacts,
        /// Nothing: what was known is forgotten.
        #[arg(long, conflicts_with_all = ["family_name", "own_record"],
            required_unless_present_any = ["family_name", "own_record"])]
        nothing: bool,
    },
    /// Everybody.
    List,
    /// One person.
    Show {
        /// Their name.
        name: Subject,
    },
    /// Shut a person out: every session and token ends at once.
    Disable {
        /// Their name.
        name: Subject,
    },
    /// Let a person in again.
    Enable {
        /// Their name.
        name: Subject,
    },
    /// Set a password from a file, or make a one-time link to set one.
    SetPassword {
        /// Their name.
        name: Subject,
        /// A file with the password in its first line; without it, a one-time link is made.
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// Send the one-time link to their e-mail address, in place of printing it.
        #[arg(long, conflicts_with = "password_file")]
        send_link: bool,
    },
    /// What applications hold in a person's name.
    Apps {
        /// Their name.
        name: Subject,
    },
    /// Take everything away from an application that it holds in a person's name: its tokens die at once.
    Disconnect {
        /// Their name.
        name: Subject,
        /// The application, by its name (`client_id`).
        client: ClientId,
    },
    /// Remove a person's second factors.
    ResetMfa {
        /// Their name.
        name: Subject,
    },
    /// Let a person sign in with an account at an identity provider.
    Link {
        /// Their name.
        name: Subject,
        /// The provider, as the configuration names it.
        #[arg(long)]
        provider: String,
        /// What the provider calls them: `sub` of its ID tokens. A failed sign-in has it in its record.
        #[arg(long)]
        subject: String,
    },
    /// Take a person's accounts at an identity provider away: all that they have open ends at once.
    Unlink {
        /// Their name.
        name: Subject,
        /// The provider, as the configuration names it, or its issuer.
        #[arg(long)]
        provider: String,
    },
    /// Give a person these roles in place of those that they have.
    Roles {
        /// Their name.
        name: Subject,
        /// A role; may be given several times.
        #[arg(long = "role", required_unless_present = "none")]
        roles: Vec<Role>,
        /// No role at all: they may do nothing any more.
        #[arg(long, conflicts_with = "roles")]
        none: bool,
    },
}

/// What is known of a person besides.
#[derive(Debug, clap::Args)]
pub(super) struct KnownFacts {
    /// Their family name: access to patients who have it is found.
    #[arg(long)]
    family_name: Option<String>,
    /// The id of the patient who they are themselves: access to that record by what they may for others is found.
    #[arg(long)]
    own_record: Option<PatientId>,
}

impl From<KnownFacts> for Facts {
    fn from(known: KnownFacts) -> Self {
        Self { family_name: known.family_name, own_record: known.own_record }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ClientWord {
    /// Register a client and print it, with its secret once.
    Add(Box<Registration>),
    /// Change a registered client: what is given takes the place of what was, and the rest stays. What that takes away ends at
    /// once (docs/clients.md, "Changing a client").
    Change(Box<Change>),
    /// All clients.
    List,
    /// One client.
    Show {
        /// The client, by its name (`client_id`).
        id: ClientId,
    },
    /// Give a client a new secret.
    RotateSecret {
        /// The client, by its name (`client_id`).
        id: ClientId,
    },
    /// Remove a client: its tokens end at once, and nobody is ever called by its name again.
    Remove {
        /// The client, by its name (`client_id`).
        id: ClientId,
    },
    /// Let somebody register clients themselves (RFC 7591), and print the initial access token for it, once.
    Invite(Box<Invitation>),
    /// All invitations, and how often each was used.
    Invites,
    /// Withdraw an invitation; clients that were registered with it stay.
    Uninvite {
        /// The invitation, as `client invites` names it.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CareWord {
    /// Put a patient into somebody's care.
    Add {
        /// Whose care, by their name.
        subject: Subject,
        /// The patient's id, such as pt-1023.
        patient: PatientId,
    },
    /// Take a patient out of somebody's care, whatever source put them there.
    Remove {
        /// Whose care, by their name.
        subject: Subject,
        /// The patient's id, such as pt-1023.
        patient: PatientId,
    },
    /// The patients in somebody's care, and which sources say so.
    List {
        /// Whose care, by their name.
        subject: Subject,
    },
    /// Add pairs from a file: a line each, name and patient with a comma between.
    Import {
        /// The file.
        file: PathBuf,
        /// The file is all that this source says: what it said before and says no more is taken back. Rows of other sources
        /// stay.
        #[arg(long, value_name = "NAME")]
        source: Option<CareSource>,
        /// The file may be empty, and all that this source said is taken back.
        #[arg(long, requires = "source")]
        allow_empty: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyWord {
    /// All keys with their phases and dates.
    List,
    /// Let the next keys sign from now on, if every cache of the key set has them.
    Rotate {
        /// Do not wait for caches: verifiers that do not ask again refuse new tokens for up to five minutes.
        #[arg(long, conflicts_with = "emergency")]
        now: bool,
        /// Somebody else may have a key: it ends at once with all that it signed.
        #[arg(long)]
        emergency: bool,
        /// Which key; without one, any key that signs now. A name may begin with a dash.
        #[arg(requires = "emergency", allow_hyphen_values = true)]
        kid: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionWord {
    /// Open sessions.
    List {
        /// Only this person's.
        #[arg(long)]
        user: Option<Subject>,
    },
    /// End a session with all its tokens.
    End {
        /// The session, as `session list` and records name it.
        id: SessionId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ApprovalWord {
    /// All that wait, oldest first.
    List,
    /// Say yes in a person's place; only where `[approvals] command_line = true`.
    Approve {
        /// The question, as `approval list` names it.
        auth_req_id: String,
    },
    /// Say no in a person's place; only where `[approvals] command_line = true`.
    Deny {
        /// The question, as `approval list` names it.
        auth_req_id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum EmergencyWord {
    /// All that wait for review, oldest first, then those that were reviewed.
    List,
    /// One, with the reason that was given for it. Its accesses: `chartgate audit search --emergency`.
    Show {
        /// The use, as `emergency list` names it.
        id: EmergencyId,
    },
    /// Note what a privacy officer makes of one, in their place; only where `[approvals] command_line = true`.
    Review {
        /// The use, as `emergency list` names it.
        id: EmergencyId,
        /// The privacy officer.
        #[arg(long)]
        reviewer: Subject,
        /// appropriate, inappropriate (which ends it, if it is under way) or needs-follow-up.
        #[arg(long)]
        disposition: Disposition,
        /// Why, in words.
        #[arg(long)]
        note: String,
    },
    /// End one before its time: its tokens die at once.
    End {
        /// The use, as `emergency list` names it.
        id: EmergencyId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum WatchWord {
    /// All findings that are open, oldest first, then those that were closed last.
    List,
    /// One finding: whose act it was, about whom, and the records that show it.
    Show {
        /// The finding, as `watch list` names it.
        id: FindingId,
    },
    /// Note what a privacy officer makes of one, in their place; only where `[approvals] command_line = true`.
    Close {
        /// The finding, as `watch list` names it.
        id: FindingId,
        /// The privacy officer.
        #[arg(long)]
        reviewer: Subject,
        /// appropriate, mistake, violation or not-determined.
        #[arg(long)]
        disposition: WatchDisposition,
        /// Why, in words.
        #[arg(long)]
        note: String,
    },
    /// Apply the rules of today to what was done before.
    Run {
        /// Since this time (RFC 3339).
        #[arg(long)]
        since: Timestamp,
    },
}

/// Gives the command and prints the answer.
pub(super) async fn carry_out(config: Config, operate: Operate, output: Output) -> anyhow::Result<()> {
    // A registered client is printed as JSON: scripts read its secret.
    let output = match &operate {
        Operate::Client(ClientWord::Add(_) | ClientWord::RotateSecret { .. } | ClientWord::Invite(_)) => {
            Output::Json
        }
        _ => output,
    };
    let command = command(operate, &config)?;
    let mut answer = give(config, command).await?;
    warn(&mut answer, output);
    print::answer(&answer, output);
    Ok(())
}

/// Says on standard error what was taken and opens nothing here; scripts find it in the answer as well.
fn warn(answer: &mut Value, output: Output) {
    let Value::Object(members) = answer else { return };
    for warning in members.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        eprintln!("chartgate: warning: {}", print::plain(warning));
    }
    match output {
        Output::Json => {}
        Output::Text => drop(members.remove("warnings")),
    }
}

fn command(operate: Operate, config: &Config) -> anyhow::Result<Command> {
    Ok(match operate {
        Operate::User(word) => user(word)?,
        Operate::Client(word) => client(word, config)?,
        Operate::Care(word) => care(word)?,
        Operate::Key(KeyWord::List) => Command::KeyList,
        Operate::Key(KeyWord::Rotate { now, emergency, kid }) => Command::KeyRotate {
            how: if emergency {
                Rotation::Emergency { kid }
            } else if now {
                Rotation::Now
            } else {
                Rotation::Planned
            },
        },
        Operate::Approval(ApprovalWord::List) => Command::ApprovalList,
        Operate::Approval(ApprovalWord::Approve { auth_req_id }) => {
            Command::ApprovalDecide { auth_req_id, decision: Decision::Approve }
        }
        Operate::Approval(ApprovalWord::Deny { auth_req_id }) => {
            Command::ApprovalDecide { auth_req_id, decision: Decision::Deny }
        }
        Operate::Emergency(EmergencyWord::List) => Command::EmergencyList,
        Operate::Emergency(EmergencyWord::Show { id }) => Command::EmergencyShow { id },
        Operate::Emergency(EmergencyWord::Review { id, reviewer, disposition, note }) => {
            Command::EmergencyReview { id, reviewer, disposition, note }
        }
        Operate::Emergency(EmergencyWord::End { id }) => Command::EmergencyEnd { id },
        Operate::Watch(WatchWord::List) => Command::WatchList,
        Operate::Watch(WatchWord::Show { id }) => Command::WatchShow { id },
        Operate::Watch(WatchWord::Close { id, reviewer, disposition, note }) => {
            Command::WatchClose { id, reviewer, disposition, note }
        }
        Operate::Watch(WatchWord::Run { since }) => Command::WatchRun { since },
        Operate::Session(SessionWord::List { user }) => Command::SessionList { user },
        Operate::Session(SessionWord::End { id }) => Command::SessionEnd { id },
    })
}

fn user(word: UserWord) -> anyhow::Result<Command> {
    Ok(match word {
        UserWord::Add { name, roles, fhir_user, email, password_file, send_link, facts } => {
            Command::UserAdd(NewUser {
                name,
                roles: roles.into_iter().collect(),
                fhir_user,
                email,
                password: password_file.as_deref().map(first_line).transpose()?,
                facts: facts.into(),
                link: link(send_link),
            })
        }
        UserWord::Know { name, facts, nothing: _ } => Command::UserKnow { name, facts: facts.into() },
        UserWord::List => Command::UserList,
        UserWord::Show { name } => Command::UserShow { name },
        UserWord::Apps { name } => Command::UserApps { name },
        UserWord::Disconnect { name, client } => Command::UserDisconnect { name, client },
        UserWord::Disable { name } => Command::UserDisable { name },
        UserWord::Enable { name } => Command::UserEnable { name },
        UserWord::SetPassword { name, password_file, send_link } => {
            let password = password_file.as_deref().map(first_line).transpose()?;
            Command::UserSetPassword { name, password, link: link(send_link) }
        }
        UserWord::ResetMfa { name } => Command::UserResetMfa { name },
        UserWord::Link { name, provider, subject } => Command::UserLink { name, provider, subject },
        UserWord::Unlink { name, provider } => Command::UserUnlink { name, provider },
        UserWord::Roles { name, roles, none: _ } => Command::UserRoles { name, roles },
    })
}

fn link(send: bool) -> LinkBy {
    if send { LinkBy::Mail } else { LinkBy::Hand }
}

fn client(word: ClientWord, config: &Config) -> anyhow::Result<Command> {
    Ok(match word {
        ClientWord::Add(registration) => registration.command()?,
        ClientWord::Change(change) => change.command()?,
        ClientWord::List => Command::ClientList,
        ClientWord::Show { id } => Command::ClientShow { id },
        ClientWord::RotateSecret { id } => Command::ClientRotateSecret { id },
        ClientWord::Remove { id } => Command::ClientRemove { id },
        ClientWord::Invite(invitation) => invitation.command(&config.registration)?,
        ClientWord::Invites => Command::ClientInvites,
        ClientWord::Uninvite { id } => Command::ClientUninvite { id },
    })
}

fn care(word: CareWord) -> anyhow::Result<Command> {
    Ok(match word {
        CareWord::Add { subject, patient } => Command::CareAdd { pairs: vec![(subject, patient)] },
        CareWord::Remove { subject, patient } => Command::CareRemove { subject, patient },
        CareWord::List { subject } => Command::CareList { subject },
        CareWord::Import { file, source, allow_empty } => {
            let text = read(&file)?;
            let lines = (1_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
            let pairs = lines.map(|(number, line)| {
                pair(line).with_context(|| format!("{}, line {number}", file.display()))
            });
            let pairs = pairs.collect::<anyhow::Result<_>>()?;
            match source {
                Some(source) => Command::CareImport { source, pairs, allow_empty },
                None => Command::CareAdd { pairs },
            }
        }
    })
}

fn pair(line: &str) -> anyhow::Result<(Subject, PatientId)> {
    let (subject, patient) = line.split_once(',').context("has to be a name, a comma and a patient")?;
    Ok((subject.trim().parse()?, patient.trim().parse()?))
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))
}

/// What a file says that holds a secret in its first line.
pub(super) fn first_line(path: &Path) -> anyhow::Result<String> {
    Ok(read(path)?.lines().next().unwrap_or_default().to_owned())
}
