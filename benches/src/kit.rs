//! What all rows share: contenders, the work, gates, tallies.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// This crate. The first of a row is the one that is compared.
    Ours,
    /// A peer whose tasks can be cancelled one by one, and all together.
    Cancellable,
    /// A peer whose tasks cannot be cancelled.
    Plain,
    /// Not a peer: what the machine allows.
    Limit,
}

/// One way to do the work of a row.
pub struct Contender<M = Duration> {
    /// Its name, unique within the row.
    pub name: &'static str,
    /// What it is.
    pub class: Class,
    run: Box<dyn FnMut(usize) -> M>,
}

impl<M> Contender<M> {
    /// A contender that does the work for `n` tasks and says what that took.
    pub fn new(
        name: &'static str,
        class: Class,
        run: impl FnMut(usize) -> M + 'static,
    ) -> Contender<M> {
        Contender {
            name,
            class,
            run: Box::new(run),
        }
    }

    /// Does the work for `n` tasks.
    pub fn run(&mut self, n: usize) -> M {
        (self.run)(n)
    }
}

impl<M> fmt::Debug for Contender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// How many tasks warm a pool up, before the time.
pub const WARM_UP: usize = 256;

/// The work of task `i`: one multiplication.
#[inline]
pub fn work(i: u64) -> u64 {
    i.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The sum of the results of `n` tasks.
pub fn expected(n: usize) -> u64 {
    (0..n as u64).fold(0, |sum, i| sum.wrapping_add(work(i)))
}

/// Submits `n` tasks, then collects: the time from the first submit to the last result.
pub fn submit_then_collect<H>(
    n: usize,
    mut submit: impl FnMut(u64) -> H,
    mut collect: impl FnMut(Vec<H>) -> u64,
) -> Duration {
    let mut pass = |n: usize| {
        let mut handles = Vec::with_capacity(n);
        let start = Instant::now();
        for i in 0..n as u64 {
            handles.push(submit(i));
        }
        let sum = collect(handles);
        let took = start.elapsed();
        assert_eq!(sum, expected(n), "every result, once");
        took
    };
    pass(WARM_UP);
    pass(n)
}

/// A collector that takes the handles one by one.
pub fn one_by_one<H>(mut collect: impl FnMut(H) -> u64) -> impl FnMut(Vec<H>) -> u64 {
    move |handles| {
        handles
            .into_iter()
            .fold(0, |sum, handle| sum.wrapping_add(collect(handle)))
    }
}

/// Where tasks whose results nobody collects put them: one addition a task, which counts it too.
pub struct Tally {
    /// The number of tasks in the upper bits, the sum of the parts in the lower ones.
    sum: AtomicU64,
    n: u64,
    waiter: Thread,
}

const COUNT: u32 = 40;

impl Tally {
    /// For `n` tasks that the calling thread will wait for.
    pub fn new(n: usize) -> Arc<Tally> {
        assert!(n < 1 << (64 - COUNT), "the count has {} bits", 64 - COUNT);
        Arc::new(Tally {
            sum: AtomicU64::new(0),
            n: n as u64,
            waiter: thread::current(),
        })
    }

    fn part(result: u64) -> u64 {
        result >> 56
    }

    /// Takes the result of one task.
    #[inline]
    pub fn add(&self, result: u64) {
        let one = (1 << COUNT) + Tally::part(result);
        let before = self.sum.fetch_add(one, Ordering::AcqRel);
        if (before >> COUNT) + 1 == self.n {
            self.waiter.unpark();
        }
    }

    /// Waits for all tasks. The thread that made the tally calls this.
    pub fn wait(&self) {
        while self.sum.load(Ordering::Acquire) >> COUNT < self.n {
            thread::park();
        }
    }

    /// Checks the sum.
    pub fn check(&self) {
        let sum: u64 = (0..self.n).map(|i| Tally::part(work(i))).sum();
        let seen = self.sum.load(Ordering::Acquire);
        assert_eq!(seen, (self.n << COUNT) + sum, "every task, once");
    }
}

/// The time from the first of `n` submits to the end of the last task.
pub fn submit_then_wait(n: usize, mut submit_all: impl FnMut(&Arc<Tally>, u64)) -> Duration {
    let mut pass = |n: usize| {
        let tally = Tally::new(n);
        let start = Instant::now();
        submit_all(&tally, n as u64);
        tally.wait();
        let took = start.elapsed();
        tally.check();
        took
    };
    pass(WARM_UP);
    pass(n)
}

/// Keeps the workers of a pool busy until it is opened.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Default)]
struct GateState {
    inside: usize,
    open: bool,
}

impl Gate {
    /// Blocks every worker of a pool of [`WORKERS`](crate::pools::WORKERS): `submit` puts the one
    /// closure it is given into the pool. Returns when all of them are blocked.
    pub fn block(submit: impl FnMut(Gate)) -> Gate {
        Gate::block_all(crate::pools::WORKERS, submit)
    }

    /// The same for a pool of `workers`.
    pub fn block_all(workers: usize, mut submit: impl FnMut(Gate)) -> Gate {
        let gate = Gate {
            inner: Arc::default(),
        };
        for _ in 0..workers {
            submit(gate.clone());
        }
        let (state, changed) = &*gate.inner;
        let state = state.lock().expect("nobody panics with it");
        let all = changed.wait_while(state, |state| state.inside < workers);
        drop(all.expect("nobody panics with it"));
        gate
    }

    /// What the blocked tasks call.
    pub fn pass(&self) {
        let (state, changed) = &*self.inner;
        let mut state = state.lock().expect("nobody panics with it");
        state.inside += 1;
        changed.notify_all();
        let open = changed.wait_while(state, |state| !state.open);
        drop(open.expect("nobody panics with it"));
    }

    /// Lets the workers go.
    pub fn open(&self) {
        let (state, changed) = &*self.inner;
        state.lock().expect("nobody panics with it").open = true;
        changed.notify_all();
    }
}

/// Opens a gate when it is dropped.
pub struct OpenOnDrop(pub Gate);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// The middle one.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("no NaN among measurements"));
    sorted[sorted.len() / 2]
}
