//! Every transition, from each state with each set of flags.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "as a path it would be a method of one lifetime"
)]
use super::*;

const PHASES: [(u32, TaskStatus); 6] = [
    (PENDING, TaskStatus::Pending),
    (RUNNING, TaskStatus::Running),
    (COMPLETED, TaskStatus::Completed),
    (CANCELLED, TaskStatus::Cancelled),
    (NEVER_STARTED, TaskStatus::NeverStarted),
    (PANICKED, TaskStatus::Panicked),
];
const FLAGS: [u32; 9] = [
    VALUE, SEEN, HANDLE, WAITED, TAKEN, UNDER, SET, CAUSED, IN_SLAB,
];

/// Each state with each set of flags.
fn words() -> impl Iterator<Item = (TaskStatus, u32)> {
    let sets = (0_u32..1 << FLAGS.len()).map(|set| {
        let chosen = FLAGS.iter().enumerate().filter(|(n, _)| set >> n & 1 != 0);
        chosen.fold(0, |word, (_, flag)| word | flag)
    });
    sets.flat_map(|set| PHASES.map(|(phase, status)| (status, phase | set)))
}

/// The word after `transition`, and what that answered.
fn after<R>(word: u32, transition: impl FnOnce(State) -> R) -> (u32, R) {
    let word = AtomicU32::new(word);
    let answer = transition(State::new(&word));
    (word.into_inner(), answer)
}

/// The word in another state, and with these flags besides.
fn moved(word: u32, phase: u32, flags: u32) -> u32 {
    word & !PHASE | phase | flags
}

#[test]
fn every_bit_is_apart_from_all_others() {
    let flags = FLAGS.iter().fold(PHASE, |all, flag| {
        assert_eq!((flag.count_ones(), all & flag), (1, 0), "{flag:#x}");
        all | flag
    });
    // Eight are the node's.
    assert_eq!((flags & !(SET | CAUSED | IN_SLAB)).trailing_zeros(), 8);
}

#[test]
fn a_word_says_what_its_bits_say() {
    for (status, bits) in words() {
        let word = Word::from_bits(bits);
        let has = |flag| bits & flag != 0;
        assert_eq!((word.bits(), word.status()), (bits, status));
        let (pending, running) = (TaskStatus::Pending, TaskStatus::Running);
        assert_eq!(word.has_begun(), status != pending);
        assert_eq!(word.is_done(), status != pending && status != running);
        assert_eq!(word.is_unseen(), status == running && !has(SEEN));
        let flags = [
            (word.has_value(), VALUE),
            (word.seen(), SEEN),
            (word.has_handle(), HANDLE),
            (word.is_waited(), WAITED),
            (word.is_taken(), TAKEN),
            (word.is_under(), UNDER),
            (word.has_cause(), CAUSED),
        ];
        for (says, flag) in flags {
            assert_eq!(says, has(flag), "{flag:#x} in {bits:#x}");
        }
    }
}

#[test]
fn a_task_is_born_pending_or_refused() {
    let born = |word| {
        let word = Word::from_bits(word);
        (word.status(), word.has_handle(), word.is_taken())
    };
    assert_eq!(
        born(State::pending(false)),
        (TaskStatus::Pending, false, false)
    );
    assert_eq!(
        born(State::pending(true)),
        (TaskStatus::Pending, true, false)
    );
    assert_eq!(born(State::taken()), (TaskStatus::Pending, true, true));
    let refused = Word::from_bits(State::refused());
    assert_eq!(
        born(refused.bits()),
        (TaskStatus::NeverStarted, true, false)
    );
    assert!(refused.has_cause() && refused.bits() & SET != 0);
}

#[test]
fn a_task_is_under_an_event_however_often_that_is_said() {
    for (status, bits) in words() {
        let word = Word(State::under(bits));
        assert!(word.is_under() && word.status() == status);
    }
}

#[test]
fn a_refused_task_stays_where_it_lies() {
    for place in [0, IN_SLAB] {
        let (word, ()) = after(place | State::pending(false), |it| it.refuse());
        assert_eq!(word, place | State::refused());
    }
}

#[test]
fn a_task_is_claimed_once_by_whom_it_belongs_to() {
    for (status, bits) in words() {
        let pending = status == TaskStatus::Pending;
        let taken = bits & TAKEN != 0;
        let won = (moved(bits, RUNNING, 0), Claim::Claimed(Word(bits)));
        let lost = (bits, Claim::Gone);
        let of_pool = if pending && !taken { won } else { lost };
        assert_eq!(after(bits, |it| it.claim()), of_pool);
        assert_eq!(after(bits, |it| it.claim_expecting(PENDING)), of_pool);
        let of_owner = if pending { won } else { lost };
        assert_eq!(after(bits, |it| it.claim_taken()), of_owner);
    }
}

#[test]
fn a_task_is_handed_back_while_it_is_pending() {
    for (status, bits) in words() {
        let taken = status == TaskStatus::Pending && bits & TAKEN == 0;
        let expected = if taken { bits | TAKEN } else { bits };
        assert_eq!(after(bits, |it| it.take()), (expected, taken));
    }
}

#[test]
fn a_cancel_answers_how_it_found_the_task() {
    for (status, bits) in words() {
        let expected = match status {
            TaskStatus::Pending => (
                moved(bits, NEVER_STARTED, SET | CAUSED),
                Cancel::NeverStarted(Word(bits)),
            ),
            TaskStatus::Running => (bits, Cancel::Running),
            done => (bits, Cancel::Done(done)),
        };
        assert_eq!(after(bits, |it| it.cancel()), expected, "{bits:#x}");
    }
}

#[test]
fn who_runs_is_asked_and_stays_asked() {
    for (status, bits) in words() {
        let expected = match status {
            TaskStatus::Running => (bits | SET | CAUSED, Ok(Word(bits))),
            other => (bits, Err(other)),
        };
        assert_eq!(after(bits, |it| it.ask()), expected, "{bits:#x}");
    }
}

#[test]
fn what_is_seen_after_the_end_does_not_count() {
    for (status, bits) in words() {
        let counts = status == TaskStatus::Running;
        let expected = if counts { bits | SEEN } else { bits };
        assert_eq!(after(bits, |it| it.note_seen()), (expected, ()));
    }
}

#[test]
fn an_end_changes_the_state_and_says_whether_there_is_a_value() {
    let ends = [
        (End::Returned { seen: false }, TaskStatus::Completed, VALUE),
        (End::Returned { seen: true }, TaskStatus::Cancelled, VALUE),
        (End::Unwound, TaskStatus::Cancelled, 0),
        (End::Panicked, TaskStatus::Panicked, 0),
    ];
    let running = words().filter(|(status, bits)| {
        // Nothing has a value before its end.
        *status == TaskStatus::Running && bits & VALUE == 0
    });
    for (_, bits) in running {
        for (end, status, value) in ends {
            assert_eq!(end.status(), status);
            let (word, before) = after(bits, |it| it.finish(end));
            assert_eq!((before, Word(word).status()), (Word(bits), status));
            assert_eq!(word & !PHASE, bits & !PHASE | value);
            assert_eq!(after(bits, |it| it.finish_alone(end)), (word, before));
        }
    }
}

#[test]
fn a_handle_goes_with_its_outcome_or_before_the_end() {
    for (_, bits) in words() {
        let spent = (bits & !HANDLE, Word(bits));
        assert_eq!(after(bits, |it| it.spend_handle()), spent);
        let dropped = if Word(bits).is_done() {
            (bits, Word(bits))
        } else {
            spent
        };
        assert_eq!(after(bits, |it| it.drop_handle()), dropped);
    }
}
