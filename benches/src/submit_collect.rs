//! N submits from outside of the pool, then every result through its handle.
//!
//! For those that are cancellable, each task can be cancelled alone and all of them together.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, one_by_one, submit_then_collect, work};
use crate::pools::{self, WORKERS};
use qubit_executor::service::ExecutorService;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, |n| ours(WORKERS, n)),
        Contender::new("rayon+oneshot+child token", Cancellable, rayon_token),
        Contender::new("rayon+oneshot+2 AtomicBool", Cancellable, rayon_flags),
        Contender::new("tokio spawn_blocking", Cancellable, tokio_blocking),
        Contender::new("tokio spawn", Cancellable, |n| tokio_spawn(WORKERS, n)),
        Contender::new("qubit tracked", Cancellable, |n| qubit(WORKERS, n)),
        Contender::new("threadpool-executor", Cancellable, threadpool_executor),
        Contender::new("threadpool+oneshot", Plain, |n| threadpool(WORKERS, n)),
        Contender::new("rayon+oneshot", Plain, |n| rayon(WORKERS, n)),
        Contender::new("rusty_pool", Plain, |n| rusty_pool(WORKERS, n)),
    ]
}

/// Those that can be given any number of threads, with so many.
pub fn of_threads(threads: usize) -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, move |n| ours(threads, n)),
        Contender::new("tokio spawn", Cancellable, move |n| tokio_spawn(threads, n)),
        Contender::new("qubit tracked", Cancellable, move |n| qubit(threads, n)),
        Contender::new("threadpool+oneshot", Plain, move |n| threadpool(threads, n)),
        Contender::new("rayon+oneshot", Plain, move |n| rayon(threads, n)),
        Contender::new("rusty_pool", Plain, move |n| rusty_pool(threads, n)),
    ]
}

fn ours(threads: usize, n: usize) -> Duration {
    let pool = pools::ours_of(threads);
    submit_then_collect(
        n,
        |i| pool.submit(move |_stop| work(i)),
        one_by_one(|handle: stoppable::TaskHandle<u64>| handle.join().expect("it completed")),
    )
}

fn rayon_token(n: usize) -> Duration {
    let pool = pools::rayon();
    let all = CancellationToken::new();
    submit_then_collect(
        n,
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
        one_by_one(|(_, receiver): (_, oneshot::Receiver<u64>)| {
            receiver.recv().expect("it completed")
        }),
    )
}

fn rayon_flags(n: usize) -> Duration {
    let pool = pools::rayon();
    let all = Arc::new(AtomicBool::new(false));
    submit_then_collect(
        n,
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
        one_by_one(|(_, receiver): (_, oneshot::Receiver<u64>)| {
            receiver.recv().expect("it completed")
        }),
    )
}

fn tokio_blocking(n: usize) -> Duration {
    let runtime = pools::tokio_blocking();
    submit_then_collect(
        n,
        |i| runtime.spawn_blocking(move || work(i)),
        |handles| runtime.block_on(sum(handles)),
    )
}

fn tokio_spawn(threads: usize, n: usize) -> Duration {
    let runtime = pools::tokio_async_of(threads);
    submit_then_collect(
        n,
        |i| runtime.spawn(async move { work(i) }),
        |handles| runtime.block_on(sum(handles)),
    )
}

async fn sum(handles: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
    let mut sum = 0_u64;
    for handle in handles {
        sum = sum.wrapping_add(handle.await.expect("it completed"));
    }
    sum
}

fn qubit(threads: usize, n: usize) -> Duration {
    let pool = pools::qubit_of(threads);
    let took = submit_then_collect(
        n,
        |i| {
            pool.submit_tracked_callable(move || Ok::<u64, Infallible>(work(i)))
                .expect("it is open")
        },
        one_by_one(|handle: qubit_executor::TrackedTask<u64, Infallible>| {
            handle.get().expect("it completed")
        }),
    );
    pool.shutdown();
    pool.wait_termination();
    took
}

fn threadpool_executor(n: usize) -> Duration {
    let pool = pools::threadpool_executor();
    submit_then_collect(
        n,
        |i| pool.execute(move || work(i)).expect("it is open"),
        one_by_one(|mut handle: threadpool_executor::Expectation<u64>| {
            handle.get_result().expect("it completed")
        }),
    )
}

fn threadpool(threads: usize, n: usize) -> Duration {
    let pool = pools::threadpool_of(threads);
    let took = submit_then_collect(
        n,
        |i| {
            let (sender, receiver) = oneshot::channel();
            pool.execute(move || {
                let _ = sender.send(work(i));
            });
            receiver
        },
        one_by_one(|receiver: oneshot::Receiver<u64>| receiver.recv().expect("it completed")),
    );
    pool.join();
    took
}

fn rayon(threads: usize, n: usize) -> Duration {
    let pool = pools::rayon_of(threads);
    submit_then_collect(
        n,
        |i| {
            let (sender, receiver) = oneshot::channel();
            pool.spawn(move || {
                let _ = sender.send(work(i));
            });
            receiver
        },
        one_by_one(|receiver: oneshot::Receiver<u64>| receiver.recv().expect("it completed")),
    )
}

fn rusty_pool(threads: usize, n: usize) -> Duration {
    let pool = pools::rusty_pool_of(threads);
    let took = submit_then_collect(
        n,
        |i| pool.evaluate(move || work(i)),
        one_by_one(|handle: rusty_pool::JoinHandle<u64>| handle.await_complete()),
    );
    pool.shutdown_join();
    took
}
