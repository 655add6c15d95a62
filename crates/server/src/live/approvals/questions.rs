//! What one person is asked just now, by applications and by sign-ins, and their answer to a sign-in.

use std::net::IpAddr;

use chartgate_access::approval::known::Acquaintance;
use chartgate_access::approval::question::Question;
use chartgate_access::approval::sign_in::{Matched, Number, SignInAnswer, SignInApproval};
use chartgate_access::grant::backchannel::BackchannelRequest;
use chartgate_access::ids::{ClientId, Subject};
use chartgate_access::principal::User;
use chartgate_values::Entropy;

use super::Approvals;
use crate::entropy::SystemEntropy;
use crate::store::deeds::KeptDeed;
use crate::store::emergency::EmergencyUse;
use crate::store::pending::Took;
use crate::store::questions::Decided;
use crate::store::sign_in_approvals::{Asked, KeptSignIn};
use crate::store::{Sql, StoreError};

/// A question that waits for this person.
pub(crate) struct OpenQuestion {
    pub(crate) question: Question,
    pub(crate) asked_by: AskedBy,
}

/// Who asks.
pub(crate) enum AskedBy {
    /// An application.
    Client(Box<BackchannelRequest>),
    /// Whoever signs in as the person.
    SignIn(Box<KeptSignIn>),
    /// Nobody: emergency access was opened in the person's name.
    Emergency(Box<EmergencyUse>),
    /// Somebody else, who needs a yes to what they want to do.
    Deed(Box<KeptDeed>),
}

/// Why a sign-in is not asked about, or its number not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its number cannot be sealed, or what was sealed is not what it was.
    #[error("the number of a sign-in cannot be had")]
    Unsealed,
}

