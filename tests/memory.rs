//! What tasks, cancels and events cost in memory, counted by the allocator itself. A binary of its
//! own with one test, so that nobody else allocates meanwhile.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![expect(
    clippy::unwrap_used,
    reason = "tests, in functions that one test calls"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;
use std::{mem, panic, process, thread};
use stoppable::{CancelOutcome, Shutdown, StopEvent, TaskHandle, ThreadPool};

/// Counts what is alive, its peak, and the allocations of a size.
struct Counting;

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Allocations that may be a task's, and those that are too big for one.
static SMALL: AtomicUsize = AtomicUsize::new(0);
static LARGE: AtomicUsize = AtomicUsize::new(0);
/// The largest of the small ones.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// More than a task of a small closure may take, and less than a block of the queue does.
const SMALL_MOST: usize = 512;

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let alive = ALIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(alive, Relaxed);
        if layout.size() <= SMALL_MOST {
            SMALL.fetch_add(1, Relaxed);
            LARGEST.fetch_max(layout.size(), Relaxed);
        } else {
            LARGE.fetch_add(1, Relaxed);
        }
        // SAFETY: passed on from our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on from our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All counters from zero.
fn restart() {
    PEAK.store(ALIVE.load(Relaxed), Relaxed);
    for counter in [&SMALL, &LARGE, &LARGEST] {
        counter.store(0, Relaxed);
    }
}

/// Runs `f` and says by how much the memory grew at its peak, and how much of that stayed.
fn growth(f: impl FnOnce()) -> (usize, usize) {
    restart();
    let before = ALIVE.load(Relaxed);
    f();
    let stayed = ALIVE.load(Relaxed).saturating_sub(before);
    (PEAK.load(Relaxed) - before, stayed)
}

const fn rounds(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

/// A pool whose only worker is stuck until this is dropped. To be stuck allocates nothing.
struct Stuck {
    gate: Arc<(Mutex<bool>, Condvar)>,
    pool: ThreadPool,
}

fn stuck() -> Stuck {
    let pool = ThreadPool::new(1);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let blocker = pool.submit({
        let gate = Arc::clone(&gate);
        move |_| {
            let (open, opened) = &*gate;
            drop(opened.wait_while(open.lock().unwrap(), |open| !*open));
        }
    });
    blocker.wait_started();
    Stuck { gate, pool }
}

impl Stuck {
    fn release(&self) {
        let (open, opened) = &*self.gate;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.release();
    }
}

const MIB: usize = 1024 * 1024;

#[test]
fn everything_in_turn() {
    // Ends a test that hangs.
    let (_ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        let guard = end.recv_timeout(Duration::from_secs(300));
        if guard == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("it hangs");
            process::exit(1);
        }
    });
    let tests: [(&str, fn()); 16] = [
        (
            "cancel_and_resubmit_holds_a_bounded_amount",
            cancel_and_resubmit_holds_a_bounded_amount,
        ),
        (
            "cancel_and_resubmit_among_others_holds_a_bounded_amount",
            cancel_and_resubmit_among_others_holds_a_bounded_amount,
        ),
        (
            "a_cancelled_task_frees_what_it_held",
            a_cancelled_task_frees_what_it_held,
        ),
        (
            "a_submitted_task_is_one_allocation_of_at_most_112_bytes",
            a_submitted_task_is_one_allocation_of_at_most_112_bytes,
        ),
        (
            "executed_tasks_leave_nothing_behind",
            executed_tasks_leave_nothing_behind,
        ),
        (
            "tasks_joined_from_inside_leave_nothing_behind",
            tasks_joined_from_inside_leave_nothing_behind,
        ),
        (
            "joins_inside_that_sleep_leave_nothing_behind",
            joins_inside_that_sleep_leave_nothing_behind,
        ),
        (
            "dead_children_leave_no_trace_in_a_parent",
            dead_children_leave_no_trace_in_a_parent,
        ),
        (
            "waits_that_time_out_leave_no_trace",
            waits_that_time_out_leave_no_trace,
        ),
        (
            "a_dropped_pool_leaves_nothing",
            a_dropped_pool_leaves_nothing,
        ),
        (
            "a_task_of_a_batch_is_a_tenth_of_an_allocation_and_40_bytes",
            a_task_of_a_batch_is_a_tenth_of_an_allocation_and_40_bytes,
        ),
        (
            "cancel_and_resubmit_by_batches_holds_a_bounded_amount",
            cancel_and_resubmit_by_batches_holds_a_bounded_amount,
        ),
        (
            "batches_joined_from_inside_leave_nothing_behind",
            batches_joined_from_inside_leave_nothing_behind,
        ),
        (
            "executed_batches_leave_nothing_behind",
            executed_batches_leave_nothing_behind,
        ),
        (
            "a_handle_keeps_its_slab_and_no_more",
            a_handle_keeps_its_slab_and_no_more,
        ),
        (
            "a_dropped_pool_leaves_nothing_of_its_batches",
            a_dropped_pool_leaves_nothing_of_its_batches,
        ),
    ];
    for (name, test) in tests {
        println!("{name}");
        test();
    }
}

