//! Events: children, waits, timers, callbacks and futures.

use super::{LARGE, MIB, SMALL, Test, growth, restart, rounds, stuck};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{
    CancelOutcome, Shutdown, StopEvent, StopReason, ThreadPool, as_completed, wait_any_timeout,
};

pub(crate) const TESTS: &[Test] = tests![
    dead_children_leave_no_trace_in_a_parent,
    waits_that_time_out_leave_no_trace,
    dead_children_of_every_shape_leave_no_trace,
    trees_that_are_set_leave_no_trace,
    dead_anys_leave_no_trace,
    dropped_timers_leave_no_trace,
    callbacks_leave_no_trace,
    dropped_futures_leave_no_trace,
    tasks_leave_no_trace_on_the_event_they_are_under,
    pending_tasks_leave_no_trace_on_the_event_they_are_under,
    dead_pools_leave_no_trace_on_the_event_above_them,
    joins_that_are_stopped_leave_no_trace,
    submitters_that_are_stopped_leave_no_trace,
    dropped_waits_for_several_leave_no_trace,
    polled_handles_leave_no_trace,
    polls_allocate_nothing,
];

fn dead_children_leave_no_trace_in_a_parent() {
    let root = StopEvent::new();
    let parent = root.child();
    // The list of who waits is made once.
    parent.child().wait_timeout(Duration::from_nanos(1));
    let (peak, stayed) = growth(|| {
        for n in 0..rounds(50_000, 500_000) {
            let child = parent.child();
            match n % 4 {
                0 => assert!(!child.child().wait_timeout(Duration::from_nanos(1))),
                1 => assert!(child.set() && child.cause().is_some()),
                2 => assert!(child.sleep(Duration::ZERO).is_ok()),
                _ => drop(child.set_on_drop()),
            }
        }
    });
    assert!(peak < 64 * 1024, "{peak} bytes at the peak");
    assert_eq!(stayed, 0, "bytes stayed");
    root.set();
}

/// Waits for tasks that time out leave no trace in the task.
fn waits_that_time_out_leave_no_trace() {
    let stuck = stuck();
    let pool = &stuck.pool;
    let task = pool.submit(|_| ());
    let event = task.stop_event();
    let wait = || {
        assert!(!task.wait_timeout(Duration::from_nanos(1)));
        assert!(!event.wait_timeout(Duration::from_nanos(1)));
    };
    wait();
    let (_, stayed) = growth(|| (0..20_000).for_each(|_| wait()));
    assert_eq!(stayed, 0, "bytes stayed");
    stuck.release();
}

/// Whatever a pool and its handles held is freed with the last of them.
/// One round a million times, on events that live on.
#[track_caller]
fn leaves_no_trace(round: impl FnMut(usize)) {
    leaves_at_most(0, round);
}

#[track_caller]
fn leaves_at_most(most: usize, mut round: impl FnMut(usize)) {
    // Lists and maps are made once.
    (0..10).for_each(&mut round);
    let (peak, stayed) = growth(|| (0..rounds(20_000, 1_000_000)).for_each(&mut round));
    assert!(peak < 64 * 1024, "{peak} bytes at the peak");
    assert!(stayed <= most, "{stayed} bytes stayed");
}

/// The thread that serves deadlines may hold the last event a moment longer.
const LAST_EVENT: usize = 1024;

fn dead_children_of_every_shape_leave_no_trace() {
    let parent = StopEvent::new();
    leaves_no_trace(|n| {
        let child = parent.child();
        if n % 2 == 0 {
            drop(parent.clone());
            assert!(!child.child().child().is_set());
        } else {
            assert!(child.set_with(StopReason::custom("child")));
            assert!(child.child().cause().is_some());
        }
    });
}

/// The root is set while the leaf lives on and the handles in between are gone.
fn trees_that_are_set_leave_no_trace() {
    leaves_no_trace(|n| {
        let root = StopEvent::new();
        let middle = root.child().child();
        let leaf = if n % 2 == 0 {
            middle.child()
        } else {
            StopEvent::any([&StopEvent::new(), &middle]).child()
        };
        drop(middle);
        assert!(root.set());
        if n % 3 == 0 {
            drop(root);
        }
        assert!(leaf.is_set() && leaf.cause().is_some());
    });
}

fn dead_anys_leave_no_trace() {
    let (a, b) = (StopEvent::new(), StopEvent::new().child());
    leaves_no_trace(|n| {
        let any = StopEvent::any([&a, &b]);
        let top = StopEvent::any([&any.child(), &a]);
        match n % 4 {
            0 => assert!(!top.is_set()),
            1 => assert!(top.set()),
            2 => assert!(any.set() && top.cause().is_some()),
            _ => assert!(!top.wait_timeout(Duration::from_nanos(1))),
        }
    });
}

