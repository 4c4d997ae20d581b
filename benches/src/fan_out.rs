//! One task submits N tasks to its own pool; until all of them have ended.
//!
//! As in `fire_and_forget`, every task adds its result to one shared tally.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, Tally, submit_then_wait, work};
use crate::pools;
use std::sync::Arc;
use std::time::Duration;

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours, execute", Ours, ours_execute),
        Contender::new("ours, submit and join", Ours, ours_submit),
        Contender::new("tokio spawn", Cancellable, tokio_spawn),
        Contender::new("tokio spawn_blocking", Cancellable, tokio_blocking),
        Contender::new("rayon scope", Plain, rayon_scope),
        Contender::new("rayon spawn", Plain, rayon_spawn),
        Contender::new("threadpool", Plain, threadpool),
    ]
}

fn ours_execute(n: usize) -> Duration {
    let pool = pools::ours();
    submit_then_wait(n, |tally, n| {
        let submitter = pool.submitter();
        let tally = tally.clone();
        let parent = pool.execute(move |_stop| {
            for i in 0..n {
                let tally = tally.clone();
                submitter
                    .execute(move |_stop| tally.add(work(i)))
                    .expect("it is open");
            }
        });
        parent.expect("it is open");
    })
}

/// With a handle for every task, joined by the task that submitted them.
fn ours_submit(n: usize) -> Duration {
    let pool = pools::ours();
    submit_then_wait(n, |tally, n| {
        let submitter = pool.submitter();
        let tally = tally.clone();
        let parent = pool.execute(move |_stop| {
            let mut handles = Vec::with_capacity(n as usize);
            for i in 0..n {
                handles.push(submitter.submit(move |_stop| work(i)));
            }
            for handle in handles {
                tally.add(handle.join().expect("it completed"));
            }
        });
        parent.expect("it is open");
    })
}

fn tokio_spawn(n: usize) -> Duration {
    let runtime = pools::tokio_async();
    submit_then_wait(n, |tally, n| {
        let tally = tally.clone();
        runtime.spawn(async move {
            for i in 0..n {
                let tally = tally.clone();
                tokio::spawn(async move { tally.add(work(i)) });
            }
        });
    })
}

fn tokio_blocking(n: usize) -> Duration {
    let runtime = pools::tokio_blocking();
    submit_then_wait(n, |tally, n| {
        let tally = tally.clone();
        runtime.spawn_blocking(move || {
            for i in 0..n {
                let tally = tally.clone();
                tokio::task::spawn_blocking(move || tally.add(work(i)));
            }
        });
    })
}

fn rayon_scope(n: usize) -> Duration {
    let pool = pools::rayon();
    submit_then_wait(n, |tally, n| {
        let tally: &Tally = tally;
        pool.scope(|scope| {
            for i in 0..n {
                scope.spawn(move |_| tally.add(work(i)));
            }
        });
    })
}

fn rayon_spawn(n: usize) -> Duration {
    let pool = pools::rayon();
    submit_then_wait(n, |tally, n| {
        let tally = tally.clone();
        pool.spawn(move || {
            for i in 0..n {
                let tally = tally.clone();
                rayon::spawn(move || tally.add(work(i)));
            }
        });
    })
}

fn threadpool(n: usize) -> Duration {
    let pool = pools::threadpool();
    submit_then_wait(n, |tally: &Arc<Tally>, n| {
        let tally = tally.clone();
        let inner = pool.clone();
        pool.execute(move || {
            for i in 0..n {
                let tally = tally.clone();
                inner.execute(move || tally.add(work(i)));
            }
        });
    })
}