fn cancel_and_resubmit_holds_a_bounded_amount() {
    let rounds = rounds(300_000, 10_000_000);
    let stuck = stuck();
    let pool = &stuck.pool;
    let (peak, _) = growth(|| {
        for n in 0..rounds {
            let big = [n; 8];
            let task = pool.submit(move |_| big);
            assert_eq!(task.cancel(), CancelOutcome::NeverStarted);
        }
    });
    // Half a byte a task for how it ended, details of a thousand, and a few hundred husks.
    let most = MIB + rounds;
    assert!(
        peak < most && peak < 64 * MIB,
        "{peak} bytes for {rounds} rounds"
    );
    stuck.release();
    let report = pool.shutdown(Shutdown::Drain);
    assert_eq!(report.never_started(), rounds as u64);
}

/// The same with others in the queue, before and behind, which stay.
fn cancel_and_resubmit_among_others_holds_a_bounded_amount() {
    let rounds = rounds(200_000, 2_000_000);
    let stuck = stuck();
    let pool = &stuck.pool;
    let others: Vec<_> = (0..2_000).map(|_| pool.submit(|_| ())).collect();
    let (peak, _) = growth(|| {
        let mut last: Option<TaskHandle<u64>> = None;
        for n in 0..rounds as u64 {
            let task = pool.submit(move |_| n);
            // Some through the event, and the one before, so that one is always pending.
            if let Some(task) = last.replace(task) {
                if n % 2 == 0 {
                    task.cancel();
                } else {
                    assert!(task.stop_event().set());
                }
            }
        }
    });
    assert!(peak < 2 * MIB + rounds, "{peak} bytes for {rounds} rounds");
    stuck.release();
    for other in others {
        other.join().unwrap();
    }
}

/// What a cancelled task had captured is gone, though its husk may still be in the queue.
fn a_cancelled_task_frees_what_it_held() {
    let stuck = stuck();
    let pool = &stuck.pool;
    let (peak, stayed) = growth(|| {
        for _ in 0..200 {
            let block = vec![0_u8; MIB];
            let task = pool.submit(move |_| block.len());
            task.cancel();
        }
    });
    assert!(peak < 3 * MIB, "{peak}");
    assert!(stayed < MIB / 2, "{stayed}");
    stuck.release();
}

