//! Bridges between stop events and tokio-util's `CancellationToken`. (Feature `tokio-util`.)
//!
//! A bridge leads one way. [`token_of`] gives a token that is cancelled when an event is set; [`event_of`] gives an
//! event that is set when a token is cancelled. Neither needs a runtime or a thread: the news crosses on the thread that
//! sets or cancels, before its call returns.
//!
//! A bridge is there for as long as what these functions return. Once that is dropped, nothing is left of it on either
//! side, neither in a list of the event nor in one of the token, whichever of them lives on; tokens and events that were
//! cloned out of it stay as they are then.
//!
//! The types are those of tokio-util 0.7, which is before its 1.0; another version of it may come with another minor
//! version of this crate.

use crate::{StopCallback, StopEvent, StopReason};
use ::tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A token that is cancelled when an event is set, for as long as this is kept; made by [`token_of`].
#[must_use = "dropping it takes the bridge down"]
pub struct EventToken {
    token: CancellationToken,
    callback: StopCallback,
}

impl EventToken {
    /// The token. Clones and child tokens of it are cancelled with it.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The token, with the bridge left where it is for as long as there is the event, even when nobody has
    /// the token any more. For a token that is as old as the event; of a long-lived event, many that are detached
    /// pile up.
    pub fn detach(self) -> CancellationToken {
        self.callback.detach();
        self.token
    }
}

impl fmt::Debug for EventToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventToken")
            .field("is_cancelled", &self.token.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A new token that is cancelled when `stop` is set, before that `set` returns; at once if it is set already. The way
/// back is closed: cancelling the token leaves the event alone.
///
/// Those who wait for the token are woken on the thread that sets the event. That a token was found cancelled does not
/// count as a task of this crate seeing its stop.
///
/// Dropping what is returned takes the bridge down, and waits for it if the event is being set just then. Costs a few
/// allocations, and a place on the list of each event above.
///
/// ```
/// use stoppable::StopEvent;
/// use stoppable::interop::tokio_util::token_of;
///
/// let stop = StopEvent::new();
/// let bridge = token_of(&stop);
/// let token = bridge.token().child_token();
/// stop.set();
/// assert!(token.is_cancelled());
/// ```
pub fn token_of(stop: &StopEvent) -> EventToken {
    let token = CancellationToken::new();
    let callback = stop.on_set({
        let token = token.clone();
        move || token.cancel()
    });
    EventToken { token, callback }
}

/// An event that is set when a token is cancelled, for as long as this is kept; made by [`event_of`].
#[must_use = "dropping it takes the bridge down"]
pub struct TokenEvent {
    event: StopEvent,
    /// Kept on the token's list; it has what sets the event in it. `None` once the token is cancelled.
    _waits: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl TokenEvent {
    /// The event. Clones are the same event, and children are set with it.
    pub fn event(&self) -> &StopEvent {
        &self.event
    }
}

impl fmt::Debug for TokenEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEvent")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// A new event that is set when `token` is cancelled, before that `cancel` returns; at once if it is cancelled
/// already. The way back is closed: setting the event leaves the token alone.
///
/// The reason is [`StopReason::Custom`], "token cancelled"; the cause cannot say whose line of code cancelled it. As with any `set`,
/// callbacks run, and what pending tasks had captured is dropped, on the thread that cancels. If two threads cancel at once, only the
/// one that came first has set the event when it returns.
///
/// Dropping what is returned takes the bridge down without waiting: a `cancel` that is under way then may still set the event.
/// Costs a few allocations, and a place on the token's list. A poll costs what it costs for any event.
///
/// ```
/// use stoppable::{Shutdown, ThreadPool};
/// use stoppable::interop::tokio_util::event_of;
/// use tokio_util::sync::CancellationToken;
///
/// let token = CancellationToken::new();
/// let bridge = event_of(&token);
/// let pool = ThreadPool::builder().threads(1).stop_with(bridge.event(), Shutdown::StopAll).build()?;
/// let task = pool.submit(|stop| stop.wait());
/// token.cancel();
/// task.wait();
/// # Ok::<(), stoppable::BuildError>(())
/// ```
pub fn event_of(token: &CancellationToken) -> TokenEvent {
    let event = StopEvent::new();
    let setter = Arc::new(Setter {
        event: event.clone(),
        token: token.clone(),
    });
    let mut waits = Box::pin(token.clone().cancelled_owned());
    let waker = Waker::from(Arc::clone(&setter));
    let is_cancelled = waits.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(());
    if is_cancelled {
        setter.wake();
    }
    TokenEvent {
        event,
        _waits: (!is_cancelled).then_some(waits),
    }
}

/// Who is woken when the token is cancelled, and sets the event on the spot.
struct Setter {
    event: StopEvent,
    token: CancellationToken,
}

impl Wake for Setter {
    fn wake(self: Arc<Self>) {
        // The token wakes nobody before it reads as cancelled, and nobody under its lock.
        if self.token.is_cancelled() {
            self.event.set_with(StopReason::custom("token cancelled"));
        }
    }
}
