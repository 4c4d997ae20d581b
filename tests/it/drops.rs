//! What hangs on a task or an event, in detached callbacks, is dropped under no lock, and its panics harm
//! nobody: whoever drops the last reference may be a worker, the timer, or a shutdown that is under way.

use crate::common::{DropCounter, Gate, OnDrop, finishes, quiet_panic};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;
use stoppable::{Shutdown, StopEvent, TaskHandle, TaskStatus, ThreadPool};

/// Keeps something in a callback that is never called, and goes with the event.
fn hang_on<T: Send + 'static>(event: &StopEvent, value: T) {
    event
        .on_set(move || {
            let _value = &value;
        })
        .detach();
}

/// Says where it was dropped, and then panics.
fn bomb(tell: &Sender<ThreadId>) -> OnDrop<impl FnMut() + Send + 'static> {
    let tell = tell.clone();
    OnDrop(move || {
        tell.send(thread::current().id()).unwrap();
        quiet_panic("in a drop");
    })
}

type Id = ThreadId;
type Sort = fn(&ThreadPool, Arc<Gate>) -> TaskHandle<Id>;

/// The sorts of tasks: each lies elsewhere in memory, and is freed elsewhere.
const SORTS: [Sort; 5] = [
    |pool, gate| pool.submit(move |_| pass(&gate)),
    |pool, gate| pool.task().name("named").submit(move |_| pass(&gate)),
    |pool, gate| {
        let under = StopEvent::new();
        let task = pool.task().stop_with(&under).timeout(Duration::MAX);
        task.submit(move |_| pass(&gate))
    },
    |pool, gate| {
        let mut handles = pool.submit_all([move |_: &StopEvent| pass(&gate)]);
        handles.remove(0)
    },
    |pool, gate| {
        let group = pool.group();
        let task = group.submit(move |_| pass(&gate));
        // The drop of the group asks it to stop, and it does not look.
        task.wait_started();
        task
    },
];

fn pass(gate: &Gate) -> Id {
    gate.pass();
    thread::current().id()
}

/// The task is detached, so its last reference, and with it the callbacks, goes on the worker.
#[test]
fn panics_in_drops_on_the_worker_leave_it_alive() {
    for sort in SORTS {
        for bombs in [1, 2, 5] {
            finishes(move || {
                let pool = ThreadPool::new(1);
                let worker = pool.submit(|_| thread::current().id()).join().unwrap();
                let (tell, told) = mpsc::channel();
                let gate = Gate::new();
                let task = sort(&pool, Arc::clone(&gate));
                for _ in 0..bombs {
                    hang_on(&task.stop_event(), bomb(&tell));
                }
                drop((task, tell));
                gate.open();
                let after = pool.submit(|_| thread::current().id());
                assert_eq!(after.join().unwrap(), worker, "the worker is the same");
                let report = pool.shutdown(Shutdown::Drain);
                assert_eq!((report.completed(), report.panicked()), (3, 0));
                drop(pool);
                assert_eq!(told.iter().count(), bombs, "each was dropped, once");
            });
        }
    }
}

#[test]
fn panics_in_drops_reach_nobody_who_drops_the_last_handle() {
    finishes(|| {
        let (tell, told) = mpsc::channel();
        let pool = ThreadPool::new(1);
        for sort in SORTS {
            let gate = Gate::new();
            gate.open();
            let task = sort(&pool, gate);
            task.wait();
            // The worker has let go of it once the next one has ended.
            pool.submit(|_| ()).wait();
            for _ in 0..2 {
                hang_on(&task.stop_event(), bomb(&tell));
            }
            drop(task);
        }
        drop(pool);
        for parent in [StopEvent::new(), StopEvent::never()] {
            let event = StopEvent::any([&parent, &StopEvent::new()]).child();
            for _ in 0..2 {
                hang_on(&event, bomb(&tell));
            }
            drop(event);
        }
        drop(tell);
        assert_eq!(told.iter().count(), 2 * SORTS.len() + 4);
    });
}

