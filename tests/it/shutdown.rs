//! How a pool ends: the modes and how they strengthen each other, who waits for what, and what is
//! left afterwards, which is nothing.

use crate::common::{DropCounter, Gate, OnDrop, OpenOnDrop, Stuck, finishes, quiet_panic, until};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use stoppable::{
    Outcome, Shutdown, ShutdownReport, StopEvent, StopReason, Submitter, TaskHandle, TaskStatus,
    ThreadPool,
};

const MODES: [Shutdown; 3] = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll];
/// Submits tasks that are stuck until the gate is opened, and waits until all are in their closures.
fn stick(pool: &ThreadPool, count: usize) -> Arc<Gate> {
    let gate = Gate::new();
    let barrier = Arc::new(Barrier::new(count + 1));
    for _ in 0..count {
        let (gate, barrier) = (Arc::clone(&gate), Arc::clone(&barrier));
        drop(pool.submit(move |_| {
            barrier.wait();
            gate.pass();
        }));
    }
    barrier.wait();
    gate
}

const LONG: Duration = Duration::from_secs(3_600);
/// How often races are tried.
const ROUNDS: usize = if cfg!(debug_assertions) { 300 } else { 2_000 };

fn assert_never_started<T>(handle: TaskHandle<T>) {
    match handle.outcome() {
        Outcome::NeverStarted(cause) => assert_eq!(cause.reason, StopReason::Shutdown),
        other => panic!("it was {}", other.status()),
    }
}

// The modes

#[test]
fn drain_runs_what_is_pending_and_what_tasks_still_submit() {
    /// A task of generation `left` submits one of the next, until there are none left.
    fn generation(submitter: &Submitter, left: u32, runs: Arc<AtomicUsize>) {
        runs.fetch_add(1, SeqCst);
        if left > 0 {
            let again = submitter.clone();
            submitter
                .execute(move |_| generation(&again, left - 1, runs))
                .unwrap();
        }
    }

    for threads in [1, 3] {
        let stuck = Stuck::new(threads);
        let runs = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let (submitter, runs) = (stuck.pool.submitter(), Arc::clone(&runs));
            drop(stuck.pool.submit(move |_| generation(&submitter, 3, runs)));
        }
        stuck.pool.begin_shutdown(Shutdown::Drain);
        assert_never_started(stuck.pool.submit(|_| ()));
        assert_eq!(runs.load(SeqCst), 0);
        stuck.release();
        let report = stuck.pool.shutdown(Shutdown::Drain);
        assert_eq!(runs.load(SeqCst), 200);
        let done = (report.completed(), report.submitted(), report.refused());
        assert_eq!(done, (200 + threads as u64, 200 + threads as u64, 1));
        assert_eq!(report.mode(), Some(Shutdown::Drain));
    }
}

#[test]
fn cancel_pending_starts_nothing_and_lets_the_running_finish() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let running = pool.submit({
            let gate = Arc::clone(&gate);
            move |stop| {
                gate.pass();
                stop.is_set()
            }
        });
        running.wait_started();
        let drops = DropCounter::new();
        let pending: Vec<_> = (0..50)
            .map(|_| {
                let token = drops.token();
                pool.submit(move |_| drop(token))
            })
            .collect();
        let report = thread::scope(|scope| {
            let closer = scope.spawn(|| pool.shutdown(Shutdown::CancelPending));
            // Their joiners awake while the only worker is stuck.
            for handle in pending {
                assert_never_started(handle);
            }
            until(|| drops.count() == 50);
            assert!(running.is_running() && !closer.is_finished());
            gate.open();
            closer.join().unwrap()
        });
        assert!(!running.join().unwrap(), "it was not asked to stop");
        assert_eq!((report.never_started(), report.completed()), (50, 1));
        assert!(report.is_final());
    });
}

#[test]
fn stop_all_asks_the_running_to_stop() {
    finishes(|| {
        let pool = ThreadPool::new(3);
        let running = [(); 3].map(|()| pool.submit(StopEvent::wait));
        for handle in &running {
            handle.wait_started();
        }
        let pending = pool.submit(|_| ());
        let line = line!() + 1;
        let report = pool.shutdown(Shutdown::StopAll);
        assert_eq!((report.cancelled(), report.never_started()), (3, 1));
        assert_never_started(pending);
        for handle in running {
            let Outcome::Cancelled { partial, cause } = handle.outcome() else {
                panic!("it saw its stop");
            };
            assert_eq!(partial, Some(()));
            assert_eq!(cause.reason, StopReason::Shutdown);
            assert_eq!(cause.location.file(), file!());
            assert_eq!(cause.location.line(), line);
        }
        assert!(pool.stop_event().is_set());
    });
}

