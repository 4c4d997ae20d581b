//! What a pool remembers for its picture.

use super::shared::Core;
use super::worker::Post;
use super::{ThreadPool, ThreadPoolBuilder};
use crate::report::TaskStatus;
use crate::report::tick::{Moment, Tick};
use crate::stop::clock::Stamp;
use crate::sync::Mutex;
use crate::task::cell::TaskRef;
use crate::timeline::{Timeline, TimelineTask};
use std::time::Duration;

/// Tasks that have ended, and those that never will begin, up to so many.
pub(crate) struct Recorder {
    began: Stamp,
    most: usize,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    tasks: Vec<TimelineTask>,
    left_out: u64,
}

impl Recorder {
    pub(super) fn new(most: usize) -> Self {
        Recorder {
            began: Stamp::now(),
            most,
            record: Mutex::default(),
        }
    }

    fn after(&self, stamp: Stamp) -> Duration {
        stamp.since(self.began)
    }

    /// What is known of a task.
    fn describe(&self, task: &TaskRef, status: TaskStatus, run: Option<Run>) -> TimelineTask {
        let cause = task.node().cause();
        let now = Moment::now();
        let after = |stamp: Option<Stamp>| stamp.map(|stamp| self.after(stamp));
        TimelineTask {
            id: task.id(),
            name: task.shared_name().cloned(),
            status,
            lane: run.map(|run| run.lane),
            depth: run.map_or(0, |run| run.depth),
            submitted: after(task.submitted().map(|it| now.stamp_of(it))),
            started: after(run.and_then(|run| run.started).map(|it| now.stamp_of(it))),
            asked: after(cause.as_ref().map(|cause| Stamp::of(cause.at))),
            seen: after(task.node().seen_at()),
            ended: after(status.is_done().then_some(now.stamp)),
            cause: cause.map(|cause| cause.to_string()),
        }
    }

    /// A task has ended, or will never begin.
    pub(super) fn record(&self, task: &TaskRef, status: TaskStatus, run: Option<Run>) {
        let mut record = self.record.lock();
        if record.tasks.len() >= self.most {
            record.left_out += 1;
            return;
        }
        let task = self.describe(task, status, run);
        record.tasks.push(task);
    }
}

/// How a task is, or was, run.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) lane: usize,
    /// How many tasks wait for it on the same worker.
    pub(super) depth: u32,
    pub(super) started: Option<Tick>,
}

impl Core {
    /// The picture so far, if one is made.
    fn timeline(&self) -> Option<Timeline> {
        let Core { home, shared } = self;
        let recorder = shared.recorder.as_ref()?;
        let stacks: Vec<_> = shared.posts.iter().map(Post::tasks).collect();
        let pending = shared.queue.freeze(&home.ledger).pending();
        let (mut tasks, left_out) = {
            let record = recorder.record.lock();
            (record.tasks.clone(), record.left_out)
        };
        for (lane, stack) in stacks.iter().enumerate() {
            for (depth, (task, started)) in stack.iter().enumerate() {
                let run = Run {
                    lane,
                    depth: u32::try_from(depth).unwrap_or(u32::MAX),
                    started: *started,
                };
                tasks.push(recorder.describe(task, TaskStatus::Running, Some(run)));
            }
        }
        let waiting = |task| recorder.describe(task, TaskStatus::Pending, None);
        tasks.extend(pending.iter().map(waiting));
        // One may have ended, and been recorded, since it was found.
        let mut known = std::collections::BTreeSet::new();
        tasks.retain(|task| known.insert(task.id));
        let length = recorder.after(Stamp::now());
        let name = shared.name.clone();
        Some(Timeline::new(name, self.threads(), length, tasks, left_out))
    }
}

impl ThreadPool {
    /// A picture of what every task did when, up to now; if the pool was built with
    /// [`timeline`](ThreadPoolBuilder::timeline). (Feature `timeline`.)
    ///
    /// ```
    /// use stoppable::{Shutdown, ThreadPool};
    ///
    /// let pool = ThreadPool::builder().threads(2).timeline(10_000).build()?;
    /// for n in 0..10 {
    ///     drop(pool.task().name(format!("request {n}")).submit(move |_stop| n * n));
    /// }
    /// pool.shutdown(Shutdown::Drain);
    /// let timeline = pool.timeline().unwrap();
    /// assert_eq!(timeline.tasks().len(), 10);
    /// assert!(timeline.svg().starts_with("<svg"));
    /// # Ok::<(), stoppable::BuildError>(())
    /// ```
    pub fn timeline(&self) -> Option<Timeline> {
        self.core().timeline()
    }
}

impl ThreadPoolBuilder {
    /// Records up to so many tasks for a [picture](ThreadPool::timeline): when each was submitted, started, asked to
    /// stop, saw that, and ended. Costs two looks at the clock and a short lock a task, and some hundred bytes that are
    /// kept for the pool's life. (Feature `timeline`.)
    pub fn timeline(mut self, tasks: usize) -> Self {
        self.timeline = Some(tasks);
        self
    }
}
