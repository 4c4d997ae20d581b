//! How a pool is made, and what is refused: with a clear error, and nothing left running.

#[cfg(target_os = "linux")]
mod no_more_threads;

use crate::common::{finishes, quiet_panic, until};
use std::collections::HashSet;
use std::error::Error;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use stoppable::{BuildError, Shutdown, ThreadPool, ThreadPoolBuilder};

#[track_caller]
fn refused(builder: ThreadPoolBuilder) -> BuildError {
    builder.build().map(|_| ()).unwrap_err()
}

/// Each error is of one kind alone.
#[test]
fn the_kinds_of_errors_are_told_apart() {
    let builder = || ThreadPool::builder().threads(1);
    let errors = [
        refused(builder().threads(0)),
        refused(builder().threads(usize::MAX)),
        refused(builder().queue_capacity(0)),
        refused(builder().name("\0")),
        refused(builder().stack_size(usize::MAX)),
        refused(builder().on_thread_start(|| quiet_panic("no"))),
    ];
    for (kind, error) in errors.iter().enumerate() {
        let is = [
            error.is_zero_threads(),
            error.is_too_many_threads(),
            error.is_zero_capacity(),
            error.is_nul_in_name(),
            error.is_spawn(),
            error.is_hook_panic(),
        ];
        let right: [bool; 6] = std::array::from_fn(|n| n == kind);
        assert_eq!(is, right, "{error}");
        assert_eq!(error.source().is_some(), error.is_spawn(), "{error}");
    }
}

#[test]
fn zero_threads_are_refused() {
    let error = refused(ThreadPool::builder().threads(0));
    assert!(error.is_zero_threads() && !error.is_spawn());
    assert_eq!(error.to_string(), "a pool needs at least one thread");
    let panic = catch_unwind(|| ThreadPool::new(0)).map(|_| ()).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(text, "a pool needs at least one thread");
}

#[test]
fn zero_capacity_is_refused() {
    let error = refused(ThreadPool::builder().threads(1).queue_capacity(0));
    assert!(error.is_zero_capacity());
    assert!(error.into_panic().unwrap_err().is_zero_capacity());
}

#[test]
fn absurd_numbers_of_threads_are_refused() {
    for threads in [65_536, 1 << 40, usize::MAX] {
        let error = refused(ThreadPool::builder().threads(threads));
        assert!(error.is_too_many_threads(), "{error}");
        assert!(error.to_string().contains(&threads.to_string()));
    }
    // This is the most, if only their names were right.
    let error = refused(ThreadPool::builder().threads(65_535).name("\0"));
    assert!(error.is_nul_in_name(), "{error}");
}

#[test]
fn a_nul_in_a_name_is_refused() {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = || {
        let starts = Arc::clone(&starts);
        move || {
            starts.fetch_add(1, SeqCst);
        }
    };
    let builder = ThreadPool::builder().threads(2).on_thread_start(count());
    let error = refused(builder.name("a\0b"));
    assert!(error.is_nul_in_name());
    assert!(error.to_string().contains("a\\0b-0"), "{error}");
    let builder = ThreadPool::builder().threads(9).on_thread_start(count());
    let error = refused(builder.thread_name(|n| if n == 8 { "\0" } else { "fine" }.to_owned()));
    assert!(error.is_nul_in_name());
    assert_eq!(starts.load(SeqCst), 0, "no thread was started");
    // In a task's name, or the pool's when threads have others, it does no harm.
    let pool = ThreadPool::builder()
        .threads(1)
        .name("a\0b")
        .thread_name(|n| n.to_string())
        .build()
        .unwrap();
    pool.task().name("\0").submit(|_| ()).join().unwrap();
}

#[test]
fn a_stack_that_cannot_be_had_is_refused() {
    for size in [usize::MAX, usize::MAX / 2, 1 << 60] {
        let ended = Arc::new(AtomicUsize::new(0));
        let builder = ThreadPool::builder().threads(3).stack_size(size);
        let error = refused(count_threads(builder, &ended, |_| {}));
        assert!(error.is_spawn(), "{error}");
        assert!(error.source().is_some());
        assert_eq!(ended.load(SeqCst), 0);
    }
    // A tiny one is made large enough.
    for size in [0, 1] {
        let pool = ThreadPool::builder().threads(1).stack_size(size).build();
        assert_eq!(pool.unwrap().submit(|_| 1).join().unwrap(), 1);
    }
}

