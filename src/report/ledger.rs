//! The ledger: every task of a pool is counted once on the way in and once on the way out.
//!
//! # Who writes what
//!
//! | what | where | written by |
//! |---|---|---|
//! | accepted, and the next id | `admission` | the submitter, in the one exchange that accepts |
//! | started, completed | the lane of a worker | that worker alone, with plain stores |
//! | everything else | `book` | whoever makes it happen, under the lock |
//!
//! Pending and running are not counted but derived, so the conservation law cannot be broken.
//!
//! # Never behind a handle
//!
//! 1. A task is counted as completed, cancelled or panicked before its end is published.
//! 2. A task is marked as never started in the same hold of the book's lock as its transition.
//! 3. A worker claims tasks only while its lane is *busy* (odd), and leaves it with the start
//!    counted. Who reads a lane waits until it is even. That is why a worker waits for no lock while
//!    its lane is busy: the one who reads it may hold the book's, or the queue's front.
//!
//! So a reader that comes after a handle has shown something finds it counted.

use super::ids::{Mark, Marks};
use super::lane::{AllTimes, Lane};
use super::latency::{Latency, StopLatency};
use super::stats::Stats;
use super::status::TaskId;
use crate::stop::StopCause;
use crate::sync::{Arc, AtomicU64, CachePadded, Mutex, MutexGuard, Ordering};
use std::time::Duration;

/// No more tasks from outside; running tasks may still submit.
const DRAINING: u64 = 1;
/// No more tasks, but for those of scopes that running tasks have opened.
const SCOPES: u64 = 1 << 1;
/// No more tasks.
const CLOSED: u64 = 1 << 2;
/// One id.
const ID: u64 = 1 << 3;

/// Who submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Not a task of the pool.
    Outside,
    /// A task of the pool.
    Inside,
    /// A task of the pool, to a scope that it is to finish.
    Scope,
}

/// How far the door has been closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    /// Only those inside may submit.
    Inside,
    /// Only to scopes inside.
    Scopes,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    /// The next id, times eight, and the three bits of the door.
    admission: CachePadded<AtomicU64>,
    lanes: Box<[CachePadded<Lane>]>,
    book: Mutex<Book>,
}

impl Ledger {
    /// With so many lanes, that keeps the details of so many tasks of each kind, and how long tasks wait
    /// and run if it is to.
    pub(crate) fn new(lanes: usize, details: usize, timings: bool) -> Self {
        let lane = |_| {
            let lane = Lane::new();
            CachePadded::new(if timings { lane.timed() } else { lane })
        };
        Ledger {
            admission: CachePadded::new(AtomicU64::new(0)),
            lanes: (0..lanes).map(lane).collect(),
            book: Mutex::new(Book::new(details)),
        }
    }

    /// How long tasks have waited, and run, if that is kept.
    fn times(&self) -> Option<AllTimes> {
        let mut all = None;
        for times in self.lanes.iter().filter_map(|lane| lane.times.as_ref()) {
            let all = all.get_or_insert_with(AllTimes::default);
            all.waited.merge(&times.waited.read());
            all.ran.merge(&times.ran.read());
        }
        all
    }

    /// Accepts so many tasks and says the id of the first, or that the door is closed to them. This
    /// exchange is the one that decides.
    #[inline]
    pub(crate) fn admit(&self, caller: Caller, count: u64) -> Option<TaskId> {
        let shut = match caller {
            Caller::Outside => CLOSED | SCOPES | DRAINING,
            Caller::Inside => CLOSED | SCOPES,
            Caller::Scope => CLOSED,
        };
        // Relaxed: the exchange below settles it.
        let mut now = self.admission.load(Ordering::Relaxed);
        loop {
            if now & shut != 0 {
                return None;
            }
            // Relaxed on success: an id carries no data. What orders a submission against a
            // shutdown is the submitter's look at the closing flag after its push.
            match self.admission.compare_exchange_weak(
                now,
                now + ID * count,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(TaskId::new(now / ID)),
                Err(other) => now = other,
            }
        }
    }

    /// Gives ids to so many tasks that were refused, and marks them so. Says the first.
    pub(crate) fn refuse(&self, count: u64) -> TaskId {
        let mut book = self.book.lock();
        // Relaxed: as in `admit`. Under the lock, so that `stats` never sees the id without its
        // mark.
        let first = self.admission.fetch_add(ID * count, Ordering::Relaxed) / ID;
        book.refused += count;
        for id in first..first + count {
            book.marks.insert(id, Mark::Refused);
        }
        TaskId::new(first)
    }

