//! Callbacks: code of the user's that runs when an event is set.
//!
//! | state | event | next |
//! |---|---|---|
//! | waiting | the event, or an ancestor, is set | running, on the setter's thread |
//! | waiting | the guard is dropped, or `remove` | gone |
//! | running | the callback returns or panics | gone |
//!
//! The callback is on the list of every node of the chain, so it may be told more than once; the state
//! lets it run once. It runs under no lock.

use super::ambient::{call_back, contained};
use super::listeners::Listen;
use super::node::NodeRef;
use super::wait::Registration;
use crate::sync::{Arc, Condvar, Mutex, ThreadId, current_thread};
use std::fmt;

type Code = Box<dyn FnOnce() + Send>;

enum State {
    Waiting(Code),
    Running(ThreadId),
    Gone,
}

struct Callback {
    state: Mutex<State>,
    gone: Condvar,
}

impl Callback {
    /// Runs it, unless it has been, or was deregistered.
    fn run(&self) {
        let code = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Gone) {
                State::Waiting(code) => {
                    *state = State::Running(current_thread());
                    code
                }
                other => {
                    *state = other;
                    return;
                }
            }
        };
        call_back(code);
        *self.state.lock() = State::Gone;
        self.gone.notify_all();
    }

    /// Lets it never run. Says whether that was in time.
    fn remove(&self) -> bool {
        let code = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Gone) {
                State::Waiting(code) => Some(code),
                other => {
                    *state = other;
                    None
                }
            }
        };
        // Its captures are dropped here, under no lock.
        code.is_some()
    }

    /// Waits for it, if it runs on another thread.
    fn wait(&self) {
        let mut state = self.state.lock();
        while let State::Running(id) = *state {
            if id == current_thread() {
                return;
            }
            self.gone.wait(&mut state);
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Gone);
        if let State::Waiting(code) = state {
            // It was detached, and its event is gone: this may be anybody's thread.
            contained(|| drop(code));
        }
    }
}

impl Listen for Callback {
    fn is_code(&self) -> bool {
        true
    }

    fn notify(&self) {
        self.run();
    }
}

/// Keeps a callback registered; made by [`StopEvent::on_set`](crate::StopEvent::on_set).
///
/// Dropping it deregisters the callback, and waits for it if it is running on another thread: when
/// the drop returns, the callback neither runs nor ever will, so what it works on may be taken down. On the
/// callback's own thread, from inside of it, the drop does not wait. Two callbacks on two threads that drop each
/// other's guard wait for each other for ever, as does one that wants a lock under which its guard is dropped;
/// [`remove`](Self::remove) never waits.
#[must_use = "dropping it deregisters the callback"]
pub struct StopCallback {
    /// `None` once it has been given up. Without a registration if there is nothing to listen to.
    kept: Option<(Arc<Callback>, Option<Registration>)>,
}

impl StopCallback {
    pub(super) fn new(
        node: Option<&NodeRef>,
        code: impl FnOnce() + Send + 'static,
    ) -> StopCallback {
        let callback = Arc::new(Callback {
            state: Mutex::new(State::Waiting(Box::new(code))),
            gone: Condvar::new(),
        });
        let listener: Arc<dyn Listen> = Arc::<Callback>::clone(&callback);
        let registration = node.and_then(|node| {
            let registration = Registration::on_chain(node, &listener);
            if registration.is_none() {
                // Set already. A setter who was faster may be running it.
                callback.run();
            }
            registration
        });
        StopCallback {
            kept: Some((callback, registration)),
        }
    }

    /// Deregisters the callback without waiting for it. True: it has not run, and never will. False: it
    /// runs, or has run.
    pub fn remove(mut self) -> bool {
        match self.kept.take() {
            Some((callback, registration)) => {
                drop(registration);
                callback.remove()
            }
            None => false,
        }
    }

    /// Leaves the callback registered for as long as there is the event.
    pub fn detach(mut self) {
        if let Some((_, Some(registration))) = self.kept.take() {
            registration.detach();
        }
    }
}

impl Drop for StopCallback {
    fn drop(&mut self) {
        if let Some((callback, registration)) = self.kept.take() {
            drop(registration);
            if !callback.remove() {
                callback.wait();
            }
        }
    }
}

impl fmt::Debug for StopCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopCallback").finish_non_exhaustive()
    }
}
