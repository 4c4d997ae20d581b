//! The counts of a pool at one instant.

/// How many tasks of a pool are where; made by [`ThreadPool::stats`](crate::ThreadPool::stats).
///
/// The conservation law holds at every instant:
/// `submitted = pending + running + completed + cancelled + never_started + panicked + taken`.
/// Refused tasks were never accepted and are counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Accepted so far.
    pub submitted: u64,
    /// Accepted, and the closure has not begun.
    pub pending: u64,
    /// The closure has begun and not ended.
    pub running: u64,
    /// The closure returned without having seen its stop event set.
    pub completed: u64,
    /// The closure saw its stop event set, and ended.
    pub cancelled: u64,
    /// The closure never began and never will.
    pub never_started: u64,
    /// The closure unwound with a panic.
    pub panicked: u64,
    /// Not accepted, because the pool was being shut down.
    pub refused: u64,
    /// Handed back while pending, to be run elsewhere or dropped.
    pub taken: u64,
}

impl Stats {
    /// How many accepted tasks have ended.
    pub const fn done(&self) -> u64 {
        self.completed + self.cancelled + self.never_started + self.panicked
    }
}
