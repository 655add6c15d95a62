//! Recording is part of the type: what was allowed can be read, but not released; what would change the world cannot
//! even be sent before its record is durable.
//!
//! - [`Allowed`] is made by the decision point alone.
//! - A reading upstream call takes it and gives [`Withheld`]; only a recorded `Withheld` opens.
//! - A writing upstream call takes a [`Permit`], which only a recorded `Allowed` becomes.
//!
//! What follows compiles; each example below that must not is one step away from it.
//!
//! ```
//! use chartgate_access::permit::{Allowed, Permit, Withheld};
//! use chartgate_audit::journal::Recorded;
//!
//! fn write(recorded: Recorded<Allowed<&'static str>>) -> Withheld<u16> {
//!     Permit::from_recorded(recorded).withhold(201)
//! }
//! fn read(recorded: Recorded<Withheld<u16>>) -> u16 {
//!     Withheld::release(recorded)
//! }
//! ```

use std::sync::Arc;

use chartgate_audit::journal::Recorded;

/// An action that the decision point allowed. Only [`crate::pdp`] makes one.
///
/// ```compile_fail,E0451
/// let _ = chartgate_access::permit::Allowed { action: "read", policies: [].into() };
/// ```
#[derive(Debug)]
#[must_use = "an allowed action is recorded and carried out, or refused for another reason"]
pub struct Allowed<A> {
    action: A,
    policies: Arc<[String]>,
}

impl<A> Allowed<A> {
    pub(crate) fn new(action: A, policies: Arc<[String]>) -> Self {
        Self { action, policies }
    }

    /// The action.
    pub fn action(&self) -> &A {
        &self.action
    }

    /// The ids of the policies that allowed it.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Wraps what came back for this action, until its record is durable.
    pub fn withhold<T>(&self, answer: T) -> Withheld<T> {
        Withheld(answer)
    }

    /// Adds to the action what was found out since it was allowed, such as the version that it is about.
    pub fn map<B>(self, complete: impl FnOnce(A) -> B) -> Allowed<B> {
        Allowed { action: complete(self.action), policies: self.policies }
    }
}

/// An answer that nobody may see before its record is durable.
///
/// ```compile_fail,E0308
/// use chartgate_access::permit::Withheld;
/// let _ = Withheld::release(Withheld::new("a patient's record"));
/// ```
///
/// ```compile_fail,E0532
/// use chartgate_access::permit::Withheld;
/// let Withheld(answer) = Withheld::new("a patient's record");
/// ```
#[must_use = "a withheld answer is recorded, then released"]
pub struct Withheld<T>(T);

impl<T> Withheld<T> {
    /// Withholds an answer of our own making, such as a token or an error.
    pub fn new(answer: T) -> Self {
        Self(answer)
    }

    /// Looks at the answer, to decide what may be released and what the record says of it.
    pub fn inspect(&self) -> &T {
        &self.0
    }

    /// Changes the answer, as masks and filters do.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Withheld<U> {
        Withheld(change(self.0))
    }

    /// The same where it takes a while, as putting the answer aside does.
    pub async fn then<U>(self, change: impl AsyncFnOnce(T) -> U) -> Withheld<U> {
        Withheld(change(self.0).await)
    }

    /// Opens the answer: its record is durable.
    pub fn release(recorded: Recorded<Self>) -> T {
        recorded.into_inner().0
    }
}

/// Leave to change the world: the decision is durable.
///
/// ```compile_fail,E0308
/// use chartgate_access::permit::{Allowed, Permit};
/// fn write(allowed: Allowed<&'static str>) {
///     let _ = Permit::from_recorded(allowed);
/// }
/// ```
///
/// ```compile_fail,E0382
/// use chartgate_access::permit::Permit;
/// fn call(permit: Permit<&'static str>) {
///     let _ = permit.withhold("done");
///     let _ = permit.withhold("done again");
/// }
/// ```
#[derive(Debug)]
#[must_use = "a permit is spent on the call that it permits"]
pub struct Permit<A>(A);

impl<A> Permit<A> {
    /// The one way to a permit.
    pub fn from_recorded(recorded: Recorded<Allowed<A>>) -> Self {
        Self(recorded.into_inner().action)
    }

    /// The action, to be carried out once.
    pub fn action(&self) -> &A {
        &self.0
    }

    /// Wraps what came back, until the outcome is durable.
    pub fn withhold<T>(self, answer: T) -> Withheld<T> {
        Withheld(answer)
    }
}
