//! Where one thread sleeps until it is notified.

use super::listeners::Listen;
use crate::sync::{Condvar, Mutex, wait_deadline};
use std::time::Instant;

/// A parker has a token, which is absent at first. `unpark` makes the token present; `park` waits
/// until it is present and takes it. A token that came early is not lost, and two are one.
#[derive(Debug)]
pub(crate) struct Parker {
    token: Mutex<bool>,
    arrived: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Parker {
            token: Mutex::new(false),
            arrived: Condvar::new(),
        }
    }

    /// Takes the token, waiting for it until `deadline`. Says whether it came; never gives up
    /// before the deadline. `None` waits for as long as it takes.
    pub(crate) fn park_until(&self, deadline: Option<Instant>) -> bool {
        let mut token = self.token.lock();
        while !*token {
            if !wait_deadline(&self.arrived, &mut token, deadline) && !*token {
                return false;
            }
        }
        *token = false;
        true
    }

    pub(crate) fn park(&self) {
        self.park_until(None);
    }

    /// Makes the token present and wakes the thread that waits for it.
    pub(crate) fn unpark(&self) {
        // Change, let go, then notify: the woken thread does not run into a lock that we hold.
        // None is lost: a thread that has looked and not yet slept held the lock until it slept.
        *self.token.lock() = true;
        self.arrived.notify_one();
    }
}

impl Listen for Parker {
    fn notify(&self) {
        self.unpark();
    }
}
