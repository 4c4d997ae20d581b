//! How large slabs are, and what becomes of drafts.

use super::*;
use crate::allocated::bytes_kept_by;
use crate::stop::StopReason;
use crate::task::home::HomeRef;
use crate::task::life;
use crate::task::samples::{begin, cause, end, home, slab, take};
use crate::task::state::State;
use std::sync::Arc;

/// Fills a slab with copies of that closure. Says how many it takes, and how large it is then and would be with one more.
fn fill<F, T>(closure: F) -> (usize, [usize; 2])
where
    F: FnOnce(&StopEvent) -> T + Clone + Send,
    T: Send,
{
    let home = home();
    let mut draft = Draft::new(home.node().clone(), usize::MAX);
    while !draft.is_full() {
        draft.push(closure.clone());
    }
    let len = draft.len();
    let size = |room| Of::<F, T>::layout(room).size();
    (len, [size(len), size(len + 1)])
}

#[test]
fn a_slab_has_as_many_cells_as_fit_into_its_bytes() {
    let number = 7_u64;
    let (len, [size, larger]) = fill(move |_| number);
    assert!(len < MOST_CELLS && size <= MOST_BYTES && MOST_BYTES < larger);
    assert_eq!(larger - size, 32, "bytes of a cell for a word");
    let text = [0_u8; 200];
    let (len, [size, larger]) = fill(move |_| text);
    assert!(len > 1 && size <= MOST_BYTES && MOST_BYTES < larger);
}

#[test]
fn a_slab_has_one_cell_at_least_and_not_too_many() {
    let large = [0_u8; 2 * MOST_BYTES];
    assert_eq!(fill(move |_| large).0, 1);
    assert!((2..=MOST_CELLS).contains(&fill(|_| ()).0));
}

#[test]
fn a_slab_has_no_more_room_than_it_was_asked_for() {
    let home = home();
    let draft = |room| Draft::<fn(&StopEvent), ()>::new(home.node().clone(), room);
    for (asked, room) in [(0, 1), (1, 1), (5, 5)] {
        let mut draft = draft(asked);
        for _ in 0..room {
            assert!(!draft.is_full());
            draft.push(|_| ());
        }
        assert!(draft.is_full());
    }
}

#[test]
fn a_dropped_draft_leaves_nothing() {
    let home = home();
    let captured = Arc::new(());
    let stayed = bytes_kept_by(|| {
        let mut draft = Draft::new(home.node().clone(), 5);
        for _ in 0..3 {
            let captured = Arc::clone(&captured);
            draft.push(move |_: &StopEvent| drop(captured));
        }
        assert_eq!(Arc::strong_count(&captured), 4);
    });
    assert_eq!((stayed, Arc::strong_count(&captured)), (0, 1));
}

#[test]
fn a_slab_is_one_allocation_that_goes_with_its_last_task() {
    let home = home();
    let life = |home: &HomeRef| {
        let slab = slab(home, 3);
        let last = slab.lend(2).clone();
        let kept = bytes_kept_by(|| drop(slab));
        assert_eq!(kept, 0, "a task keeps its neighbours");
        drop(last);
    };
    // What a thread keeps in store for the home.
    life(&home);
    assert_eq!(bytes_kept_by(|| life(&home)), 0);
}

#[test]
fn the_word_of_a_new_task_in_a_slab_is_known_without_a_look() {
    let slab = slab(&home(), 2);
    for index in 0..2 {
        let word = slab.lend(index).state().load();
        assert_eq!(word.bits(), State::pending_in_slab());
    }
}

#[test]
fn a_husk_is_what_will_never_start() {
    let slab = slab(&home(), 3);
    let is_husk = |index| slab.lend(index).is_husk();
    assert_eq!([0, 1, 2].map(is_husk), [false; 3]);
    begin(&slab.lend(0));
    let doomed = life::doom(&slab.lend(1), &cause(StopReason::Requested));
    assert_eq!(doomed, Ok(true));
    assert_eq!([0, 1, 2].map(is_husk), [false, true, false]);
    end(&slab.lend(0));
    assert_eq!([0, 1, 2].map(is_husk), [false, true, false]);
}

#[test]
fn pending_is_what_this_pool_may_still_start() {
    let slab = slab(&home(), 4);
    assert!(slab.has_pending(0..4) && !slab.has_pending(2..2));
    begin(&slab.lend(0));
    take(&slab.lend(1));
    assert!(!slab.has_pending(0..2) && slab.has_pending(0..3));
    assert_eq!(slab.pending(0..4).count(), 2);
    begin(&slab.lend(2));
    begin(&slab.lend(3));
    assert!(!slab.has_pending(0..4));
}
