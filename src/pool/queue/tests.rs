//! How much room husks take, and what becomes of them, which is not to be seen from outside.

use super::super::shared::Core;
use super::super::shared::tests::{clear, core, slab};
use super::*;
use crate::stop::StopEvent;
use crate::task::TaskHandle;

/// How many entries are at the front, and in the injector.
pub(crate) fn lengths(queue: &Queue) -> (usize, usize) {
    (queue.front.lock().len(), queue.injector.len())
}

fn entries(core: &Core) -> usize {
    let (front, injector) = lengths(&core.shared.queue);
    front + injector
}

/// Cancels so many tasks while so many are pending, and calls `see` with the number of husks before and after
/// each.
fn cancel_beside(pending: usize, cancelled: usize, mut see: impl FnMut(usize, usize)) {
    let core = core(1);
    let submit = || core.submit(None, (), |_| ());
    let _pending: Vec<_> = (0..pending).map(|_| submit()).collect();
    for _ in 0..cancelled {
        let before = entries(&core) - pending;
        submit().cancel();
        see(before, entries(&core) - pending);
    }
    clear(&core);
}

#[test]
fn husks_take_a_bounded_amount_of_room() {
    for pending in [0, 1, 128, 200] {
        cancel_beside(pending, 2_000, |_, husks| {
            // It is not looked at every husk whether there are too many.
            let most = 3 * pending + 64;
            assert!(
                husks < FEW_HUSKS.max(most),
                "{husks} husks beside {pending}"
            );
        });
    }
}

/// So what a sweep costs is shared by all that it takes out.
#[test]
fn three_quarters_of_what_is_swept_are_husks_and_there_are_some() {
    for pending in [0, 1, 128, 200] {
        let mut sweeps = 0;
        cancel_beside(pending, 2_000, |before, after| {
            if after <= before {
                let gone = before + 1;
                assert_eq!(after, 0);
                assert!(
                    gone >= FEW_HUSKS && gone > 3 * pending,
                    "{gone} beside {pending}"
                );
                sweeps += 1;
            }
        });
        assert!(sweeps > 0);
    }
}

#[test]
fn a_sweep_takes_out_slabs_in_which_nothing_is_pending_and_leaves_the_order() {
    let core = core(1);
    let batch = || core.submit_all((0..20).map(|_| |_: &StopEvent| ()));
    let (first, gone, last) = (batch(), batch(), batch());
    gone.iter().chain(&first[..19]).for_each(|task| {
        task.cancel();
    });
    let queue = &core.shared.queue;
    drop(queue.freeze(&core.home.ledger).sweep(&core.home.ledger));
    assert_eq!(lengths(queue), (2, 0));
    let pending = queue.freeze(&core.home.ledger).pending();
    let expected = first[19..].iter().chain(&last).map(TaskHandle::id);
    assert!(pending.iter().map(TaskRef::id).eq(expected));
    drop(pending);
    clear(&core);
}

/// It is for workers to have and for a freezer to hold, when there is something.
#[test]
fn an_empty_front_is_nobodys_concern() {
    let core = core(1);
    let queue = &core.shared.queue;
    let _freezer = queue.front.lock();
    assert!(matches!(queue.take_entry(), Ok(None)));
    let _handle = core.submit(None, (), |_| ());
    assert!(matches!(queue.take_entry(), Ok(Some(Opened::Task(..)))));
}

#[test]
fn husks_that_a_worker_takes_out_are_no_longer_counted() {
    let core = core(1);
    let (queue, ledger) = (&core.shared.queue, &core.home.ledger);
    for handle in [(); 3].map(|()| core.submit(None, (), |_| ())) {
        handle.cancel();
    }
    let lane = (0, ledger.lane(0));
    let work = queue.next(lane, |_| 1, &mut Passing::default(), ledger, || ());
    assert!(work.is_none());
    assert_eq!(ledger.book().count_husk(), 1);
}

#[test]
fn a_worker_whose_run_was_taken_back_leaves_it() {
    let core = core(1);
    let (slab, _handles) = slab(&core, 8);
    let queue = &core.shared.queue;
    queue.runs.open(slab);
    let run = queue.runs.take(0, |_| 8).unwrap();
    assert_eq!(run.range, 0..4);
    assert!(queue.come_to(0, 1));
    assert!(queue.runs.take_back(&mut Vec::new()));
    assert!(!queue.come_to(0, 2));
    clear(&core);
}
