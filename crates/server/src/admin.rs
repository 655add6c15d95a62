//! What an administrator can do: one type for each command, one method that carries it out, a file for each noun.
//!
//! The command line speaks to the running gateway through a socket in the data folder ([`socket`]); where none runs, it
//! takes the folder's lock and carries the command out itself ([`client`]). Both come here.

mod approvals;
mod backup;
mod care;
pub(crate) mod client;
mod clients;
mod emergency;
mod enrolment_links;
mod explain;
mod exports;
pub(crate) mod in_force;
mod invitations;
mod keys;
mod log;
mod provider_links;
mod sessions;
pub(crate) mod socket;
mod standing;
mod users;
mod watch;
mod without_effect;

use std::path::PathBuf;
use std::sync::Arc;

use chartgate_access::emergency::Disposition;
use chartgate_access::ids::{
    CareSource, ClientId, EmergencyId, IdError, PatientId, Role, SessionId, Subject,
};
use chartgate_access::session::Timeouts;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::journal::{AppendError, Journal, Recorded};
use chartgate_audit::note::LogSigner;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_audit::watch::{Disposition as FindingDisposition, FindingId};
use chartgate_values::{Clock, Phi, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use enrolment_links::LinkBy;
pub(crate) use explain::{Supposed, Whose};
pub(crate) use invitations::NewInvitation;
pub(crate) use keys::Rotation;
pub(crate) use users::NewUser;

use crate::audit_index::LogReading;
use crate::backup::drill::Drilled;
use crate::config::CommandLine;
use crate::directory::LiveDirectory;
use crate::live::approvals::{Approvals, Decision};
use crate::live::apps::Apps;
use crate::live::care::LiveCare;
use crate::live::cut_offs::LiveCutOffs;
use crate::live::emergency::Emergencies;
use crate::live::factors::Factors;
use crate::live::findings::Facts;
use crate::live::in_force::InForce;
use crate::live::keys::{KeyError, KeyRing};
use crate::live::outbox::Outbox;
use crate::live::policies::LivePolicies;
use crate::live::trusted_issuers::LiveIssuers;
use crate::net::mail::Mailer;
use crate::outward::Exports;
use crate::passwords::{HashError, Passwords};
use crate::registration::settings::ClientChange;
use crate::registration::{NewClient, Unregistrable};
use crate::store::{Store, StoreError};
use crate::watch::Watcher;
use crate::witnesses::Witnesses;

/// A command, as it travels over the socket. It has no `Debug`, for it may hold a password or token.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    UserAdd(NewUser),
    UserList,
    UserShow {
        name: Subject,
    },
    UserDisable {
        name: Subject,
    },
    UserEnable {
        name: Subject,
    },
    UserSetPassword {
        name: Subject,
        password: Option<String>,
        #[serde(default)]
        link: LinkBy,
    },
    UserResetMfa {
        name: Subject,
    },
    UserLink {
        name: Subject,
        provider: String,
        subject: String,
    },
    UserUnlink {
        name: Subject,
        provider: String,
    },
    UserRoles {
        name: Subject,
        roles: Vec<Role>,
    },
    /// What is known of a person besides, to watch for what they should not look at.
    UserKnow {
        name: Subject,
        facts: Facts,
    },
    UserApps {
        name: Subject,
    },
    UserDisconnect {
        name: Subject,
        client: ClientId,
    },
    ClientAdd(Box<NewClient>),
    ClientList,
    ClientShow {
        id: ClientId,
    },
    ClientChange(Box<ClientChange>),
    ClientRotateSecret {
        id: ClientId,
    },
    ClientRemove {
        id: ClientId,
    },
    ClientInvite(Box<NewInvitation>),
    ClientInvites,
    ClientUninvite {
        id: String,
    },
    CareAdd {
        pairs: Vec<(Subject, PatientId)>,
    },
    CareImport {
        source: CareSource,
        pairs: Vec<(Subject, PatientId)>,
        /// Whether there may be none.
        #[serde(default)]
        allow_empty: bool,
    },
    CareRemove {
        subject: Subject,
        patient: PatientId,
    },
    CareList {
        subject: Subject,
    },
    KeyList,
    KeyRotate {
        how: Rotation,
    },
    Jwks,
    TokenStanding {
        token: String,
    },
    SessionList {
        user: Option<Subject>,
    },
    SessionEnd {
        id: SessionId,
    },
    TokenRevoke {
        token: String,
    },
    /// Why a request would be allowed or denied.
    PolicyExplain(Box<Supposed>),
    /// Who could see a patient's records.
    PolicyWho(Whose),
    EmergencyList,
    EmergencyShow {
        id: EmergencyId,
    },
    EmergencyReview {
        id: EmergencyId,
        reviewer: Subject,
        disposition: Disposition,
        note: String,
    },
    EmergencyEnd {
        id: EmergencyId,
    },
    WatchList,
    WatchShow {
        id: FindingId,
    },
    WatchClose {
        id: FindingId,
        reviewer: Subject,
        disposition: FindingDisposition,
        note: String,
    },
    /// Applies the rules of today to what was done since then.
    WatchRun {
        since: Timestamp,
    },
    ApprovalList,
    ApprovalDecide {
        auth_req_id: String,
        decision: Decision,
    },
    /// What is in force.
    InForce,
    /// Makes a backup in this folder.
    BackupMake {
        out: PathBuf,
    },
    /// Notes what came of trying one out.
    BackupDrilled {
        from: PathBuf,
        drilled: Result<Drilled, String>,
    },
    /// Notes that the log is about to be read, and by which question.
    AuditRead {
        what: String,
        question: String,
    },
    AuditHold {
        reason: String,
    },
    AuditHolds,
    AuditRelease {
        id: String,
    },
    AuditExpire {
        only_say: bool,
        /// Exports that need not have read what is ended.
        unread_by: Vec<String>,
        /// Whether the holds stand again that a restore lost.
        #[serde(default)]
        holds_stand: bool,
    },
    AuditExports,
    AuditSkip {
        name: String,
        to: u64,
    },
}

