//! How many connections an address may hold, and for how long one that moves nothing stays open.
//!
//! hyper limits what comes before a request; what comes between requests and while an answer waits for its reader is
//! limited here, for HTTP/1 and HTTP/2 alike.

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chartgate_values::network_of;
use hyper::body::{Body, Frame, SizeHint};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::time::Instant;

use super::shares::{Share, Shares};
use crate::config::Network;

/// Connections at the same time, whatever the machine allows.
const MOST: u64 = 10_000;

/// How many connections there may be: raises the limit of open files as far as the system lets us, for a connection may
/// need another to its upstream, and keeps some for the log and the store.
pub(crate) fn most() -> u32 {
    let allowed = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => allowed.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            allowed.current
        }
    };
    let most = files.map_or(MOST, |files| files.saturating_sub(KEPT_FILES) / 2).clamp(16, MOST);
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Files that the log, the store and the listeners need.
const KEPT_FILES: u64 = 128;

/// What `[listen]` says of connections.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Of one address, or IPv6 network.
    pub(crate) per_address: usize,
    /// Without a request.
    pub(crate) idle: Duration,
    /// With an answer under way, of which nothing moves.
    pub(crate) stall: Duration,
    /// Stand for many clients, and are not counted.
    pub(crate) trusted: Vec<Network>,
}

/// The connections that are open, by address.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Shares<IpAddr>);

/// A connection that is counted while this lives, where it is.
pub(crate) type Counted = Option<Share<IpAddr>>;

impl Addresses {
    /// Counts one more, if the address may have it.
    pub(crate) fn admit(&self, ip: IpAddr, limits: &Limits) -> Option<Counted> {
        if limits.trusted.iter().any(|network| network.contains(ip)) {
            return Some(None);
        }
        self.0.take(network_of(ip), limits.per_address).map(Some)
    }
}

/// What moves on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Mutex<Moved>>);

#[derive(Debug)]
struct Moved {
    /// Requests whose answers have not gone whole, by number, and when each moved last.
    open: Vec<(u64, Instant)>,
    begun: u64,
    /// When anything did.
    last: Instant,
}

/// A request that is under way while this lives.
#[derive(Debug)]
pub(crate) struct UnderWay {
    activity: Activity,
    number: u64,
}

/// How long a connection may stay as it is.
enum Verdict {
    Until(Instant),
    Idle,
    Stalled,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Moved { open: Vec::new(), begun: 0, last: Instant::now() })))
    }

    /// A request came.
    pub(crate) fn begin(&self) -> UnderWay {
        let number = self.note(|moved| {
            moved.begun = moved.begun.wrapping_add(1);
            moved.open.push((moved.begun, moved.last));
            moved.begun
        });
        UnderWay { activity: self.clone(), number }
    }

    fn note<T>(&self, change: impl FnOnce(&mut Moved) -> T) -> T {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.last = Instant::now();
        change(&mut moved)
    }

    fn judge(&self, limits: &Limits) -> Verdict {
        let moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One answer that nobody reads is not hidden by others that move beside it.
        let (since, limit, over) = match moved.open.iter().map(|(_, last)| *last).min() {
            None => (moved.last, limits.idle, Verdict::Idle),
            Some(longest_ago) => (longest_ago, limits.stall, Verdict::Stalled),
        };
        match since.checked_add(limit) {
            Some(end) if end > Instant::now() => Verdict::Until(end),
            Some(_) | None => over,
        }
    }

    /// Waits until a connection has moved nothing for too long.
    async fn over(&self, limits: &Limits) -> Verdict {
        loop {
            match self.judge(limits) {
                // What moves meanwhile moves the end: looked at once the present one is reached.
                Verdict::Until(end) => tokio::time::sleep_until(end.min(sooner(limits))).await,
                over @ (Verdict::Idle | Verdict::Stalled) => return over,
            }
        }
    }
}

/// A connection that was busy may be idle by then.
fn sooner(limits: &Limits) -> Instant {
    let now = Instant::now();
    now.checked_add(limits.idle.min(limits.stall)).unwrap_or(now)
}

