//! Waiting for an event in async code, on whatever runtime.

use super::ambient::contained;
use super::event::StopEvent;
use super::listeners::Listen;
use super::wait::Registration;
use crate::sync::{Arc, Mutex};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Who is to be woken.
struct Sleeper(Mutex<Option<Waker>>);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // On whatever thread told of the event last.
        let waker = self.0.lock().take();
        contained(|| drop(waker));
    }
}

impl Listen for Sleeper {
    fn notify(&self) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            contained(|| waker.wake());
        }
    }
}

/// Is ready when an event is set; made by [`StopEvent::stopped`].
///
/// It is bound to no runtime. Dropping it leaves nothing behind; it may be polled again after it was
/// ready, and is ready still.
#[must_use = "futures do nothing unless polled"]
pub struct StopFuture {
    event: StopEvent,
    /// From the first poll that found the event unset.
    asleep: Option<(Arc<Sleeper>, Registration)>,
}

impl StopFuture {
    pub(super) fn new(event: StopEvent) -> Self {
        StopFuture {
            event,
            asleep: None,
        }
    }
}

impl Future for StopFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.event.is_set() {
            this.asleep = None;
            return Poll::Ready(());
        }
        let Some(node) = this.event.node() else {
            return Poll::Pending;
        };
        if let Some((sleeper, _)) = &this.asleep {
            let fresh = context.waker().clone();
            let stale = sleeper.0.lock().replace(fresh);
            drop(stale);
        } else {
            let sleeper = Arc::new(Sleeper(Mutex::new(Some(context.waker().clone()))));
            let listener: Arc<dyn Listen> = Arc::<Sleeper>::clone(&sleeper);
            if let Some(registration) = Registration::on_chain(node, &listener) {
                this.asleep = Some((sleeper, registration));
            }
        }
        // It may have been set while the waker was on its way to the list: then nobody wakes it.
        if this.event.is_set() {
            this.asleep = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl fmt::Debug for StopFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopFuture")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
