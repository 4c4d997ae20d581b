//! What a queued task with its handle takes: N of them behind blocked workers, each with a `u64` in
//! the closure and a `u64` to give. Bytes as asked for, the queue's among them, without the vector
//! that holds the handles and without what the allocator adds.
//!
//! A batch gives that vector itself, so its capacity is taken off there; the one allocation of it
//! is not.
//!
//! Needs the [counting allocator](crate::alloc::Counting) in the binary.

use crate::alloc::Counter;
use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, Gate, work};
use crate::pools;
use qubit_executor::service::ExecutorService;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stoppable::{TaskHandle, ThreadPool};
use tokio_util::sync::CancellationToken;

/// What one task takes.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Allocations.
    pub allocations: f64,
    /// Bytes.
    pub bytes: f64,
}

impl Footprint {
    fn of_each(n: usize, allocations: u64, bytes: i64) -> Footprint {
        Footprint {
            allocations: allocations as f64 / n as f64,
            bytes: bytes as f64 / n as f64,
        }
    }
}

/// All who do this work.
pub fn contenders() -> Vec<Contender<Footprint>> {
    vec![
        Contender::new("ours", Ours, ours),
        Contender::new("tokio spawn_blocking", Cancellable, tokio_blocking),
        Contender::new("qubit tracked", Cancellable, qubit),
        Contender::new("threadpool-executor", Cancellable, threadpool_executor),
        Contender::new("rayon+oneshot+child token", Cancellable, rayon_token),
        Contender::new("rayon+oneshot+2 AtomicBool", Cancellable, rayon_flags),
        Contender::new("rayon+oneshot", Plain, rayon),
        Contender::new("threadpool+oneshot", Plain, threadpool),
        Contender::new("rusty_pool", Plain, rusty_pool),
    ]
}

/// The same with a batch of ours before them.
pub fn batch_contenders() -> Vec<Contender<Footprint>> {
    let mut all = vec![Contender::new("ours, batch", Ours, ours_batch)];
    all.extend(contenders());
    all[1].name = "ours, one by one";
    all
}

/// Queues `n` tasks and counts; then lets them run and joins them, so that the next to be counted
/// finds nobody still giving memory back.
fn queued<H, T>(
    n: usize,
    gate: &Gate,
    mut submit: impl FnMut(u64) -> H,
    join: impl FnMut(H) -> T,
) -> Footprint {
    let mut handles = Vec::with_capacity(n);
    let counter = Counter::start();
    for i in 0..n as u64 {
        handles.push(submit(i));
    }
    let count = counter.read();
    drop(counter);
    gate.open();
    handles.into_iter().map(join).for_each(drop);
    Footprint::of_each(n, count.allocations, count.live)
}

fn blocked_pool() -> (ThreadPool, Gate) {
    let pool = pools::ours();
    let gate = Gate::block(|gate| {
        pool.execute(move |_stop| gate.pass()).expect("it is open");
    });
    (pool, gate)
}

fn ours_batch(n: usize) -> Footprint {
    let (pool, gate) = blocked_pool();
    let counter = Counter::start();
    let handles = pool.submit_all((0..n as u64).map(|i| move |_stop: &_| work(i)));
    let count = counter.read();
    drop(counter);
    gate.open();
    let vector = handles.capacity() * size_of::<TaskHandle<u64>>();
    for handle in handles {
        handle.join().expect("it completed");
    }
    Footprint::of_each(n, count.allocations, count.live - vector as i64)
}

fn ours(n: usize) -> Footprint {
    let (pool, gate) = blocked_pool();
    queued(
        n,
        &gate,
        |i| pool.submit(move |_stop| work(i)),
        |handle| handle.join(),
    )
}

fn tokio_blocking(n: usize) -> Footprint {
    let runtime = pools::tokio_blocking();
    let gate = Gate::block(|gate| {
        runtime.spawn_blocking(move || gate.pass());
    });
    queued(
        n,
        &gate,
        |i| runtime.spawn_blocking(move || work(i)),
        |handle| runtime.block_on(handle),
    )
}

fn qubit(n: usize) -> Footprint {
    let pool = pools::qubit();
    let gate = Gate::block(|gate| {
        let task = move || {
            gate.pass();
            Ok::<(), Infallible>(())
        };
        pool.submit(task).expect("it is open");
    });
    let footprint = queued(
        n,
        &gate,
        |i| {
            pool.submit_tracked_callable(move || Ok::<u64, Infallible>(work(i)))
                .expect("it is open")
        },
        |handle| handle.get(),
    );
    pool.shutdown();
    pool.wait_termination();
    footprint
}

/// It asks for closures that are unwind safe, which a gate is not known to be.
fn threadpool_executor(n: usize) -> Footprint {
    let pool = pools::threadpool_executor();
    let gate = Gate::block(|gate| {
        let gate = std::panic::AssertUnwindSafe(gate);
        let blocker = move || {
            let gate = gate;
            gate.pass();
        };
        drop(pool.execute(blocker).expect("it is open"));
    });
    queued(
        n,
        &gate,
        |i| pool.execute(move || work(i)).expect("it is open"),
        |mut handle| handle.get_result(),
    )
}

fn rayon_token(n: usize) -> Footprint {
    let pool = pools::rayon();
    let gate = Gate::block(|gate| pool.spawn(move || gate.pass()));
    let all = CancellationToken::new();
    queued(
        n,
        &gate,
        |i| {
            let one = all.child_token();
            let (sender, receiver) = oneshot::channel();
            let token = one.clone();
            pool.spawn(move || {
                if !token.is_cancelled() {
                    let _ = sender.send(work(i));
                }
            });
            (one, receiver)
        },
        |(_, receiver)| receiver.recv(),
    )
}

fn rayon_flags(n: usize) -> Footprint {
    let pool = pools::rayon();
    let gate = Gate::block(|gate| pool.spawn(move || gate.pass()));
    let all = Arc::new(AtomicBool::new(false));
    queued(
        n,
        &gate,
        |i| {
            let one = Arc::new(AtomicBool::new(false));
            let (sender, receiver) = oneshot::channel();
            let flags = (all.clone(), one.clone());
            pool.spawn(move || {
                if !flags.0.load(Ordering::Relaxed) && !flags.1.load(Ordering::Relaxed) {
                    let _ = sender.send(work(i));
                }
            });
            (one, receiver)
        },
        |(_, receiver)| receiver.recv(),
    )
}

fn rayon(n: usize) -> Footprint {
    let pool = pools::rayon();
    let gate = Gate::block(|gate| pool.spawn(move || gate.pass()));
    queued(
        n,
        &gate,
        |i| {
            let (sender, receiver) = oneshot::channel();
            pool.spawn(move || {
                let _ = sender.send(work(i));
            });
            receiver
        },
        |receiver| receiver.recv(),
    )
}

fn threadpool(n: usize) -> Footprint {
    let pool = pools::threadpool();
    let gate = Gate::block(|gate| pool.execute(move || gate.pass()));
    let footprint = queued(
        n,
        &gate,
        |i| {
            let (sender, receiver) = oneshot::channel();
            pool.execute(move || {
                let _ = sender.send(work(i));
            });
            receiver
        },
        |receiver| receiver.recv(),
    );
    pool.join();
    footprint
}

fn rusty_pool(n: usize) -> Footprint {
    let pool = pools::rusty_pool();
    let gate = Gate::block(|gate| pool.execute(move || gate.pass()));
    let footprint = queued(
        n,
        &gate,
        |i| pool.evaluate(move || work(i)),
        |handle| handle.await_complete(),
    );
    pool.shutdown_join();
    footprint
}
