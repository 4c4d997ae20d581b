//! A barrier that a party can leave when an event is set.
//!
//! The count of those who are there and the number of the generation are under one lock, and a generation is released
//! by the arrival that makes the count full, in the same critical section. So it is released only while all its parties are
//! waiting or arriving: who gave up took itself off the count under the lock before.
//!
//! Whether a party was released or gave up is decided under that lock, too, and not by its wake-up: it gave up if the generation is
//! still its own when it has the lock, and was released otherwise. Then its place was counted, the others have gone on
//! with it, and it must not say that it did not take part. So who is released and stopped at once is released.
//!
//! No wake-up is lost: [`StopCondvar`] loses none, and the last arrival notifies all after it has changed the generation. Who
//! gives up has nobody to notify, since one party fewer completes no generation.

use super::condvar::StopCondvar;
use crate::sync::{Mutex, MutexGuard};
use crate::{StopEvent, Stopped};
use std::fmt;

/// Who is there.
#[derive(Debug)]
struct Round {
    /// Those who wait for this generation: fewer than all, whenever the lock is free.
    here: usize,
    generation: u64,
}

/// A barrier whose waits end when a stop event is set; for [`std::sync::Barrier`].
///
/// A number of parties meet: each waits until all are there, then all go on, and the barrier is ready for the next time. What any of
/// them did before, all of them see afterwards.
///
/// # What a stop does to the others
///
/// Nothing: a party that is stopped takes back its arrival, as if it had never come, and the others wait on until as many as ever are
/// there. Somebody else may come in its place, or the same party again. What goes on after the barrier can
/// rely on all of them having been there.
///
/// Other barriers break: in Java's `CyclicBarrier` one party that is interrupted or has waited for too long makes the waits of
/// all others fail, until somebody resets it. There nobody could end the others' waits otherwise. Here everybody waits with an
/// event, so *who is to give up together, shares an event*, and who is not, need not. A party may wait with a deadline of its own
/// ([`child`](StopEvent::child), [`set_after`](StopEvent::set_after)), look after something else, and come back.
///
/// So if one party can be stopped alone, think of those whom it leaves: they wait for their own stops. Usually it is a
/// team that cannot go on without one of its members. In a [`try_scope`](crate::ThreadPool::try_scope) one task that
/// fails stops the others, so nothing is left to do. Tasks that are submitted one by one are given an event for the team:
///
/// ```
/// use std::sync::Arc;
/// use stoppable::{StopBarrier, StopEvent, Stopped, ThreadPool};
///
/// let pool = ThreadPool::new(2);
/// let (team, barrier) = (StopEvent::new(), Arc::new(StopBarrier::new(2)));
/// let tasks: Vec<_> = (0..2)
///     .map(|_| {
///         // However this task ends, by a panic too or without having begun, the other one is not left alone.
///         let (leaves, barrier) = (team.set_on_drop(), Arc::clone(&barrier));
///         pool.task().stop_with(&team).submit(move |stop| -> Result<(), Stopped> {
///             let _leaves = leaves;
///             loop {
///                 stop.check()?;
///                 // … a step of the work …
///                 if barrier.wait_or_stopped(stop)?.is_leader() {
///                     // … one of them puts the pieces together …
///                 }
///             }
///         })
///     })
///     .collect();
/// tasks[0].cancel();
/// for task in tasks {
///     assert!(task.join().is_err());
/// }
/// ```
pub struct StopBarrier {
    parties: usize,
    round: Mutex<Round>,
    released: StopCondvar,
}

impl StopBarrier {
    /// A barrier for that many parties. With 0 or 1 nobody ever waits at it, and everybody is the leader. No allocation.
    #[cfg(not(loom))]
    pub const fn new(parties: usize) -> Self {
        StopBarrier {
            parties,
            round: Mutex::new(Round {
                here: 0,
                generation: 0,
            }),
            released: StopCondvar::new(),
        }
    }

    /// Loom's locks are made at run time.
    #[cfg(loom)]
    pub fn new(parties: usize) -> Self {
        StopBarrier {
            parties,
            round: Mutex::new(Round {
                here: 0,
                generation: 0,
            }),
            released: StopCondvar::new(),
        }
    }

    /// How many wait.
    #[cfg(all(test, loom))]
    pub(super) fn here(&self) -> usize {
        self.round.lock().here
    }

    /// Blocks until all parties are there, or until `stop` is set.
    ///
    /// If it is set already, this party does not arrive, not even as the last: the others wait on. If it is set while this one waits,
    /// it leaves. Who has been released is not stopped any more, even if the set came before it woke up: it gets `Ok`, as all
    /// others of its generation do. So `Ok` says that all were there, and `Err` that they went on without this one, or did
    /// not go on.
    ///
    /// Any number of threads may call it at a time; those beyond the parties of a generation are the first of the next one.
    ///
    /// Costs two locks and, if it has to wait, those of a [`StopCondvar`]. The last one to come wakes the others one after the other.
    ///
    /// # Errors
    ///
    /// [`Stopped`], if this party left, or did not arrive.
    pub fn wait_or_stopped(&self, stop: &StopEvent) -> Result<StopBarrierWaitResult, Stopped> {
        stop.check()?;
        let mut round = self.round.lock();
        let mine = round.generation;
        round.here += 1;
        if round.here >= self.parties {
            round.here = 0;
            round.generation += 1;
            drop(round);
            self.released.notify_all();
            return Ok(StopBarrierWaitResult { is_leader: true });
        }
        drop(round);
        // Until it is clear that this party gives up, its task has not seen the stop.
        let unseen = stop.unseen_child();
        let still_here = |round: &mut MutexGuard<'_, Round>| round.generation == mine;
        let waited = self
            .released
            .wait_while(|| self.round.lock(), &unseen, still_here);
        if waited.is_err() {
            let mut round = self.round.lock();
            if round.generation == mine {
                round.here -= 1;
                drop(round);
                stop.check()?;
            }
        }
        Ok(StopBarrierWaitResult { is_leader: false })
    }
}

impl fmt::Debug for StopBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopBarrier")
            .field("parties", &self.parties)
            .finish_non_exhaustive()
    }
}

/// What a party learns when all were there; from [`StopBarrier::wait_or_stopped`].
#[derive(Debug)]
pub struct StopBarrierWaitResult {
    is_leader: bool,
}

impl StopBarrierWaitResult {
    /// Whether this party was the last to come: one of each generation is.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}
