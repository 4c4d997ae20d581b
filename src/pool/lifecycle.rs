//! How a pool ends.
//!
//! | state | event | next |
//! |---|---|---|
//! | open | any shutdown, `set` of the pool's event, drop | closing, with that mode |
//! | closing | a stronger mode | closing, with the stronger mode |
//! | closing | nothing is outstanding | finished: the workers end |
//!
//! # Nothing is lost
//!
//! A task is accepted by one exchange in the ledger and then pushed. Closing shuts the ledger's door,
//! marks the idle word, fences, and then takes what is in the queue. A submitter that was accepted
//! before the door was shut pushes, fences, and looks at the idle word. By the fences either the
//! closer finds the task in the queue, or the submitter sees the mark and does the closer's work for
//! what it pushed ([`Core::pushed_while_closing`]).
//!
//! # When it is finished
//!
//! When nothing is outstanding and nothing can be submitted any more. While a pool drains, running
//! tasks may still submit, so the door is shut for good in one exchange that succeeds only if nothing
//! was accepted since the count was taken. Whoever ends the last task looks: a worker when it finds
//! the queue empty, a canceller after its cancel, a closer after it has taken the queue.
//!
//! # Locks
//!
//! `life` before the queue's front before the ledger's book. No foreign code runs under any of them.

use super::graves::Left;
use super::queue::All;
use super::shared::{Core, Shared};
use super::threads::Threads;
use crate::report::Shutdown;
use crate::report::ledger::Door;
use crate::stop::{StopCause, StopEvent};
use crate::sync::Ordering;
use crate::task::cell::TaskRef;
use crate::task::group::Sort;
use crate::task::home::Home;
use crate::task::life::{self, Doomed};
use crate::task::slab::SlabRef;
use crate::task::trace;
use std::mem;

#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(super) mode: Option<Shutdown>,
    /// Why pending tasks never start, once they never do.
    cause: Option<StopCause>,
    pub(super) threads: Threads,
}

/// Tasks that a shutdown has doomed. Their closures are to be dropped when no lock is held, and
/// everyone has been told who has to be.
#[must_use = "the closures have to be dropped"]
pub(super) struct Fallen {
    /// How many there are.
    count: usize,
    /// Those with whom something is left to do.
    doomed: Vec<Doomed>,
    cause: StopCause,
    /// What else was in the queue, to be dropped when no lock is held.
    _rest: (Vec<TaskRef>, Vec<SlabRef>),
}

impl Fallen {
    /// Wakes all who wait.
    fn tell(&self) {
        for doomed in &self.doomed {
            doomed.tell();
        }
    }

    pub(super) fn drop_closures(self) {
        for doomed in self.doomed {
            doomed.drop_closure();
        }
    }
}

impl Shared {
    /// Begins or strengthens a shutdown, takes from the queue what will never start, and wakes those
    /// who wait for it.
    pub(super) fn close(&self, home: &Home, mode: Shutdown, cause: &StopCause) -> Fallen {
        let fallen = {
            let mut life = self.life.lock();
            self.close_locked(&mut life, home, mode, cause)
        };
        self.settle(home, &fallen);
        fallen
    }

    /// As [`close`](Self::close), but leaves the drops of the closures to a worker.
    pub(super) fn close_and_leave(&self, home: &Home, mode: Shutdown, cause: &StopCause) -> Left {
        let (fallen, tell, left) = {
            let mut life = self.life.lock();
            let mut fallen = self.close_locked(&mut life, home, mode, cause);
            let tell: Vec<_> = fallen.doomed.iter().filter_map(Doomed::listened).collect();
            let (scoped, others) = life::part_scoped(mem::take(&mut fallen.doomed));
            // Under the lock of `life`, so that no worker ends in between.
            let groups = self.dig(others);
            (fallen, tell, Left { scoped, groups })
        };
        for doomed in tell {
            doomed.tell();
        }
        trace::never_started(fallen.count, &fallen.cause);
        self.give_back(fallen.count);
        self.check_finished(home);
        self.idle.wake_all();
        left
    }

    fn close_locked(
        &self,
        life: &mut Life,
        home: &Home,
        mode: Shutdown,
        cause: &StopCause,
    ) -> Fallen {
        let takes = mode >= Shutdown::CancelPending;
        life.mode = life.mode.max(Some(mode));
        if takes && life.cause.is_none() {
            life.cause = Some(cause.clone());
        }
        home.ledger.close(match mode {
            Shutdown::Drain => Door::Inside,
            Shutdown::CancelPending => Door::Scopes,
            Shutdown::StopAll => Door::Closed,
        });
        self.idle.close();
        if let Some(capacity) = &self.capacity {
            capacity.close();
        }
        if takes {
            self.doom_pending(home, cause, mode == Shutdown::StopAll)
        } else {
            Fallen {
                count: 0,
                doomed: Vec::new(),
                cause: cause.clone(),
                _rest: (Vec::new(), Vec::new()),
            }
        }
    }

    /// Takes everything out of the queue, and dooms what is pending. Unless `all` goes, what belongs to
    /// scopes of running tasks stays: they are to finish.
    fn doom_pending(&self, home: &Home, cause: &StopCause, all: bool) -> Fallen {
        let _emptying = self.emptying.lock();
        let frozen = self.queue.freeze(&home.ledger);
        let All { tasks, slabs } =
            frozen.take_all(&home.ledger, |sort| !all && sort == Sort::Inside);
        let mut others = Vec::new();
        let (count, doomed) = life::doom_all(home, tasks, cause, &mut others);
        Fallen {
            count,
            doomed,
            cause: cause.clone(),
            _rest: (others, slabs),
        }
    }

