//! Many tasks at once: `submit_all`.
//!
//! - `order`: results, ids and starts, whatever the iterator says of itself.
//! - `cancel`: each task of a batch is stopped alone; its event.
//! - `drops`: what closures capture and return, in every layout and at every end.
//! - `blocking`: tasks of a batch that wait for one another.
//! - `bounded`: batches in a bounded queue.
//! - `shutdown`: the pool ends in the middle of a batch; the report.

mod blocking;
mod bounded;
mod cancel;
mod drops;
mod order;
mod shutdown;

use crate::common::Gate;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use stoppable::{ShutdownReport, Stats, StopEvent, TaskHandle, TaskStatus, ThreadPool};

/// More than a slab has cells.
const MANY: usize = 200;

fn ids<T>(handles: &[TaskHandle<T>]) -> Vec<u64> {
    handles.iter().map(|handle| handle.id().as_u64()).collect()
}

/// Runs so many short tasks that the workers take them by the dozen, for as long as they stay short.
fn lengthen_runs(pool: &ThreadPool) {
    for handle in pool.submit_all((0..5_000).map(|_| |_: &StopEvent| ())) {
        handle.join().unwrap();
    }
}

/// A list that tasks write their numbers into.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

impl Log {
    fn add(&self, n: usize) {
        self.0.lock().unwrap().push(n);
    }

    fn numbers(&self) -> Vec<usize> {
        self.0.lock().unwrap().clone()
    }
}

/// One counter for each of many things that are to be dropped once.
#[derive(Clone, Debug)]
struct Tally(Arc<[AtomicUsize]>);

/// Something that is counted when it is dropped.
#[derive(Debug)]
struct Counted {
    n: usize,
    tally: Tally,
}

impl Tally {
    fn new(len: usize) -> Tally {
        Tally((0..len).map(|_| AtomicUsize::new(0)).collect())
    }

    fn one(&self, n: usize) -> Counted {
        Counted {
            n,
            tally: self.clone(),
        }
    }

    fn of(&self, n: usize) -> usize {
        self.0[n].load(SeqCst)
    }

    fn sum(&self) -> usize {
        (0..self.0.len()).map(|n| self.of(n)).sum()
    }

    #[track_caller]
    fn assert_all_once(&self, what: &str) {
        for n in 0..self.0.len() {
            assert_eq!(self.of(n), 1, "drops of {what} {n}");
        }
    }
}

impl Counted {
    /// A method, so that a closure which calls it captures the whole.
    fn number(&self) -> usize {
        self.n
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tally.0[self.n].fetch_add(1, SeqCst);
    }
}

#[track_caller]
fn assert_law(stats: Stats) {
    let sum = stats.pending + stats.running + stats.done();
    assert_eq!(stats.submitted, sum, "{stats:?}");
}

/// The report says of every task that was accepted, and of each kind, what these say; ids are dense
/// from 0.
#[track_caller]
fn assert_report(report: &ShutdownReport, right: &[TaskStatus]) {
    assert_law(report.stats());
    assert_eq!(report.submitted(), right.len() as u64);
    let kinds = [
        (TaskStatus::Pending, report.pending()),
        (TaskStatus::Running, report.running()),
        (TaskStatus::Completed, report.completed()),
        (TaskStatus::Cancelled, report.cancelled()),
        (TaskStatus::NeverStarted, report.never_started()),
        (TaskStatus::Panicked, report.panicked()),
    ];
    for (status, count) in kinds {
        let listed: Vec<u64> = report.ids(status).map(stoppable::TaskId::as_u64).collect();
        let of_status = right.iter().enumerate().filter(|(_, it)| **it == status);
        let expected: Vec<u64> = of_status.map(|(n, _)| n as u64).collect();
        assert_eq!(listed, expected, "the {status} ones");
        assert_eq!(count, expected.len() as u64, "the {status} ones");
    }
}

/// A pool of one thread in the middle of a batch: the tasks before `at` have completed, the one at `at`
/// waits for the gate, or for its stop, and those behind are pending. Its runs are long, if the
/// machine is fast enough.
struct Halfway {
    pool: ThreadPool,
    handles: Vec<TaskHandle<usize>>,
    gate: Arc<Gate>,
    captures: Tally,
    /// How many tasks there were before.
    before: usize,
}

impl Halfway {
    fn new(pool: ThreadPool, len: usize, at: usize) -> Halfway {
        lengthen_runs(&pool);
        let gate = Gate::new();
        let captures = Tally::new(len);
        let before = pool.stats().submitted as usize;
        let handles = pool.submit_all((0..len).map(|n| {
            let (capture, gate) = (captures.one(n), Arc::clone(&gate));
            move |_: &StopEvent| {
                if n == at {
                    gate.pass();
                }
                capture.number()
            }
        }));
        handles[at].wait_started();
        Halfway {
            pool,
            handles,
            gate,
            captures,
            before,
        }
    }
}

impl Drop for Halfway {
    fn drop(&mut self) {
        // Before the pool is dropped, which waits for its worker.
        self.gate.open();
    }
}
