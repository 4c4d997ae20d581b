//! Which tasks a run takes, and when it is taken back, step by step.

use super::super::shared::tests::{core, slab};
use super::*;
use crate::sync::without;

/// How many passes it takes until something is taken back, up to so many; `between` is called before each.
fn passes(runs: &Runs, most: u32, mut between: impl FnMut(u32)) -> Option<u32> {
    let (mut passing, mut spent) = (Passing::default(), Vec::new());
    (0..most).find(|n| {
        between(*n);
        runs.pass(&mut passing, &mut spent)
    })
}

#[test]
fn what_is_open_is_seen_without_the_lock() {
    let core = core(1);
    let (slab, _handles) = slab(&core, 2);
    let runs = Runs::new(1);
    assert!(runs.is_empty() && !runs.has_open());
    runs.open(slab);
    assert!(!runs.is_empty() && runs.has_open());
    for is_open in [true, false] {
        assert_eq!(runs.take(0, |_| 1).unwrap().range.len(), 1);
        assert!(!runs.is_empty());
        assert_eq!(runs.has_open(), is_open);
        runs.hide(0);
    }
    assert!(runs.is_empty());
}

/// A half, so that the last tasks of a batch are shared by the workers.
#[test]
fn of_the_last_slab_some_is_left_to_others() {
    let core = core(1);
    let [(one, _ones), (two, _twos)] = [(); 2].map(|()| slab(&core, 8));
    let first = one.first();
    let runs = Runs::new(1);
    // In the order of their ids, whichever was opened first.
    runs.open(two);
    runs.open(one);
    let take = || {
        let run = runs.take(0, |_| 64)?;
        runs.hide(0);
        Some((run.slab.first() == first, run.range))
    };
    let taken: Vec<_> = std::iter::from_fn(take).collect();
    let expected = [
        (true, 0..8),
        (false, 0..4),
        (false, 4..6),
        (false, 6..7),
        (false, 7..8),
    ];
    assert_eq!(taken, expected);
}

#[test]
fn what_is_behind_a_worker_is_taken_back_in_its_order() {
    let core = core(2);
    let [(one, _ones), (two, _twos), (three, _threes)] = [(); 3].map(|()| slab(&core, 8));
    let first = one.first();
    let runs = Runs::new(2);
    runs.open(one);
    runs.open(two);
    runs.open(three);
    let run = runs.take(0, |_| 5).unwrap();
    assert_eq!(run.range, 0..5);
    assert!(runs.come_to(0, 1) && runs.come_to(0, 2));
    let mut spent = Vec::new();
    assert!(runs.take_back(&mut spent));
    assert!(!runs.come_to(0, 3));
    // The task at the place is in the hand of its worker.
    let firsts: Vec<_> = runs.open.lock().iter().map(Run::first).collect();
    assert_eq!(firsts, [3, 5, 8, 16].map(|n| first.plus(n)));
    assert!(!runs.take_back(&mut spent) && spent.is_empty());
}

#[test]
fn nothing_is_taken_back_where_nothing_is_shown() {
    let core = core(1);
    let (slab, _handles) = slab(&core, 8);
    let runs = Runs::new(1);
    runs.open(slab);
    let took_back = without(runs.open.lock(), || runs.take_back(&mut Vec::new()));
    assert!(!took_back);
}

#[test]
fn patience_with_a_worker_that_does_not_get_on_is_limited() {
    let core = core(3);
    let (slab, _handles) = slab(&core, 32);
    let runs = Runs::new(3);
    assert_eq!(passes(&runs, 100, |_| ()), None);
    runs.open(slab);
    let run = runs.take(1, |_| 16).unwrap();
    assert_eq!(run.range.len(), 16);
    assert!(runs.come_to(1, 1));
    // One to come to it.
    assert_eq!(passes(&runs, 100, |_| ()), Some(PATIENCE));
    // There is nothing more to be taken from it.
    assert_eq!(passes(&runs, 100, |_| ()), None);
}

#[test]
fn a_worker_that_gets_on_is_let_be() {
    let core = core(1);
    let (slab, _handles) = slab(&core, 32);
    let runs = Runs::new(1);
    runs.open(slab);
    let run = runs.take(0, |_| 16).unwrap();
    let often = PATIENCE / 2;
    let most = often * (run.range.end - 2);
    let gets_on = |pass| assert!(pass % often > 0 || runs.come_to(0, 1 + pass / often));
    assert_eq!(passes(&runs, most, gets_on), None);
    // Now it does not.
    assert_eq!(passes(&runs, 100, |_| ()), Some(PATIENCE));
}

#[test]
fn a_sweep_takes_out_what_has_nothing_pending() {
    let core = core(1);
    let [(one, ones), (two, twos)] = [(); 2].map(|()| slab(&core, 4));
    let second = two.first();
    let runs = Runs::new(1);
    runs.open(one);
    runs.open(two);
    assert!(runs.sweep().is_empty());
    ones.iter().chain(&twos[..3]).for_each(|task| {
        task.cancel();
    });
    assert_eq!(runs.sweep().len(), 1);
    assert_eq!(runs.open.lock().len(), 1);
    assert_eq!(runs.pending()[0].id(), second.plus(3));
    twos[3].cancel();
    assert_eq!(runs.sweep().len(), 1);
    assert!(!runs.has_open());
}
