//! `chartgate login`: signs a person in through the browser, with a redirect to this machine. RFC 8252 section 7.3.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chartgate_access::ids::PatientId;
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::authorization_details::{
    AuthorizationDetail, EmergencyAccess, EmergencyReason,
};
use chartgate_protocol::oauth::pkce::CodeChallenge;
use clap::Args;
use http::{Request, header};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::print;
use crate::config::Config;
use crate::entropy::opaque_secret;
use crate::net::body;
use crate::net::client::HttpClient;

/// How long the person may take.
const TIME: Duration = Duration::from_secs(600);
/// How long one request of the browser may take.
const CALLBACK_TIME: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct LoginWords {
    /// The client that asks.
    #[arg(long, default_value = "chartgate-cli")]
    client: String,
    /// What to ask for.
    #[arg(long, default_value = "openid fhirUser user/*.cruds")]
    scope: String,
    /// Only this patient's record: asks for `patient/` scopes in place of `user/` ones.
    #[arg(long)]
    patient: Option<PatientId>,
    /// The record of this patient, who is not in your care, in an emergency: the page asks why, and for your password.
    #[arg(long, conflicts_with = "patient")]
    emergency: Option<PatientId>,
    /// The reason to be marked on the page: immediate-danger, emergency-visit, covering, consult, new-patient or other.
    #[arg(long, requires = "emergency")]
    reason: Option<EmergencyReason>,
    /// Print the access token instead of keeping it in a file.
    #[arg(long)]
    print_token: bool,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    expires_in: u64,
    scope: String,
    patient: Option<String>,
}

pub(super) async fn carry_out(words: LoginWords, config: &Config) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let redirect_uri = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    let (verifier, state) = (opaque_secret(), opaque_secret());
    let mut query = Form::default();
    let scope = match &words.patient {
        None => words.scope.clone(),
        Some(_) => format!("{} launch/patient", words.scope.replace("user/", "patient/")),
    };
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", &words.client),
        ("redirect_uri", &redirect_uri),
        ("scope", &scope),
        ("state", state.expose()),
        ("code_challenge", CodeChallenge::of(verifier.expose()).as_str()),
        ("code_challenge_method", "S256"),
    ] {
        query.push(name, value);
    }
    if let Some(patient) = &words.emergency {
        let access = EmergencyAccess {
            locations: BTreeSet::new(),
            patient: patient.to_string(),
            reason: words.reason,
            identifier: None,
        };
        let details = [AuthorizationDetail::EmergencyAccess(access)];
        query.push("authorization_details", &serde_json::to_string(&details)?);
        query = push(config, &words.client, query).await?;
    }
    let url = format!("{}/authorize?{}", config.issuer, query.encode());
    eprintln!("Sign in with your browser at\n\n  {url}\n");
    open_browser(&url);
    let code = tokio::time::timeout(TIME, receive(&listener, state.expose(), &config.issuer))
        .await
        .context("nobody signed in within ten minutes")??;
    let tokens = redeem(config, &words.client, &code, &redirect_uri, verifier.expose()).await?;
    if let Some(patient) = words.patient.as_ref().or(words.emergency.as_ref())
        && tokens.patient.as_deref() != Some(patient.as_str())
    {
        bail!("another patient was chosen than `{patient}`");
    }
    if words.print_token {
        print::line(&tokens.access_token);
        return Ok(());
    }
    let path = token_file(config)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    crate::secrets::write_new(&path, tokens.access_token.as_bytes())?;
    print::line(&format!(
        "signed in for {} s; the token is in {} (scope: {})",
        tokens.expires_in,
        path.display(),
        tokens.scope
    ));
    Ok(())
}

/// Starts the desktop's browser, if there is one; the address was printed in any case.
fn open_browser(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = std::process::Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(started);
}

/// Waits for the browser to come back with a code. Connections are heard side by side: browsers open some in advance
/// and say nothing on them.
async fn receive(listener: &TcpListener, state: &str, issuer: &str) -> anyhow::Result<String> {
    let (heard, mut callbacks) = mpsc::channel(4);
    loop {
        let form = tokio::select! {
            accepted = listener.accept() => {
                let (stream, heard) = (accepted?.0, heard.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(Some(form))) = tokio::time::timeout(CALLBACK_TIME, callback(stream)).await {
                        let _ = heard.send(form).await;
                    }
                });
                continue;
            }
            form = callbacks.recv() => form.context("nobody listens any more")?,
        };
        if form.get("state") != Some(state) || form.get("iss") != Some(issuer) {
            // Not the answer to this request (RFC 9207): wait on.
            continue;
        }
        if let Some(error) = form.get("error") {
            bail!("not signed in: {error} {}", form.get("error_description").unwrap_or_default());
        }
        return form.get("code").map(str::to_owned).context("the answer has no code");
    }
}

/// One request at the redirect address: its parameters, if it has any that can be read.
async fn callback(mut stream: TcpStream) -> std::io::Result<Option<Form>> {
    let (read, mut write) = stream.split();
    // All of the head is read: closing a socket on unread bytes takes the answer back.
    let mut lines = BufReader::new(tokio::io::AsyncReadExt::take(read, 16 << 10)).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let query = first.split(' ').nth(1).and_then(|target| target.strip_prefix("/callback?"));
    let form = query.and_then(|query| Form::parse(query).ok());
    let text = "You can close this page and go back to the terminal.\n";
    let answer = match form {
        Some(_) => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}",
            text.len()
        ),
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    write.write_all(answer.as_bytes()).await?;
    write.shutdown().await?;
    Ok(form)
}

async fn redeem(
    config: &Config,
    client: &str,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
) -> anyhow::Result<Tokens> {
    let mut form = Form::default();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ] {
        form.push(name, value);
    }
    post(config, "/token", &form).await
}

/// Hands the request over by itself, so that nothing of it stands in an address: RFC 9126. What is left names it.
async fn push(config: &Config, client: &str, request: Form) -> anyhow::Result<Form> {
    #[derive(Deserialize)]
    struct Pushed {
        request_uri: String,
    }
    let pushed: Pushed = post(config, "/par", &request).await?;
    let mut left = Form::default();
    left.push("client_id", client);
    left.push("request_uri", &pushed.request_uri);
    Ok(left)
}

async fn post<T: DeserializeOwned>(config: &Config, path: &str, form: &Form) -> anyhow::Result<T> {
    let request = Request::post(format!("{}{path}", config.issuer))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form.encode())))?;
    let client = HttpClient::trusting_also(&config.issuer.parse()?, &config.tls.certificate)?;
    let response = client.call(request).await?;
    let status = response.status();
    let content = body::take(response.into_body(), 1 << 20, Duration::from_secs(30)).await?;
    if !status.is_success() {
        bail!("{path} answered {status}: {}", String::from_utf8_lossy(&content));
    }
    Ok(serde_json::from_slice(&content)?)
}

/// `~/.config/chartgate/<host>.token`, as the environment has it.
fn token_file(config: &Config) -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
        .context("neither XDG_CONFIG_HOME nor HOME is set")?;
    let folder = base.join("chartgate");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder.join(format!("{}.token", config.authority().replace([':', '[', ']'], "_"))))
}
