//! Panics, in closures and in whatever is dropped: they reach who joins, and nobody else.

use crate::common::{DropCounter, Gate, OnDrop, Stuck, finishes, quiet_panic, until};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use stoppable::{CancelOutcome, Outcome, Shutdown, TaskStatus, ThreadPool};

/// Panics when it is dropped, with another one if it has any left.
#[derive(Debug)]
struct Bomb {
    left: u32,
    drops: DropCounter,
}

impl Bomb {
    fn new(drops: &DropCounter) -> Bomb {
        Bomb {
            left: 0,
            drops: drops.clone(),
        }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        drop(self.drops.token());
        if !thread::panicking() {
            match self.left.checked_sub(1) {
                Some(left) => resume_unwind(Box::new(Bomb {
                    left,
                    drops: self.drops.clone(),
                })),
                None => quiet_panic("a bomb"),
            }
        }
    }
}

/// A pool of one thread, which still works.
#[track_caller]
fn assert_works(pool: &ThreadPool) {
    assert_eq!(pool.submit(|_| 6 * 7).join().unwrap(), 42);
}

#[test]
fn the_payload_reaches_the_joiner() {
    let pool = ThreadPool::new(1);
    let others = [(); 5].map(|()| pool.submit(|_| ()));
    let text = pool.submit(|_| -> u32 { panic!("plain") });
    let formatted = pool.task().name("parse").submit(|_| -> u32 {
        let at = 17;
        panic!("line {at}")
    });
    let value = pool.submit(|_| -> u32 { panic_any(1_234_u64) });
    let error = text.join().unwrap_err();
    assert!(error.is_panicked() && error.cause().is_none());
    assert_eq!(error.to_string(), "task #5 panicked: plain");
    let payload = error.into_panic().unwrap();
    assert_eq!(payload.downcast_ref(), Some(&"plain"));
    let error = formatted.join().unwrap_err();
    assert_eq!(error.to_string(), "task #6 \"parse\" panicked: line 17");
    let again = catch_unwind(AssertUnwindSafe(|| {
        resume_unwind(error.into_panic().unwrap())
    }));
    assert_eq!(
        again.unwrap_err().downcast_ref(),
        Some(&String::from("line 17"))
    );
    let Outcome::Panicked(payload) = value.outcome() else {
        panic!("it panicked");
    };
    assert_eq!(payload.downcast_ref(), Some(&1_234_u64));
    for other in others {
        other.join().unwrap();
    }
    assert_works(&pool);
    assert_eq!(pool.shutdown(Shutdown::Drain).panicked(), 3);
}

/// A panic is one, asked to stop or not.
#[test]
fn a_panic_after_the_stop_was_seen_is_a_panic() {
    let pool = ThreadPool::new(1);
    let handle = pool.submit(|stop| {
        stop.wait();
        quiet_panic("anyway");
    });
    handle.wait_started();
    handle.cancel();
    assert_eq!(handle.outcome().status(), TaskStatus::Panicked);
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!((report.panicked(), report.cancelled()), (1, 0));
    assert!(report.details().next().unwrap().cause().is_some());
}

#[test]
fn workers_survive_any_number_of_panics() {
    const PANICS: usize = if cfg!(debug_assertions) {
        20_000
    } else {
        100_000
    };
    let starts = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPool::builder()
        .threads(2)
        .on_thread_start({
            let starts = Arc::clone(&starts);
            move || {
                starts.fetch_add(1, SeqCst);
            }
        })
        .build()
        .unwrap();
    let workers: Arc<Mutex<HashSet<ThreadId>>> = Arc::default();
    for n in 0..PANICS {
        let workers = Arc::clone(&workers);
        let handle = pool.submit(move |_| {
            workers.lock().unwrap().insert(thread::current().id());
            quiet_panic("one of many")
        });
        if n % 100 == 0 {
            assert!(handle.join().is_err());
        }
    }
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.panicked(), PANICS as u64);
    assert_eq!(starts.load(SeqCst), 2, "no thread was replaced");
    assert!(workers.lock().unwrap().len() <= 2);
}

#[test]
fn captures_that_panic_when_dropped_by_the_closure_make_it_panic() {
    let pool = ThreadPool::new(1);
    let drops = DropCounter::new();
    let bomb = Bomb::new(&drops);
    let handle = pool.submit(move |_| {
        let _bomb = &bomb;
    });
    let error = handle.join().unwrap_err();
    assert_eq!(error.into_panic().unwrap().downcast_ref(), Some(&"a bomb"));
    assert_eq!(drops.count(), 1);
    assert_works(&pool);
}

#[test]
fn captures_that_panic_when_dropped_by_a_canceller_do_not_reach_it() {
    let stuck = Stuck::new(1);
    let drops = DropCounter::new();
    let submit = |left| {
        let (bomb, token) = (
            Bomb {
                left,
                drops: drops.clone(),
            },
            drops.token(),
        );
        stuck.pool.submit(move |_| drop((bomb, token)))
    };
    for left in 0..3 {
        let handle = submit(left);
        assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
        assert!(handle.join().unwrap_err().is_never_started());
    }
    assert!(submit(0).stop_event().set());
    drop(submit(0).cancel_on_drop());
    drop(submit(0));
    assert_eq!(stuck.pool.cancel_pending(), 1);
    drop(submit(1));
    stuck.pool.begin_shutdown(Shutdown::CancelPending);
    // A refused one too.
    drop(submit(1));
    stuck.release();
    let report = stuck.pool.shutdown(Shutdown::Drain);
    assert_eq!((report.never_started(), report.refused()), (7, 1));
    // Eight bombs and eight tokens, and what two of them left behind has been dropped or leaked.
    assert!(drops.count() >= 16);
}

