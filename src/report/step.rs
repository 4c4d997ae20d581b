//! The steps of a graceful shutdown.

use super::{Shutdown, Stats};
use std::time::Duration;

/// One step of a graceful shutdown; in a [`ShutdownReport`](crate::ShutdownReport).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    mode: Shutdown,
    began: Duration,
    ended: Duration,
    before: Stats,
    after: Stats,
}

impl Step {
    pub(crate) fn new(
        mode: Shutdown,
        began: Duration,
        ended: Duration,
        before: Stats,
        after: Stats,
    ) -> Self {
        Step {
            mode,
            began,
            ended,
            before,
            after,
        }
    }

    /// The mode of shutdown that it began.
    pub fn mode(&self) -> Shutdown {
        self.mode
    }

    /// When it began, after the shutdown did.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }

    /// How many tasks completed in it.
    pub fn completed(&self) -> u64 {
        self.after.completed - self.before.completed
    }

    /// How many tasks were cancelled in it.
    pub fn cancelled(&self) -> u64 {
        self.after.cancelled - self.before.cancelled
    }

    /// How many tasks it kept from starting.
    pub fn never_started(&self) -> u64 {
        self.after.never_started - self.before.never_started
    }

    /// How many tasks panicked in it.
    pub fn panicked(&self) -> u64 {
        self.after.panicked - self.before.panicked
    }

    /// The counts when it was over.
    pub fn stats(&self) -> Stats {
        self.after
    }
}
