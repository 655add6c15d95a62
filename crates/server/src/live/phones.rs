//! Phones on which people answer what they are asked, and waking them. RFC 8030 section 5.
//!
//! A message says which question waits and no more. Nothing waits for one to arrive: whoever looks at the page sees the question
//! without it, and a service that does not answer holds nobody up.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use chartgate_access::ids::{FactorId, Subject};
use chartgate_protocol::web_push::{Subscription, VapidKey, VapidKeyError, encrypt};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Secret, Timestamp};
use http::{HeaderName, Request, StatusCode, Uri, header};
use http_body_util::Full;

use crate::config::Push;
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::net::client::egress::Egress;
use crate::net::credential::sensitive;
use crate::store::phones::StoredPhone;
use crate::store::{Store, StoreError};

/// What subscriptions, and the key of messages, are sealed for.
pub(crate) const PURPOSE: &str = "phones";
/// How many phones a person may have.
pub(crate) const MOST: usize = 5;
/// The longest name of one, in characters.
const LONGEST_LABEL: usize = 40;
/// How long a service keeps a message for a phone that is off, in seconds: no longer than most questions wait.
const KEEP: u32 = 300;
/// A message that a phone has not had yet gives way to the next. RFC 8030 section 5.4.
const TOPIC: &str = "approval";
const KEY_PLACE: &[u8] = b"the key of messages";

/// People's phones.
pub(crate) struct Phones {
    store: Arc<Store>,
    egress: Arc<Egress>,
    seal: SealingKey,
    key: VapidKey,
    push: RwLock<Push>,
    clock: Arc<dyn Clock>,
}

/// Why the key of messages cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PhonesError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The library.
    #[error(transparent)]
    Key(#[from] VapidKeyError),
    /// The master key is another one, or the row was altered.
    #[error("the key of push messages does not open under this master key")]
    Sealed,
}

/// Why a phone cannot be woken in the way that its browser says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotWoken {
    /// It says nothing that we understand.
    #[error("not a push subscription")]
    Malformed,
    /// The configuration does not name its service.
    #[error("its push service is not one of those that the configuration names")]
    Service,
    /// It cannot be sealed.
    #[error("its subscription cannot be kept")]
    Unsealed,
}

/// A phone that is new, and what it is to show to be known again.
pub(crate) struct NewPhone {
    pub(crate) phone: StoredPhone,
    pub(crate) secret: Secret<String>,
    pub(crate) digest: String,
}

