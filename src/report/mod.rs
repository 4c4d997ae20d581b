//! What became of every task of a pool.
//!
//! - `status`: a task's id, and the states it can be in.
//! - `ledger`, `lane`: where tasks are counted, each once on the way in and once on the way out.
//! - `ids`: which task ended how, in memory that grows with the exceptions only.
//! - `latency`: how long things took.
//! - `tick`: when they were, as the processor counts.
//! - `stats`: the counts at one instant.
//! - `detail`: what is known of one task.
//! - `step`: the steps of a graceful shutdown.
//! - `ending`: waiting for those who were left.
//! - `display`: the report as text.

mod detail;
mod display;
mod ending;
pub(crate) mod histogram;
mod ids;
pub(crate) mod lane;
pub(crate) mod latency;
pub(crate) mod ledger;
mod stats;
mod status;
mod step;
pub(crate) mod tick;

pub use detail::{Straggler, TaskDetail, TaskSnapshot};
pub(crate) use ending::Ending;
pub use ending::Stragglers;
pub use latency::{Durations, StopLatency};
pub use stats::Stats;
pub use status::{TaskId, TaskStatus};
pub use step::Step;

use crate::sync::Arc;
use ids::Mark;
use ledger::Exceptions;
use std::fmt;

/// How a pool is shut down. Later ones are stronger: a stronger mode strengthens a weaker one that
/// is under way, and a weaker one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shutdown {
    /// Pending tasks run, and so does what running tasks still submit.
    Drain,
    /// Pending tasks never start; running ones finish.
    CancelPending,
    /// Pending tasks never start, and running ones are asked to stop.
    StopAll,
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Shutdown::Drain => "drain",
            Shutdown::CancelPending => "cancel pending",
            Shutdown::StopAll => "stop all",
        })
    }
}

/// What became of every task of a pool's life; made by the shutdowns of
/// [`ThreadPool`](crate::ThreadPool).
///
/// Counts, [`status_of`](Self::status_of) and the [ids](Self::ids) are exact, for every task,
/// however many there were. Details (name and cause) are kept for the first thousand tasks of each
/// kind, a number that [`ThreadPoolBuilder::report_details`](crate::ThreadPoolBuilder::report_details)
/// changes. Printed with `{}`, it is a small table for a log.
///
/// ```
/// use stoppable::{Shutdown, TaskStatus, ThreadPool};
///
/// let pool = ThreadPool::new(1);
/// let id = pool.submit(|_stop| 6 * 7).id();
/// let report = pool.shutdown(Shutdown::Drain);
/// assert!(report.is_final());
/// assert_eq!(report.completed(), 1);
/// assert_eq!(report.status_of(id), Some(TaskStatus::Completed));
/// ```
#[derive(Clone)]
pub struct ShutdownReport {
    pool: Option<Arc<str>>,
    mode: Option<Shutdown>,
    stats: Stats,
    ids: u64,
    exceptions: Arc<Exceptions>,
    /// In rising order of id.
    stragglers: Vec<Straggler>,
    /// In rising order.
    pending: Vec<TaskId>,
    steps: Vec<Step>,
    /// The pool, unless the report is final.
    ending: Option<Arc<dyn Ending>>,
}

/// What a report is made of.
pub(crate) struct Parts {
    pub(crate) pool: Option<Arc<str>>,
    pub(crate) mode: Option<Shutdown>,
    pub(crate) stats: Stats,
    pub(crate) ids: u64,
    pub(crate) exceptions: Exceptions,
    pub(crate) stragglers: Vec<Straggler>,
    pub(crate) pending: Vec<TaskId>,
    pub(crate) ending: Option<Arc<dyn Ending>>,
}