/// Who gives a command: an account of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    pub(crate) uid: u32,
}

/// Why a command was not carried out, in words for its giver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("there is no {kind} `{name}`")]
    Unknown { kind: &'static str, name: String },
    #[error("the name `{0}` belongs or belonged to somebody; names are not given twice")]
    NameTaken(String),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Client(#[from] Unregistrable),
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it could not be recorded, so nothing was granted: {0}")]
    Unrecorded(#[from] AppendError),
    #[error("what was to be ended has ended, but is not on record yet, so nothing was granted: {0}")]
    EndedUnrecorded(#[source] AppendError),
    #[error(
        "it was changed, but is not on record yet, so no secret is shown: it will be once the log can be written: {0}"
    )]
    ChangedUnrecorded(#[source] AppendError),
    #[error("it is in force, but is not on record yet, which follows once the log can be written: {0}")]
    InForceUnrecorded(#[source] AppendError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl CommandError {
    /// The same where what was to be ended had ended before it was to be recorded: whoever gave the command learns that.
    fn after_the_end(self) -> Self {
        match self {
            Self::Unrecorded(error) => Self::EndedUnrecorded(error),
            other => other,
        }
    }

    /// The same where something was changed, for more or less, before it was to be recorded.
    fn after_the_change(self) -> Self {
        match self {
            Self::Unrecorded(error) => Self::ChangedUnrecorded(error),
            other => other,
        }
    }

    /// The same where it was in force before it was to be recorded.
    fn once_in_force(self) -> Self {
        match self {
            Self::Unrecorded(error) => Self::InForceUnrecorded(error),
            other => other,
        }
    }

    /// Whether the log is what failed.
    fn is_of_the_log(&self) -> bool {
        matches!(
            self,
            Self::Unrecorded(_)
                | Self::EndedUnrecorded(_)
                | Self::ChangedUnrecorded(_)
                | Self::InForceUnrecorded(_)
        )
    }
}

/// Carries commands out.
pub(crate) struct Administrator {
    pub(crate) in_force: Arc<InForce>,
    pub(crate) issuer: String,
    pub(crate) timeouts: Timeouts,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) issuers: Arc<LiveIssuers>,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) emergencies: Arc<Emergencies>,
    pub(crate) mailer: Option<Arc<Mailer>>,
    pub(crate) factors: Arc<Factors>,
    pub(crate) watcher: Arc<Watcher>,
    /// Whether it may answer for people.
    pub(crate) command_line: CommandLine,
    pub(crate) care: Arc<LiveCare>,
    pub(crate) directory: Arc<LiveDirectory>,
    pub(crate) policies: Arc<LivePolicies>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) journal: Journal,
    pub(crate) data_keys: Arc<DataKeys>,
    /// The log's key, for what it vouches for besides its checkpoints.
    pub(crate) signer: Arc<LogSigner>,
    /// Held by whoever places a hold on the log, and by whoever ends a part of it.
    pub(crate) holding: tokio::sync::Mutex<()>,
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) exports: Arc<Exports>,
    pub(crate) reading: Arc<LogReading>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Administrator {
    /// Carries a command out and gives what it answers.
    ///
    /// What only grants something is recorded before it is done; what takes something away is done first, for a log that
    /// cannot be written must not keep anybody in. Its record is kept with it until it is in the log ([`Outbox`]). So is that
    /// of what does both, which is not begun while the log is known not to be writable.
    ///
    /// # Errors
    /// [`CommandError`].
    pub(crate) async fn carry_out(&self, by: Operator, command: Command) -> Result<Value, CommandError> {
        match command {
            Command::UserAdd(user) => self.add_user(by, user).await,
            Command::UserList => self.list_users(),
            Command::UserShow { name } => self.show_user(&name),
            Command::UserDisable { name } => self.disable_user(by, name).await,
            Command::UserEnable { name } => self.enable_user(by, name).await,
            Command::UserSetPassword { name, password, link } => {
                self.set_password(by, name, (password, link)).await
            }
            Command::UserResetMfa { name } => self.reset_factors(by, name).await,
            Command::UserLink { name, provider, subject } => {
                self.link_user(by, name, (provider, subject)).await
            }
            Command::UserUnlink { name, provider } => self.unlink_user(by, name, provider).await,
            Command::UserRoles { name, roles } => self.set_roles(by, name, roles).await,
            Command::UserKnow { name, facts } => self.know_user(by, name, facts).await,
            Command::UserApps { name } => self.list_apps(&name),
            Command::UserDisconnect { name, client } => self.disconnect(by, name, client).await,
            Command::ClientAdd(client) => self.add_client(by, *client).await,
            Command::ClientList => self.list_clients(),
            Command::ClientShow { id } => self.show_client(&id),
            Command::ClientChange(change) => self.change_client(by, *change).await,
            Command::ClientRotateSecret { id } => self.rotate_secret(by, id).await,
            Command::ClientRemove { id } => self.remove_client(by, id).await,
            Command::ClientInvite(invitation) => self.invite(by, *invitation).await,
            Command::ClientInvites => self.list_invitations(),
            Command::ClientUninvite { id } => self.uninvite(by, id).await,
            Command::CareAdd { pairs } => self.add_care(by, pairs).await,
            Command::CareImport { source, pairs, allow_empty } => {
                self.import_care(by, source, care::Said { pairs, may_be_nothing: allow_empty }).await
            }
            Command::CareRemove { subject, patient } => self.remove_care(by, subject, patient).await,
            Command::CareList { subject } => self.list_care(&subject),
            Command::KeyList => Ok(self.list_keys()),
            Command::Jwks => Ok(self.jwks()),
            Command::TokenStanding { token } => self.token_standing(&token),
            Command::KeyRotate { how } => self.rotate_keys(by, how).await,
            Command::SessionList { user } => self.list_sessions(user.as_ref()),
            Command::SessionEnd { id } => self.end_session(by, id).await,
            Command::TokenRevoke { token } => self.revoke_token(by, &token).await,
            Command::PolicyExplain(supposed) => self.explain(by, *supposed).await,
            Command::PolicyWho(whose) => self.who_could_see(by, whose).await,
            Command::EmergencyList => self.list_emergencies(by).await,
            Command::EmergencyShow { id } => self.show_emergency(by, &id).await,
            Command::EmergencyReview { id, reviewer, disposition, note } => {
                self.review_emergency(by, &id, &reviewer, disposition, &note).await
            }
            Command::EmergencyEnd { id } => self.end_emergency(by, &id).await,
            Command::WatchList => self.list_findings(by).await,
            Command::WatchShow { id } => self.show_finding(by, &id).await,
            Command::WatchClose { id, reviewer, disposition, note } => {
                self.close_finding(by, &id, &reviewer, disposition, &note).await
            }
            Command::WatchRun { since } => self.run_watch(by, since).await,
            Command::ApprovalList => self.list_approvals(),
            Command::ApprovalDecide { auth_req_id, decision } => self.decide(by, auth_req_id, decision).await,
            Command::InForce => self.tell_in_force(),
            Command::BackupMake { out } => self.back_up(by, out).await,
            Command::BackupDrilled { from, drilled } => self.note_drill(by, &from, drilled).await,
            Command::AuditRead { what, question } => self.note_audit_read(by, &what, &question).await,
            Command::AuditHold { reason } => self.hold_log(by, &reason).await,
            Command::AuditHolds => self.list_holds(),
            Command::AuditRelease { id } => self.release_log(by, id).await,
            Command::AuditExpire { only_say, unread_by, holds_stand } => {
                self.expire_log(by, only_say, &log::Waived { unread_by, holds_stand }).await
            }
            Command::AuditExports => self.list_exports(),
            Command::AuditSkip { name, to } => self.skip_export(by, &name, to).await,
        }
    }

    /// A record of an operator's act on something.
    fn record(&self, by: Operator, event: Event, on: impl std::fmt::Display) -> Record {
        let mut record = Record::new(event, Outcome::Allow, self.clock.now());
        record.actor =
            Actor { sub: Some(format!("local:{}", by.uid)), kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(event.as_str().to_owned());
        record.resource = Some(Phi::new(on.to_string()));
        record
    }

    /// Refuses what would end nothing: a name of an issuer that is not trusted here, as one that is mistyped.
    fn find_issuer_of(&self, foreign: &str) -> Result<(), CommandError> {
        let issuer = foreign.split_once('#').map_or(foreign, |(issuer, _)| issuer);
        if self.issuers.current().names().any(|trusted| trusted == issuer) {
            return Ok(());
        }
        let why =
            format!("no issuer `{issuer}` is trusted here, so nothing of its comes in: nothing was ended");
        Err(CommandError::Invalid(why))
    }

    async fn append(&self, record: &Record) -> Result<Recorded<()>, CommandError> {
        Ok(self.journal.append(record, ()).await?)
    }
}

/// Adds a particular to a record.
fn note(record: &mut Record, name: &str, value: impl std::fmt::Display) {
    record.detail.insert(name.to_owned(), Phi::new(value.to_string()));
}
