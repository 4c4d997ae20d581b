//! What each worker counts. A lane has one writer, which uses plain stores, and any number of readers.
//!
//! | worker | reader |
//! |---|---|
//! | lane = busy; fence; looks at the queue, claims | has set `frozen`; fence; waits until the lane is even |
//! | lane = one more, even (Release) | started (Acquire), completed (Acquire), started: the same, or again |
//! | runs the task; completed = one more (Release) | |

use super::histogram::Histogram;
use super::latency::Durations;
use super::ledger::Times;
use crate::sync::{AtomicU64, Ordering, Tries, store_then_look};

/// What one worker counts. Only that worker writes; anybody reads.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Twice the number of tasks that were started, plus one while the worker is claiming.
    claims: AtomicU64,
    completed: AtomicU64,
    /// How long tasks waited and ran, if that is kept.
    pub(super) times: Option<Box<LaneTimes>>,
}

/// How long the tasks of one lane waited and ran.
#[derive(Debug, Default)]
pub(super) struct LaneTimes {
    pub(super) waited: Histogram,
    pub(super) ran: Histogram,
}

/// How long tasks waited and ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllTimes {
    pub(crate) waited: Durations,
    pub(crate) ran: Durations,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Lane {
            claims: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            times: None,
        }
    }

    /// One that keeps how long tasks waited and ran.
    pub(super) fn timed(self) -> Self {
        Lane {
            times: Some(Box::default()),
            ..self
        }
    }

    /// Keeps how long a task waited and ran.
    pub(crate) fn keep_times(&self, times: Times) {
        if let Some(lane) = &self.times {
            times.waited.into_iter().for_each(|it| lane.waited.add(it));
            times.ran.into_iter().for_each(|it| lane.ran.add(it));
        }
    }

    /// The worker is about to look at the queue: its lane is busy, and every look comes after.
    #[inline]
    pub(crate) fn enter(&self) {
        // Relaxed: only this worker writes.
        let claims = self.claims.load(Ordering::Relaxed);
        store_then_look(&self.claims, claims | 1);
    }

    /// As [`enter`](Self::enter), for a claim of a task that the worker has in its hand: it will not look
    /// at the queue. Who sees that the task has begun sees the lane busy, by the Release of the claim.
    #[inline]
    pub(crate) fn begin(&self) {
        // Relaxed: only this worker writes; and as above.
        let claims = self.claims.load(Ordering::Relaxed);
        self.claims.store(claims | 1, Ordering::Relaxed);
    }

    /// The worker has claimed a task (or not) and is done with the queue for now.
    #[inline]
    pub(crate) fn leave(&self, claimed: bool) {
        // Relaxed: only this worker writes.
        let idle = self.claims.load(Ordering::Relaxed) & !1;
        // Release: partner is the Acquire in `started`; who sees the lane even sees all that this
        // worker did to the queue.
        self.claims
            .store(idle + 2 * u64::from(claimed), Ordering::Release);
    }

    /// Counts one completed task.
    #[inline]
    pub(crate) fn complete(&self) {
        // Relaxed: only this worker writes.
        let completed = self.completed.load(Ordering::Relaxed);
        // Release: who reads the new count sees the claim that came before it. That the count is
        // there when the end is seen is owed to the Release of the end itself.
        self.completed.store(completed + 1, Ordering::Release);
    }

    /// How many tasks were started, once the lane is not busy.
    pub(super) fn started(&self) -> u64 {
        let mut tries = Tries::default();
        loop {
            // Acquire: partner is the Release in `leave`.
            let claims = self.claims.load(Ordering::Acquire);
            if claims % 2 == 0 {
                return claims / 2;
            }
            // A few instructions long, unless that thread has just been preempted.
            tries.again();
        }
    }

    /// Started and completed, as they were together at one instant.
    pub(super) fn read(&self) -> (u64, u64) {
        loop {
            let before = self.started();
            // Acquire: keeps the second look at `claims` after this one.
            let completed = self.completed.load(Ordering::Acquire);
            if self.started() == before {
                return (before, completed);
            }
        }
    }
}
