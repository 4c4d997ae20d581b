//! What the closures of a batch capture and return is dropped once, in every layout and at every end.

use super::{MANY, Tally, lengthen_runs};
use crate::common::{Gate, OnDrop, Stuck, finishes, quiet_panic};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use stoppable::{
    CancelOutcome, Outcome, Shutdown, ShutdownReport, StopEvent, TaskHandle, TaskStatus, ThreadPool,
};

/// Closures with a counted capture each, which return or panic with something counted.
fn closures(
    captures: &Tally,
    made: &Tally,
    panics: fn(usize) -> bool,
) -> impl Iterator<Item = impl FnOnce(&StopEvent) -> super::Counted + use<>> + use<> {
    let (captures, made) = (captures.clone(), made.clone());
    (0..MANY).map(move |n| {
        let (capture, made) = (captures.one(n), made.clone());
        move |_: &StopEvent| {
            let value = made.one(capture.number());
            if panics(n) {
                resume_unwind(Box::new(value));
            }
            value
        }
    })
}

fn never(_: usize) -> bool {
    false
}

fn tallies() -> (Tally, Tally) {
    (Tally::new(MANY), Tally::new(MANY))
}

#[test]
fn of_tasks_that_complete() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let (captures, values) = tallies();
            let handles = pool.submit_all(closures(&captures, &values, never));
            for (n, handle) in handles.into_iter().enumerate() {
                match n % 4 {
                    // Before or after its end, as it happens.
                    0 => drop(handle),
                    1 => {
                        let value = handle.join().unwrap();
                        assert_eq!((value.number(), values.of(n)), (n, 0));
                    }
                    // Surely after it.
                    2 => {
                        handle.wait();
                        assert_eq!(values.of(n), 0);
                        drop(handle);
                        assert_eq!(values.of(n), 1, "with the handle");
                    }
                    _ => {
                        handle.wait();
                        let canceller = handle.canceller();
                        assert!(handle.try_join().is_ok());
                        assert!(canceller.is_done());
                    }
                }
            }
            pool.shutdown(Shutdown::Drain);
            captures.assert_all_once("the captures of task");
            values.assert_all_once("the value of task");
        }
    });
}

#[test]
fn of_tasks_whose_handles_go_first() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (captures, values) = tallies();
        drop(stuck.pool.submit_all(closures(&captures, &values, never)));
        assert_eq!((captures.sum(), values.sum()), (0, 0));
        stuck.release();
        stuck.pool.shutdown(Shutdown::Drain);
        captures.assert_all_once("the captures of task");
        values.assert_all_once("the value of task");
    });
}

#[test]
fn of_tasks_that_are_cancelled() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (captures, values) = tallies();
        let handles = stuck.pool.submit_all(closures(&captures, &values, never));
        for (n, handle) in handles.iter().enumerate().filter(|(n, _)| n % 3 > 0) {
            assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
            assert_eq!(captures.of(n), 1);
        }
        drop(handles);
        stuck.release();
        stuck.pool.shutdown(Shutdown::Drain);
        captures.assert_all_once("the captures of task");
        assert_eq!(values.sum(), MANY.div_ceil(3), "of those that ran");
    });
}

/// Whatever ends the pool while a batch is in its queue: the captures are gone when it has ended, and
/// where that is promised, before the call returns.
#[test]
fn of_tasks_that_a_shutdown_does_not_start() {
    type End = fn(&Stuck);
    let at_once: [End; 5] = [
        |it| {
            assert!(
                !it.pool
                    .shutdown_timeout(Shutdown::CancelPending, Duration::ZERO)
                    .is_final()
            );
        },
        |it| {
            assert_eq!(
                it.pool
                    .shutdown_timeout(Shutdown::StopAll, Duration::ZERO)
                    .never_started(),
                MANY as u64
            );
        },
        |it| assert_eq!(it.pool.cancel_pending(), MANY),
        |it| assert!(it.pool.stop_event().set()),
        |it| {
            let submitter = it.pool.submitter();
            it.pool.begin_shutdown(Shutdown::Drain);
            assert_eq!(it.pool.cancel_pending(), MANY);
            drop(submitter);
        },
    ];
    let later: [End; 2] = [
        |it| it.pool.begin_shutdown(Shutdown::CancelPending),
        |it| it.pool.begin_shutdown(Shutdown::StopAll),
    ];
    finishes(move || {
        let ends = at_once.into_iter().map(|end| (end, true));
        for (end, prompt) in ends.chain(later.map(|end| (end, false))) {
            for keep in [true, false] {
                let stuck = Stuck::new(2);
                let (captures, values) = tallies();
                let handles = stuck.pool.submit_all(closures(&captures, &values, never));
                let handles = keep.then_some(handles);
                end(&stuck);
                if prompt {
                    captures.assert_all_once("the captures of task");
                }
                for handle in handles.iter().flatten() {
                    // While the workers are stuck.
                    assert_eq!(handle.status(), TaskStatus::NeverStarted);
                    handle.wait();
                }
                stuck.release();
                stuck.pool.shutdown(Shutdown::Drain);
                captures.assert_all_once("the captures of task");
                drop(handles);
                assert_eq!((captures.sum(), values.sum()), (MANY, 0));
            }
        }
    });
}