impl Phones {
    /// Reads the key of messages, and makes it at the first start.
    ///
    /// # Errors
    /// [`PhonesError`].
    pub(crate) fn load(
        store: Arc<Store>,
        egress: Arc<Egress>,
        seal: SealingKey,
        push: Push,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PhonesError> {
        let key = match store.read(|sql| sql.vapid_key())? {
            Some(sealed) => {
                VapidKey::from_pkcs8(&seal.open(KEY_PLACE, &sealed).map_err(|_| PhonesError::Sealed)?)?
            }
            None => {
                let (key, now) = (VapidKey::generate()?, clock.now());
                let sealed = seal.seal(&mut SystemEntropy, KEY_PLACE, key.to_pkcs8()?.expose());
                let sealed = sealed.map_err(|_| PhonesError::Sealed)?;
                store.write_blocking(move |sql| sql.keep_vapid_key(&sealed, now))?;
                key
            }
        };
        Ok(Self { store, egress, seal, key, push: RwLock::new(push), clock })
    }

    /// Puts another configuration in force for the next message.
    pub(crate) fn reconfigure(&self, push: &Push) {
        *self.push.write().unwrap_or_else(PoisonError::into_inner) = push.clone();
    }

    /// What browsers are subscribed with; nothing where no service is to be used.
    pub(crate) fn public_key(&self) -> Option<String> {
        (!self.push().services.is_empty()).then(|| self.key.public())
    }

    fn push(&self) -> Push {
        self.push.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A phone that somebody adds, with what its browser says of messages, if it takes any.
    ///
    /// # Errors
    /// [`NotWoken`].
    pub(crate) fn new_phone(&self, label: &str, said: &str, now: Timestamp) -> Result<NewPhone, NotWoken> {
        let id = FactorId::random(&mut SystemEntropy);
        let subscription = match said {
            "" => None,
            said => {
                let subscription = Subscription::parse(said.as_bytes()).map_err(|_| NotWoken::Malformed)?;
                address(&self.push(), &subscription).ok_or(NotWoken::Service)?;
                let (place, text) = (place(&id), subscription.to_json());
                let sealed = self.seal.seal(&mut SystemEntropy, place.as_bytes(), text.as_bytes());
                Some(sealed.map_err(|_| NotWoken::Unsealed)?)
            }
        };
        let label: String = label.trim().chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
        let label = if label.is_empty() { "Phone".to_owned() } else { label };
        let secret = opaque_secret();
        let digest = digest_of(secret.expose());
        let phone = StoredPhone { id, label, subscription, added_at: now, last_used_at: None };
        Ok(NewPhone { phone, secret, digest })
    }

    /// Wakes a person's phones for this question, while whoever asked goes on.
    pub(crate) fn wake(self: &Arc<Self>, of: &Subject, question: &str) {
        let phones = match self.store.read(|sql| sql.phones(of)) {
            Ok(phones) => phones,
            Err(error) => {
                tracing::warn!(%error, "whose phone is to be woken cannot be read");
                return;
            }
        };
        for phone in phones {
            let (own, question) = (Arc::clone(self), question.to_owned());
            tokio::spawn(async move { own.send(phone, &question).await });
        }
    }

    async fn send(&self, phone: StoredPhone, question: &str) {
        let Some(sealed) = phone.subscription else { return };
        let Some(message) = self.message(&phone.id, &sealed, question) else {
            tracing::warn!(
                "a phone cannot be woken: its service is not allowed any more, or its row does not open"
            );
            return;
        };
        match self.egress.send(message).await {
            Ok(answer) if answer.status.is_success() => {}
            // RFC 8030 section 7.3: the subscription is over.
            Ok(answer) if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
                let id = phone.id;
                let forgotten = self.store.write(move |sql| sql.forget_subscription(&id, &sealed)).await;
                if let Err::<_, StoreError>(error) = forgotten {
                    tracing::warn!(%error, "a push subscription that is over was not forgotten");
                }
            }
            Ok(answer) => tracing::warn!(status = %answer.status, "a push service did not take a message"),
            Err(error) => tracing::warn!(%error, "a push service was not reached"),
        }
    }

    /// The message, if it may go where the phone takes it.
    fn message(&self, id: &FactorId, sealed: &[u8], question: &str) -> Option<Request<Full<Bytes>>> {
        let opened = self.seal.open(place(id).as_bytes(), sealed).ok()?;
        let to = Subscription::parse(opened.expose()).ok()?;
        let push = self.push();
        let address = address(&push, &to)?;
        let text = serde_json::json!({ "question": question }).to_string();
        let body = encrypt(&to, text.as_bytes(), &mut SystemEntropy).ok()?;
        let authorization = self.key.authorization(&to, &push.contact, self.clock.now()).ok()?;
        Request::post(address)
            .header(header::AUTHORIZATION, sensitive(&authorization)?)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header(HeaderName::from_static("ttl"), KEEP)
            .header(HeaderName::from_static("urgency"), "high")
            .header(HeaderName::from_static("topic"), TOPIC)
            .body(Full::new(Bytes::from(body)))
            .ok()
    }
}

/// Where a subscription's messages go, if the configuration names its host.
fn address(push: &Push, to: &Subscription) -> Option<Uri> {
    let address: Uri = to.endpoint().as_str().parse().ok()?;
    address.host().is_some_and(|host| push.allows(host)).then_some(address)
}

fn place(id: &FactorId) -> String {
    format!("subscription of the phone {id}")
}