#[test]
fn results_that_panic_when_dropped_reach_nobody() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let drops = DropCounter::new();
        let make = || {
            let drops = drops.clone();
            move |_: &stoppable::StopEvent| Bomb::new(&drops)
        };
        // On the worker: there is no handle.
        pool.execute(make()).unwrap();
        assert_works(&pool);
        assert_eq!(drops.count(), 1);
        // On the thread that drops the handle.
        let handle = pool.submit(make());
        handle.wait();
        drop(handle);
        assert_eq!(drops.count(), 2);
        // A partial result that a join has no use for.
        let closure = make();
        let handle = pool.submit(move |stop| {
            stop.wait();
            closure(stop)
        });
        handle.wait_started();
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 3);
        // Left by a handle that goes while the task runs.
        let gate = Gate::new();
        let closure = make();
        let handle = pool.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                gate.pass();
                closure(stop)
            }
        });
        handle.wait_started();
        drop(handle);
        gate.open();
        assert_works(&pool);
        assert_eq!(drops.count(), 4);
        assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 5);
    });
}

#[test]
fn payloads_that_panic_when_dropped_reach_nobody() {
    let pool = ThreadPool::new(1);
    let drops = DropCounter::new();
    for left in 0..3 {
        let bomb = Bomb {
            left,
            drops: drops.clone(),
        };
        let handle = pool.submit(move |_| resume_unwind(Box::new(bomb)));
        handle.wait();
        let before = drops.count();
        drop(handle);
        assert!(drops.count() > before);
        let bomb = Bomb {
            left,
            drops: drops.clone(),
        };
        pool.execute(move |_| resume_unwind(Box::new(bomb)))
            .unwrap();
        assert_works(&pool);
        assert!(drops.count() > before + 1);
    }
    assert_eq!(pool.shutdown(Shutdown::Drain).panicked(), 6);
}

// The hook for panics that nobody joins

type Heard = (u64, Option<String>, Option<String>);

fn hearing_pool() -> (ThreadPool, Receiver<Heard>) {
    let (tell, told) = mpsc::channel();
    let pool = ThreadPool::builder()
        .threads(1)
        .on_unhandled_panic(move |panic| {
            let name = panic.name().map(str::to_owned);
            let message = panic.message().map(str::to_owned);
            assert_eq!(panic.payload().is::<u8>(), message.is_none());
            tell.send((panic.id().as_u64(), name, message)).unwrap();
            assert!(!stoppable::current().is_set());
            quiet_panic("in the hook, which is contained");
        })
        .build()
        .unwrap();
    (pool, told)
}

#[test]
fn a_hook_hears_of_panics_that_nobody_joins() {
    let (pool, told) = hearing_pool();
    let heard = |id, name: Option<&str>, message: Option<&str>| {
        (id, name.map(str::to_owned), message.map(str::to_owned))
    };
    pool.execute(|_| quiet_panic("no handle")).unwrap();
    assert_eq!(told.recv().unwrap(), heard(0, None, Some("no handle")));
    let bad = pool.task().name("bad");
    bad.execute(|_| resume_unwind(Box::new(0_u8))).unwrap();
    assert_eq!(told.recv().unwrap(), heard(1, Some("bad"), None));
    // The handle goes before the end, and after it.
    let gate = Gate::new();
    let early = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| {
            gate.pass();
            quiet_panic("dropped early")
        }
    });
    early.wait_started();
    drop(early);
    gate.open();
    assert_eq!(told.recv().unwrap(), heard(2, None, Some("dropped early")));
    let late = pool.submit(|_| quiet_panic("dropped late"));
    late.wait();
    assert!(told.try_recv().is_err(), "somebody may still join it");
    drop(late);
    assert_eq!(
        told.try_recv().unwrap(),
        heard(3, None, Some("dropped late"))
    );
    assert_works(&pool);
    // Not of those that were joined, nor of other ends.
    assert!(pool.submit(|_| quiet_panic("joined")).join().is_err());
    let outcome = pool.submit(|_| quiet_panic("fetched")).outcome();
    assert_eq!(outcome.status(), TaskStatus::Panicked);
    drop(outcome);
    pool.execute(|_| ()).unwrap();
    let stopped = pool.submit(|stop| {
        stop.wait();
        stoppable::unwind_if_stopped();
    });
    stopped.wait_started();
    stopped.cancel();
    drop(stopped);
    pool.shutdown(Shutdown::Drain);
    assert!(told.try_recv().is_err());
}

/// The pool's end does not make the loss of a panic silent.
#[test]
fn a_hook_hears_of_a_handle_that_is_dropped_after_the_end() {
    let (pool, told) = hearing_pool();
    let handle = pool.submit(|_| quiet_panic("dropped after the end"));
    pool.shutdown(Shutdown::Drain);
    drop(handle);
    assert!(told.try_recv().is_ok());
}

#[test]
fn a_pool_dropped_with_its_hook_lets_go_of_it() {
    let canary = Arc::new(());
    let held = Arc::clone(&canary);
    let pool = ThreadPool::builder()
        .threads(1)
        .on_unhandled_panic(move |_| drop(Arc::clone(&held)))
        .build()
        .unwrap();
    pool.execute(|_| quiet_panic("heard")).unwrap();
    drop(pool);
    until(|| Arc::strong_count(&canary) == 1);
}

/// A result's drop may itself use the pool that drops it.
#[test]
fn drops_of_results_run_under_no_lock() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (submitter, gate) = (pool.submitter(), Gate::new());
        let opened = Arc::clone(&gate);
        let result = OnDrop(move || {
            let opened = Arc::clone(&opened);
            drop(submitter.submit(move |_| opened.open()));
        });
        drop(pool.submit(move |_| result));
        gate.pass();
    });
}