#[test]
fn of_tasks_that_the_drop_of_the_pool_does_not_start() {
    finishes(|| {
        for keep in [true, false] {
            let pool = ThreadPool::new(1);
            lengthen_runs(&pool);
            let (captures, values) = tallies();
            let running = pool.submit(StopEvent::wait);
            running.wait_started();
            let handles = pool.submit_all(closures(&captures, &values, never));
            let handles = keep.then_some(handles);
            drop(pool);
            captures.assert_all_once("the captures of task");
            for handle in handles.into_iter().flatten() {
                assert!(handle.join().unwrap_err().is_never_started());
            }
            assert_eq!((captures.sum(), values.sum()), (MANY, 0));
        }
    });
}

#[test]
fn of_tasks_that_are_refused() {
    finishes(|| {
        for mode in [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll] {
            for capacity in [None, Some(10)] {
                let mut builder = ThreadPool::builder().threads(1);
                if let Some(capacity) = capacity {
                    builder = builder.queue_capacity(capacity);
                }
                let pool = builder.build().unwrap();
                pool.shutdown(mode);
                let (captures, values) = tallies();
                let handles = pool.submit_all(closures(&captures, &values, never));
                captures.assert_all_once("the captures of task");
                drop(handles.into_iter().skip(1));
                assert_eq!((captures.sum(), values.sum()), (MANY, 0));
            }
        }
    });
}

#[test]
fn of_tasks_that_panic() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let (captures, made) = tallies();
        let handles = pool.submit_all(closures(&captures, &made, |n| n % 3 == 0));
        for (n, handle) in handles.into_iter().enumerate() {
            if n % 2 == 0 {
                drop(handle);
                continue;
            }
            match handle.outcome() {
                Outcome::Panicked(payload) => {
                    assert_eq!(n % 3, 0);
                    let payload = payload.downcast::<super::Counted>().unwrap();
                    assert_eq!((payload.number(), made.of(n)), (n, 0));
                }
                other => assert_eq!(other.completed().map(|it| it.number()), Some(n)),
            }
        }
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.panicked(), MANY.div_ceil(3) as u64);
        captures.assert_all_once("the captures of task");
        made.assert_all_once("the value or payload of task");
    });
}

/// Those that were submitted go on, detached; those that were pulled and not yet submitted are dropped.
#[test]
fn of_an_iterator_that_panics() {
    finishes(|| {
        for at in [0, 1, 5, 63, 64, 100, MANY - 1] {
            let pool = ThreadPool::new(1);
            let (captures, values) = tallies();
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let all = closures(&captures, &values, never).enumerate();
                pool.submit_all(all.map(|(n, closure)| {
                    if n == at {
                        quiet_panic("in the iterator");
                    }
                    closure
                }))
            }));
            let payload = unwound.map(|_| ()).unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&"in the iterator"));
            let report = pool.shutdown(Shutdown::Drain);
            let ran = report.completed() as usize;
            assert!(ran <= at && ran + 64 >= at, "{ran} of {at}");
            assert_eq!((report.submitted(), report.refused()), (ran as u64, 0));
            for n in 0..MANY {
                // The one at which it panicked had been made, and the rest had not.
                assert_eq!(captures.of(n), usize::from(n <= at), "captures of task {n}");
                assert_eq!(values.of(n), usize::from(n < ran), "value of task {n}");
            }
        }
    });
}