/// 160 bits, as CIBA Core advises for its own, in a form that no command line takes for a flag.
pub(crate) fn fresh_id() -> String {
    let entropy: &mut dyn Entropy = &mut SystemEntropy;
    entropy.bytes::<20>().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Approvals {
    /// All that waits for a person: first what was opened in their name, each oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn questions_to(&self, user: &User) -> Result<Vec<OpenQuestion>, StoreError> {
        let now = self.0.clock.now();
        let (opened, requests, sign_ins) = self.0.store.read(|sql| {
            let opened = sql.untold_emergencies(&user.name, now)?;
            let requests = sql.backchannel_requests_to(&user.name, now)?;
            Ok::<_, StoreError>((opened, requests, sql.waiting_sign_ins(&user.name, now)?))
        })?;
        let asked = requests.into_iter().map(|(id, request)| OpenQuestion::of_client(&id, request, user));
        let opened = opened.into_iter().filter_map(|used| self.of_emergency(used));
        let sign_ins = sign_ins.into_iter().map(OpenQuestion::of_sign_in);
        Ok(opened.chain(sign_ins).chain(asked).chain(self.deeds_to(user, now)?).collect())
    }

    /// One of them, by its name. Nobody else's: nobody answers for another, and no application for anybody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn question_to(&self, user: &User, id: &str) -> Result<Option<OpenQuestion>, StoreError> {
        Ok(self.questions_to(user)?.into_iter().find(|open| open.question.id == id))
    }

    /// Puts a question, once it is on record, and wakes its person's phones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn put(&self, to: &Subject, id: &str) -> Result<(), StoreError> {
        let question = id.to_owned();
        self.0.store.write(move |sql| sql.put_question(&question)).await?;
        self.0.phones.wake(to, id);
        Ok(())
    }

    /// The same of a client's: who was never used wakes nobody, and is found by whoever looks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn put_of_client(
        &self,
        to: &Subject,
        id: &str,
        acquaintance: Acquaintance,
    ) -> Result<(), StoreError> {
        match acquaintance {
            Acquaintance::Used => self.put(to, id).await,
            Acquaintance::NeverUsed => {
                let question = id.to_owned();
                self.0.store.write(move |sql| sql.put_question(&question)).await
            }
        }
    }

    /// Wakes the phones of somebody in whose name emergency access was opened, once that is on record.
    pub(crate) fn tell_of_emergency(&self, to: &Subject, question: &str) {
        self.0.phones.wake(to, question);
    }

    fn of_emergency(&self, used: EmergencyUse) -> Option<OpenQuestion> {
        let question = self.0.emergencies.question(&used, used.told.as_ref()?);
        Some(OpenQuestion { question, asked_by: AskedBy::Emergency(Box::new(used)) })
    }

    /// Decides a question that waits. Nothing comes of that before [`Approvals::answer`] or
    /// [`Approvals::answer_sign_in`], which wait for its record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn decide(&self, id: &str, decided: Decided) -> Result<Took, StoreError> {
        let (id, now) = (id.to_owned(), self.0.clock.now());
        let decide = move |sql: &Sql<'_>| match sql.decide_question(&id, decided, now)? {
            Took::It => Ok(Took::It),
            // That it was not they says `Emergencies::disown`, which ends something.
            Took::Nothing if decided == Decided::Yes => sql.say_of_emergency(&id, decided, now),
            Took::Nothing => Ok(Took::Nothing),
        };
        self.0.store.write(decide).await
    }

    /// Asks a person whether it is they who sign in. They see it once it is put.
    ///
    /// # Errors
    /// [`SignInError`].
    pub(crate) async fn ask_sign_in(
        &self,
        half: &str,
        user: &User,
        client: Option<ClientId>,
        from: IpAddr,
    ) -> Result<(Question, Asked), SignInError> {
        let (id, now) = (fresh_id(), self.0.clock.now());
        let number = Number::random(&mut SystemEntropy).shown();
        let number = self.0.seal.seal(&mut SystemEntropy, number_place(&id).as_bytes(), number.as_bytes());
        let kept = KeptSignIn {
            half: half.to_owned(),
            number: number.map_err(|_| SignInError::Unsealed)?,
            approval: SignInApproval::new(user.name.clone(), client, from, now),
            id,
        };
        let question = kept.approval.question(&kept.id);
        let asked = self.0.store.write(move |sql| sql.ask_sign_in(&kept)).await;
        Ok((question, asked?))
    }

    /// The number of a sign-in, for the screen where somebody signs in.
    ///
    /// # Errors
    /// [`SignInError::Unsealed`].
    pub(crate) fn number(&self, of: &KeptSignIn) -> Result<Number, SignInError> {
        let opened = self.0.seal.open(number_place(&of.id).as_bytes(), &of.number);
        let opened = opened.map_err(|_| SignInError::Unsealed)?;
        let text = std::str::from_utf8(opened.expose()).map_err(|_| SignInError::Unsealed)?;
        text.parse().map_err(|_| SignInError::Unsealed)
    }

    /// Compares what somebody typed with that number. What is wrong is kept, whatever else it was.
    ///
    /// # Errors
    /// [`SignInError`].
    pub(crate) async fn match_number(
        &self,
        kept: &KeptSignIn,
        typed: Option<Number>,
    ) -> Result<Matched, SignInError> {
        let (shown, id) = (self.number(kept)?, kept.id.clone());
        let matched = self.0.store.write(move |sql| {
            // As it stands now: of three wrong numbers at once the third ends it.
            let Some(kept) = sql.sign_in_approval(&id)? else { return Ok(Matched::Over) };
            if kept.approval.answer != SignInAnswer::Waiting {
                return Ok(Matched::Over);
            }
            let (after, matched) = kept.approval.typed(typed, shown);
            match matched {
                Matched::Right => Ok(Matched::Right),
                Matched::Wrong | Matched::Over => match sql.answer_sign_in(&id, &after, None)? {
                    Took::It => Ok(matched),
                    Took::Nothing => Ok(Matched::Over),
                },
            }
        });
        matched.await.map_err(|error: StoreError| error.into())
    }

    /// Answers a sign-in with what was decided.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn answer_sign_in(
        &self,
        kept: &KeptSignIn,
        decided: Decided,
    ) -> Result<Took, StoreError> {
        let (id, now) = (kept.id.clone(), self.0.clock.now());
        let answer = match decided {
            Decided::Yes => SignInAnswer::Approved,
            Decided::No => SignInAnswer::Denied,
        };
        self.0
            .store
            .write(move |sql| {
                let Some(kept) = sql.sign_in_approval(&id)?.filter(|kept| kept.approval.waits(now)) else {
                    return Ok(Took::Nothing);
                };
                sql.answer_sign_in(&id, &SignInApproval { answer, ..kept.approval }, Some(decided))
            })
            .await
    }
}

impl OpenQuestion {
    fn of_client(id: &str, request: BackchannelRequest, user: &User) -> Self {
        let own_record = user.fhir_user.as_ref().and_then(|own| own.patient());
        let question = Question::of_client(id, &request, own_record);
        Self { question, asked_by: AskedBy::Client(Box::new(request)) }
    }

    fn of_sign_in(kept: KeptSignIn) -> Self {
        Self { question: kept.approval.question(&kept.id), asked_by: AskedBy::SignIn(Box::new(kept)) }
    }
}

fn number_place(id: &str) -> String {
    format!("number of the sign-in {id}")
}