/// The fifty tasks of `CPython`'s test, in each mode.
#[test]
fn fifty_tasks_that_sleep_all_end() {
    finishes(|| {
        for mode in MODES {
            let pool = ThreadPool::new(5);
            let handles: Vec<_> = (0..50)
                .map(|_| pool.submit(|stop| stop.sleep(Duration::from_millis(1)).is_ok()))
                .collect();
            let report = pool.shutdown(mode);
            assert!(handles.iter().all(TaskHandle::is_done));
            assert_eq!(report.stats().done(), 50);
            let ended = |status| handles.iter().filter(|h| h.status() == status).count() as u64;
            assert_eq!(report.completed(), ended(TaskStatus::Completed));
            assert_eq!(report.cancelled(), ended(TaskStatus::Cancelled));
            assert_eq!(report.never_started(), ended(TaskStatus::NeverStarted));
            assert!(mode > Shutdown::Drain || report.completed() == 50);
        }
    });
}

#[test]
fn workers_that_sleep_end() {
    finishes(|| {
        for mode in MODES {
            let pool = ThreadPool::new(8);
            pool.submit(|_| ()).join().unwrap();
            let report = pool.shutdown(mode);
            assert!(report.is_final());
            assert_eq!(report.completed(), 1);
            // And a pool that never had a task.
            assert_eq!(ThreadPool::new(8).shutdown(mode).submitted(), 0);
        }
    });
}

// Again, at once, and stronger

#[test]
fn a_second_shutdown_gives_the_same_report() {
    for first in MODES {
        for second in MODES {
            let pool = ThreadPool::new(2);
            let id = pool.submit(|_| quiet_panic("once")).id();
            let before = pool.shutdown(first);
            let after = pool.shutdown(second);
            pool.begin_shutdown(second);
            assert_eq!(before.stats(), after.stats());
            assert_eq!(pool.stats(), after.stats());
            assert_eq!(before.status_of(id), after.status_of(id));
            assert_eq!(after.mode(), Some(first.max(second)));
            assert!(pool.shutdown_timeout(second, LONG).is_final());
        }
    }
}

#[test]
fn shutdowns_may_race() {
    finishes(|| {
        for round in 0..ROUNDS / 10 {
            let stuck = Stuck::new(2);
            let pending: Vec<_> = (0..20).map(|_| stuck.pool.submit(|_| ())).collect();
            let barrier = Barrier::new(11);
            let reports: Vec<ShutdownReport> = thread::scope(|scope| {
                let closers: Vec<_> = (0..10)
                    .map(|n| {
                        let (pool, barrier) = (&stuck.pool, &barrier);
                        scope.spawn(move || {
                            barrier.wait();
                            pool.shutdown(MODES[(round + n) % 3])
                        })
                    })
                    .collect();
                barrier.wait();
                stuck.release();
                closers.into_iter().map(|c| c.join().unwrap()).collect()
            });
            for report in &reports {
                assert!(report.is_final());
                assert_eq!(report.stats(), reports[0].stats());
            }
            assert!(pending.iter().all(TaskHandle::is_done));
            assert_eq!(
                stuck.pool.shutdown(Shutdown::Drain).mode(),
                Some(Shutdown::StopAll)
            );
        }
    });
}

#[test]
fn a_stronger_mode_strengthens_one_under_way() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let running = pool.submit(StopEvent::wait);
        running.wait_started();
        let pending = pool.submit(|_| ());
        thread::scope(|scope| {
            let drain = scope.spawn(|| pool.shutdown(Shutdown::Drain));
            until(|| pool.try_submit(|_| ()).is_err());
            assert!(pending.is_pending(), "a drain would run it");
            let cancel = scope.spawn(|| pool.shutdown(Shutdown::CancelPending));
            assert_never_started(pending);
            assert!(running.is_running() && !pool.stop_event().is_set());
            let stop = pool.shutdown(Shutdown::StopAll);
            assert_eq!(running.outcome().status(), TaskStatus::Cancelled);
            // All three have waited for the same end.
            for report in [drain.join().unwrap(), cancel.join().unwrap()] {
                assert!(report.is_final());
                assert_eq!(report.stats(), stop.stats());
            }
        });
    });
}

#[test]
fn a_weaker_mode_changes_nothing() {
    let stuck = Stuck::new(1);
    let pending = stuck.pool.submit(|_| ());
    stuck.pool.begin_shutdown(Shutdown::StopAll);
    stuck.pool.begin_shutdown(Shutdown::Drain);
    assert_never_started(pending);
    stuck.release();
    let report = stuck.pool.shutdown(Shutdown::CancelPending);
    assert_eq!(report.mode(), Some(Shutdown::StopAll));
    assert_eq!(report.never_started(), 1);
}