/// The room of what was pulled and not submitted is not lost.
#[test]
fn an_iterator_that_panics_takes_no_room() {
    finishes(|| {
        let pool = ThreadPool::builder()
            .threads(1)
            .queue_capacity(4)
            .build()
            .unwrap();
        for at in 0..20 {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                pool.submit_all((0..20).map(|n| {
                    if n == at {
                        quiet_panic("in the iterator");
                    }
                    |_: &StopEvent| ()
                }))
            }));
            assert!(unwound.is_err());
        }
        let gate = Gate::new();
        let pass = Arc::clone(&gate);
        let blocker = pool.submit(move |_| pass.pass());
        blocker.wait_started();
        let open = crate::common::OpenOnDrop(gate);
        let pending: Vec<_> = (0..4).map(|_| pool.try_submit(|_| ()).unwrap()).collect();
        assert!(pool.try_submit(|_| ()).unwrap_err().is_full());
        drop(open);
        pending.iter().for_each(TaskHandle::wait);
    });
}

// Layouts

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
struct Align64(u8);

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(128))]
struct Align128([u64; 20]);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Empty;

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(128))]
struct EmptyAligned;

type Big = [u64; 640];

/// Batches of closures that capture a `C` and return a `V`: all ends come to the right tasks, with
/// the right contents.
fn lay_out<C, V>(capture: fn(usize) -> C, value: fn(usize) -> V)
where
    C: PartialEq + Send + 'static,
    V: PartialEq + std::fmt::Debug + Send + 'static,
{
    let pool = ThreadPool::new(1);
    let gate = Gate::new();
    let pass = Arc::clone(&gate);
    drop(pool.submit(move |_| pass.pass()));
    let open = crate::common::OpenOnDrop(gate);
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let handles = pool.submit_all((0..MANY).map(|n| {
        let captured = capture(n);
        let wrong = Arc::clone(&wrong);
        move |_: &StopEvent| {
            let place = (&raw const captured).addr();
            if captured != capture(n) || place % align_of::<C>() != 0 {
                wrong.lock().unwrap().push(n);
            }
            if n % 10 == 3 {
                resume_unwind(Box::new(n));
            }
            value(n)
        }
    }));
    let before = 1;
    for (n, handle) in handles.iter().enumerate() {
        assert_eq!(handle.id().as_u64(), before + n as u64);
        if n % 10 == 5 {
            assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
        }
    }
    drop(open);
    for (n, handle) in handles.into_iter().enumerate() {
        match (n % 10, handle.outcome()) {
            (3, Outcome::Panicked(payload)) => assert_eq!(*payload.downcast::<usize>().unwrap(), n),
            (5, Outcome::NeverStarted(_)) => {}
            (_, Outcome::Completed(it)) => {
                assert_eq!(it, value(n));
                assert_eq!((&raw const it).addr() % align_of::<V>(), 0);
            }
            (_, other) => panic!("task {n} is {:?}", other.status()),
        }
    }
    // Only the captures' own references are left, and these are gone.
    pool.shutdown(Shutdown::Drain);
    let wrong = Arc::into_inner(wrong).unwrap().into_inner().unwrap();
    assert_eq!(wrong, []);
}

fn big(n: usize) -> Big {
    [n as u64; 640]
}

#[test]
fn of_every_size_and_alignment() {
    finishes(|| {
        let align64 = |n| Align64(n as u8);
        let align128 = |n| Align128([n as u64; 20]);
        lay_out(|n| n as u8, |n| n as u16);
        lay_out(|_| Empty, |_| Empty);
        lay_out(|_| EmptyAligned, |_| EmptyAligned);
        lay_out(align64, |_| Empty);
        lay_out(|_| Empty, align64);
        lay_out(align128, align64);
        lay_out(|n| n as u8, align128);
        lay_out(big, |n| n as u8);
        lay_out(|n| n as u8, big);
        lay_out(big, big);
        lay_out(align128, big);
        lay_out(|n| n as u128, |n| (n as u8, n as u128));
        lay_out(|n| n.to_string(), |n| vec![n; n % 7]);
        lay_out(|n| (n as u8, [n as u64; 30]), |n| (n % 2 == 0).then_some(n));
    });
}

/// A closure that captures nothing at all, and so has no size.
#[test]
fn of_no_size_at_all() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for handle in pool.submit_all((0..MANY).map(|_| |_: &StopEvent| ())) {
            handle.join().unwrap();
        }
        for handle in pool.submit_all([|_: &StopEvent| Empty; 3]) {
            assert_eq!(handle.join().unwrap(), Empty);
        }
        pool.shutdown(Shutdown::Drain);
        let late = pool.submit_all((0..MANY).map(|_| |_: &StopEvent| EmptyAligned));
        for handle in late {
            assert!(handle.join().unwrap_err().is_never_started());
        }
    });
}

