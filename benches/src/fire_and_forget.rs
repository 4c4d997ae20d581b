//! N submits from outside of the pool, without handles, until all tasks have ended.
//!
//! Every task adds its result to one shared tally, since somebody has to know when the last one has
//! ended; that addition is in everybody's figure.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, submit_then_wait, work};
use crate::pools;
use qubit_executor::service::ExecutorService;
use std::convert::Infallible;
use std::time::Duration;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, ours),
        Contender::new("tokio spawn_blocking", Cancellable, tokio_blocking),
        Contender::new("tokio spawn", Cancellable, tokio_spawn),
        Contender::new("threadpool", Plain, threadpool),
        Contender::new("rusty_pool", Plain, rusty_pool),
        Contender::new("rayon spawn", Plain, rayon),
        Contender::new("qubit submit", Plain, qubit),
    ]
}

fn ours(n: usize) -> Duration {
    let pool = pools::ours();
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

fn tokio_spawn(n: usize) -> Duration {
    let runtime = pools::tokio_async();
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            runtime.spawn(async move { tally.add(work(i)) });
        }
    })
}

fn threadpool(n: usize) -> Duration {
    let pool = pools::threadpool();
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.execute(move || tally.add(work(i)));
        }
    })
}

fn rusty_pool(n: usize) -> Duration {
    let pool = pools::rusty_pool();
    let took = submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.execute(move || tally.add(work(i)));
        }
    });
    pool.shutdown_join();
    took
}

fn rayon(n: usize) -> Duration {
    let pool = pools::rayon();
    submit_then_wait(n, |tally, n| {
        for i in 0..n {
            let tally = tally.clone();
            pool.spawn(move || tally.add(work(i)));
        }
    })
}

fn qubit(n: usize) -> Duration {
    let pool = pools::qubit();
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
