//! The system has no room for one more thread, when some have been started already. The address space is
//! limited for that, so it is another process: this very program, under `ulimit`.

use crate::common::finishes;
use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use stoppable::ThreadPool;

const ROLE: &str = "STOPPABLE_TEST_NO_MORE_THREADS";
const READY: &str = "under the limit";
const DONE: &str = "refused, and nobody is left";

fn threads_named(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.starts_with(name))
        .count()
}

/// What the process that the test starts does: nothing in a run of its own.
#[test]
fn role() {
    if env::var_os(ROLE).is_none() {
        return;
    }
    println!("\n{READY}");
    let [starts, stops] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let count = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        move || {
            count.fetch_add(1, SeqCst);
        }
    };
    // Some fit into the limit, sixty-four do not.
    let error = ThreadPool::builder()
        .threads(64)
        .name("crowd")
        .stack_size(128 << 20)
        .on_thread_start(count(&starts))
        .on_thread_stop(count(&stops))
        .build()
        .map(|_| ())
        .unwrap_err();
    assert!(error.is_spawn(), "{error}");
    let started = starts.load(SeqCst);
    assert!((1..64).contains(&started), "{started} were started");
    assert_eq!(stops.load(SeqCst), started);
    // Who has joined a thread may find it here for a moment yet.
    crate::common::until(|| threads_named("crowd") == 0);
    // With fewer it works.
    let pool = ThreadPool::builder()
        .threads(3)
        .name("crowd")
        .stack_size(128 << 20)
        .build()
        .unwrap();
    assert_eq!(threads_named("crowd"), 3);
    assert_eq!(pool.submit(|_| 7).join().unwrap(), 7);
    println!("\n{DONE}");
}

#[test]
fn a_thread_that_cannot_be_started_ends_those_that_were() {
    finishes(|| {
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "builder::no_more_threads::role"])
            .env(ROLE, "1")
            // An arena for each thread would be the first not to fit.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        if !text.contains(READY) {
            // A sanitizer's shadow alone is larger than that.
            println!("skipped: no process can be started under the limit");
            return;
        }
        assert!(
            output.status.success() && text.contains(DONE),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
}
