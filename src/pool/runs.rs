//! Batches, once they have come to the head of the queue.
//!
//! A batch lies in the queue as slabs of some dozens of tasks, one entry each. The worker that takes
//! such an entry *opens* the slab: from then on all workers take *runs* from it, some tasks at a
//! time, in order. How many a worker takes at once is its own affair (`worker.rs`): one, unless its last
//! ones were short.
//!
//! # Who may run what
//!
//! A run is a hint. That a task is run once, and not after it was cancelled, is decided by the
//! exchange on its own word alone, and whoever walks over a task that has begun goes on to the next.
//! So a run may be in two hands: while a worker walks along its run it *shows* it, and who finds
//! nothing else, or passes by again and again while the worker does not get on, *takes back* the rest,
//! opens it again, and takes from it like everybody. The worker that had it sees that, and leaves the
//! rest. So what is behind a long task waits for some later tasks at most, and no run is out of
//! the reach of a shutdown.
//!
//! # What is seen as not empty
//!
//! A task moves from the injector or the front to an open slab, into a run, and maybe back. In the
//! first of these moves it is for some instructions in nobody's sight, in the last it goes against the
//! order in which `Queue::is_empty` looks. So whoever has opened something tells the sleepers, as
//! if it had been pushed. In a move from open to shown it is counted there before it is no longer counted
//! here.

use crate::report::TaskId;
use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, CachePadded, Mutex, Ordering};
use crate::task::cell::TaskRef;
use crate::task::slab::SlabRef;
use std::collections::VecDeque;
use std::ops::Range;

/// Some tasks of a slab, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) slab: SlabRef,
    pub(crate) range: Range<u32>,
}

impl Run {
    fn of(slab: SlabRef) -> Run {
        let range = 0..slab.len();
        Run { slab, range }
    }

    /// Takes the first tasks off the run, at most so many.
    fn split(&mut self, most: u32) -> Range<u32> {
        let end = self.range.start + most.min(self.len());
        let first = self.range.start..end;
        self.range.start = end;
        first
    }

    fn len(&self) -> u32 {
        self.range.end - self.range.start
    }

    /// The id of its first task.
    fn first(&self) -> TaskId {
        self.slab.first().plus(u64::from(self.range.start))
    }

    fn has_pending(&self) -> bool {
        self.slab.has_pending(self.range.clone())
    }

    /// The tasks that are pending.
    fn pending(&self) -> impl Iterator<Item = TaskRef> {
        self.slab.pending(self.range.clone())
    }
}

/// The locks are leaves, but for `open`, under which those of `shown` are taken.
pub(super) struct Runs {
    /// In the order of their ids, and so in the order in which each thread submitted them.
    open: CachePadded<Mutex<VecDeque<Run>>>,
    /// How many are open.
    open_len: AtomicUsize,
    /// What each worker walks along.
    shown: Box<[CachePadded<Shown>]>,
    /// How many runs are shown.
    shown_len: AtomicUsize,
}

struct Shown {
    run: Mutex<Option<Run>>,
    /// Whether it was taken back: to be looked at without the lock.
    taken: AtomicBool,
    /// The task of the run that the worker has come to, or [`NOWHERE`]. Written by the worker alone.
    place: AtomicU32,
}

const NOWHERE: u32 = u32::MAX;

/// So many tasks may be taken from the queue past a worker that does not get on.
const PATIENCE: u32 = 8;

/// What a worker has seen of another, as it passed by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passing {
    lane: usize,
    place: u32,
    times: u32,
}

impl Runs {
    pub(super) fn new(lanes: usize) -> Self {
        let shown = || {
            CachePadded::new(Shown {
                run: Mutex::new(None),
                taken: AtomicBool::new(false),
                place: AtomicU32::new(NOWHERE),
            })
        };
        Runs {
            open: CachePadded::new(Mutex::new(VecDeque::new())),
            open_len: AtomicUsize::new(0),
            shown: (0..lanes).map(|_| shown()).collect(),
            shown_len: AtomicUsize::new(0),
        }
    }

    /// Whether nothing is open and nothing shown.
    pub(super) fn is_empty(&self) -> bool {
        // In this order. Acquire: what is no longer open has been shown before; partner is the Release in `note_open`. The
        // second Relaxed: who opens again what was shown tells the sleepers.
        self.open_len.load(Ordering::Acquire) == 0 && self.shown_len.load(Ordering::Relaxed) == 0
    }

    pub(super) fn has_open(&self) -> bool {
        // Relaxed: a hint; the list is looked at under its lock.
        self.open_len.load(Ordering::Relaxed) > 0
    }

    fn note_open(&self, open: &VecDeque<Run>) {
        // Release: partner is the Acquire in `is_empty`.
        self.open_len.store(open.len(), Ordering::Release);
    }

    fn insert(&self, open: &mut VecDeque<Run>, run: Run) {
        // No other begins with the same task.
        let (Ok(place) | Err(place)) = open.binary_search_by_key(&run.first(), Run::first);
        open.insert(place, run);
        self.note_open(open);
    }

    /// Opens a slab.
    pub(super) fn open(&self, slab: SlabRef) {
        self.insert(&mut self.open.lock(), Run::of(slab));
    }

