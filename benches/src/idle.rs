//! How much processor time an idle pool takes in so many seconds, after it has had work.
//!
//! Read from the scheduler's own account of each thread, which Linux keeps; elsewhere it is zero.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, WARM_UP, work};
use crate::pools;
use std::fs;
use std::thread;
use std::time::Duration;

/// All whose idleness is looked at. They are idle for as many seconds as they are asked for tasks.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, |seconds| {
            let pool = pools::ours();
            for i in 0..WARM_UP as u64 {
                let handle = pool.submit(move |_stop| work(i));
                handle.join().expect("it completed");
            }
            idle(seconds)
        }),
        Contender::new("tokio", Cancellable, |seconds| {
            let runtime = pools::tokio_async();
            for i in 0..WARM_UP as u64 {
                let task = runtime.spawn(async move { work(i) });
                runtime.block_on(task).expect("it completed");
            }
            idle(seconds)
        }),
        Contender::new("rayon", Plain, |seconds| {
            let pool = pools::rayon();
            for i in 0..WARM_UP as u64 {
                pool.install(|| work(i));
            }
            idle(seconds)
        }),
    ]
}

fn idle(seconds: usize) -> Duration {
    let before = processor_time();
    thread::sleep(Duration::from_secs(seconds as u64));
    processor_time().saturating_sub(before)
}

/// Of all threads of the process that are alive.
fn processor_time() -> Duration {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let of = |thread: fs::DirEntry| -> Option<u64> {
        let account = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        account.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(threads.flatten().filter_map(of).sum())
}