fn a_submitted_task_is_one_allocation_of_at_most_112_bytes() {
    let count = 10_000;
    let stuck = stuck();
    let pool = &stuck.pool;
    let mut handles = Vec::with_capacity(count);
    restart();
    let before = ALIVE.load(Relaxed);
    for n in 0..count as u64 {
        handles.push(pool.submit(move |_| n));
    }
    let (small, large) = (SMALL.load(Relaxed), LARGE.load(Relaxed));
    let bytes = (ALIVE.load(Relaxed) - before) / count;
    assert_eq!(small, count, "one allocation a task");
    assert!(
        LARGEST.load(Relaxed) <= 112,
        "{} bytes",
        LARGEST.load(Relaxed)
    );
    // And a block of the queue now and then.
    assert!(large <= count / 30, "{large} large allocations");
    assert!(
        bytes <= 112 + 32,
        "{bytes} bytes a pending task, with its place in the queue"
    );

    // Looking, polling and cancelling without anybody who waits.
    restart();
    for handle in &handles {
        assert!(!handle.is_done() && !handle.stop_event().is_set());
    }
    assert_eq!(
        SMALL.load(Relaxed) + LARGE.load(Relaxed),
        0,
        "looking allocates nothing"
    );
    stuck.release();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), n as u64);
    }
}

fn executed_tasks_leave_nothing_behind() {
    let pool = ThreadPool::new(2);
    let burst = |tasks: u64| {
        let handles: Vec<_> = (0..tasks).map(|n| pool.submit(move |_| n)).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            match n % 3 {
                0 => assert_eq!(handle.join().unwrap(), n as u64),
                1 => drop(handle),
                _ => assert_eq!(handle.outcome().completed(), Some(n as u64)),
            }
        }
        for _ in 0..tasks {
            pool.execute(|_| vec![0_u8; 64]).unwrap();
        }
        while pool.stats().pending + pool.stats().running > 0 {
            thread::yield_now();
        }
        // A worker drops the value of a detached task after it has counted it.
        for task in [pool.submit(|_| ()), pool.submit(|_| ())] {
            task.wait();
        }
    };
    burst(1_000);
    let (_, stayed) = growth(|| {
        for _ in 0..rounds(100, 200) {
            burst(1_000);
        }
    });
    // Less than two bytes a task: a pool keeps the memory of some hundred cells of each size.
    assert!(stayed < 160 * 1024, "{stayed} bytes stayed");
    let before = pool.shutdown(Shutdown::Drain);
    assert_eq!(before.completed(), before.submitted());
}

/// Tasks that are joined from inside are taken out of the queue's middle.
fn tasks_joined_from_inside_leave_nothing_behind() {
    let pool = ThreadPool::new(1);
    let submitter = pool.submitter();
    let rounds = rounds(50_000, 1_000_000);
    let outer = pool.submit(move |_| {
        growth(|| {
            for n in 0..rounds {
                let block = [n; 16];
                assert_eq!(submitter.submit(move |_| block[7]).join().unwrap(), n);
            }
        })
    });
    let (peak, _) = outer.join().unwrap();
    assert!(peak < MIB, "{peak} bytes at the peak");
}

/// Tasks that run on another worker are waited for.
fn joins_inside_that_sleep_leave_nothing_behind() {
    let pool = ThreadPool::new(2);
    let submitter = pool.submitter();
    let outer = pool.submit(move |_| {
        let sleep = || {
            let inner = submitter.submit(|_| thread::sleep(Duration::from_micros(50)));
            while inner.is_pending() {
                thread::yield_now();
            }
            inner.join().unwrap();
        };
        sleep();
        growth(|| (0..1_000).for_each(|_| sleep()))
    });
    let (_, stayed) = outer.join().unwrap();
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}

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
fn a_dropped_pool_leaves_nothing() {
    let life = || {
        let pool = Arc::new(ThreadPool::new(2));
        let kept = pool.submit(|_| vec![0_u8; 1024]);
        let cancelled = pool.submit(StopEvent::wait);
        cancelled.cancel();
        let refused = {
            pool.begin_shutdown(Shutdown::Drain);
            pool.submit(|_| vec![0_u8; 1024])
        };
        let (events, cancellers) = (
            [kept.stop_event(), refused.stop_event().child()],
            [cancelled.canceller(), kept.canceller()],
        );
        kept.wait();
        drop(pool);
        assert_eq!(kept.join().unwrap().len(), 1024);
        assert!(refused.join().is_err());
        drop((events, cancellers, cancelled));
    };
    life();
    let (_, stayed) = growth(|| (0..200).for_each(|_| life()));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}

