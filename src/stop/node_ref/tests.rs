//! References and their counts, the order of a walk, and which cause is the first, looked at from inside.

use super::hoard::DOZENS;
use super::*;
use crate::stop::StopReason;
use crate::stop::any::any;
use crate::stop::node::{CAUSED, LISTENED};

fn references(node: &NodeRef) -> u32 {
    node.references().load(Ordering::Relaxed)
}

#[test]
fn the_only_reference_is_known_to_be() {
    let node = NodeRef::plain(None);
    assert!(node.is_only());
    let other = node.clone();
    assert!(!node.is_only() && !other.is_only());
    drop(other);
    assert!(node.is_only());
    node.word()
        .fetch_or(SET | CAUSED | LISTENED, Ordering::Relaxed);
    assert!(node.is_only());
    // The timers may make another one.
    node.word().fetch_or(TIMED, Ordering::Relaxed);
    assert!(!node.is_only());
}

#[test]
fn two_thousand_million_references_are_not_too_many() {
    let node = NodeRef::plain(None);
    for more in [MOST_REFERENCES - 1, MOST_REFERENCES] {
        node.references().store(more, Ordering::Relaxed);
        let other = node.clone();
        assert_eq!(references(&node), more + 1);
        drop(other);
    }
    node.references().store(1, Ordering::Relaxed);
}

#[test]
fn references_are_taken_and_given_back_by_the_dozen() {
    let node = NodeRef::plain(None);
    let mut hoard = Hoard::new(node.clone());
    assert_eq!(references(&node), 2);
    let taken: Vec<_> = (0..DOZENS).map(|_| hoard.take()).collect();
    assert_eq!(references(&node), 2 + DOZENS);
    taken.into_iter().for_each(|it| hoard.give(it));
    assert_eq!(references(&node), 2 + DOZENS);
    // One that comes from elsewhere is kept too, up to a certain number.
    (0..DOZENS).for_each(|_| hoard.give(node.clone()));
    assert_eq!(references(&node), 2 + 2 * DOZENS);
    hoard.give(node.clone());
    assert_eq!(references(&node), 2 + DOZENS + 1);
    drop(hoard);
    assert!(node.is_only());
}

#[test]
fn a_hoard_is_of_one_node() {
    let [one, other] = [(); 2].map(|()| NodeRef::plain(None));
    let hoard = Hoard::new(one.clone());
    assert!(hoard.is_of(&one) && !hoard.is_of(&other));
}

/// In the order of their birth.
fn diamond() -> [NodeRef; 5] {
    let top = NodeRef::plain(None);
    let [left, right] = [(); 2].map(|()| NodeRef::plain(Some(top.clone())));
    let both = any(left.clone(), vec![right.clone()]);
    let bottom = NodeRef::plain(Some(both.clone()));
    [top, left, right, both, bottom]
}

/// Two causes, the earlier one first.
fn causes() -> [StopCause; 2] {
    ["earlier", "later"].map(|words| StopCause::now(StopReason::custom(words)))
}

fn reason(node: &NodeRef) -> Option<StopReason> {
    node.cause().map(|cause| cause.reason)
}

#[test]
fn of_several_causes_the_earliest_counts_but_for_those_above_a_node_that_was_set() {
    let [earlier, later] = causes();
    let [_, left, right, _, bottom] = diamond();
    assert!(left.raise(&later) && right.raise(&earlier));
    assert_eq!(reason(&bottom), Some(earlier.reason.clone()));

    let [_, _, right, both, bottom] = diamond();
    assert!(both.raise(&later) && right.raise(&earlier));
    assert_eq!(reason(&bottom), Some(later.reason));
}

#[test]
fn the_first_look_fixes_the_cause() {
    let [earlier, later] = causes();
    let [_, left, right, _, bottom] = diamond();
    assert!(left.raise(&later));
    bottom.stamp_seen();
    assert!(right.raise(&earlier));
    assert_eq!(reason(&bottom), Some(later.reason));
}

#[test]
fn each_ancestor_is_in_the_chain_once() {
    let [top, left, right, both, bottom] = diamond();
    let expected = [&bottom, &both, &left, &top, &right];
    assert!(
        bottom
            .chain()
            .map(|node| node.0)
            .eq(expected.map(|node| node.0))
    );
}
