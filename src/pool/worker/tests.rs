//! A single worker: how many tasks it takes at once, what it heeds between them, and where it runs those that it waits for.

use super::super::ThreadPool;
use super::super::shared::tests::{clear, core, slab};
use super::*;
use crate::report::TaskStatus;
use crate::sync::without;
use crate::task::TaskHandle;
use crate::task::context::Worker;
use std::thread;
use std::thread::ThreadId;

const INSTANT: Duration = Duration::from_nanos(1);

fn acting(core: &Core) -> Acting {
    Acting::new(core.clone(), 0, None)
}

/// A run of the batch that is first in the queue, as long as it may be.
fn long_run(acting: &Acting, batch: TaskId) -> Run {
    acting.pace.set(Pace {
        most: Pace::MOST,
        batch: Some(batch),
    });
    match acting.next() {
        Some(Work::Run(run)) => run,
        _ => panic!("a run comes first"),
    }
}

#[test]
fn runs_grow_while_they_are_short() {
    let core = core(1);
    let [(one, _ones), (other, _others)] = [(); 2].map(|()| slab(&core, 2));
    let run = Run {
        range: 0..1,
        slab: one,
    };
    let mut pace = Pace::default();
    let grown = [(); 8].map(|()| {
        let most = pace.most_of(&run.slab);
        pace = pace.after(&run, Pace::SHORT - INSTANT);
        most
    });
    assert_eq!(grown, [1, 2, 4, 8, 16, 32, 64, 64]);
    assert_eq!(pace.most_of(&other), 1, "of each batch one at first");
    let pace = Pace { most: 8, ..pace };
    let after = |took| pace.after(&run, took).most_of(&run.slab);
    assert_eq!(after(Pace::SHORT - INSTANT), 16);
    assert_eq!(after(Pace::SHORT), 8);
    assert_eq!(after(4 * Pace::SHORT - INSTANT), 8);
    assert_eq!(after(4 * Pace::SHORT), 1);
}

#[test]
fn a_searcher_finds_what_is_there() {
    let core = core(1);
    let acting = acting(&core);
    assert!(!acting.search());
    let _handle = core.submit(None, (), |_| ());
    assert!(acting.search());
    clear(&core);
}

/// Who sets the event has not come to telling the pool of it.
#[test]
fn nothing_of_a_run_begins_after_the_pools_event_was_set() {
    let core = core(1);
    let event = StopEvent::new();
    let stop_with = Some((event.clone(), Shutdown::CancelPending));
    let acting = Acting::new(core.clone(), 0, stop_with);
    let set = |_| {
        let event = event.clone();
        move |_: &StopEvent| assert!(event.set())
    };
    let handles = core.submit_all((0..8).map(set));
    let run = long_run(&acting, handles[0].id());
    assert_eq!(run.range, 0..4);
    acting.walk(&run);
    let statuses = handles.iter().map(TaskHandle::status);
    assert!(
        statuses.eq([TaskStatus::Completed]
            .into_iter()
            .chain([TaskStatus::NeverStarted; 7]))
    );
    acting.tend();
}

#[test]
fn husks_that_a_worker_walks_over_are_no_longer_counted() {
    let core = core(1);
    let acting = acting(&core);
    let handles = core.submit_all((0..8).map(|n| move |_: &StopEvent| n));
    for task in &handles[1..3] {
        task.cancel();
    }
    let husks = || {
        let mut book = core.home.ledger.book();
        let husks = book.count_husk() - 1;
        book.uncount_husks(1);
        husks
    };
    assert_eq!(husks(), 2);
    acting.walk(&long_run(&acting, handles[0].id()));
    assert_eq!(husks(), 0);
    clear(&core);
}

#[test]
fn a_run_is_counted_without_the_lock() {
    let core = core(1);
    let handles = core.submit_all((0..8).map(|n| move |_: &StopEvent| n));
    let first = handles[0].id();
    without(core.home.ledger.book(), || {
        let acting = acting(&core);
        acting.walk(&long_run(&acting, first));
    });
    assert_eq!(core.home.ledger.stats().completed, 4);
    clear(&core);
}

/// What helping with a task came to, by a worker with so much of its stack in use and a little more, and on which
/// thread the task ran, if it did.
fn help(core: &Core, eighths: usize) -> (bool, Option<ThreadId>) {
    let handle = core.submit(None, (), |_| thread::current().id());
    let in_use = core.shared.stack_size / 16 * (2 * eighths + 1);
    STACK_BASE.with(|base| base.set(address_of_stack() + in_use));
    let helped = acting(core).help(handle.task()).is_ok();
    clear(core);
    (helped, handle.join().ok())
}

#[test]
fn who_has_used_half_of_its_stack_helps_on_a_spare_thread() {
    let core = ThreadPool::builder().stack_size(1 << 20).core(1, None);
    let here = thread::current().id();
    for eighths in 0..8 {
        let (helped, thread) = help(&core, eighths);
        assert!(helped);
        assert_eq!(thread == Some(here), eighths < 4, "{eighths}");
    }
}

#[test]
fn without_a_spare_thread_a_quarter_of_the_stack_is_left() {
    // No system has room for that.
    let core = ThreadPool::builder()
        .stack_size(usize::MAX / 16)
        .core(1, None);
    let here = thread::current().id();
    for eighths in 0..8 {
        let is_room = eighths < 6;
        assert_eq!(help(&core, eighths), (is_room, is_room.then_some(here)));
    }
}