fn a_task_of_a_batch_is_a_tenth_of_an_allocation_and_40_bytes() {
    let count = 100_000;
    let stuck = stuck();
    let pool = &stuck.pool;
    restart();
    let before = ALIVE.load(Relaxed);
    let handles = pool.submit_all((0..count as u64).map(|n| move |_: &StopEvent| n));
    let allocations = SMALL.load(Relaxed) + LARGE.load(Relaxed);
    let list = handles.capacity() * size_of::<TaskHandle<u64>>();
    let bytes = ALIVE.load(Relaxed) - before - list;
    assert!(
        allocations <= count / 10,
        "{allocations} allocations for {count} tasks"
    );
    assert!(bytes <= 40 * count, "{bytes} bytes for {count} tasks");
    assert!(list <= 8 * count, "{list} bytes for {count} handles");

    restart();
    for handle in &handles {
        assert!(!handle.is_done() && !handle.stop_event().is_set());
    }
    assert_eq!(
        SMALL.load(Relaxed) + LARGE.load(Relaxed),
        0,
        "looking allocates nothing"
    );
    stuck.release();
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), n as u64);
    }
}

/// One by one, from behind and through their events, so that the queue has to tidy itself up; and all
/// that is pending at once.
fn cancel_and_resubmit_by_batches_holds_a_bounded_amount() {
    const LEN: usize = 100;
    let rounds = rounds(3_000, 30_000);
    let stuck = stuck();
    let pool = &stuck.pool;
    let submit = |round| {
        let big = [round; 8];
        pool.submit_all((0..LEN).map(|n| move |_: &StopEvent| big[n % 8]))
    };
    let mut last = Vec::new();
    let one_by_one = growth(|| {
        for round in 0..rounds {
            let mut batch = submit(round);
            match round % 3 {
                0 => batch.iter().for_each(|it| assert!(it.stop_event().set())),
                1 => batch.drain(..).for_each(|it| drop(it.cancel_on_drop())),
                _ => {
                    for task in batch.iter().rev().step_by(2) {
                        task.cancel();
                    }
                }
            }
            // Some are cancelled later than their neighbours.
            for task in mem::replace(&mut last, batch) {
                task.cancel();
            }
        }
    });
    pool.cancel_pending();
    drop(last);
    let at_once = growth(|| {
        for round in 0..rounds {
            drop(submit(round));
            assert_eq!(pool.cancel_pending(), LEN);
        }
    });
    let tasks = rounds * LEN;
    // As for those that come one by one.
    let most = MIB + tasks;
    for (peak, _) in [one_by_one, at_once] {
        assert!(peak < most, "{peak} bytes for {tasks} tasks");
    }
    stuck.release();
    let report = pool.shutdown(Shutdown::CancelPending);
    assert_eq!(report.submitted(), 2 * tasks as u64 + 1);
    assert_eq!(report.completed(), 1);
}

/// The worker that would take them from the queue is busy with joining them.
fn batches_joined_from_inside_leave_nothing_behind() {
    let pool = ThreadPool::new(1);
    let submitter = pool.submitter();
    let rounds = rounds(500, 10_000);
    let outer = pool.submit(move |_| {
        growth(|| {
            for n in 0..rounds {
                let block = [n; 16];
                let batch = submitter.submit_all((0..100).map(|_| move |_: &StopEvent| block[7]));
                for task in batch.into_iter().rev() {
                    assert_eq!(task.join().unwrap(), n);
                }
            }
        })
    });
    let (peak, _) = outer.join().unwrap();
    assert!(peak < MIB, "{peak} bytes at the peak");
}