    /// A run of at most as many tasks as `most` says of the slab, which the worker of that lane shows from now on. When little is
    /// left, some of it is left to others.
    pub(super) fn take(&self, lane: usize, most: impl Fn(&SlabRef) -> u32) -> Option<Run> {
        let mut open = self.open.lock();
        let alone = open.len() == 1;
        let first = open.front_mut()?;
        let most = most(&first.slab);
        let fair = if alone { first.len().div_ceil(2) } else { most };
        let range = first.split(most.min(fair));
        // The last run of a slab takes over its reference.
        let slab = match first.len() {
            0 => open.pop_front()?.slab,
            _ => first.slab.clone(),
        };
        let run = Run { slab, range };
        // Before it is no longer open. Relaxed: published with the length of `open`.
        self.shown_len.fetch_add(1, Ordering::Relaxed);
        {
            let place = &self.shown[lane];
            let mut shows = place.run.lock();
            *shows = Some(run.clone());
            // Relaxed: hints, reset under the lock.
            place.taken.store(false, Ordering::Relaxed);
            place.place.store(run.range.start, Ordering::Relaxed);
        }
        self.note_open(&open);
        Some(run)
    }

    /// The worker of that lane comes to that task of its run, which is not the first: that one it has had
    /// in its hand since it took the run. False: somebody has taken back what is left, this task too.
    #[inline]
    pub(super) fn come_to(&self, lane: usize, index: u32) -> bool {
        let shown = &self.shown[lane];
        // Relaxed: hints. In this order, so that who takes back what is behind the place leaves nothing
        // out: the task at the place is claimed by this worker, or was looked at.
        if shown.taken.load(Ordering::Relaxed) {
            return false;
        }
        shown.place.store(index, Ordering::Relaxed);
        true
    }

    /// The worker of that lane has come to the end of its run, or leaves the rest.
    pub(super) fn hide(&self, lane: usize) {
        let shown = &self.shown[lane];
        // Relaxed: a hint.
        shown.place.store(NOWHERE, Ordering::Relaxed);
        let run = {
            let mut shows = shown.run.lock();
            let run = shows.take();
            if run.is_some() {
                // Under the lock, so that whoever sees it counted finds it. Relaxed: nothing pending is
                // left in it that is not in the hand of this worker.
                self.shown_len.fetch_sub(1, Ordering::Relaxed);
            }
            run
        };
        drop(run);
    }

    /// A worker is about to take what was submitted later than what others walk along. If one of these
    /// has not got on for a while, what is behind it comes first: says so, and has opened it again.
    pub(super) fn pass(&self, passing: &mut Passing, spent: &mut Vec<Run>) -> bool {
        // Relaxed: a hint.
        if self.shown_len.load(Ordering::Relaxed) == 0 {
            return false;
        }
        // Relaxed: as above.
        let place = self.shown[passing.lane].place.load(Ordering::Relaxed);
        if place != NOWHERE && place == passing.place {
            passing.times += 1;
            if passing.times < PATIENCE {
                return false;
            }
            passing.times = 0;
            return self.take_back_from(passing.lane..passing.lane + 1, spent);
        }
        // One worker at a time, each in its turn.
        passing.lane = (passing.lane + 1) % self.shown.len();
        passing.place = self.shown[passing.lane].place.load(Ordering::Relaxed);
        passing.times = 0;
        false
    }

    /// Opens again what some worker walks along. Says whether there was something.
    pub(super) fn take_back(&self, spent: &mut Vec<Run>) -> bool {
        // Relaxed: a hint.
        self.shown_len.load(Ordering::Relaxed) > 0
            && self.take_back_from(0..self.shown.len(), spent)
    }

    fn take_back_from(&self, lanes: Range<usize>, spent: &mut Vec<Run>) -> bool {
        let mut open = self.open.lock();
        for shown in &self.shown[lanes] {
            let mut shows = shown.run.lock();
            let Some(mut run) = shows.take() else {
                continue;
            };
            // Relaxed: as in `take`.
            shown.taken.store(true, Ordering::Relaxed);
            let place = shown.place.load(Ordering::Relaxed);
            if run.range.contains(&place) {
                run.range.start = place + 1;
            }
            let is_left = run.len() > 0;
            if is_left {
                self.insert(&mut open, run);
            } else {
                spent.push(run);
            }
            // Relaxed: who sees it gone from here, and not there, is told by who calls this.
            self.shown_len.fetch_sub(1, Ordering::Relaxed);
            if is_left {
                return true;
            }
        }
        false
    }

    /// Closes all that is open, and gives what is pending, in order. What is shown stays so, and is
    /// given too. Nobody takes or takes back meanwhile.
    pub(super) fn drain(&self) -> (Vec<TaskRef>, Vec<Run>) {
        let mut open = self.open.lock();
        let drained = std::mem::take(&mut *open);
        self.note_open(&open);
        drop(open);
        let mut pending = self.shown_pending();
        pending.extend(drained.iter().flat_map(Run::pending));
        pending.sort_by_key(TaskRef::id);
        (pending, drained.into())
    }

    /// What is pending, in order. Nobody takes or takes back meanwhile.
    pub(super) fn pending(&self) -> Vec<TaskRef> {
        let mut pending = self.shown_pending();
        pending.extend(self.open.lock().iter().flat_map(Run::pending));
        pending.sort_by_key(TaskRef::id);
        pending
    }

    fn shown_pending(&self) -> Vec<TaskRef> {
        let mut pending = Vec::new();
        for shown in &self.shown {
            let run = shown.run.lock();
            pending.extend(run.iter().flat_map(Run::pending));
        }
        pending
    }

    /// Takes out, for the caller to drop, open runs in which nothing is pending. Nobody takes meanwhile.
    pub(super) fn sweep(&self) -> Vec<Run> {
        let mut open = self.open.lock();
        let (live, gone): (Vec<_>, Vec<_>) = open.drain(..).partition(Run::has_pending);
        open.extend(live);
        self.note_open(&open);
        gone
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