impl UnderWay {
    fn moves(&self) {
        let number = self.number;
        self.activity.note(|moved| {
            let now = moved.last;
            moved.open.iter_mut().filter(|(own, _)| *own == number).for_each(|(_, last)| *last = now);
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let number = self.number;
        self.activity.note(|moved| moved.open.retain(|(own, _)| *own != number));
    }
}

/// An answer whose request is under way until all of it has gone.
pub(crate) struct Going<B> {
    body: B,
    under_way: UnderWay,
}

impl<B> Going<B> {
    pub(crate) fn new(body: B, under_way: UnderWay) -> Self {
        Self { body, under_way }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Going<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.under_way.moves();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves a connection to its end, which comes soon after `stop` turns true, or when it has moved nothing for too long.
/// `drain` tells it to take no more requests.
pub(crate) async fn drive<C: Future>(
    connection: C,
    drain: impl FnOnce(Pin<&mut C>),
    activity: Activity,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    tokio::select! {
        // A connection that breaks is its peer's affair.
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
        over = activity.over(limits) => if let Verdict::Stalled = over { return },
    }
    drain(connection.as_mut());
    // What is under way may end, as long as it moves; one that is idle says goodbye.
    let over = async {
        tokio::time::sleep(GOODBYE).await;
        activity.over(limits).await
    };
    tokio::select! {
        _ = connection => {}
        _ = over => {}
    }
}

/// How long an idle connection has to close.
const GOODBYE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_address: usize) -> Limits {
        let second = Duration::from_secs(1);
        let trusted = vec![Network::parse("10.0.0.0/8").unwrap()];
        Limits { per_address, idle: second, stall: second, trusted }
    }

    #[test]
    fn an_address_holds_so_many_connections_and_a_closed_one_makes_room() {
        let (addresses, limits) = (Addresses::default(), limits(2));
        let [one, another] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = addresses.admit(one, &limits).unwrap();
        let _second = addresses.admit(one, &limits).unwrap();
        assert!(addresses.admit(one, &limits).is_none());
        assert!(addresses.admit("::ffff:192.0.2.1".parse().unwrap(), &limits).is_none(), "the same address");
        assert!(addresses.admit(another, &limits).is_some());
        drop(first);
        assert!(addresses.admit(one, &limits).is_some());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_trusted_proxy_as_none() {
        let (addresses, limits) = (Addresses::default(), limits(1));
        let _held = addresses.admit("2001:db8::1".parse().unwrap(), &limits).unwrap();
        assert!(addresses.admit("2001:db8::2".parse().unwrap(), &limits).is_none());
        let proxy = "10.0.0.1".parse().unwrap();
        let held: Vec<_> = (0..9).map(|_| addresses.admit(proxy, &limits).unwrap()).collect();
        assert_eq!(held.len(), 9);
    }

    #[test]
    fn a_connection_is_idle_without_requests_and_stalled_with_one() {
        let mut limits = limits(1);
        let activity = Activity::new();
        assert!(matches!(activity.judge(&limits), Verdict::Until(_)));
        (limits.idle, limits.stall) = (Duration::ZERO, Duration::ZERO);
        assert!(matches!(activity.judge(&limits), Verdict::Idle));
        let under_way = activity.begin();
        assert!(matches!(activity.judge(&limits), Verdict::Stalled));
        limits.stall = Duration::from_secs(9);
        assert!(matches!(activity.judge(&limits), Verdict::Until(_)));
        drop(under_way);
        assert!(matches!(activity.judge(&limits), Verdict::Idle));
    }

    #[test]
    fn an_answer_that_stalls_is_not_hidden_by_one_that_moves() {
        let limits = Limits { stall: Duration::from_millis(50), ..limits(1) };
        let activity = Activity::new();
        let (moving, stalled) = (activity.begin(), activity.begin());
        std::thread::sleep(Duration::from_millis(60));
        moving.moves();
        assert!(matches!(activity.judge(&limits), Verdict::Stalled));
        drop(stalled);
        assert!(matches!(activity.judge(&limits), Verdict::Until(_)));
    }
}