/// While it drains, running tasks may submit; when it has been strengthened, no more.
#[test]
fn a_stronger_mode_refuses_what_running_tasks_submit() {
    for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
        let pool = ThreadPool::new(1);
        let (first, second) = (Gate::new(), Gate::new());
        let running = pool.submit({
            let submitter = pool.submitter();
            let (first, second) = (Arc::clone(&first), Arc::clone(&second));
            move |_| {
                first.pass();
                let child = submitter.submit(|_| ());
                second.pass();
                (child, submitter.submit(|_| ()))
            }
        });
        running.wait_started();
        pool.begin_shutdown(Shutdown::Drain);
        first.open();
        until(|| pool.stats().pending == 1);
        pool.begin_shutdown(mode);
        second.open();
        let (child, refused) = running.join().unwrap();
        assert_never_started(child);
        assert_never_started(refused);
        let report = pool.shutdown(mode);
        assert_eq!((report.never_started(), report.refused()), (1, 1));
    }
}

#[test]
fn setting_the_pool_event_stops_all() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let running = pool.submit(StopEvent::wait);
        running.wait_started();
        let drops = DropCounter::new();
        let token = drops.token();
        let pending = pool.submit(move |_| drop(token));
        let joiner = thread::spawn(move || assert_never_started(pending));
        let line = line!() + 1;
        assert!(pool.stop_event().set());
        assert_eq!(drops.count(), 1, "captures have been dropped");
        assert!(!pool.stop_event().set());
        joiner.join().unwrap();
        assert!(pool.try_submit(|_| ()).unwrap_err().is_shut_down());
        let Outcome::Cancelled { cause, .. } = running.outcome() else {
            panic!("it saw its stop");
        };
        assert_eq!(cause.reason, StopReason::Shutdown);
        assert_eq!(
            (cause.location.file(), cause.location.line()),
            (file!(), line)
        );
        let report = pool.shutdown(Shutdown::Drain);
        assert_eq!(report.mode(), Some(Shutdown::StopAll));
        assert_eq!((report.cancelled(), report.never_started()), (1, 1));
    });
}

/// What is pending when the pool's event is set never starts, even if what was running ends at once.
#[test]
fn once_the_pool_event_is_set_nothing_starts() {
    finishes(|| {
        for _ in 0..ROUNDS {
            let pool = ThreadPool::new(1);
            let running = pool.submit(StopEvent::wait);
            running.wait_started();
            let pending: Vec<_> = (0..10).map(|_| pool.submit(|_| ())).collect();
            pool.stop_event().set();
            for handle in pending {
                assert_never_started(handle);
            }
        }
    });
}

#[test]
fn the_pool_event_may_be_set_by_a_task() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let event = pool.stop_event();
        let first = pool.submit(move |stop| (event.set(), stop.is_set()));
        assert!(matches!(
            first.outcome(),
            Outcome::Cancelled {
                partial: Some((true, true)),
                ..
            }
        ));
        assert!(pool.shutdown(Shutdown::Drain).is_final());
    });
}

// With a time limit

#[test]
fn a_timed_shutdown_is_never_early_and_names_the_stragglers() {
    let pool = ThreadPool::new(2);
    let gate = stick(&pool, 2);
    let _open = OpenOnDrop(Arc::clone(&gate));
    let pending = pool.submit(|_| ());
    for limit in [0, 1, 30].map(Duration::from_millis) {
        let start = Instant::now();
        let report = pool.shutdown_timeout(Shutdown::CancelPending, limit);
        assert!(start.elapsed() >= limit);
        assert!(!report.is_final());
        assert_eq!((report.running(), report.pending()), (2, 0));
        let ids: Vec<_> = report
            .stragglers()
            .iter()
            .map(|s| s.id().as_u64())
            .collect();
        assert_eq!(ids, [0, 1]);
        assert_eq!(
            report.status_of(pending.id()),
            Some(TaskStatus::NeverStarted)
        );
    }
    gate.open();
    for limit in [LONG, Duration::MAX] {
        let report = pool.shutdown_timeout(Shutdown::CancelPending, limit);
        assert!(report.is_final() && report.stragglers().is_empty());
    }
}

#[test]
fn a_timed_shutdown_returns_when_all_has_ended() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let handle = pool.submit(StopEvent::wait);
        handle.wait_started();
        let report = pool.shutdown_timeout(Shutdown::StopAll, LONG);
        assert!(report.is_final());
        assert_eq!(handle.status(), TaskStatus::Cancelled);
    });
}