fn dropped_timers_leave_no_trace() {
    let hour = Duration::from_secs(3600);
    let parent = StopEvent::new();
    // So that the map of the timers is never empty, nor the first of them dropped.
    let first = StopEvent::new();
    first.set_after(hour / 2);
    leaves_no_trace(|n| {
        let event = parent.child();
        event.set_after(hour);
        match n % 4 {
            0 => event.set_after(hour / 4),
            1 => event.set_after(2 * hour),
            2 => assert!(event.set()),
            _ => {}
        }
    });
}

fn callbacks_leave_no_trace() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let parent = root.child();
    leaves_no_trace(|n| {
        let block = [n; 16];
        let run = move || assert!(block[0] > usize::MAX / 2, "never run");
        match n % 5 {
            0 => drop(parent.on_set(run)),
            1 => assert!(parent.on_set(run).remove()),
            2 => parent.child().on_set(run).detach(),
            3 => StopEvent::any([&parent, &other])
                .child()
                .on_set(run)
                .detach(),
            _ => {
                let child = parent.child();
                let kept = child.on_set(move || assert!(block[0] < usize::MAX / 2));
                child
                    .on_set(move || assert!(block[1] < usize::MAX / 2))
                    .detach();
                assert!(child.set());
                drop(kept);
            }
        }
    });
}

fn dropped_futures_leave_no_trace() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let parent = root.child();
    let mut context = Context::from_waker(Waker::noop());
    leaves_no_trace(|n| {
        let mut future = match n % 3 {
            0 => parent.stopped(),
            1 => parent.child().stopped(),
            _ => StopEvent::any([&other, &parent]).stopped(),
        };
        for _ in 0..1 + n % 2 {
            assert!(Pin::new(&mut future).poll(&mut context).is_pending());
        }
    });
}

/// Tasks that ran, under events which live on.
fn tasks_leave_no_trace_on_the_event_they_are_under() {
    let (root, other) = (StopEvent::new(), StopEvent::new());
    let parent = root.child();
    let pool = ThreadPool::new(1);
    let hour = Duration::from_secs(3600);
    let burst = |tasks: usize| {
        let submit = |n: usize| {
            let task = pool.task().stop_with(&parent);
            let task = match n % 4 {
                0 => task,
                1 => task.stop_with(&other),
                2 => task.timeout(hour),
                _ => task.start_before(Instant::now() + hour),
            };
            task.submit(move |_| n)
        };
        let handles: Vec<_> = (0..tasks).map(submit).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), n);
        }
        pool.submit(|_| ()).wait();
    };
    burst(1_000);
    burst(1_000);
    let (_, stayed) = growth(|| (0..rounds(20, 1_000)).for_each(|_| burst(1_000)));
    assert!(stayed < 160 * 1024, "{stayed} bytes stayed");
}

/// Tasks that were cancelled while they were pending, under an event which lives on.
fn pending_tasks_leave_no_trace_on_the_event_they_are_under() {
    let parent = StopEvent::new();
    let stuck = stuck();
    let pool = &stuck.pool;
    let rounds = rounds(20_000, 1_000_000);
    let hour = Duration::from_secs(3600);
    let (peak, _) = growth(|| {
        for n in 0..rounds {
            let under = parent.child();
            let task = pool
                .task()
                .stop_with(if n % 2 == 0 { &parent } else { &under });
            let task = task.start_before(Instant::now() + hour).submit(|_| ());
            if n % 4 == 1 {
                assert!(under.set() && task.is_done());
            } else {
                assert_eq!(task.cancel(), CancelOutcome::NeverStarted);
            }
        }
    });
    let most = MIB + rounds;
    assert!(peak < most, "{peak} bytes for {rounds} rounds");
    stuck.release();
}

