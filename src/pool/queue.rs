//! The queue of pending tasks: first in, first out, and bounded in memory by what is pending.
//!
//! # Parts
//!
//! Submitters push into a crossbeam [`Injector`]; workers take from it, one task at a time, so that
//! tasks are claimed in the order in which each thread submitted them. The injector cannot remove a
//! task from its middle: one that is cancelled, or run early by a worker that joins it, stays as a
//! *husk*, a cell with nothing in it. Husks are counted, in the ledger's book, and when more than three
//! quarters of the queue are husks somebody *sweeps*: it freezes the queue, moves the live tasks in
//! order to `front`, and drops the husks. Workers take from `front` before they take from the injector. So order is kept, a
//! cancel costs amortised O(1), and memory is bounded by a multiple of what is pending.
//!
//! A batch lies in the queue as slabs of some dozens of tasks, one entry each. What becomes of them
//! at the head of the queue is in `runs.rs`; they come before the front, as they were there first.
//!
//! # Freezing
//!
//! Whoever wants the queue to itself (a sweep, a shutdown that takes everything) locks `front`, sets
//! `frozen`, and waits until no worker's lane is busy. A worker makes its lane busy before it looks
//! at `frozen`, and looks at `frozen` before it looks at the queue:
//!
//! | freezer | worker |
//! |---|---|
//! | `frozen` = true | lane = busy |
//! | fence | fence |
//! | wait for each lane | `frozen`? then lane = free, and wait for the freezer |
//!
//! By the two fences at least one of them sees the other's store, so no worker is between its look
//! and its claim while the freezer holds the queue. Submitters are not held up: they push to the
//! injector's end, behind everything that the freezer moves. A worker never waits for `front` while
//! its lane is busy (it tries, and steps back), so the two cannot wait for each other.

use super::runs::{Passing, Run, Runs};
use crate::report::lane::Lane;
use crate::report::ledger::Ledger;
use crate::sync::{
    AtomicBool, AtomicUsize, Injector, Mutex, MutexGuard, Ordering, Steal, store_then_look,
};
use crate::task::cell::TaskRef;
use crate::task::entry::{Entry, Opened};
use crate::task::group::Sort;
use crate::task::life::{self, Claimed};
use crate::task::slab::SlabRef;
use std::collections::VecDeque;
use std::mem;

/// Fewer husks than this are not worth a sweep.
const FEW_HUSKS: usize = 256;

pub(crate) struct Queue {
    injector: Injector<Entry>,
    front: Mutex<VecDeque<Entry>>,
    /// The length of `front`, to be looked at without the lock.
    front_len: AtomicUsize,
    frozen: AtomicBool,
    /// Batches that have come to the head of the queue.
    runs: Runs,
}

/// What a worker has taken from the queue to run.
#[must_use = "what is taken has to be run"]
pub(crate) enum Work {
    Task(Claimed),
    Run(Run),
}

enum Taken {
    /// A task, and whether it was made with a handle.
    Task(TaskRef, bool),
    Run(Run),
    Empty,
    /// Somebody else has the front of the queue.
    Busy,
}

/// Somebody else has the front of the queue.
struct Busy;