#[test]
fn a_timed_drain_names_what_is_pending_too() {
    let pool = ThreadPool::new(1);
    let gate = stick(&pool, 1);
    let _open = OpenOnDrop(Arc::clone(&gate));
    let pending = pool.submit(|_| ());
    let report = pool.shutdown_timeout(Shutdown::Drain, Duration::ZERO);
    assert_eq!((report.running(), report.pending()), (1, 1));
    assert_eq!(report.status_of(pending.id()), Some(TaskStatus::Pending));
    assert_eq!(
        report.ids(TaskStatus::Pending).collect::<Vec<_>>(),
        [pending.id()]
    );
    assert_eq!(report.ids(TaskStatus::Running).count(), 1);
    gate.open();
    pending.join().unwrap();
}

// Without waiting

#[test]
fn begin_shutdown_returns_and_a_thread_of_the_pool_drops_the_captures() {
    finishes(|| {
        for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::with(1, |builder| builder.name("undertaker"));
            let (tell, told) = mpsc::channel();
            let pending: Vec<_> = (0..20)
                .map(|_| {
                    let tell = tell.clone();
                    let capture = OnDrop(move || {
                        let name = thread::current().name().unwrap_or_default().to_owned();
                        tell.send(name).unwrap();
                    });
                    stuck.pool.submit(move |_| drop(capture))
                })
                .collect();
            drop(tell);
            let joiner = pending[7].canceller();
            stuck.pool.begin_shutdown(mode);
            assert_eq!(joiner.status(), TaskStatus::NeverStarted);
            for handle in pending {
                assert_never_started(handle);
            }
            assert!(
                told.try_recv().is_err(),
                "nobody has had time for the drops"
            );
            stuck.release();
            let droppers: Vec<String> = told.iter().collect();
            assert_eq!(droppers, ["undertaker-0"; 20]);
            // All without a shutdown that waits.
            until(|| stuck.pool.shutdown_timeout(mode, Duration::ZERO).is_final());
        }
    });
}

/// The threads end by themselves, and what was running gives its result.
#[test]
fn after_begin_shutdown_the_threads_end_by_themselves() {
    finishes(|| {
        for mode in MODES {
            let ended = Arc::new(AtomicUsize::new(0));
            let pool = ThreadPool::builder()
                .threads(3)
                .on_thread_stop({
                    let ended = Arc::clone(&ended);
                    move || {
                        ended.fetch_add(1, SeqCst);
                    }
                })
                .build()
                .unwrap();
            let (open, gate) = mpsc::channel::<()>();
            let running = pool.submit(move |_| gate.recv().is_err());
            running.wait_started();
            pool.begin_shutdown(mode);
            drop(open);
            assert!(running.join().unwrap());
            until(|| ended.load(SeqCst) == 3);
        }
    });
}

// From inside

#[test]
fn a_shutdown_inside_a_worker_returns_at_once() {
    finishes(|| {
        for mode in MODES {
            let pool = Arc::new(ThreadPool::new(1));
            let gate = Gate::new();
            let inside = pool.submit({
                let (pool, gate) = (Arc::clone(&pool), Arc::clone(&gate));
                move |_| {
                    gate.pass();
                    let reports = [
                        pool.shutdown(mode),
                        pool.shutdown_timeout(mode, LONG),
                        pool.shutdown(Shutdown::StopAll),
                    ];
                    pool.begin_shutdown(mode);
                    reports
                }
            });
            let id = inside.id();
            let pending = pool.submit(|_| ());
            gate.open();
            let reports = inside.join().unwrap();
            assert_eq!(reports[0].mode(), Some(mode));
            for report in &reports {
                assert!(!report.is_final());
                assert_eq!(report.running(), 1);
                assert_eq!(report.stragglers()[0].id(), id);
                assert_eq!(report.status_of(id), Some(TaskStatus::Running));
            }
            assert_never_started(pending);
            let report = pool.shutdown(mode);
            assert_eq!((report.completed(), report.never_started()), (1, 1));
        }
    });
}

/// What a task's drop of a capture, a result or a thread-local value does counts as inside too.
#[test]
fn a_shutdown_in_a_drop_on_a_worker_returns() {
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let result = {
            let pool = Arc::clone(&pool);
            OnDrop(move || drop(pool.shutdown(Shutdown::StopAll)))
        };
        drop(pool.submit(move |_| result));
        until(|| pool.stop_event().peek());
        assert_eq!(pool.shutdown(Shutdown::Drain).completed(), 1);
    });
}

