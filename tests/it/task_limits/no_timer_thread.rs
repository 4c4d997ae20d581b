//! The system has no room for the thread that serves time limits. The address space is limited for that, so it is
//! another process: this very program, under `ulimit`.

use crate::common::finishes;
use std::env;
use std::mem::{self, ManuallyDrop};
use std::panic;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use stoppable::{TaskBuilder, ThreadPool};

const ROLE: &str = "STOPPABLE_TEST_NO_TIMER_THREAD";
const READY: &str = "under the limit";
const DONE: &str = "nothing was accepted";
const MIB: usize = 1 << 20;

/// Takes up the address space, but for about so much.
fn leave(room: usize) -> Vec<Vec<u8>> {
    let left = Vec::<u8>::with_capacity(room);
    let mut taken = Vec::with_capacity(1_000);
    for size in [64 * MIB, MIB / 4] {
        let mut one = Vec::new();
        while one.try_reserve_exact(size).is_ok() {
            taken.push(mem::take(&mut one));
        }
    }
    drop(left);
    taken
}

/// What the process that the test starts does: nothing in a run of its own.
#[test]
fn role() {
    if env::var_os(ROLE).is_none() {
        return;
    }
    println!("\n{READY}");
    // Not dropped: it would wait for a task that has been lost.
    let pool = ManuallyDrop::new(ThreadPool::new(1));
    // Less than a thread takes.
    let taken = leave(MIB);
    type Limit = fn(TaskBuilder<'_>) -> TaskBuilder<'_>;
    let limits: [Limit; 2] = [
        |task| task.timeout(Duration::from_secs(3600)),
        |task| task.start_before(Instant::now() + Duration::from_secs(3600)),
    ];
    for limit in limits {
        let submit = || limit(pool.task()).submit(|_| ()).id();
        let submitted = panic::catch_unwind(panic::AssertUnwindSafe(submit));
        assert!(submitted.is_err() && pool.stats().submitted == 0);
    }
    // Without a limit it works, and with room.
    assert_eq!(pool.submit(|_| 7).join().unwrap(), 7);
    drop(taken);
    for limit in limits {
        assert_eq!(limit(pool.task()).submit(|_| 7).join().unwrap(), 7);
    }
    println!("\n{DONE}");
}

#[test]
fn a_task_with_a_limit_that_nobody_would_serve_is_not_accepted() {
    finishes(|| {
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "task_limits::no_timer_thread::role",
            ])
            .env(ROLE, "1")
            // Both would want room that is not there.
            .env("MALLOC_ARENA_MAX", "1")
            .env("RUST_BACKTRACE", "0")
            .env_remove("RUST_MIN_STACK")
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