/// The timer drops the last handle of an event, and with it those of what is above.
#[test]
fn a_panic_in_a_drop_on_the_timers_thread_leaves_later_deadlines() {
    finishes(|| {
        for _ in 0..3 {
            let (tell, told) = mpsc::channel();
            let parent = StopEvent::new();
            hang_on(&parent, bomb(&tell));
            hang_on(&parent, bomb(&tell));
            let event = parent.child();
            drop((parent, tell));
            let slot = Arc::new(Mutex::new(None::<StopEvent>));
            event
                .on_set({
                    let slot = Arc::clone(&slot);
                    move || drop(slot.lock().unwrap().take())
                })
                .detach();
            // The callback cannot run before the slot is full.
            let mut full = slot.lock().unwrap();
            event.set_after(Duration::from_millis(2));
            *full = Some(event);
            drop(full);
            assert_eq!(told.iter().count(), 2);
            let other = StopEvent::new();
            other.set_after(Duration::from_millis(2));
            other.wait();
        }
    });
}

/// What a drop does to the pool, in whose code it may run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    CancelPending,
    Submit,
    Stop,
    Shutdown,
}

const DEEDS: [Deed; 4] = [
    Deed::CancelPending,
    Deed::Submit,
    Deed::Stop,
    Deed::Shutdown,
];

/// Something whose drop calls back into the pool, and then says so.
fn meddler(
    deed: Deed,
    pool: &Arc<ThreadPool>,
    tell: &Sender<Deed>,
) -> OnDrop<impl FnMut() + Send + 'static> {
    let pool: Weak<ThreadPool> = Arc::downgrade(pool);
    let tell = tell.clone();
    OnDrop(move || {
        let pool = pool.upgrade().unwrap();
        match deed {
            Deed::CancelPending => {
                pool.cancel_pending();
            }
            Deed::Submit => drop(pool.submit(|_| ())),
            Deed::Stop => drop(pool.stop_event().set_on_drop()),
            Deed::Shutdown => pool.begin_shutdown(Shutdown::CancelPending),
        }
        tell.send(deed).unwrap();
    })
}

fn never_started<T>(tasks: Vec<TaskHandle<T>>) {
    for task in tasks {
        assert_eq!(task.outcome().status(), TaskStatus::NeverStarted);
    }
}

/// Cancelled tasks are swept out of the queue from time to time, by whoever cancels the next one. The last
/// of what holds an event goes with one of them.
#[test]
fn in_a_sweep_of_the_queue_drops_may_use_the_pool() {
    for deed in DEEDS {
        finishes(move || {
            let pool = Arc::new(ThreadPool::new(1));
            let gate = Gate::new();
            let blocker = SORTS[0](&pool, Arc::clone(&gate));
            blocker.wait_started();
            let (tell, told) = mpsc::channel();
            let event = StopEvent::new();
            hang_on(&event, meddler(deed, &pool, &tell));
            drop(tell);
            let first = pool.task().stop_with(&event).submit(|_| ());
            drop(event);
            let rest: Vec<_> = (0..1_000).map(|_| pool.submit(|_| ())).collect();
            first.cancel();
            drop(first);
            for task in &rest {
                task.cancel();
            }
            assert_eq!(told.recv(), Ok(deed), "it was swept");
            never_started(rest);
            gate.open();
            blocker.wait();
        });
    }
}

type Empty = fn(&ThreadPool);

/// What takes everything out of the queue.
const EMPTIERS: [Empty; 5] = [
    |pool| {
        pool.cancel_pending();
    },
    |pool| pool.begin_shutdown(Shutdown::CancelPending),
    |pool| pool.begin_shutdown(Shutdown::StopAll),
    |pool| {
        pool.stop_event().set();
    },
    |pool| {
        pool.shutdown_timeout(Shutdown::CancelPending, Duration::ZERO);
    },
];