    /// Empties the queue without shutting down.
    pub(super) fn cancel_pending(&self, home: &Home, cause: &StopCause) -> usize {
        let fallen = self.doom_pending(home, cause, false);
        let count = fallen.count;
        self.settle(home, &fallen);
        fallen.drop_closures();
        count
    }

    /// Hands back what is pending, but for the members of scopes.
    pub(super) fn take_pending(&self, home: &Home) -> Vec<TaskRef> {
        let emptying = self.emptying.lock();
        let frozen = self.queue.freeze(&home.ledger);
        let All { tasks, slabs } = frozen.take_all(&home.ledger, |_| true);
        let mut others = Vec::new();
        let taken = life::take_all(home, tasks, &mut others);
        drop(emptying);
        drop((others, slabs));
        self.give_back(taken.len());
        if self.idle.is_closing() {
            self.check_finished(home);
        }
        taken
    }

    /// What has to be done for tasks that were taken out of the queue, before their closures are
    /// dropped.
    fn settle(&self, home: &Home, fallen: &Fallen) {
        fallen.tell();
        trace::never_started(fallen.count, &fallen.cause);
        self.give_back(fallen.count);
        if self.idle.is_closing() {
            self.check_finished(home);
        }
    }

    fn give_back(&self, room: usize) {
        if let Some(capacity) = &self.capacity {
            capacity.release(room);
        }
    }

    /// Ends the workers if nothing is outstanding and nothing will be. Called while closing.
    pub(super) fn check_finished(&self, home: &Home) {
        {
            let life = self.life.lock();
            if life.mode.is_none() || !home.ledger.close_if_done() {
                return;
            }
            // Release: partner is the Acquire in `is_over`.
            self.finished.store(true, Ordering::Release);
        }
        self.idle.wake_all();
    }

    /// Whether a worker may end: nothing is outstanding, nothing will be, and nothing is left to be
    /// dropped.
    pub(super) fn may_end(&self) -> bool {
        self.is_over() && !self.has_graves()
    }

    /// Whether a worker that has nothing to run still has something to do.
    pub(super) fn has_last_duties(&self) -> bool {
        self.is_over() || self.has_graves()
    }

    /// Whether nothing is outstanding, nothing will be, and nobody is about to leave something to the workers.
    fn is_over(&self) -> bool {
        // Acquire: partner is the Release in `check_finished`. A graveyard that is filled later is left to
        // the last one, in `thread_ended`.
        self.finished.load(Ordering::Acquire)
            // Relaxed: what is no longer held has been left, under the lock of `life`, which the last worker takes after
            // this, and then finds it. Who sees it held and sleeps is woken from `let_be`.
            && self.holds.load(Ordering::Relaxed) == 0
    }
}

impl Core {
    /// Why everything is to stop, if it is.
    pub(crate) fn stopping(&self) -> Option<StopCause> {
        let life = self.shared.life.lock();
        let is_stopping = life.mode == Some(Shutdown::StopAll);
        life.cause.clone().filter(|_| is_stopping)
    }

    /// A task was pushed, and the pool was found closing. If it is one that takes what is pending,
    /// the closer may have looked before the push: its work is done again. If nothing is outstanding any more, the task was
    /// doomed before it was pushed, and the workers may have looked at the queue for the last time: what is left there
    /// would keep the pool.
    #[cold]
    pub(super) fn pushed_while_closing(&self) {
        let shared = &self.shared;
        let (mode, cause, is_finished) = {
            let life = shared.life.lock();
            // Relaxed: it is set under this lock. If it is not yet, the push comes before, and a worker that sees it set
            // looks at the queue again before it ends.
            let is_finished = shared.finished.load(Ordering::Relaxed);
            (life.mode, life.cause.clone(), is_finished)
        };
        if let Some(cause) = cause {
            let all = mode == Some(Shutdown::StopAll);
            let fallen = shared.doom_pending(&self.home, &cause, all);
            shared.settle(&self.home, &fallen);
            fallen.drop_closures();
        }
        if is_finished {
            shared.queue.sweep(&self.home.ledger);
        }
    }

    /// Begins or strengthens a shutdown. Everyone who waits, and every running task that is to stop,
    /// has been told when this returns; what was pending is for the caller to drop.
    pub(super) fn begin(&self, mode: Shutdown, cause: &StopCause) -> Fallen {
        let Core { home, shared } = self;
        let fallen = shared.close(home, mode, cause);
        if mode == Shutdown::StopAll {
            home.node().raise(cause);
        }
        fallen
    }

    /// As [`begin`](Self::begin), and drops what was pending.
    pub(super) fn begin_and_bury(&self, mode: Shutdown, cause: &StopCause) {
        self.begin(mode, cause).drop_closures();
    }

    /// Begins or strengthens a shutdown; what was pending is dropped by a worker.
    pub(super) fn begin_and_leave(&self, mode: Shutdown, cause: &StopCause) {
        let Core { home, shared } = self;
        let left = shared.close_and_leave(home, mode, cause);
        if mode == Shutdown::StopAll {
            home.node().raise(cause);
        }
        // Only now: a scope that ends finds the event set.
        left.leave(shared);
    }

    /// Closes the pool, on a worker that has found the event set with which it stops. What listens
    /// at the pool's own event is told by whoever sets that one.
    #[cold]
    pub(super) fn heed(&self, event: &StopEvent, mode: Shutdown) {
        let Core { home, shared } = self;
        if shared.life.lock().mode >= Some(mode) {
            return;
        }
        if let Some(cause) = event.cause() {
            let left = shared.close_and_leave(home, mode, &cause);
            left.leave(shared);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