    /// Counts a refusal that was told to the caller at once and so has no id.
    pub(crate) fn refuse_without_id(&self) {
        self.book.lock().refused_without_id += 1;
    }

    /// Closes the door as far as `door` says. It never opens again.
    pub(crate) fn close(&self, door: Door) {
        let bits = match door {
            Door::Inside => DRAINING,
            Door::Scopes => DRAINING | SCOPES,
            Door::Closed => DRAINING | SCOPES | CLOSED,
        };
        // Relaxed: one exchange or the other comes first, and nothing is read through this word. What orders the closer's
        // look at the queue is its fence in `Idle::close`, which comes next.
        self.admission.fetch_or(bits, Ordering::Relaxed);
    }

    pub(crate) fn lane(&self, lane: usize) -> &Lane {
        &self.lanes[lane]
    }

    /// Which lane that is.
    #[cfg(feature = "timeline")]
    pub(crate) fn index_of(&self, lane: &Lane) -> Option<usize> {
        let mut lanes = self.lanes.iter();
        lanes.position(|other| std::ptr::eq(&**other, lane))
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }

    /// Waits until no worker is between its look at the queue and its count of what it claimed.
    ///
    /// If the queue's `frozen` flag was set and a fence came after that, no worker touches the queue after this returns:
    /// partner is the fence in `Lane::enter`. Either the worker sees the flag, or we see its lane busy and wait.
    pub(crate) fn wait_lanes(&self) {
        for lane in &self.lanes {
            lane.started();
        }
    }

    /// The counts at one instant, or so close to it that the law holds and nothing is behind what
    /// the caller has seen through a handle.
    pub(crate) fn stats(&self) -> Stats {
        self.stats_of(&self.book.lock())
    }

    pub(crate) fn stats_of(&self, book: &Book) -> Stats {
        // What ended by exception is held still by the lock. A lane's completed count is read
        // before and within one value of its started count, so no lane shows more ends than starts
        // or a start twice. What was accepted is read last: every start was accepted before.
        let mut started = 0;
        let mut completed = 0;
        for lane in &self.lanes {
            let (lane_started, lane_completed) = lane.read();
            started += lane_started;
            completed += lane_completed;
        }
        let ids = self.ids();
        let submitted = ids - book.refused;
        let ended = completed + book.cancelled + book.panicked;
        Stats {
            submitted,
            pending: submitted - started - book.never_started - book.taken,
            running: started - ended,
            completed,
            cancelled: book.cancelled,
            never_started: book.never_started,
            panicked: book.panicked,
            refused: book.refused + book.refused_without_id,
            taken: book.taken,
        }
    }

    /// How many ids have been given out.
    pub(crate) fn ids(&self) -> u64 {
        // Relaxed: `admit` has no data to publish. In `stats` the Acquires of the lanes come before: who sees a task
        // started there sees it accepted here.
        self.admission.load(Ordering::Relaxed) / ID
    }

    /// Shuts the door for good if no accepted task is outstanding. Says whether none is, nor will
    /// be. The door has been closed to those outside before.
    pub(crate) fn close_if_done(&self) -> bool {
        loop {
            // Relaxed: if the exchange below succeeds, this word was the same all the time from here to there, also
            // when `stats` looked at it, and so what is counted is all there is.
            let now = self.admission.load(Ordering::Relaxed);
            let stats = self.stats();
            if stats.pending + stats.running > 0 {
                return false;
            }
            // A running task may submit until the moment when it ends, and the last one has ended.
            // The exchange makes sure that nothing was accepted between the look and the count; if
            // it fails, be it because of a refusal, we count again.
            let shut = now & CLOSED != 0
                || self
                    .admission
                    .compare_exchange(now, now | CLOSED, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if shut {
                return true;
            }
        }
    }

    /// Everything that a report needs, all at one instant.
    pub(crate) fn closing_balance(&self) -> (Stats, u64, Exceptions) {
        let mut book = self.book.lock();
        let stats = self.stats_of(&book);
        let exceptions = Exceptions {
            times: self.times(),
            ..book.exceptions()
        };
        // As many as `stats` counts: running tasks may submit meanwhile.
        (stats, stats.submitted + book.refused, exceptions)
    }
}

/// One task that did not complete, or did although it had been asked not to.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: TaskId,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) cause: Option<StopCause>,
    /// What a panic said.
    pub(crate) message: Option<Arc<str>>,
    pub(crate) times: Times,
}