// Drops that panic

/// Is counted when it is dropped, and panics.
struct Bomb(super::Counted);

impl Drop for Bomb {
    fn drop(&mut self) {
        quiet_panic("a bomb");
    }
}

fn bombs(
    captures: &Tally,
) -> impl Iterator<Item = impl FnOnce(&StopEvent) -> usize + use<>> + use<> {
    let captures = captures.clone();
    (0..MANY).map(move |n| {
        let bomb = Bomb(captures.one(n));
        move |_: &StopEvent| bomb.0.number()
    })
}

#[test]
fn closures_that_panic_when_dropped_reach_nobody() {
    finishes(|| {
        let ends: [fn(&Stuck); 5] = [
            |it| assert_eq!(it.pool.cancel_pending(), MANY),
            |it| {
                drop(
                    it.pool
                        .shutdown_timeout(Shutdown::CancelPending, Duration::ZERO),
                );
            },
            |it| it.pool.begin_shutdown(Shutdown::StopAll),
            |it| assert!(it.pool.stop_event().set()),
            |_| {},
        ];
        for (k, end) in ends.into_iter().enumerate() {
            let stuck = Stuck::new(1);
            let captures = Tally::new(MANY);
            let handles = stuck.pool.submit_all(bombs(&captures));
            end(&stuck);
            if k == 4 {
                for handle in &handles {
                    assert_eq!(handle.cancel(), CancelOutcome::NeverStarted);
                }
            }
            for handle in handles {
                assert!(handle.join().unwrap_err().is_never_started());
            }
            stuck.release();
            let report = stuck.pool.shutdown(Shutdown::Drain);
            captures.assert_all_once("the captures of task");
            assert_eq!(report.never_started(), MANY as u64);
            // Refused.
            let captures = Tally::new(MANY);
            drop(stuck.pool.submit_all(bombs(&captures)));
            captures.assert_all_once("the captures of task");
        }
        // Dropped by the closure, which has its value by then.
        let pool = ThreadPool::new(1);
        let captures = Tally::new(MANY);
        for handle in pool.submit_all(bombs(&captures)) {
            assert!(handle.join().unwrap_err().is_panicked());
        }
        captures.assert_all_once("the captures of task");
        // By an iterator that panics itself, while it unwinds.
        let captures = Tally::new(MANY);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            pool.submit_all(bombs(&captures).enumerate().map(|(n, bomb)| {
                if n == 9 {
                    mem::forget(bomb);
                    quiet_panic("in the iterator");
                }
                bomb
            }))
        }));
        let payload = unwound.map(|_| ()).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"in the iterator"));
        assert_eq!(captures.sum(), 9);
        assert_eq!(pool.submit(|_| 7).join().unwrap(), 7);
    });
}

#[test]
fn values_that_panic_when_dropped_reach_nobody() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let values = Tally::new(MANY);
        let gate = Gate::new();
        let mut handles = pool.submit_all((0..MANY).map(|n| {
            let (values, gate) = (values.clone(), Arc::clone(&gate));
            move |_: &StopEvent| {
                if n == 0 {
                    gate.pass();
                }
                Bomb(values.one(n))
            }
        }));
        // Some go before the end, and so are dropped on the worker.
        let after = handles.split_off(MANY / 2);
        drop(handles);
        gate.open();
        for (n, handle) in after.into_iter().enumerate() {
            handle.wait();
            if n % 2 == 0 {
                drop(handle);
            } else {
                let value = handle.join().unwrap();
                assert!(catch_unwind(AssertUnwindSafe(|| drop(value))).is_err());
            }
        }
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.completed(), MANY as u64);
        values.assert_all_once("the value of task");
    });
}

