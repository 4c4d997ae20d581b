//! What a cell says of itself: whose it is, what there is room for, whether its closure owns something.

use super::*;
use crate::stop::StopReason;
use crate::task::life::{self, first_word};
use crate::task::samples::{cause, home, slab, task, task_of};

#[test]
fn a_task_is_itself_alone() {
    let home = home();
    let (one, other, slab) = (task(&home), task(&home), slab(&home, 2));
    assert!(one.same(&one.clone()) && !one.same(&other));
    assert!(slab.lend(1).same(&slab.lend(1)) && !slab.lend(0).same(&slab.lend(1)));
}

#[test]
fn most_tasks_are_nothing_but_their_closure() {
    let home = home();
    let word = first_word(true, false);
    assert!(!task(&home).has_room());
    assert!(!slab(&home, 1).lend(0).has_room());
    let extra = task_of(&home, home.node(), word, Extra::new(), |_| {});
    let noted = Noted { submitted: None };
    let noted = task_of(&home, home.node(), word, noted, |_| {});
    assert!(extra.has_room() && extra.extra().is_some());
    assert!(noted.has_room() && noted.extra().is_none());
}

#[test]
fn a_closure_owns_something_if_its_drop_does() {
    let home = home();
    let (number, text) = (7_u64, String::from("seven"));
    let word = first_word(true, false);
    let plain = move |_: &StopEvent| assert_eq!(number, 7);
    assert!(!task_of(&home, home.node(), word, (), plain).owns_something());
    let owner = move |_: &StopEvent| assert_eq!(text, "seven");
    let owner = task_of(&home, home.node(), word, (), owner);
    assert!(owner.owns_something());
    assert_eq!(life::doom(&owner, &cause(StopReason::Requested)), Ok(true));
}