/// Counts one up when it is dropped.
struct Freed(Arc<AtomicUsize>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A pool that is gone, of whose tasks one's event outlived it until its deadline: the thread that serves
/// deadlines has let go of it all by the time that it has served the next one.
fn dead_pools_leave_no_trace_on_the_event_above_them() {
    let freed = Arc::new(AtomicUsize::new(0));
    let round = |timed: bool| {
        let above = StopEvent::new();
        let hangs = Freed(Arc::clone(&freed));
        above
            .on_set(move || {
                let _hangs = &hangs;
            })
            .detach();
        let pool = ThreadPool::builder()
            .threads(1)
            .stop_with(&above, Shutdown::StopAll)
            .build()
            .unwrap();
        drop(above);
        let task = pool.submit(|_| ());
        task.wait();
        // The worker has let go of it then.
        pool.submit(|_| ()).wait();
        let event = task.stop_event();
        drop(task);
        let (tell, told) = mpsc::channel();
        let slot = Arc::new(Mutex::new(None));
        event
            .on_set({
                let slot = Arc::clone(&slot);
                move || {
                    drop::<Option<StopEvent>>(slot.lock().unwrap().take());
                    tell.send(()).unwrap();
                }
            })
            .detach();
        let mut full = slot.lock().unwrap();
        if timed {
            event.set_after(Duration::from_millis(1));
            *full = Some(event);
            drop(full);
            told.recv().unwrap();
        } else {
            drop(full);
            event.set();
        }
        pool.shutdown(Shutdown::Drain);
    };
    let some = |rounds: usize| {
        let before = freed.load(Ordering::SeqCst);
        for n in 0..rounds {
            round(n % 2 == 0);
        }
        // A thread keeps a little of the pool that it used last.
        ThreadPool::new(1).submit(|_| ()).wait();
        let next = StopEvent::new();
        next.set_after(Duration::from_millis(1));
        next.wait();
        let start = Instant::now();
        while freed.load(Ordering::SeqCst) < before + rounds {
            assert!(start.elapsed() < Duration::from_secs(60), "it is kept");
            thread::yield_now();
        }
    };
    some(10);
    let (_, stayed) = growth(|| some(rounds(200, 1_000)));
    assert!(stayed < 64 * 1024, "{stayed} bytes stayed");
}

/// Neither in the task, which goes on, nor in the event, which is above the one that is set.
fn joins_that_are_stopped_leave_no_trace() {
    let stuck = stuck();
    let root = StopEvent::new();
    let mut task = Some(stuck.pool.submit(|_| ()));
    leaves_at_most(LAST_EVENT, |n| {
        let stop = root.child();
        if n % 2 == 0 {
            stop.set();
        } else {
            stop.set_after(Duration::from_nanos(1));
        }
        task = task.take().unwrap().join_or_stopped(&stop).err();
    });
    stuck.release();
}

fn submitters_that_are_stopped_leave_no_trace() {
    let pool = ThreadPool::builder()
        .threads(1)
        .queue_capacity(1)
        .build()
        .unwrap();
    let (open, gate) = mpsc::channel::<()>();
    let blocker = pool.submit(move |_| {
        // It gives an error when the sender is dropped.
        let _ = gate.recv();
    });
    blocker.wait_started();
    let pending = pool.submit(|_| ());
    let root = StopEvent::new();
    leaves_at_most(LAST_EVENT, |n| {
        let stop = root.child();
        if n % 2 == 0 {
            stop.set();
        } else {
            stop.set_after(Duration::from_nanos(1));
        }
        assert!(pool.task().stop_with(&stop).execute(|_| ()).is_err());
    });
    drop(open);
    pending.join().unwrap();
}

fn dropped_waits_for_several_leave_no_trace() {
    let stuck = stuck();
    let mut tasks: Vec<_> = (0..4).map(|n| stuck.pool.submit(move |_| n)).collect();
    leaves_no_trace(|_| {
        let waited = wait_any_timeout(&tasks, Duration::ZERO);
        assert_eq!(waited.unfinished().len(), 4);
        let mut ended = as_completed(std::mem::take(&mut tasks)).timeout(Duration::ZERO);
        assert!(ended.next().is_none());
        tasks = ended.into_remaining();
    });
    stuck.release();
}

/// The waker of a handle that is polled again and again is one.
fn polled_handles_leave_no_trace() {
    let stuck = stuck();
    let mut task = stuck.pool.submit(|_| ());
    let mut context = Context::from_waker(Waker::noop());
    leaves_no_trace(|_| {
        assert!(Pin::new(&mut task).poll(&mut context).is_pending());
    });
    stuck.release();
}

fn polls_allocate_nothing() {
    let [one, other] = [(); 2].map(|()| StopEvent::new().child());
    let any = StopEvent::any([&one, &other]);
    let events = [&one, &any, &any.child()].map(StopEvent::clone);
    for is_set in [false, true] {
        restart();
        for event in events.iter().cycle().take(300) {
            assert_eq!(event.is_set(), is_set);
        }
        assert_eq!(SMALL.load(Relaxed) + LARGE.load(Relaxed), 0);
        one.set();
    }
}