/// How long things took with one task, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// From its submission to its start, or to when it was clear that it will not start.
    pub(crate) waited: Option<Duration>,
    /// From its start to its end.
    pub(crate) ran: Option<Duration>,
    /// If it was asked to stop while it ran.
    pub(crate) latency: Option<Latency>,
}

/// What ended otherwise than by completing.
#[derive(Debug)]
pub(crate) struct Book {
    marks: Marks,
    cancelled: u64,
    never_started: u64,
    panicked: u64,
    refused: u64,
    refused_without_id: u64,
    taken: u64,
    late: u64,
    latency: StopLatency,
    /// How many tasks are in the queue and will not be taken from it to be run.
    husks: usize,
    /// How many details of each kind are kept.
    most: usize,
    details: [Vec<Entry>; 3],
}

/// What is kept of the exceptions for the report.
#[derive(Clone, Debug)]
pub(crate) struct Exceptions {
    pub(crate) marks: Marks,
    pub(crate) late: u64,
    pub(crate) latency: StopLatency,
    pub(crate) times: Option<AllTimes>,
    pub(crate) cancelled: Vec<Entry>,
    pub(crate) never_started: Vec<Entry>,
    pub(crate) panicked: Vec<Entry>,
}

impl Book {
    fn new(most: usize) -> Self {
        Book {
            marks: Marks::default(),
            cancelled: 0,
            never_started: 0,
            panicked: 0,
            refused: 0,
            refused_without_id: 0,
            taken: 0,
            late: 0,
            latency: StopLatency::default(),
            husks: 0,
            most,
            details: Default::default(),
        }
    }

    pub(crate) fn cancelled(&mut self, id: TaskId, entry: impl FnOnce() -> Entry) {
        self.cancelled += 1;
        self.keep(0, Mark::Cancelled, id, entry);
    }

    pub(crate) fn never_started(&mut self, id: TaskId, entry: impl FnOnce() -> Entry) {
        self.never_started += 1;
        self.keep(1, Mark::NeverStarted, id, entry);
    }

    pub(crate) fn panicked(&mut self, id: TaskId, entry: impl FnOnce() -> Entry) {
        self.panicked += 1;
        self.keep(2, Mark::Panicked, id, entry);
    }

    /// A pending task has been handed back.
    pub(crate) fn taken(&mut self, id: TaskId) {
        self.taken += 1;
        self.marks.insert(id.as_u64(), Mark::Taken);
    }

    /// A task that is in the queue will not be taken from it to be run. Says how many there are.
    pub(crate) fn count_husk(&mut self) -> usize {
        self.husks += 1;
        self.husks
    }

    /// So many husks have been taken out of the queue.
    pub(crate) fn uncount_husks(&mut self, husks: usize) {
        // One that was run early may be taken out before it is counted.
        self.husks = self.husks.saturating_sub(husks);
    }

    /// All husks have been taken out of the queue, but for those in slabs that are not empty: the count is
    /// a guess, for which the lines above and this one are right enough.
    pub(crate) fn forget_husks(&mut self) {
        self.husks = 0;
    }

    /// A task completed although it had been asked to stop.
    pub(crate) fn completed_late(&mut self, latency: Option<Latency>) {
        self.late += 1;
        self.note_latency(latency);
    }

    /// A task has ended that was asked to stop while it ran, if it was.
    pub(crate) fn note_latency(&mut self, latency: Option<Latency>) {
        if let Some(latency) = latency {
            self.latency.add(latency);
        }
    }

    fn keep(&mut self, kind: usize, mark: Mark, id: TaskId, entry: impl FnOnce() -> Entry) {
        self.marks.insert(id.as_u64(), mark);
        if self.details[kind].len() < self.most {
            self.details[kind].push(entry());
        }
    }

    pub(crate) fn exceptions(&mut self) -> Exceptions {
        let [cancelled, never_started, panicked] = self.details.clone();
        Exceptions {
            marks: self.marks.snapshot(),
            late: self.late,
            latency: self.latency.clone(),
            times: None,
            cancelled,
            never_started,
            panicked,
        }
    }
}