/// Makes a pool whose worker has run tasks inline, whose remains are in the queue, and is stuck.
fn with_remains(
    deed: Deed,
    in_a_slab: bool,
) -> (Arc<ThreadPool>, Receiver<Deed>, Arc<Gate>, TaskHandle<()>) {
    let pool = Arc::new(ThreadPool::new(1));
    let (tell, told) = mpsc::channel();
    let (ready, gate) = (Gate::new(), Gate::new());
    let submitter = pool.submitter();
    let meddler = meddler(deed, &pool, &tell);
    let blocker = pool.submit({
        let (ready, gate) = (Arc::clone(&ready), Arc::clone(&gate));
        move |_| {
            let tasks = if in_a_slab {
                submitter.submit_all((0..3).map(|n| move |_: &StopEvent| n))
            } else {
                vec![submitter.submit(|_| 0)]
            };
            hang_on(&tasks[0].stop_event(), meddler);
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.join().unwrap(), n);
            }
            ready.open();
            gate.pass();
        }
    });
    ready.pass();
    (pool, told, gate, blocker)
}

#[test]
fn while_the_queue_is_emptied_drops_may_use_the_pool() {
    for deed in DEEDS {
        for empty in EMPTIERS {
            for in_a_slab in [false, true] {
                finishes(move || {
                    let (pool, told, gate, blocker) = with_remains(deed, in_a_slab);
                    empty(&pool);
                    gate.open();
                    blocker.wait();
                    pool.shutdown(Shutdown::Drain);
                    assert_eq!(told.recv(), Ok(deed));
                    assert!(told.recv().is_err(), "once");
                });
            }
        }
    }
}

/// As above, with pending tasks whose captures do the same.
#[test]
fn captures_of_pending_tasks_and_of_their_callbacks_may_use_the_pool() {
    for deed in DEEDS {
        for empty in EMPTIERS {
            finishes(move || {
                let pool = Arc::new(ThreadPool::new(1));
                let gate = Gate::new();
                let blocker = SORTS[0](&pool, Arc::clone(&gate));
                blocker.wait_started();
                let (tell, told) = mpsc::channel();
                let captured = || meddler(deed, &pool, &tell);
                let tasks: Vec<_> = (0..10)
                    .map(|_| {
                        let capture = captured();
                        let task = pool.submit(move |_| drop(capture));
                        hang_on(&task.stop_event(), captured());
                        task
                    })
                    .collect();
                empty(&pool);
                never_started(tasks);
                gate.open();
                blocker.wait();
                pool.shutdown(Shutdown::Drain);
                drop((pool, tell));
                assert_eq!(told.iter().count(), 20);
            });
        }
    }
}

/// Callbacks that are called do the same, on the thread that sets the event.
#[test]
fn callbacks_of_tasks_that_are_doomed_may_use_the_pool() {
    for deed in DEEDS {
        for empty in EMPTIERS {
            finishes(move || {
                let pool = Arc::new(ThreadPool::new(1));
                let gate = Gate::new();
                let blocker = SORTS[0](&pool, Arc::clone(&gate));
                blocker.wait_started();
                let (tell, told) = mpsc::channel();
                let tasks: Vec<_> = (0..10).map(|_| pool.submit(|_| ())).collect();
                for task in &tasks {
                    let meddler = meddler(deed, &pool, &tell);
                    task.stop_event().on_set(move || drop(meddler)).detach();
                    let meddler = self::meddler(deed, &pool, &tell);
                    task.on_done(move |_| drop(meddler));
                }
                empty(&pool);
                never_started(tasks);
                gate.open();
                blocker.wait();
                pool.shutdown(Shutdown::Drain);
                drop((pool, tell));
                assert_eq!(told.iter().count(), 20);
            });
        }
    }
}

/// The remains of tasks that ran inline are freed with the pool at the latest, and once.
#[test]
fn remains_go_with_the_pool() {
    finishes(|| {
        let drops = DropCounter::new();
        for drain in [false, true] {
            let pool = ThreadPool::new(1);
            let submitter = pool.submitter();
            let tokens: Vec<_> = (0..100).map(|_| drops.token()).collect();
            let before = drops.count();
            let outer = pool.submit(move |_| {
                for token in tokens {
                    let task = submitter.submit(|_| ());
                    hang_on(&task.stop_event(), token);
                    task.join().unwrap();
                }
            });
            outer.join().unwrap();
            if drain {
                pool.shutdown(Shutdown::Drain);
                assert_eq!(drops.count(), before + 100);
            }
            drop(pool);
            assert_eq!(drops.count(), before + 100);
        }
    });
}