/// What a capture does when it is dropped may be anything that a user may do.
#[test]
fn drops_of_captures_may_use_the_pool() {
    finishes(|| {
        let stuck = Stuck::new(1);
        let (tell, told) = mpsc::channel();
        let submitter = stuck.pool.submitter();
        let handles = stuck.pool.submit_all((0..70).map(|n| {
            let (submitter, tell) = (submitter.clone(), tell.clone());
            let on_drop = OnDrop(move || {
                let again = submitter.submit_all((0..2).map(|k| move |_: &StopEvent| n + k));
                tell.send(again).unwrap();
            });
            move |_: &StopEvent| drop(on_drop)
        }));
        drop(tell);
        for handle in &handles[..35] {
            handle.cancel();
        }
        assert_eq!(stuck.pool.cancel_pending(), 35 + 70);
        stuck.release();
        let mut statuses = Vec::new();
        for (n, again) in told.into_iter().enumerate() {
            for (k, handle) in again.into_iter().enumerate() {
                let outcome = handle.outcome();
                statuses.push(outcome.status());
                assert!(outcome.completed().is_none_or(|it| it == n + k));
            }
        }
        let of = |status| statuses.iter().filter(|it| **it == status).count();
        assert_eq!(of(TaskStatus::NeverStarted), 70);
        assert_eq!(of(TaskStatus::Completed), 70);
    });
}

// Panics that nobody joins

#[test]
fn a_hook_hears_of_each_panic_that_nobody_joins() {
    finishes(|| {
        let (tell, told) = mpsc::channel();
        let pool = ThreadPool::builder()
            .threads(2)
            .on_unhandled_panic(move |panic| {
                tell.send((panic.id().as_u64(), panic.message().unwrap().to_owned()))
                    .unwrap();
            })
            .build()
            .unwrap();
        let gate = Gate::new();
        let handles = pool.submit_all((0..MANY).map(|n| {
            let gate = Arc::clone(&gate);
            move |_: &StopEvent| {
                gate.pass();
                if n % 5 == 0 {
                    resume_unwind(Box::new(format!("of {n}")));
                }
            }
        }));
        let mut unheard = Vec::new();
        let mut joined = Vec::new();
        for (n, handle) in handles.into_iter().enumerate() {
            // Detached before it ends, joined, or dropped after it has ended.
            match n % 3 {
                0 => unheard.push(n),
                _ => joined.push((n, handle)),
            }
        }
        gate.open();
        for (n, handle) in joined {
            if n % 3 == 1 {
                let outcome = handle.outcome();
                assert_eq!(outcome.status() == TaskStatus::Panicked, n % 5 == 0);
            } else {
                handle.wait();
                drop(handle);
                unheard.push(n);
            }
        }
        let report: ShutdownReport = pool.shutdown(Shutdown::Drain);
        drop(pool);
        let mut heard: Vec<_> = told.iter().collect();
        heard.sort_unstable();
        unheard.retain(|n| n % 5 == 0);
        unheard.sort_unstable();
        let expected: Vec<_> = unheard
            .into_iter()
            .map(|n| (n as u64, format!("of {n}")))
            .collect();
        assert_eq!(heard, expected);
        let panicked: Vec<_> = report
            .ids(TaskStatus::Panicked)
            .map(stoppable::TaskId::as_u64)
            .collect();
        assert_eq!(panicked, (0..MANY as u64).step_by(5).collect::<Vec<_>>());
        let detail = report.details().next().unwrap();
        assert!(detail.panic_message().unwrap().starts_with("of "));
    });
}

/// The last reference to a batch may be anybody's, on any thread: a handle's, an event's, the queue's.
#[test]
fn of_batches_that_end_with_their_last_reference_anywhere() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for round in 0..200 {
            let (captures, values) = tallies();
            let mut handles = pool.submit_all(closures(&captures, &values, never));
            let events: Vec<_> = handles
                .iter()
                .step_by(64)
                .map(TaskHandle::stop_event)
                .collect();
            let cancellers: Vec<_> = handles
                .iter()
                .step_by(50)
                .map(TaskHandle::canceller)
                .collect();
            let (some, others) = (handles.split_off(round % MANY), handles);
            let threads = [
                thread::spawn(move || drop(some)),
                thread::spawn(move || drop((events, others))),
            ];
            if round % 2 == 0 {
                for canceller in &cancellers {
                    canceller.cancel();
                }
            }
            threads.into_iter().for_each(|it| it.join().unwrap());
            drop(cancellers);
            crate::common::until(|| captures.sum() == MANY);
            captures.assert_all_once("the captures of task");
            pool.submit_all([(); 2].map(|()| |_: &StopEvent| ()))
                .iter()
                .for_each(TaskHandle::wait);
        }
        pool.shutdown(Shutdown::Drain);
    });
}