#[test]
fn the_last_owner_may_drop_the_pool_on_its_own_worker() {
    finishes(|| {
        for threads in [1, 4] {
            let ended = Arc::new(AtomicUsize::new(0));
            let pool = ThreadPool::builder()
                .threads(threads)
                .on_thread_stop({
                    let ended = Arc::clone(&ended);
                    move || {
                        ended.fetch_add(1, SeqCst);
                    }
                })
                .build()
                .unwrap();
            let pool = Arc::new(pool);
            let gate = Gate::new();
            let handle = pool.submit({
                let (pool, gate) = (Arc::clone(&pool), Arc::clone(&gate));
                move |stop| {
                    gate.pass();
                    let pool = Arc::into_inner(pool).unwrap();
                    drop(pool);
                    // And a panic after it aborts nothing.
                    assert!(stop.is_set());
                    quiet_panic("after the drop");
                }
            });
            let pending: Vec<_> = (0..10).map(|_| pool.submit(StopEvent::wait)).collect();
            drop(pool);
            gate.open();
            let payload = handle.join().unwrap_err().into_panic().unwrap();
            assert_eq!(payload.downcast_ref(), Some(&"after the drop"));
            for handle in pending {
                assert!(handle.join().unwrap_err().cause().is_some());
            }
            until(|| ended.load(SeqCst) == threads);
        }
    });
}

#[test]
fn a_worker_of_another_pool_waits_as_anybody() {
    finishes(|| {
        let (first, second) = (ThreadPool::new(1), Arc::new(ThreadPool::new(1)));
        let slow = second.submit(StopEvent::wait);
        slow.wait_started();
        let report = first.submit({
            let second = Arc::clone(&second);
            move |_| second.shutdown(Shutdown::StopAll)
        });
        assert!(report.join().unwrap().is_final());
        assert_eq!(slow.status(), TaskStatus::Cancelled);
    });
}

// The drop of the pool

#[test]
fn a_drop_stops_all() {
    finishes(|| {
        let gate = Gate::new();
        let pool = ThreadPool::new(1);
        let running = pool.submit(StopEvent::wait);
        running.wait_started();
        let pending = pool.submit({
            let gate = Arc::clone(&gate);
            move |_| gate.open()
        });
        drop(pool);
        assert_eq!(running.outcome().status(), TaskStatus::Cancelled);
        assert_never_started(pending);
    });
}

#[test]
fn what_a_drop_does_can_be_chosen() {
    finishes(|| {
        for mode in MODES {
            let pool = ThreadPool::builder()
                .threads(1)
                .on_drop(mode)
                .build()
                .unwrap();
            let gate = Gate::new();
            let running = pool.submit({
                let gate = Arc::clone(&gate);
                move |stop| {
                    gate.pass();
                    stop.is_set()
                }
            });
            running.wait_started();
            let pending = pool.submit(|_| ());
            thread::scope(|scope| {
                let (event, canceller) = (pool.stop_event(), pending.canceller());
                let submitter = pool.submitter();
                scope.spawn(move || drop(pool));
                until(|| submitter.try_submit(|_| ()).is_err());
                until(|| event.peek() || mode < Shutdown::StopAll);
                until(|| canceller.is_done() || mode == Shutdown::Drain);
                gate.open();
            });
            let (running, pending) = (running.outcome().status(), pending.outcome().status());
            let right = match mode {
                Shutdown::Drain => (TaskStatus::Completed, TaskStatus::Completed),
                Shutdown::CancelPending => (TaskStatus::Completed, TaskStatus::NeverStarted),
                Shutdown::StopAll => (TaskStatus::Cancelled, TaskStatus::NeverStarted),
            };
            assert_eq!((running, pending), right, "{mode}");
        }
    });
}

/// Its destructor takes its time, so that who does not wait for it is found out.
struct Local(Arc<AtomicUsize>);

impl Drop for Local {
    fn drop(&mut self) {
        for _ in 0..200 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(5));
        self.0.fetch_add(1, SeqCst);
    }
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

#[test]
fn thread_locals_have_been_dropped_after_the_pool() {
    finishes(|| {
        let endings: [fn(ThreadPool) -> Option<ThreadPool>; 4] = [
            |pool| {
                drop(pool);
                None
            },
            |pool| {
                pool.begin_shutdown(Shutdown::Drain);
                drop(pool);
                None
            },
            |pool| {
                pool.shutdown_timeout(Shutdown::Drain, Duration::ZERO);
                drop(pool);
                None
            },
            |pool| {
                pool.shutdown(Shutdown::Drain);
                // The drop has nothing left to wait for.
                Some(pool)
            },
        ];
        for end in endings {
            let dropped = Arc::new(AtomicUsize::new(0));
            let pool = ThreadPool::builder()
                .threads(3)
                .on_thread_start({
                    let dropped = Arc::clone(&dropped);
                    move || LOCAL.set(Some(Local(Arc::clone(&dropped))))
                })
                .build()
                .unwrap();
            assert_eq!(dropped.load(SeqCst), 0);
            let pool = end(pool);
            assert_eq!(dropped.load(SeqCst), 3);
            drop(pool);
        }
    });
}

