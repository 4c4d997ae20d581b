//! A long run of random pools, each with a whole account at its end, and of faults from outside.
//!
//! `STOPPABLE_SOAK_TASKS` is the number of tasks in all, `STOPPABLE_SOAK_SEED` what everything is drawn from, and
//! `STOPPABLE_SOAK_ROUND` the round to begin with, to repeat one that failed. A seed fixes what is done; in
//! which order the threads come to it is the system's affair.
//!
//! Each test runs in a process of its own, so that what it measures and limits is its own.
#![expect(clippy::unwrap_used, reason = "tests, in functions that tests call")]

mod actor;
mod balance;
mod dice;
#[cfg(target_os = "linux")]
mod faults;
mod left;
mod plan;
mod round;
mod world;

use balance::{Alive, alive, await_threads, kib};
use round::{Tally, round};
use std::env;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Names the test that this process is for.
const CHILD: &str = "STOPPABLE_SOAK_CHILD";

fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => default,
    }
}

/// Runs a test in a process of its own, which is ended when it hangs.
fn in_child(name: &str, limit: Duration, test: impl FnOnce()) {
    if env::var_os(CHILD).is_some_and(|child| child == name) {
        return watched(limit, test);
    }
    let status = Command::new(env::current_exe().unwrap())
        .args([
            name,
            "--exact",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, name)
        // Else each thread reserves room for many, which a limit would count.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{name}: {status}");
}

/// Which round is under way.
static ROUND: AtomicU64 = AtomicU64::new(0);

fn watched(limit: Duration, test: impl FnOnce()) {
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("it hangs, in round {}", ROUND.load(Relaxed));
            process::abort();
        }
    });
    test();
    drop(ended);
    watchdog.join().unwrap();
}

/// How many tasks the largest pool has.
const MOST: u64 = 20_000;

/// Rounds until there were so many tasks.
fn rounds(seed: u64, first: u64, tasks: u64) -> Tally {
    let mut tally = Tally::default();
    for number in first.. {
        let left = tasks.saturating_sub(tally.tasks);
        if left == 0 {
            break;
        }
        ROUND.store(number, Relaxed);
        let seed = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(number);
        let mut dice = dice::Dice::new(seed ^ 1);
        let size = [30, 1_000, MOST, MOST][dice.below(4) as usize];
        let size = (1 + dice.below(size)).min(left);
        let _named = Named(number);
        round(seed, size as usize, &mut tally);
    }
    tally
}

/// Says which round it was, if it panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("in round {}", self.0);
        }
    }
}

/// What the process may keep after a first time: tables of `parking_lot`, which grow with the number of threads there
/// ever were at once and are never freed (for each, some 200 bytes), and what the standard library keeps for this thread.
/// And the last pool to which this thread has submitted: its home, with the cells that it keeps for reuse. And the cells
/// that the home of tasks without a pool keeps, which never ends: of each size that there is, up to sixteen magazines, each
/// with 32 cells and so 33 blocks. Five have been seen.
const BYTES_KEPT: usize = 96 * 1_024;
const BLOCKS_KEPT: usize = 128 + 16 * 33;

/// What is alive between pools. `crossbeam-epoch` frees what it has retired some pools later, and never more than a few at
/// once, so what counts is the least after any of some small pools.
fn settled(threads: Option<usize>) -> Alive {
    let mut least = alive();
    for number in 0..100 {
        rounds(u64::MAX, number, 20);
        await_threads(threads);
        let now = alive();
        least.bytes = least.bytes.min(now.bytes);
        least.blocks = least.blocks.min(now.blocks);
        least.files = now.files;
        least.threads = now.threads;
    }
    least
}

#[test]
fn random_pools_end_exactly() {
    soak("random_pools_end_exactly", false);
}

#[test]
fn random_pools_leave_no_memory() {
    soak("random_pools_leave_no_memory", true);
}

/// Random pools, with the account of each, and of threads and files at the end; and of memory.
fn soak(name: &str, memory: bool) {
    let tasks = setting("STOPPABLE_SOAK_TASKS", 100_000);
    let seed = setting("STOPPABLE_SOAK_SEED", 1);
    let first = setting("STOPPABLE_SOAK_ROUND", 0);
    let limit = Duration::from_secs(120 + tasks / 2_000);
    in_child(name, limit, || {
        // What is made once, is made by this: the timer thread, tables, buffers.
        let own = balance::threads();
        stoppable::StopEvent::new().set_after(Duration::from_secs(3_600));
        rounds(u64::MAX, 0, 10_000);
        let own = own.map(|own| own + 1);
        let before = settled(own);
        let began = Instant::now();
        let tally = rounds(seed, first, tasks);
        let took = began.elapsed();
        let after = settled(own);
        eprintln!(
            "seed {seed}: {tally:?} in {took:.1?}, at most {:?} KiB; {before:?}, and then {after:?}",
            kib("VmHWM:")
        );
        assert_eq!(after.threads, before.threads);
        assert_eq!(after.files, before.files);
        if !memory {
            return;
        }
        // One may be kept in store by this thread.
        let left = round::left();
        assert!(left.len() <= 1, "{} pools are left: {left:#?}", left.len());
        assert!(after.bytes <= before.bytes + BYTES_KEPT);
        assert!(after.blocks <= before.blocks + BLOCKS_KEPT);
    });
}
