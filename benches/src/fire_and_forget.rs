//! N submits from outside of the pool, without handles, until all tasks have ended.
//!
//! Every task adds its result to one shared tally, since somebody has to know when the last one has
//! ended; that addition is in everybody's figure.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, submit_then_wait, work};
use crate::pools::{self, WORKERS};
use qubit_executor::service::ExecutorService;
use std::convert::Infallible;
use std::time::Duration;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, |n| ours(WORKERS, n)),
        Contender::new("tokio spawn_blocking", Cancellable, tokio_blocking),
        Contender::new("tokio spawn", Cancellable, |n| tokio_spawn(WORKERS, n)),
        Contender::new("threadpool", Plain, |n| threadpool(WORKERS, n)),
        Contender::new("rusty_pool", Plain, |n| rusty_pool(WORKERS, n)),
        Contender::new("rayon spawn", Plain, |n| rayon(WORKERS, n)),
        Contender::new("qubit submit", Plain, |n| qubit(WORKERS, n)),
    ]
}

/// Those that can be given any number of threads, with so many.
pub fn of_threads(threads: usize) -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, move |n| ours(threads, n)),
        Contender::new("tokio spawn", Cancellable, move |n| tokio_spawn(threads, n)),
        Contender::new("threadpool", Plain, move |n| threadpool(threads, n)),
        Contender::new("rusty_pool", Plain, move |n| rusty_pool(threads, n)),
        Contender::new("rayon spawn", Plain, move |n| rayon(threads, n)),
        Contender::new("qubit submit", Plain, move |n| qubit(threads, n)),
    ]
}

fn ours(threads: usize, n: usize) -> Duration {
    let pool = pools::ours_of(threads);
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.execute(move |_stop| tally.add(work(i)))
                .expect("it is open");
        }
    })
}

fn tokio_blocking(n: usize) -> Duration {
    let runtime = pools::tokio_blocking();
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            runtime.spawn_blocking(move || tally.add(work(i)));
        }
    })
}

fn tokio_spawn(threads: usize, n: usize) -> Duration {
    let runtime = pools::tokio_async_of(threads);
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            runtime.spawn(async move { tally.add(work(i)) });
        }
    })
}

fn threadpool(threads: usize, n: usize) -> Duration {
    let pool = pools::threadpool_of(threads);
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.execute(move || tally.add(work(i)));
        }
    })
}

fn rusty_pool(threads: usize, n: usize) -> Duration {
    let pool = pools::rusty_pool_of(threads);
    let took = submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.execute(move || tally.add(work(i)));
        }
    });
    pool.shutdown_join();
    took
}

fn rayon(threads: usize, n: usize) -> Duration {
    let pool = pools::rayon_of(threads);
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.spawn(move || tally.add(work(i)));
        }
    })
}

fn qubit(threads: usize, n: usize) -> Duration {
    let pool = pools::qubit_of(threads);
    let took = submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            let task = move || {
                tally.add(work(i));
                Ok::<(), Infallible>(())
            };
            pool.submit(task).expect("it is open");
        }
    });
    pool.shutdown();
    pool.wait_termination();
    took
}