#[test]
fn a_pool_may_be_dropped_while_its_tasks_submit_more() {
    finishes(|| {
        fn breed(submitter: &Submitter, born: &Arc<AtomicUsize>) {
            born.fetch_add(1, SeqCst);
            for _ in 0..2 {
                let (again, born) = (submitter.clone(), Arc::clone(born));
                // Refused, in the end.
                drop(submitter.submit(move |_| breed(&again, &born)));
            }
        }
        for round in 0..ROUNDS / 3 {
            let born = Arc::new(AtomicUsize::new(0));
            let pool = ThreadPool::new(2);
            let (submitter, count) = (pool.submitter(), Arc::clone(&born));
            pool.submit(move |_| breed(&submitter, &count))
                .wait_started();
            until(|| born.load(SeqCst) > round % 40);
            drop(pool);
            assert_eq!(Arc::strong_count(&born), 1);
        }
    });
}

#[test]
fn handles_outlive_their_pool() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let done = pool.submit(|_| String::from("result"));
        done.wait();
        let (named, submitter) = (pool.task().name("named").submit(|_| ()), pool.submitter());
        drop(pool);
        assert_eq!(done.join().unwrap(), "result");
        assert_eq!(named.name(), Some("named"));
        assert!(named.is_done() && named.stop_event().is_set());
        assert_never_started(submitter.submit(|_| ()));
        assert!(submitter.execute(|_| ()).unwrap_err().is_shut_down());
    });
}

// Races

#[test]
fn a_submit_that_races_a_shutdown_is_refused_or_ends() {
    finishes(|| {
        for round in 0..ROUNDS {
            let pool = ThreadPool::new(1 + round % 3);
            let mode = MODES[round % 3];
            let barrier = Barrier::new(3);
            let runs = Arc::new(AtomicUsize::new(0));
            let (handles, report) = thread::scope(|scope| {
                let submit = || {
                    barrier.wait();
                    let mut handles = Vec::new();
                    loop {
                        let runs = Arc::clone(&runs);
                        handles.push(pool.submit(move |_| runs.fetch_add(1, SeqCst)));
                        if pool.try_submit(|_| ()).is_err() {
                            break handles;
                        }
                    }
                };
                let (first, second) = (scope.spawn(submit), scope.spawn(submit));
                barrier.wait();
                if round % 2 == 0 {
                    pool.begin_shutdown(mode);
                }
                let report = pool.shutdown(mode);
                let mut handles = first.join().unwrap();
                handles.extend(second.join().unwrap());
                (handles, report)
            });
            assert!(report.is_final());
            // A drain runs what it has accepted.
            assert!(mode > Shutdown::Drain || report.never_started() == 0);
            let mut completed = 0;
            for handle in handles {
                let id = handle.id();
                let status = handle.outcome().status();
                completed += usize::from(status == TaskStatus::Completed);
                // Who was refused after the report was made is not in it.
                assert!(report.status_of(id).is_none_or(|known| known == status));
            }
            assert_eq!(runs.load(SeqCst), completed);
            let now = pool.stats();
            assert_eq!(
                (now.submitted, now.done()),
                (report.submitted(), report.submitted())
            );
        }
    });
}

/// A task that was accepted before the shutdown and queued after it ends too, and at once.
#[test]
fn a_submit_that_races_a_shutdown_ends_while_every_worker_is_stuck() {
    finishes(|| {
        for round in 0..ROUNDS {
            let stuck = Stuck::new(1);
            let barrier = Barrier::new(3);
            let handles: Vec<_> = thread::scope(|scope| {
                let submit = || {
                    barrier.wait();
                    let mut handles = Vec::new();
                    while let Ok(handle) = stuck.pool.try_submit(|_| ()) {
                        handles.push(handle);
                    }
                    handles
                };
                let submitters = [scope.spawn(submit), scope.spawn(submit)];
                barrier.wait();
                stuck.pool.begin_shutdown(MODES[1 + round % 2]);
                submitters
                    .map(|s| s.join().unwrap())
                    .into_iter()
                    .flatten()
                    .collect()
            });
            for handle in &handles {
                handle.wait();
                assert_eq!(handle.status(), TaskStatus::NeverStarted);
            }
            assert_eq!(stuck.pool.stats().never_started, handles.len() as u64);
        }
    });
}

#[test]
fn submit_cancel_and_shutdown_in_a_row_never_hang() {
    finishes(|| {
        for round in 0..ROUNDS * 3 {
            let pool = ThreadPool::new(1 + round % 2);
            let handle = pool.submit(|_| ());
            handle.cancel();
            let report = pool.shutdown(MODES[round % 3]);
            assert_eq!(report.stats().done(), 1);
            assert!(handle.is_done());
        }
    });
}