impl Queue {
    pub(crate) fn new(lanes: usize) -> Self {
        Queue {
            runs: Runs::new(lanes),
            injector: Injector::new(),
            front: Mutex::new(VecDeque::new()),
            front_len: AtomicUsize::new(0),
            frozen: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn push(&self, entry: Entry) {
        self.injector.push(entry);
    }

    /// Whether there is nothing to take. A frozen queue counts as not empty.
    pub(crate) fn is_empty(&self) -> bool {
        // In this order. A task moves from the injector to the front while the queue is frozen; so if
        // it is not in the injector any more, either the queue is seen frozen, or the Acquire of
        // `frozen` (partner: the Release of the thaw) makes its place in the front visible.
        self.injector.is_empty()
            && !self.frozen.load(Ordering::Acquire)
            // Relaxed: as just said.
            && self.front_len.load(Ordering::Relaxed) == 0
            && self.runs.is_empty()
    }

    /// Takes tasks out, in order, until there is one that can be claimed, or a run of a slab, of at most
    /// as many tasks as `most` says. `None`: the queue is empty. Calls `opened` if sleepers have to be told of more.
    #[inline]
    pub(crate) fn next(
        &self,
        lane: (usize, &Lane),
        most: impl Fn(&SlabRef) -> u32,
        passing: &mut Passing,
        ledger: &Ledger,
        opened: impl Fn(),
    ) -> Option<Work> {
        let (index, lane) = lane;
        loop {
            // To be dropped when the lane is not busy.
            let mut spent = Vec::new();
            self.enter(lane);
            let mut has_opened = false;
            let taken = match self.take(index, &most, passing, &mut has_opened, &mut spent) {
                Taken::Task(task, has_handle) => {
                    Some(life::claim_fresh(task, has_handle).map(Work::Task))
                }
                Taken::Run(run) => Some(Ok(Work::Run(run))),
                Taken::Busy => None,
                Taken::Empty => {
                    lane.leave(false);
                    return None;
                }
            };
            lane.leave(matches!(taken, Some(Ok(Work::Task(_)))));
            if has_opened {
                opened();
            }
            match taken {
                Some(Ok(work)) => return Some(work),
                // Only now, since no lock is taken while the lane is busy.
                Some(Err(husk)) => drop_husk(husk, ledger),
                None => {}
            }
        }
    }

    /// The worker of that lane comes to that task of its run. False: it leaves the rest to others.
    #[inline]
    pub(crate) fn come_to(&self, lane: usize, index: u32) -> bool {
        self.runs.come_to(lane, index)
    }

    /// The worker of that lane has come to the end of its run, or leaves the rest.
    pub(crate) fn end_run(&self, lane: usize) {
        self.runs.hide(lane);
    }

    /// Claims this one task, wherever in the queue it is. `None`: it is not pending.
    pub(crate) fn claim_one(&self, lane: &Lane, task: &TaskRef) -> Option<Claimed> {
        if life::calls_off(task).is_some() {
            life::bury_husk(task);
            return None;
        }
        self.enter(lane);
        let claimed = life::claim(task.clone()).ok();
        lane.leave(claimed.is_some());
        claimed
    }

    /// Makes the lane busy, at a moment when the queue is not frozen.
    #[inline]
    fn enter(&self, lane: &Lane) {
        lane.enter();
        // Ordered after the lane by the fence in `Lane::enter`; see the table above. Acquire: partner
        // is the Release of the thaw; what was moved to the front is found there.
        while self.frozen.load(Ordering::Acquire) {
            lane.leave(false);
            // The freezer holds this lock for as long as the queue is frozen.
            drop(self.front.lock());
            lane.enter();
        }
    }

    #[inline]
    fn take(
        &self,
        lane: usize,
        most: &impl Fn(&SlabRef) -> u32,
        passing: &mut Passing,
        has_opened: &mut bool,
        spent: &mut Vec<Run>,
    ) -> Taken {
        loop {
            if self.runs.has_open() {
                if let Some(run) = self.runs.take(lane, most) {
                    return Taken::Run(run);
                }
            }
            if self.runs.pass(passing, spent) {
                *has_opened = true;
                continue;
            }
            match self.take_entry() {
                Ok(Some(Opened::Task(task, has_handle))) => return Taken::Task(task, has_handle),
                Ok(Some(Opened::Slab(slab))) => self.runs.open(slab),
                Ok(None) if self.runs.take_back(spent) => {}
                Ok(None) => return Taken::Empty,
                Err(Busy) => return Taken::Busy,
            }
            *has_opened = true;
        }
    }

    /// The first entry.
    #[inline]
    fn take_entry(&self) -> Result<Option<Opened>, Busy> {
        // Relaxed: it grows while the queue is frozen only, and this worker has seen it thawed since; and what is there is
        // taken under the lock.
        if self.front_len.load(Ordering::Relaxed) > 0 {
            let Some(mut front) = self.front.try_lock() else {
                return Err(Busy);
            };
            let entry = front.pop_front();
            self.note_len(&front);
            if let Some(entry) = entry {
                return Ok(Some(entry.open()));
            }
        }
        loop {
            match self.injector.steal() {
                Steal::Success(entry) => return Ok(Some(entry.open())),
                Steal::Empty => return Ok(None),
                Steal::Retry => {}
            }
        }
    }

    fn note_len(&self, front: &VecDeque<Entry>) {
        // Relaxed: published by the thaw, if it has grown.
        self.front_len.store(front.len(), Ordering::Relaxed);
    }

    /// There are so many husks now. Sweeps if that is too many.
    pub(crate) fn note_husks(&self, husks: usize, ledger: &Ledger) {
        if husks >= FEW_HUSKS && husks % 64 == 0 && husks as u64 / 3 > ledger.stats().pending {
            self.sweep(ledger);
        }
    }

    /// Drops the husks.
    pub(crate) fn sweep(&self, ledger: &Ledger) {
        let gone = self.freeze(ledger).sweep(ledger);
        // With the queue thawed: what hangs on a task may be the user's.
        drop(gone);
    }

    /// Waits until no worker is at the queue, and keeps them away until the guard is dropped.
    pub(crate) fn freeze(&self, ledger: &Ledger) -> Frozen<'_> {
        let front = self.front.lock();
        // Partner: the fence in `Lane::enter`.
        store_then_look(&self.frozen, true);
        ledger.wait_lanes();
        Frozen { queue: self, front }
    }
}

#[cold]
fn drop_husk(husk: TaskRef, ledger: &Ledger) {
    life::bury_husk(&husk);
    ledger.book().uncount_husks(1);
    drop(husk);
}

/// What was in the queue.
pub(crate) struct All {
    pub(crate) tasks: Vec<TaskRef>,
    /// To be dropped when no lock is held: what hangs on a task may be the user's.
    pub(crate) slabs: Vec<SlabRef>,
}

/// The queue, while no worker is at it.
pub(crate) struct Frozen<'a> {
    queue: &'a Queue,
    front: MutexGuard<'a, VecDeque<Entry>>,
}

