//! What comes from outside: threads that the system refuses, little memory, odd deadlines, signals, other processes.
#![allow(
    unsafe_code,
    reason = "the standard library has no limits, signals and forks"
)]

use crate::balance::{alive, await_threads, kib, threads};
use crate::{in_child, rounds, setting};
use std::ffi::{c_int, c_long, c_ulong};
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    BuildError, Graceful, Shutdown, StopEvent, StopReason, TaskStatus, ThreadPool, wait_all,
};

const LIMIT: Duration = Duration::from_secs(300);

const RLIMIT_AS: c_int = 9;
const MIB: u64 = 1_024 * 1_024;

#[repr(C)]
#[derive(Clone, Copy)]
struct Limit {
    now: c_ulong,
    most: c_ulong,
}

#[repr(C)]
struct Every {
    interval: [c_long; 2],
    first: [c_long; 2],
}

unsafe extern "C" {
    fn getrlimit(what: c_int, limit: *mut Limit) -> c_int;
    fn setrlimit(what: c_int, limit: *const Limit) -> c_int;
    fn signal(signal: c_int, handler: usize) -> usize;
    safe fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int;
    fn setitimer(which: c_int, every: *const Every, old: *mut Every) -> c_int;
    safe fn tgkill(process: c_int, thread: c_int, signal: c_int) -> c_int;
    fn fork() -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// Lets the process have so much address space more than it has, until this is dropped.
struct Tight(Limit);

impl Tight {
    fn new(more: u64) -> Tight {
        let mut before = Limit { now: 0, most: 0 };
        // SAFETY: it fills in what it is given.
        assert_eq!(unsafe { getrlimit(RLIMIT_AS, &raw mut before) }, 0);
        let now = (kib("VmSize:").unwrap() * 1_024 + more) as c_ulong;
        let limit = Limit { now, ..before };
        // SAFETY: it reads what it is given.
        assert_eq!(unsafe { setrlimit(RLIMIT_AS, &raw const limit) }, 0);
        Tight(before)
    }
}

impl Drop for Tight {
    fn drop(&mut self) {
        // SAFETY: it reads what it is given.
        assert_eq!(unsafe { setrlimit(RLIMIT_AS, &raw const self.0) }, 0);
    }
}

const fn count(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

/// Builds a pool that the system refuses: how many threads had started by then, all of which have ended.
fn refused(threads: usize, stack: usize) -> (usize, BuildError) {
    let hooks = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let [start, stop] = hooks.clone();
    let result = ThreadPool::builder()
        .threads(threads)
        .stack_size(stack)
        .on_thread_start(move || {
            start.fetch_add(1, Relaxed);
        })
        .on_thread_stop(move || {
            stop.fetch_add(1, Relaxed);
        })
        .build();
    let error = result.unwrap_err();
    let [start, stop] = hooks.map(|hook| Arc::into_inner(hook).expect("it is gone").into_inner());
    assert_eq!(start, stop);
    (start, error)
}

fn works(pool: &ThreadPool) {
    let tasks = pool.submit_all((0..100).map(|n| move |_: &StopEvent| n));
    let sum: i32 = tasks.into_iter().map(|task| task.join().unwrap()).sum();
    assert_eq!(sum, 4_950);
}

#[test]
fn a_refused_thread_leaves_nothing_running() {
    in_child(
        "faults::a_refused_thread_leaves_nothing_running",
        LIMIT,
        || {
            works(&ThreadPool::new(2));
            await_threads(Some(3));
            let before = alive();
            for stack in [1 << 46, usize::MAX / 2, usize::MAX] {
                let (started, error) = refused(4, stack);
                assert!(error.is_spawn(), "{error}");
                assert_eq!(started, 0);
            }
            // Five stacks and a half: the sixth is refused.
            let stack = 64 * MIB;
            for _ in 0..20 {
                let tight = Tight::new(5 * stack + stack / 2);
                let (started, error) = refused(64, stack as usize);
                assert!(error.is_spawn(), "{error}");
                assert!((1..=5).contains(&started), "{started}");
                // As soon as there is room.
                drop(tight);
                await_threads(before.threads);
                works(&ThreadPool::new(3));
            }
            await_threads(before.threads);
            assert_eq!(alive().files, before.files);
        },
    );
}

#[test]
fn bounded_queues_do_with_little_memory() {
    in_child(
        "faults::bounded_queues_do_with_little_memory",
        LIMIT,
        || {
            let pool = ThreadPool::builder().threads(2).queue_capacity(500);
            let pool = pool.build().unwrap();
            works(&pool);
            // All the captures together would be sixteen times as much.
            let tasks = count(100_000, 2_000_000);
            let _tight = Tight::new((tasks as u64 * 512 / 16).max(24 * MIB));
            let capture = [7_u8; 512];
            let read = move |stop: &StopEvent| usize::from(!stop.is_set() && capture[99] == 7);
            for _ in 0..tasks / 4 {
                assert!(pool.execute(read).is_ok());
                drop(pool.submit(read));
            }
            for _ in 0..tasks / 4_000 {
                let batch = pool.submit_all((0..1_000).map(|_| read));
                assert_eq!(batch.len(), 1_000);
            }
            let map = pool.map((0..tasks / 4).map(|_| capture), |it, _| usize::from(it[99]));
            assert_eq!(map.map(Result::unwrap).sum::<usize>(), tasks / 4 * 7);
            let report = pool.shutdown(Shutdown::Drain);
            assert_eq!(report.completed(), tasks as u64 + 100);
        },
    );
}

/// A steady clock cannot be made to jump from here; what can be odd is what is asked of it.
#[test]
fn deadlines_at_the_edges_are_kept() {
    in_child("faults::deadlines_at_the_edges_are_kept", LIMIT, || {
        let now = Instant::now();
        let past = now.checked_sub(Duration::from_nanos(1)).unwrap_or(now);
        let far = [
            Duration::MAX,
            Duration::from_secs(1 << 62),
            Duration::from_secs(1 << 40),
        ];
        let pool = ThreadPool::new(2);
        for far in far {
            let event = StopEvent::new();
            event.set_after(far);
            assert!(!event.wait_timeout(Duration::ZERO));
            event.set();
            assert_eq!(event.reason(), Some(StopReason::Requested));
            assert!(event.wait_timeout(far) && event.sleep(far).is_err());
            let task = pool
                .task()
                .timeout(far)
                .submit(|stop| stop.sleep(Duration::MAX));
            task.cancel_after(far);
            task.wait_started();
            task.cancel();
            assert!(task.wait_timeout(far));
            assert!(task.join().unwrap_err().is_cancelled());
            if let Some(at) = now.checked_add(far) {
                event.set_at(at);
                assert!(event.wait_until(at));
                let task = pool.task().start_before(at).submit(|_stop| 7);
                assert_eq!(task.join().unwrap(), 7);
            }
        }
        for soon in [past, now] {
            let event = StopEvent::new();
            event.set_at(soon);
            assert_eq!(event.reason(), Some(StopReason::Deadline));
            let task = pool.task().start_before(soon).submit(|_stop| ());
            assert!(task.join().unwrap_err().is_never_started());
        }
        let task = pool.task().timeout(Duration::ZERO);
        let task = task.submit(StopEvent::wait);
        let cause = task.join().unwrap_err().cause().unwrap().reason.clone();
        assert_eq!(cause, StopReason::Deadline);
        at_one_instant(&pool);
        let graceful = Graceful::new()
            .drain(Duration::MAX)
            .cancel_pending(Duration::MAX);
        assert!(pool.shutdown_graceful(graceful).is_final());
        assert!(
            pool.shutdown_timeout(Shutdown::StopAll, Duration::MAX)
                .is_final()
        );
    });
}

/// Many timers that go off together.
fn at_one_instant(pool: &ThreadPool) {
    let many = count(5_000, 50_000);
    let at = Instant::now() + Duration::from_millis(200);
    let called = Arc::new(AtomicUsize::new(0));
    let gate = StopEvent::new();
    let _opened = gate.set_on_drop();
    let held = [(); 2].map(|()| {
        let gate = gate.clone();
        pool.submit(move |_| gate.wait())
    });
    held.iter().for_each(|task| task.wait_started());
    let set: Vec<_> = (0..many)
        .map(|_| {
            let event = StopEvent::new();
            event.set_at(at);
            let called = Arc::clone(&called);
            let call = event.on_set(move || {
                called.fetch_add(1, Relaxed);
            });
            (event, call)
        })
        .collect();
    // Those that are dropped leave nothing.
    (0..many).for_each(|_| StopEvent::new().set_at(at));
    let late: Vec<_> = (0..many / 2)
        .map(|_| pool.task().start_before(at).submit(|_stop| ()))
        .collect();
    let asked: Vec<_> = (0..many / 2)
        .map(|_| pool.submit(StopEvent::wait))
        .collect();
    for task in &asked {
        task.cancel_after(at.saturating_duration_since(Instant::now()));
    }
    for (event, _) in &set {
        event.wait();
        assert_eq!(event.reason(), Some(StopReason::Deadline));
    }
    // Whoever waits may be awake before the callback has begun, which would never run without its guard.
    while called.load(Relaxed) < many {
        thread::yield_now();
    }
    drop(set);
    assert_eq!(called.load(Relaxed), many);
    assert!(wait_all(late.iter().chain(&asked)).is_all_done());
    for task in late.iter().chain(&asked) {
        assert_eq!(task.status(), TaskStatus::NeverStarted);
    }
    gate.set();
}

const SIGUSR1: c_int = 10;
const SIGALRM: c_int = 14;

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_signal: c_int) {
    HANDLED.fetch_add(1, Relaxed);
}

/// Signals to every thread of the process, again and again, and one more to any of them every half millisecond.
fn pester(over: &AtomicBool) {
    for number in [SIGUSR1, SIGALRM] {
        let handler = handle as extern "C" fn(c_int) as usize;
        // SAFETY: the handler does nothing that may not be done in one.
        assert_ne!(unsafe { signal(number, handler) }, usize::MAX);
        // Calls are not begun again by the kernel.
        assert_eq!(siginterrupt(number, 1), 0);
    }
    let every = Every {
        interval: [0, 500],
        first: [0, 500],
    };
    // SAFETY: it reads what it is given; of the old one nothing is wanted.
    let result = unsafe { setitimer(0, &raw const every, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    let process = std::process::id() as c_int;
    while !over.load(Relaxed) {
        for thread in fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Some(thread) = thread.file_name().to_str().and_then(|it| it.parse().ok()) {
                // One that has ended meanwhile hears nothing.
                tgkill(process, thread, SIGUSR1);
            }
        }
        thread::yield_now();
    }
    let never = Every {
        interval: [0; 2],
        first: [0; 2],
    };
    // SAFETY: as above.
    let result = unsafe { setitimer(0, &raw const never, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// While something else goes on.
fn meanwhile(other: impl FnOnce(&AtomicBool) + Send, tasks: u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| other(&over));
        rounds(setting("STOPPABLE_SOAK_SEED", 1), 0, tasks);
        over.store(true, Relaxed);
        other.join().unwrap();
    });
}

#[test]
fn signals_all_the_time_change_nothing() {
    in_child("faults::signals_all_the_time_change_nothing", LIMIT, || {
        meanwhile(pester, count(20_000, 100_000) as u64);
        let handled = HANDLED.load(Relaxed);
        assert!(handled > 100, "{handled}");
    });
}

#[test]
fn processes_are_started_while_pools_work() {
    in_child(
        "faults::processes_are_started_while_pools_work",
        LIMIT,
        || {
            let before = alive();
            let start = |over: &AtomicBool| {
                while !over.load(Relaxed) {
                    let echo = Command::new("echo").arg("from another").output().unwrap();
                    assert_eq!(echo.stdout, b"from another\n");
                }
            };
            meanwhile(start, count(20_000, 100_000) as u64);
            assert_eq!(alive().files, before.files);
        },
    );
}

/// A pool does not survive a fork: in the copy there is only the thread that forked. The original goes on
/// undisturbed, which is all that is promised.
#[test]
fn a_fork_leaves_the_original_alone() {
    in_child("faults::a_fork_leaves_the_original_alone", LIMIT, || {
        let pool = ThreadPool::new(2);
        let held = pool.submit(StopEvent::wait);
        held.wait_started();
        for _ in 0..50 {
            // SAFETY: the copy does nothing but end.
            let copy = unsafe { fork() };
            assert!(copy >= 0);
            if copy == 0 {
                // SAFETY: as above.
                unsafe { _exit(7) };
            }
            works(&pool);
            let mut status = 0;
            // SAFETY: it fills in what it is given.
            assert_eq!(unsafe { waitpid(copy, &raw mut status, 0) }, copy);
            assert_eq!(status, 7 << 8);
        }
        assert_eq!(pool.shutdown(Shutdown::StopAll).cancelled(), 1);
        assert!(threads() >= Some(1));
    });
}
