//! Where one thread sleeps until it is notified.

use super::listeners::Listen;
use crate::sync::Token;
use std::time::Instant;

/// A parker has a token, which is absent at first. `unpark` makes the token present; `park` waits
/// until it is present and takes it. A token that came early is not lost, and two are one.
#[derive(Debug)]
pub(crate) struct Parker(Token);

impl Parker {
    pub(crate) fn new() -> Self {
        Parker(Token::new())
    }

    /// Takes the token, waiting for it until `deadline`. Says whether it came; never gives up
    /// before the deadline. `None` waits for as long as it takes.
    pub(crate) fn park_until(&self, deadline: Option<Instant>) -> bool {
        self.0.take(deadline)
    }

    pub(crate) fn park(&self) {
        self.0.take(None);
    }

    /// Makes the token present and wakes the thread that waits for it.
    pub(crate) fn unpark(&self) {
        self.0.put();
    }
}

impl Listen for Parker {
    fn notify(&self) {
        self.unpark();
    }
}