/// The last task of a drain is cancelled and not run: nobody but the canceller can say that all is
/// done.
#[test]
fn a_cancel_may_end_a_drain() {
    finishes(|| {
        for _ in 0..ROUNDS {
            let pool = ThreadPool::new(2);
            let gate = Gate::new();
            let _open = OpenOnDrop(Arc::clone(&gate));
            let submitter = pool.submitter();
            let running = pool.submit({
                let gate = Arc::clone(&gate);
                move |_| {
                    let child = submitter.submit(|_| ());
                    gate.pass();
                    child.cancel();
                }
            });
            running.wait_started();
            pool.begin_shutdown(Shutdown::Drain);
            gate.open();
            assert!(pool.shutdown_timeout(Shutdown::Drain, LONG).is_final());
        }
    });
}

#[test]
fn joiners_in_waves_are_all_woken() {
    finishes(|| {
        let stuck = Stuck::new(1);
        for wave in 0..5 {
            let pending = stuck.pool.submit(|_| ());
            let event = pending.stop_event();
            let barrier = Barrier::new(201);
            let woken = AtomicUsize::new(0);
            thread::scope(|scope| {
                for n in 0..200 {
                    let (pending, event, barrier, woken) = (&pending, &event, &barrier, &woken);
                    scope.spawn(move || {
                        barrier.wait();
                        match n % 4 {
                            0 => pending.wait(),
                            1 => pending.wait_started(),
                            2 => assert!(pending.wait_timeout(LONG)),
                            _ => event.wait(),
                        }
                        woken.fetch_add(1, SeqCst);
                    });
                }
                barrier.wait();
                match wave {
                    0..3 => {
                        pending.cancel();
                    }
                    3 => {
                        stuck.pool.cancel_pending();
                    }
                    _ => stuck.pool.begin_shutdown(Shutdown::CancelPending),
                }
            });
            assert_eq!(woken.load(SeqCst), 200, "wave {wave}");
        }
    });
}

// Afterwards

#[test]
fn nothing_that_a_task_captured_is_alive_afterwards() {
    finishes(|| {
        for mode in MODES {
            let canary = Arc::new(());
            let pool = ThreadPool::new(2);
            let mut handles = Vec::new();
            for n in 0..200 {
                let canary = Arc::clone(&canary);
                let handle = pool.submit(move |stop| {
                    match n % 4 {
                        0 => quiet_panic("with a capture"),
                        1 => stop.check().is_ok(),
                        _ => Arc::strong_count(&canary) > 0,
                    };
                    // Results count too, once their handle is gone.
                    canary
                });
                match n % 5 {
                    0 => {
                        handle.cancel();
                    }
                    1 => handles.push(handle),
                    _ => drop(handle),
                }
            }
            pool.begin_shutdown(mode);
            let (too_late, again) = (Arc::clone(&canary), Arc::clone(&canary));
            drop(pool.submit(move |_| too_late));
            drop(
                pool.try_submit(move |_| again)
                    .map_err(|error| error.to_string()),
            );
            pool.shutdown(mode);
            for handle in handles {
                drop(handle.join());
            }
            assert_eq!(Arc::strong_count(&canary), 1, "{mode}");
        }
    });
}

/// Foreign code runs under no lock: a capture's drop may use the pool in every way.
#[test]
fn drops_of_captures_may_use_the_pool() {
    finishes(|| {
        let ways: [fn(&ThreadPool, TaskHandle<()>); 4] = [
            |_, handle| {
                handle.cancel();
            },
            |pool, _| {
                pool.cancel_pending();
            },
            |pool, _| pool.begin_shutdown(Shutdown::CancelPending),
            |pool, _| {
                pool.stop_event().set();
            },
        ];
        for way in ways {
            let stuck = Stuck::new(1);
            let other = stuck.pool.submit(|_| ());
            let (submitter, event) = (stuck.pool.submitter(), stuck.pool.stop_event());
            let dropped = Arc::new(AtomicBool::new(false));
            let capture = OnDrop({
                let dropped = Arc::clone(&dropped);
                move || {
                    drop(submitter.submit(|_| ()));
                    assert!(
                        submitter.execute(|_| ()).is_ok_and(|id| id.as_u64() > 0)
                            || submitter.try_submit(|_| ()).is_err()
                    );
                    other.cancel();
                    assert!(other.is_done());
                    assert!(
                        !stoppable::current().is_set(),
                        "a drop is no part of a task"
                    );
                    event.set();
                    dropped.store(true, SeqCst);
                }
            });
            let handle = stuck.pool.submit(move |_| drop(capture));
            way(&stuck.pool, handle);
            stuck.release();
            let report = stuck.pool.shutdown(Shutdown::Drain);
            assert!(dropped.load(SeqCst));
            assert!(report.is_final());
        }
    });
}

