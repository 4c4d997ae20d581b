//! Random programs of one thread, and the smallest of those that fail.

use super::program::{Op, run};
use super::spec::Body;
use crate::common::finishes;
use proptest::prelude::*;
use stoppable::Shutdown;

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        2 => Just(Body::Quick),
        4 => Just(Body::Gated),
        4 => Just(Body::Polls),
        3 => Just(Body::Waits),
        2 => Just(Body::Panics),
        1 => Just(Body::PanicsWhenAsked),
        3 => Just(Body::Joins),
        2 => Just(Body::Submits),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let bodies = || prop::collection::vec(body(), 0..5);
    let at = || 0..64_usize;
    let mode = prop_oneof![
        Just(Shutdown::Drain),
        Just(Shutdown::CancelPending),
        Just(Shutdown::StopAll)
    ];
    prop_oneof![
        10 => body().prop_map(Op::Submit),
        3 => (body(), at()).prop_map(|(body, event)| Op::SubmitUnder(body, event)),
        2 => body().prop_map(Op::TrySubmit),
        2 => body().prop_map(Op::Execute),
        3 => bodies().prop_map(Op::SubmitAll),
        3 => bodies().prop_map(Op::Scope),
        12 => at().prop_map(Op::Open),
        6 => at().prop_map(Op::Cancel),
        1 => at().prop_map(Op::CancelLater),
        3 => at().prop_map(Op::SetOfTask),
        2 => at().prop_map(Op::DropHandle),
        3 => at().prop_map(Op::Outcome),
        2 => at().prop_map(Op::OnDone),
        2 => Just(Op::Event),
        2 => at().prop_map(Op::Child),
        2 => (at(), at()).prop_map(|(one, other)| Op::Any(one, other)),
        2 => at().prop_map(Op::ChildOfTask),
        2 => at().prop_map(Op::Set),
        3 => at().prop_map(Op::OnSet),
        1 => at().prop_map(Op::RemoveCallback),
        1 => Just(Op::CancelPending),
        2 => Just(Op::TakePending),
        2 => at().prop_map(Op::RunTaken),
        1 => at().prop_map(Op::DropTaken),
        1 => mode.prop_map(Op::BeginShutdown),
        1 => Just(Op::SetPool),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_pool_does_as_it_is_specified(
        threads in 1..4_usize,
        capacity in prop::option::weighted(0.3, 1..6_usize),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        finishes(move || run(threads, capacity, &ops));
    }
}
