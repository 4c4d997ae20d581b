//! How much processor time an idle pool takes in one second, after it has had work.
//!
//! Read from the scheduler's own account of each thread, which Linux keeps; elsewhere it is zero.

use crate::kit::Class::{Cancellable, Ours, Plain};
use crate::kit::{Contender, WARM_UP, work};
use crate::pools;
use std::fs;
use std::thread;
use std::time::Duration;

/// All whose idleness is looked at. The number of tasks does not matter.
pub fn contenders() -> Vec<Contender> {
    vec![
        Contender::new("ours", Ours, |_| {
            let pool = pools::ours();
            for i in 0..WARM_UP as u64 {
                let handle = pool.submit(move |_stop| work(i));
                handle.join().expect("it completed");
            }
            idle_second()
        }),
        Contender::new("tokio", Cancellable, |_| {
            let runtime = pools::tokio_async();
            for i in 0..WARM_UP as u64 {
                let task = runtime.spawn(async move { work(i) });
                runtime.block_on(task).expect("it completed");
            }
            idle_second()
        }),
        Contender::new("rayon", Plain, |_| {
            let pool = pools::rayon();
            for i in 0..WARM_UP as u64 {
                pool.install(|| work(i));
            }
            idle_second()
        }),
    ]
}

fn idle_second() -> Duration {
    let before = processor_time();
    thread::sleep(Duration::from_secs(1));
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
