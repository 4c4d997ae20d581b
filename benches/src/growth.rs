//! What the number of tasks does to the time of one, and to memory.

use crate::alloc::Counter;
use crate::kit::Class::{Ours, Plain};
use crate::kit::{Contender, expected, median, work};
use crate::pools;
use std::time::{Duration, Instant};
use stoppable::{Shutdown, ShutdownReport, ThreadPool};

/// Tasks in one batch. The times here are those of the median batch.
pub const BATCH: usize = 1_000;

/// Pools that grow as old as their contenders: all that one is ever asked to do is done in one pool.
pub fn pools() -> Vec<Contender> {
    let (ours, threadpool) = (pools::ours(), pools::threadpool());
    vec![
        Contender::new("ours", Ours, move |n| batches(n, || batch(&ours))),
        Contender::new("threadpool+oneshot", Plain, move |n| {
            batches(n, || threadpool_batch(&threadpool))
        }),
    ]
}

/// As many times the median as there were batches.
fn batches(n: usize, mut batch: impl FnMut() -> Duration) -> Duration {
    let timed: Vec<Duration> = (0..n.div_ceil(BATCH)).map(|_| batch()).collect();
    median(&timed) * timed.len() as u32
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
