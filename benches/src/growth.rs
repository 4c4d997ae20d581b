//! What the number of tasks does to the time of one, and to memory.

use crate::alloc::Counter;
use crate::kit::Class::{Ours, Plain};
use crate::kit::{Contender, expected, median, work};
use crate::pools;
use std::time::{Duration, Instant};
use stoppable::{Shutdown, ShutdownReport, ThreadPool};

/// Tasks in one batch.
const BATCH: usize = 1_000;
/// Batches that are timed at each age.
const TIMED: usize = 100;

/// The time of one task, after so many were done in the same pool.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// How many tasks were done before.
    pub tasks: usize,
    /// The time of one task then.
    pub each: Duration,
}

/// Pools that grow old: at the ages 10³, 10⁴ … up to `n` tasks, the median of some batches.
pub fn contenders() -> Vec<Contender<Vec<Age>>> {
    vec![
        Contender::new("ours", Ours, |n| {
            let pool = pools::ours();
            ages(n, || batch(&pool))
        }),
        Contender::new("threadpool+oneshot", Plain, |n| {
            let pool = pools::threadpool();
            ages(n, || threadpool_batch(&pool))
        }),
    ]
}

/// As contenders of one task's time, for a pool of any age.
fn ages(n: usize, mut batch: impl FnMut() -> Duration) -> Vec<Age> {
    let mut ages = Vec::new();
    let mut done = 0;
    let mut target = BATCH;
    while target <= n {
        while done < target {
            batch();
            done += BATCH;
        }
        let timed: Vec<Duration> = (0..TIMED).map(|_| batch()).collect();
        done += TIMED * BATCH;
        ages.push(Age {
            tasks: target,
            each: median(&timed) / BATCH as u32,
        });
        target *= 10;
    }
    ages
}

fn batch(pool: &ThreadPool) -> Duration {
    let start = Instant::now();
    let handles: Vec<_> = (0..BATCH as u64)
        .map(|i| pool.submit(move |_stop| work(i)))
        .collect();
    let sum = handles.into_iter().fold(0_u64, |sum, handle| {
        sum.wrapping_add(handle.join().expect("it completed"))
    });
    let took = start.elapsed();
    assert_eq!(sum, expected(BATCH), "every result, once");
    took
}

fn threadpool_batch(pool: &threadpool::ThreadPool) -> Duration {
    let start = Instant::now();
    let handles: Vec<_> = (0..BATCH as u64)
        .map(|i| {
            let (sender, receiver) = oneshot::channel();
            pool.execute(move || {
                let _ = sender.send(work(i));
            });
            receiver
        })
        .collect();
    let sum = handles
        .into_iter()
        .fold(0_u64, |sum: u64, receiver: oneshot::Receiver<u64>| {
            sum.wrapping_add(receiver.recv().expect("it completed"))
        });
    let took = start.elapsed();
    assert_eq!(sum, expected(BATCH), "every result, once");
    took
}

/// What is left of `n` tasks that completed.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Bytes that the idle pool has more than before its first task.
    pub pool: i64,
    /// Bytes of the report, all else being gone.
    pub report: i64,
}

/// Memory after `n` completed tasks. Needs the [counting allocator](crate::alloc::Counting).
pub fn memory_after(n: usize) -> Left {
    let counter = Counter::start();
    let before = counter.read().live;
    let pool = pools::ours();
    let fresh = counter.read().live;
    for _ in 0..n / BATCH {
        batch(&pool);
    }
    let old = counter.read().live;
    let report: ShutdownReport = pool.shutdown(Shutdown::Drain);
    drop(pool);
    let left = Left {
        pool: old - fresh,
        report: counter.read().live - before,
    };
    assert_eq!(report.completed(), (n / BATCH * BATCH) as u64);
    left
}