/// Counts a thread up when its start hook runs, and down when its local values are dropped.
fn count_threads(
    builder: ThreadPoolBuilder,
    alive: &Arc<AtomicUsize>,
    hook: impl Fn(usize) + Send + Sync + 'static,
) -> ThreadPoolBuilder {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            // Long enough for who does not wait to be found out.
            (0..100).for_each(|_| thread::yield_now());
            self.0.fetch_sub(1, SeqCst);
        }
    }
    thread_local! {
        static ALIVE: Mutex<Option<Alive>> = const { Mutex::new(None) };
    }
    let alive = Arc::clone(alive);
    let started = AtomicUsize::new(0);
    builder.on_thread_start(move || {
        alive.fetch_add(1, SeqCst);
        let value = Alive(Arc::clone(&alive));
        ALIVE.with(|place| *place.lock().unwrap() = Some(value));
        hook(started.fetch_add(1, SeqCst));
    })
}

/// As the standard library's threads have.
#[test]
fn a_task_has_two_megabytes_of_stack() {
    // Sixteen kilobytes each time.
    #[inline(never)]
    fn deep(times: usize) -> usize {
        let here = [1_u8; 1 << 14];
        usize::from(black_box(&here)[times]) + times.checked_sub(1).map_or(0, deep)
    }
    let pool = ThreadPool::new(1);
    assert_eq!(pool.submit(|_| deep(99)).join().unwrap(), 100);
}

#[test]
fn a_start_hook_that_panics_is_the_error_and_no_thread_is_left() {
    finishes(|| {
        for bad in 0..4 {
            let alive = Arc::new(AtomicUsize::new(0));
            let builder = ThreadPool::builder().threads(4);
            let error = refused(count_threads(builder, &alive, move |n| {
                if n == bad {
                    quiet_panic("not today");
                }
            }));
            assert_eq!(alive.load(SeqCst), 0, "threads are left");
            assert!(error.is_hook_panic());
            assert_eq!(error.to_string(), "a start hook panicked: not today");
            let payload = error.into_panic().unwrap();
            assert_eq!(payload.downcast_ref(), Some(&"not today"));
        }
        // All of them at once.
        let alive = Arc::new(AtomicUsize::new(0));
        let builder = ThreadPool::builder().threads(4);
        let error = refused(count_threads(builder, &alive, |_| quiet_panic("never")));
        assert!(error.is_hook_panic());
        assert_eq!(alive.load(SeqCst), 0);
    });
}

#[test]
fn a_naming_function_that_panics_is_the_error() {
    let builder = ThreadPool::builder().threads(2);
    let error = refused(builder.thread_name(|_| quiet_panic("nameless")));
    assert!(error.is_hook_panic());
}

/// It returns when all start hooks have run, and not before.
#[test]
fn build_waits_for_the_start_hooks() {
    let alive = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let pool = count_threads(ThreadPool::builder().threads(4), &alive, move |_| {
        (0..100).for_each(|_| thread::yield_now());
        count.fetch_add(1, SeqCst);
    })
    .build()
    .unwrap();
    assert_eq!(done.load(SeqCst), 4);
    assert_eq!(alive.load(SeqCst), 4);
    drop(pool);
    assert_eq!(alive.load(SeqCst), 0);
}