impl ShutdownReport {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            pool,
            mode,
            stats,
            ids,
            exceptions,
            mut stragglers,
            mut pending,
            ending,
        } = parts;
        stragglers.sort_by_key(Straggler::id);
        pending.sort_unstable();
        ShutdownReport {
            pool,
            mode,
            stats,
            ids,
            exceptions: Arc::new(exceptions),
            stragglers,
            pending,
            steps: Vec::new(),
            ending,
        }
    }

    pub(crate) fn with_steps(self, steps: Vec<Step>) -> Self {
        ShutdownReport { steps, ..self }
    }

    /// The steps that a [graceful shutdown](crate::ThreadPool::shutdown_graceful) went through, in order. Of any other,
    /// none.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is left to be waited for. If the report is final, nothing is.
    pub fn into_stragglers(mut self) -> Stragglers {
        let ending = self.ending.take();
        Stragglers::new(self, ending)
    }

    /// All the counts.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The strongest mode of shutdown that had been asked for, if any had.
    pub fn mode(&self) -> Option<Shutdown> {
        self.mode
    }

    /// The name of the pool, if it has one.
    pub fn pool_name(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    /// Whether nothing can change any more: no task is pending or running.
    pub fn is_final(&self) -> bool {
        self.stats.pending == 0 && self.stats.running == 0
    }

    /// Whether every task that was submitted completed, unasked: nothing was stopped, refused, or
    /// lost to a panic.
    pub fn is_clean(&self) -> bool {
        let stats = self.stats;
        stats.completed == stats.submitted && stats.refused == 0 && self.exceptions.late == 0
    }

    /// How many tasks were accepted.
    pub fn submitted(&self) -> u64 {
        self.stats.submitted
    }

    /// How many tasks were still to begin. 0 in a final report.
    pub fn pending(&self) -> u64 {
        self.stats.pending
    }

    /// How many tasks were still running; [`stragglers`](Self::stragglers) names them. 0 in a final
    /// report.
    pub fn running(&self) -> u64 {
        self.stats.running
    }

    /// How many tasks returned without having seen their stop event set.
    pub fn completed(&self) -> u64 {
        self.stats.completed
    }

    /// How many of the completed tasks had been asked to stop: too late, or they never looked.
    pub fn completed_though_asked(&self) -> u64 {
        self.exceptions.late
    }

    /// How many tasks saw their stop event set, and ended.
    pub fn cancelled(&self) -> u64 {
        self.stats.cancelled
    }

    /// How many tasks never began.
    pub fn never_started(&self) -> u64 {
        self.stats.never_started
    }

    /// How many tasks panicked.
    pub fn panicked(&self) -> u64 {
        self.stats.panicked
    }

    /// How many tasks were submitted after the shutdown began and were not accepted. They are no
    /// part of [`submitted`](Self::submitted).
    pub fn refused(&self) -> u64 {
        self.stats.refused
    }

    /// How many pending tasks were handed back, by [`take_pending`](crate::ThreadPool::take_pending). What
    /// became of them then, their handles know.
    pub fn taken(&self) -> u64 {
        self.stats.taken
    }

    /// What became of one task. `None` for an id that this pool had not given out, and for a task that was
    /// handed back.
    ///
    /// A refused task is [`NeverStarted`](TaskStatus::NeverStarted).
    pub fn status_of(&self, id: TaskId) -> Option<TaskStatus> {
        if id.as_u64() >= self.ids {
            return None;
        }
        Some(match self.exceptions.marks.get(id.as_u64()) {
            Some(Mark::Cancelled) => TaskStatus::Cancelled,
            Some(Mark::NeverStarted | Mark::Refused) => TaskStatus::NeverStarted,
            Some(Mark::Panicked) => TaskStatus::Panicked,
            Some(Mark::Taken) => return None,
            None if self.find_straggler(id).is_some() => TaskStatus::Running,
            None if self.pending.binary_search(&id).is_ok() => TaskStatus::Pending,
            None => TaskStatus::Completed,
        })
    }

    fn find_straggler(&self, id: TaskId) -> Option<&Straggler> {
        let place = self
            .stragglers
            .binary_search_by_key(&id, Straggler::id)
            .ok()?;
        Some(&self.stragglers[place])
    }

    /// The ids of all accepted tasks with that status, rising. Those that completed are found by looking at every id of
    /// the pool's life; all others are listed.
    pub fn ids(&self, status: TaskStatus) -> impl Iterator<Item = TaskId> + '_ {
        let mark = match status {
            TaskStatus::Cancelled => Some(Mark::Cancelled),
            TaskStatus::NeverStarted => Some(Mark::NeverStarted),
            TaskStatus::Panicked => Some(Mark::Panicked),
            TaskStatus::Completed | TaskStatus::Pending | TaskStatus::Running => None,
        };
        let completed = match status {
            TaskStatus::Completed => 0..self.ids,
            _ => 0..0,
        };
        let is_completed = |id: &TaskId| self.status_of(*id) == Some(TaskStatus::Completed);
        let running = self.stragglers.iter().map(Straggler::id);
        let pending = self.pending.iter().copied();
        let is = move |other| status == other;
        let marked = mark.into_iter().flat_map(|mark| self.marked(mark));
        marked
            .chain(completed.map(TaskId::new).filter(is_completed))
            .chain(running.filter(move |_| is(TaskStatus::Running)))
            .chain(pending.filter(move |_| is(TaskStatus::Pending)))
    }

    /// The ids of the tasks that were refused, rising.
    pub fn refused_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.marked(Mark::Refused)
    }

    /// The ids of the tasks that were handed back, rising.
    pub fn taken_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.marked(Mark::Taken)
    }

    /// How soon tasks stopped that were asked to while they ran: all of them, over the pool's life.
    pub fn stop_latency(&self) -> &StopLatency {
        &self.exceptions.latency
    }

    /// How long tasks waited from their submission to their start, if the pool was built with
    /// [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn waited(&self) -> Option<&Durations> {
        self.exceptions.times.as_ref().map(|times| &times.waited)
    }

    /// How long tasks ran, if the pool was built with [`timings`](crate::ThreadPoolBuilder::timings).
    pub fn ran(&self) -> Option<&Durations> {
        self.exceptions.times.as_ref().map(|times| &times.ran)
    }

    fn marked(&self, mark: Mark) -> impl Iterator<Item = TaskId> + '_ {
        self.exceptions.marks.ids(mark).map(TaskId::new)
    }

    /// The tasks that did not complete, by kind and then in the order in which they ended, as far as
    /// details were kept; [`details_left_out`](Self::details_left_out) says how many were not.
    pub fn details(&self) -> impl Iterator<Item = TaskDetail> + '_ {
        let kinds = [
            (TaskStatus::Panicked, &self.exceptions.panicked),
            (TaskStatus::Cancelled, &self.exceptions.cancelled),
            (TaskStatus::NeverStarted, &self.exceptions.never_started),
        ];
        kinds.into_iter().flat_map(|(status, entries)| {
            entries
                .iter()
                .map(move |entry| TaskDetail::new(status, entry))
        })
    }

    /// How many tasks that did not complete have no entry in [`details`](Self::details).
    pub fn details_left_out(&self) -> u64 {
        let Exceptions {
            marks: _,
            late: _,
            latency: _,
            times: _,
            cancelled,
            never_started,
            panicked,
        } = &*self.exceptions;
        let kept = cancelled.len() + never_started.len() + panicked.len();
        self.stats.cancelled + self.stats.never_started + self.stats.panicked - kept as u64
    }

    /// The tasks that were still running when the report was made, rising by id.
    pub fn stragglers(&self) -> &[Straggler] {
        &self.stragglers
    }
}

impl fmt::Debug for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShutdownReport {
            pool,
            mode,
            stats,
            ids: _,
            exceptions: _,
            stragglers,
            pending: _,
            steps,
            ending: _,
        } = self;
        f.debug_struct("ShutdownReport")
            .field("pool", pool)
            .field("mode", mode)
            .field("stats", stats)
            .field("steps", steps)
            .field("stragglers", stragglers)
            .field("is_final", &self.is_final())
            .finish_non_exhaustive()
    }
}