fn executed_batches_leave_nothing_behind() {
    let pool = ThreadPool::new(2);
    let burst = |tasks: u64| {
        let handles = pool.submit_all((0..tasks).map(|n| move |_: &StopEvent| vec![n; 8]));
        for (n, handle) in handles.into_iter().enumerate() {
            match n % 3 {
                0 => assert_eq!(handle.join().unwrap()[7], n as u64),
                1 => drop(handle),
                _ => drop(handle.cancel_on_drop()),
            }
        }
        while pool.stats().pending + pool.stats().running > 0 {
            thread::yield_now();
        }
        // A worker drops the value of a detached task after it has counted it.
        for task in [pool.submit(|_| ()), pool.submit(|_| ())] {
            task.wait();
        }
    };
    // The details of the report too.
    burst(4_000);
    let rounds = rounds(100, 500);
    let (_, stayed) = growth(|| (0..rounds).for_each(|_| burst(1_000)));
    // Half a byte a task for how it ended.
    let most = 64 * 1024 + rounds * 1_000;
    assert!(stayed < most, "{stayed} bytes stayed");
    pool.shutdown(Shutdown::Drain);
}

/// A handle or an event of one task keeps the cells of some dozens, empty, and nothing else.
fn a_handle_keeps_its_slab_and_no_more() {
    let pool = ThreadPool::new(1);
    let mut kept = Vec::with_capacity(200);
    let (_, stayed) = growth(|| {
        for _ in 0..100 {
            let mut batch = pool.submit_all((0..640).map(|_| {
                let block = vec![0_u8; 1024];
                move |_: &StopEvent| block
            }));
            batch.iter().for_each(TaskHandle::wait);
            kept.push((batch[300].stop_event(), batch.pop()));
        }
    });
    // Two slabs, a value, and what their neighbours noted of those who waited.
    let most = 100 * (2 * (2048 + 64 * 160) + 1024);
    assert!(stayed < most, "{stayed} bytes stayed");
    let (_, stayed) = growth(|| drop(pool.submit(|_| ()).join()));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
    drop(kept);
}

/// Whatever became of them, and whoever was the last to hold one.
fn a_dropped_pool_leaves_nothing_of_its_batches() {
    let life = || {
        let pool = ThreadPool::new(2);
        let numbers = pool.submit_all((0..1_000_u64).map(|n| move |_: &StopEvent| n));
        let mut blocks = pool.submit_all((0..300).map(|n| {
            let block = vec![0_u8; 100];
            move |stop: &StopEvent| {
                if n % 50 == 7 {
                    panic::resume_unwind(Box::new(block));
                }
                (stop.clone(), block)
            }
        }));
        let large = pool.submit_all((0..10).map(|n| {
            let large = [n; 640];
            move |_: &StopEvent| large
        }));
        for block in &blocks {
            block.cancel();
        }
        let events: Vec<_> = numbers
            .iter()
            .step_by(100)
            .map(TaskHandle::stop_event)
            .collect();
        let cancellers: Vec<_> = blocks
            .iter()
            .step_by(9)
            .map(TaskHandle::canceller)
            .collect();
        let waiting = pool.submit_all((0..100).map(|_| |stop: &StopEvent| stop.wait()));
        drop(blocks.split_off(150));
        pool.begin_shutdown(Shutdown::StopAll);
        let refused = pool.submit_all((0..100).map(|_| {
            let block = vec![0_u8; 100];
            move |_: &StopEvent| block
        }));
        drop(pool);
        for number in numbers {
            let _ = number.join();
        }
        drop((events, waiting, refused, large));
        drop((cancellers, blocks));
    };
    // This thread may keep the last home that it submitted to, with the details of its report.
    let lives = |count: usize| {
        (0..count).for_each(|_| life());
        ThreadPool::new(1).submit(|_| ()).join().unwrap();
    };
    lives(1);
    let (_, stayed) = growth(|| lives(10));
    assert!(stayed < 8 * 1024, "{stayed} bytes stayed");
}