/// The names of the threads of a pool.
fn names(pool: &ThreadPool) -> Vec<String> {
    let barrier = Arc::new(Barrier::new(pool.threads()));
    let handles: Vec<_> = (0..pool.threads())
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            pool.submit(move |_| {
                barrier.wait();
                thread::current().name().unwrap().to_owned()
            })
        })
        .collect();
    let mut names: Vec<_> = handles.into_iter().map(|h| h.join().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn threads_have_names() {
    let pool = ThreadPool::new(2);
    assert_eq!(names(&pool), ["stoppable-0", "stoppable-1"]);
    assert_eq!((pool.threads(), pool.name()), (2, None));
    let pool = ThreadPool::builder().threads(3).name("io").build().unwrap();
    assert_eq!(names(&pool), ["io-0", "io-1", "io-2"]);
    assert_eq!((pool.threads(), pool.name()), (3, Some("io")));
    let mut calls = 0;
    let pool = ThreadPool::builder()
        .threads(2)
        .name("io")
        .thread_name(move |n| {
            calls += 1;
            format!("{n} of {calls}")
        })
        .build()
        .unwrap();
    assert_eq!(names(&pool), ["0 of 1", "1 of 2"]);
    assert_eq!(pool.name(), Some("io"));
}

#[test]
fn as_many_threads_as_processors_by_default() {
    let pool = ThreadPool::builder().build().unwrap();
    assert!(pool.threads() >= 1);
    assert_eq!(names(&pool).len(), pool.threads());
}

#[test]
fn hooks_run_once_on_each_thread() {
    let starts: Arc<Mutex<Vec<_>>> = Arc::default();
    let stops: Arc<Mutex<Vec<_>>> = Arc::default();
    let (on_start, on_stop) = (Arc::clone(&starts), Arc::clone(&stops));
    let pool = ThreadPool::builder()
        .threads(5)
        .on_thread_start(move || on_start.lock().unwrap().push(thread::current().id()))
        .on_thread_stop(move || {
            on_stop.lock().unwrap().push(thread::current().id());
            quiet_panic("which is contained");
        })
        .build()
        .unwrap();
    let unique =
        |list: &Mutex<Vec<_>>| list.lock().unwrap().iter().copied().collect::<HashSet<_>>();
    assert_eq!(starts.lock().unwrap().len(), 5);
    assert_eq!(unique(&starts).len(), 5);
    for _ in 0..100 {
        drop(pool.submit(|_| ()));
    }
    assert!(stops.lock().unwrap().is_empty());
    pool.shutdown(Shutdown::Drain);
    assert_eq!(starts.lock().unwrap().len(), 5);
    assert_eq!(stops.lock().unwrap().len(), 5);
    assert_eq!(unique(&starts), unique(&stops));
}

/// The pool's own threads ran the hooks: they can submit, and know their pool.
#[test]
fn a_start_hook_may_take_its_time_and_tasks_wait_for_it() {
    thread_local! {
        static READY: AtomicUsize = const { AtomicUsize::new(0) };
    }
    let pool = ThreadPool::builder()
        .threads(4)
        .on_thread_start(|| READY.with(|ready| ready.store(7, SeqCst)))
        .build()
        .unwrap();
    let handles: Vec<_> = (0..200)
        .map(|_| pool.submit(|_| READY.with(|ready| ready.load(SeqCst))))
        .collect();
    for handle in handles {
        assert_eq!(handle.join().unwrap(), 7);
    }
}

/// Uses about that many KiB of stack.
#[inline(never)]
fn recurse(kib: usize) -> usize {
    let page = black_box([kib as u8; 1024]);
    if kib == 0 {
        return 0;
    }
    recurse(kib - 1) + 1 + usize::from(page[kib % 1024] != kib as u8)
}

#[test]
fn a_bigger_stack_cures_an_overflow() {
    // Where the default of 2 MiB would end the process.
    let pool = ThreadPool::builder()
        .threads(2)
        .stack_size(64 << 20)
        .build()
        .unwrap();
    let handles = [(); 2].map(|()| pool.submit(|_| recurse(16 << 10)));
    for handle in handles {
        assert_eq!(handle.join().unwrap(), 16 << 10);
    }
}

#[test]
fn what_a_builder_was_given_is_dropped_with_the_pool() {
    let canary = Arc::new(());
    let give = |builder: ThreadPoolBuilder| {
        let held = [(); 4].map(|()| Arc::clone(&canary));
        let [start, stop, panic, name] = held;
        builder
            .on_thread_start(move || drop(Arc::clone(&start)))
            .on_thread_stop(move || drop(Arc::clone(&stop)))
            .on_unhandled_panic(move |_| drop(Arc::clone(&panic)))
            .thread_name(move |n| format!("{n} {}", Arc::strong_count(&name) > 0))
    };
    drop(give(ThreadPool::builder()));
    assert_eq!(Arc::strong_count(&canary), 1);
    assert!(give(ThreadPool::builder().threads(0)).build().is_err());
    assert_eq!(Arc::strong_count(&canary), 1);
    let pool = give(ThreadPool::builder().threads(2)).build().unwrap();
    assert!(Arc::strong_count(&canary) > 1);
    drop(pool);
    until(|| Arc::strong_count(&canary) == 1);
}

/// A hook may not take the process with it.
#[test]
fn new_panics_where_build_errs() {
    let panic = catch_unwind(AssertUnwindSafe(|| ThreadPool::new(usize::MAX)));
    assert!(panic.is_err());
}
