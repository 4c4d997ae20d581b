//! Threads that block, seen from outside.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Where the state of the calling thread can be read.
pub(crate) fn own_state() -> PathBuf {
    let link = fs::read_link("/proc/thread-self").unwrap();
    PathBuf::from("/proc").join(link).join("stat")
}

fn is_asleep(stat: &PathBuf) -> bool {
    let text = fs::read_to_string(stat).unwrap_or_default();
    text.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// Returns when the thread whose state is there sleeps.
#[track_caller]
pub(crate) fn until_asleep(stat: &PathBuf) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut in_a_row = 0;
    while in_a_row < 5 {
        assert!(Instant::now() < deadline, "it does not block");
        in_a_row = if is_asleep(stat) { in_a_row + 1 } else { 0 };
        thread::yield_now();
    }
}

/// Runs `f`, which is about to block, in a thread, and returns when that sleeps.
pub(crate) fn spawn_blocked<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        tell.send(own_state()).unwrap();
        drop(tell);
        f()
    });
    until_asleep(&told.recv().unwrap());
    thread
}