impl Frozen<'_> {
    /// Moves what is in the injector to the front, behind what is there.
    fn gather(&mut self) {
        // As many as there are now: submitters may go on for ever.
        let all = self.front.len() + self.queue.injector.len();
        while self.front.len() != all {
            match self.queue.injector.steal() {
                Steal::Success(entry) => self.front.push_back(entry),
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
    }

    /// Takes every task out, in order, but for those members of scopes that stay.
    pub(crate) fn take_all(mut self, ledger: &Ledger, stays: impl Fn(Sort) -> bool) -> All {
        self.gather();
        ledger.book().forget_husks();
        let (mut all, runs) = self.queue.runs.drain();
        let mut slabs: Vec<_> = runs.into_iter().map(|run| run.slab).collect();
        all.reserve(self.front.len());
        for entry in mem::take(&mut *self.front) {
            if entry.scope().is_some_and(&stays) {
                self.front.push_back(entry);
                continue;
            }
            match entry.open() {
                Opened::Slab(slab) => {
                    all.extend(slab.pending(0..slab.len()));
                    slabs.push(slab);
                }
                Opened::Task(task, _) => all.push(task),
            }
        }
        self.queue.note_len(&self.front);
        All { tasks: all, slabs }
    }

    /// Takes the husks out, for the caller to drop, and leaves the pending tasks, in order.
    fn sweep(mut self, ledger: &Ledger) -> (VecDeque<Entry>, Vec<Run>) {
        self.gather();
        let all = mem::take(&mut *self.front).into_iter();
        let (live, gone) = all.partition(Entry::has_pending);
        *self.front = live;
        let runs = self.queue.runs.sweep();
        self.queue.note_len(&self.front);
        ledger.book().forget_husks();
        (gone, runs)
    }

    /// The tasks that are pending, in order.
    pub(crate) fn pending(mut self) -> Vec<TaskRef> {
        self.gather();
        self.queue.note_len(&self.front);
        let mut pending = self.queue.runs.pending();
        for entry in &*self.front {
            entry.pending(&mut pending);
        }
        pending
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Release: a worker that sees the queue thawed, and one that waited for the lock, sees what
        // was done to it.
        self.queue.frozen.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests;