/// Neither on the thread that shuts down nor on a worker.
#[test]
fn a_capture_that_panics_when_dropped_loses_no_other() {
    finishes(|| {
        for mode in [Shutdown::CancelPending, Shutdown::StopAll] {
            let stuck = Stuck::new(1);
            let drops = DropCounter::new();
            for _ in 0..10 {
                let (token, bomb) = (drops.token(), OnDrop(|| quiet_panic("on drop")));
                drop(stuck.pool.submit(move |_| drop((token, bomb))));
            }
            if mode == Shutdown::StopAll {
                stuck.pool.begin_shutdown(mode);
            }
            stuck.release();
            let report = stuck.pool.shutdown(mode);
            assert_eq!(drops.count(), 10);
            assert_eq!(report.stats().done(), 11);
        }
    });
}

/// How many threads of this process have that name.
#[cfg(target_os = "linux")]
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.starts_with(name))
        .count()
}

#[test]
fn thousands_of_pools_leave_no_thread() {
    finishes(|| {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        static STOPPED: AtomicUsize = AtomicUsize::new(0);
        const POOLS: usize = if cfg!(debug_assertions) {
            1_500
        } else {
            10_000
        };
        for round in 0..POOLS {
            let pool = ThreadPool::builder()
                .threads(2)
                .name("ephemeral")
                .on_thread_start(|| {
                    STARTED.fetch_add(1, SeqCst);
                })
                .on_thread_stop(|| {
                    STOPPED.fetch_add(1, SeqCst);
                })
                .build()
                .unwrap();
            let handle = pool.submit(move |_| round);
            match round % 4 {
                0 => drop(handle),
                1 => {
                    handle.cancel();
                }
                2 => assert_eq!(handle.join().unwrap(), round),
                _ => pool.begin_shutdown(MODES[round / 4 % 3]),
            }
            if round % 3 == 0 {
                assert_eq!(pool.shutdown(MODES[round % 3]).stats().done(), 1);
            }
        }
        assert_eq!(STARTED.load(SeqCst), 2 * POOLS);
        assert_eq!(STOPPED.load(SeqCst), 2 * POOLS);
        // Who has joined a thread may find it here for a moment yet.
        #[cfg(target_os = "linux")]
        until(|| threads_named("ephemeral") == 0);
    });
}

/// Tasks run on the pool's own threads, and on all of them.
#[test]
fn shut_down_pools_share_no_threads() {
    fn ids(pool: &ThreadPool, barrier: &Arc<Barrier>) -> Vec<ThreadId> {
        let handles = [(); 2].map(|()| {
            let barrier = Arc::clone(barrier);
            pool.submit(move |_| {
                barrier.wait();
                thread::current().id()
            })
        });
        handles.map(|handle| handle.join().unwrap()).to_vec()
    }
    let barrier = Arc::new(Barrier::new(2));
    let (first, second) = (ThreadPool::new(2), ThreadPool::new(2));
    let mut all = ids(&first, &barrier);
    first.shutdown(Shutdown::Drain);
    all.extend(ids(&second, &barrier));
    all.sort_by_key(|id| format!("{id:?}"));
    all.dedup();
    assert_eq!(all.len(), 4);
}

/// A report that was made does not change.
#[test]
fn a_report_is_a_snapshot() {
    let stuck = Stuck::new(1);
    let early = stuck
        .pool
        .shutdown_timeout(Shutdown::StopAll, Duration::ZERO);
    stuck.release();
    let late = stuck.pool.shutdown(Shutdown::StopAll);
    assert!(!early.is_final() && late.is_final());
    assert_eq!((early.running(), late.running()), (1, 0));
}

#[test]
fn a_shutdown_waits_for_drops_on_the_workers() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let (tell, told): (Sender<()>, _) = mpsc::channel();
        let gate = Gate::new();
        let _open = OpenOnDrop(Arc::clone(&gate));
        let done = Arc::new(Mutex::new(false));
        let result = OnDrop({
            let (gate, done) = (Arc::clone(&gate), Arc::clone(&done));
            move || {
                tell.send(()).unwrap();
                gate.pass();
                *done.lock().unwrap() = true;
            }
        });
        // Without a handle, which would drop the result on this thread if it came second.
        pool.execute(move |_| result).unwrap();
        assert_ne!(told.recv_timeout(LONG), Err(RecvTimeoutError::Timeout));
        thread::scope(|scope| {
            let closer = scope.spawn(|| {
                pool.shutdown(Shutdown::StopAll);
                assert!(*done.lock().unwrap());
            });
            until(|| pool.stop_event().peek());
            assert!(!closer.is_finished());
            gate.open();
            closer.join().unwrap();
        });
    });
}
