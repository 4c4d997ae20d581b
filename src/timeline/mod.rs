//! A picture of a pool's life: which worker ran which task when, and how each of them ended
//! (feature `timeline`).
//!
//! - `text`: durations, counts and names in words.
//! - `scale`: from a time to a place in the picture; the ticks of the axis.
//! - `plan`: which bars are drawn one by one, and which are merged.
//! - `frame`: the parts of the picture and where they are.
//! - `bar`, `density`, `strip`: one task; many that are too short to be drawn; those that never began.
//! - `svg`, `legend`: the whole picture, and what its colours mean.
//! - `trace`: the same as trace events, for viewers that can zoom.

mod bar;
mod density;
mod frame;
mod legend;
mod plan;
mod scale;
mod strip;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod trace;

use crate::report::{TaskId, TaskStatus};
use crate::sync::Arc;
use std::fmt;
use std::time::Duration;

/// What every task of a pool did when, as a picture.
///
/// [`svg`](Self::svg) is the picture itself, for any browser; [`trace_json`](Self::trace_json) is for
/// viewers in which one can zoom and search. Both show a live pool, too: its open tasks have open ends.
#[derive(Clone)]
pub struct Timeline {
    pool: Option<Arc<str>>,
    threads: usize,
    length: Duration,
    tasks: Vec<TimelineTask>,
    left_out: u64,
}

impl Timeline {
    /// `length` is the time from the pool's start to the moment of the picture.
    pub(crate) fn new(
        pool: Option<Arc<str>>,
        threads: usize,
        length: Duration,
        tasks: Vec<TimelineTask>,
        left_out: u64,
    ) -> Self {
        Timeline {
            pool,
            threads,
            length,
            tasks,
            left_out,
        }
    }

    /// The name of the pool, if it has one.
    pub fn pool_name(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    /// How many workers the pool has.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The time from the pool's start to the moment of the picture.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The tasks that were recorded.
    pub fn tasks(&self) -> &[TimelineTask] {
        &self.tasks
    }

    /// How many tasks were not recorded, because there were too many.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The picture, as an SVG that needs nothing else.
    ///
    /// Each worker is a lane and each task a bar in it, with the moments at which it was asked to stop and
    /// saw it. The part of a bar after it was asked is hatched: how long the stop took. Tasks that never
    /// began are in a strip of their own. The pointer over a bar shows its times. Tasks that would be
    /// narrower than a pixel are merged, so that the size is bounded however many tasks there were.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// The tasks as trace events in JSON, which [Perfetto](https://ui.perfetto.dev) and
    /// `chrome://tracing` open.
    ///
    /// Each worker is a thread and each task a slice, with its times and its cause as arguments. It grows
    /// with the number of tasks, by some hundreds of bytes each.
    pub fn trace_json(&self) -> String {
        trace::write(self)
    }

    fn count(&self, status: TaskStatus) -> usize {
        let is = |task: &&TimelineTask| task.status == status;
        self.tasks.iter().filter(is).count()
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timeline {
            pool,
            threads,
            length,
            tasks,
            left_out,
        } = self;
        f.debug_struct("Timeline")
            .field("pool", pool)
            .field("threads", threads)
            .field("length", length)
            .field("tasks", &tasks.len())
            .field("left_out", left_out)
            .finish()
    }
}

/// One task in a [`Timeline`]. All times are since the pool's start.
#[derive(Clone, Debug)]
pub struct TimelineTask {
    pub(crate) id: TaskId,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) status: TaskStatus,
    /// The worker that ran it; `None` if it never began, or ran elsewhere.
    pub(crate) lane: Option<usize>,
    /// How many tasks of its worker waited for others meanwhile.
    pub(crate) depth: u32,
    pub(crate) submitted: Option<Duration>,
    pub(crate) started: Option<Duration>,
    pub(crate) asked: Option<Duration>,
    pub(crate) seen: Option<Duration>,
    pub(crate) ended: Option<Duration>,
    pub(crate) cause: Option<String>,
}

impl TimelineTask {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How the task ended, or where it was.
    pub fn status(&self) -> TaskStatus {
        self.status
    }

    /// The worker that ran it, counted from 0. `None` if it never began.
    pub fn lane(&self) -> Option<usize> {
        self.lane
    }

    /// More than 0 for a task that a worker ran while so many outer tasks of it waited in a join.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// When it was submitted.
    pub fn submitted(&self) -> Option<Duration> {
        self.submitted
    }

    /// When its closure began.
    pub fn started(&self) -> Option<Duration> {
        self.started
    }

    /// When it was asked to stop.
    pub fn asked(&self) -> Option<Duration> {
        self.asked
    }

    /// When it first saw that it was asked.
    pub fn seen(&self) -> Option<Duration> {
        self.seen
    }

    /// When it ended.
    pub fn ended(&self) -> Option<Duration> {
        self.ended
    }

    /// Why it was stopped.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Whether its closure has begun, so that it is a bar.
    fn has_begun(&self) -> bool {
        !matches!(self.status, TaskStatus::NeverStarted | TaskStatus::Pending)
    }

    /// From its beginning to its end, or to the moment of the picture; never outside of it, whatever
    /// was recorded.
    fn span(&self, length: Duration) -> (Duration, Duration) {
        let begin = self.started.or(self.ended).or(self.submitted);
        let begin = begin.unwrap_or_default().min(length);
        (begin, self.ended.unwrap_or(length).clamp(begin, length))
    }

    /// How long it was in the queue: till it began or ended, or till the moment of the picture.
    fn waited(&self, length: Duration) -> Option<Duration> {
        let until = self.started.or(self.ended).unwrap_or(length);
        Some(until.saturating_sub(self.submitted?))
    }
}
