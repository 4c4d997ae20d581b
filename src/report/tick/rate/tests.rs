//! Clocks that are made up: pairs of what both say.

use super::*;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Three ticks a nanosecond, and what the clocks say so many nanoseconds after the beginning.
fn pair(nanos: u64) -> Pair {
    Pair {
        ticks: 1_000 + 3 * nanos,
        nanos: 5 + nanos,
    }
}

/// What is found on the spot.
fn spot(clocks: impl Fn(u64) -> Pair, nanos: u64) -> [Pair; 2] {
    [nanos, nanos + 50_000].map(clocks)
}

/// For looks that have to agree with what is known.
fn no_need() -> [Pair; 2] {
    panic!("it is known")
}

/// Looks every ten microseconds, if that is worth while, for eight seconds. Says how often it looked, and for how
/// many of these ten microseconds a tick was taken to have another length than it has.
fn measure(clocks: impl Fn(u64) -> Pair) -> (Measured, u32, u32) {
    let mut measured = Measured::since(clocks(0));
    let (mut looks, mut wrong, mut until) = (0, 0, 0);
    for nanos in (10_000..8_000_000_000).step_by(10_000) {
        let now = clocks(nanos);
        if now.ticks >= until {
            let window = measured.improve(now, || spot(&clocks, nanos));
            until = measured.base.ticks + window;
            looks += 1;
        }
        wrong += u32::from(measured.length.abs_diff(ONE / 3) > ONE / 100);
    }
    (measured, looks, wrong)
}

#[test]
fn the_length_of_a_tick_is_found_in_few_looks() {
    let (measured, looks, wrong) = measure(pair);
    assert_eq!(measured.length, ONE / 3);
    assert_eq!(wrong, 0);
    assert!((10..30).contains(&looks), "{looks}");
}

#[test]
fn looks_that_are_not_exact_give_a_length_that_is() {
    let (measured, ..) = measure(|nanos| {
        let now = pair(nanos);
        let error = nanos / 10_000 * 7_919 % 50;
        Pair {
            nanos: now.nanos + error,
            ..now
        }
    });
    assert!(measured.length.abs_diff(ONE / 3) < ONE / 10_000_000);
}

#[test]
fn a_machine_that_was_suspended_does_not_make_it_wrong() {
    const TENTH: u64 = 100_000_000;
    const HOUR: u64 = 36_000 * TENTH;
    for suspended in [5_000, 2_000_000, 500_000_000, 1_500_000_000] {
        for (ticks_before, ticks_after) in [
            // The counter went on, and the clock did not.
            (0, 3 * HOUR),
            (0, 3 * TENTH),
            // It began anew, and will be where the next look is due in some hours.
            (3 * HOUR, 0),
        ] {
            let (measured, looks, wrong) = measure(|nanos| {
                let now = pair(nanos);
                let more = if nanos < suspended {
                    ticks_before
                } else {
                    ticks_after
                };
                Pair {
                    ticks: now.ticks + more,
                    ..now
                }
            });
            assert!(measured.length.abs_diff(ONE / 3) < ONE / 1_000_000);
            // If it was suspended before the first look, nothing better is known at first.
            let most = if suspended < 10_000 { 5 } else { 0 };
            assert!(wrong <= most, "{wrong}");
            assert!(looks < 60, "{looks}");
        }
    }
}

#[test]
fn a_long_measurement_is_not_replaced_by_a_short_one() {
    let mut measured = Measured::since(pair(0));
    measured.improve(pair(10_000_000_000), || {
        [10_000_000_000, 10_000_050_000].map(pair)
    });
    let length = measured.length;
    let soon = pair(10_000_011_000);
    let soon = Pair {
        nanos: soon.nanos + 200,
        ..soon
    };
    measured.improve(soon, no_need);
    assert_eq!(measured.length, length);
    // But one over some seconds is as good as one over minutes, and newer: the clock has been corrected.
    for late in 1..3 {
        let now = pair(10_000_000_000 + late * 2_000_000_000);
        let now = Pair {
            nanos: now.nanos + late * 2_000_000,
            ..now
        };
        measured.improve(now, no_need);
    }
    assert!(measured.length.abs_diff(length + length / 1_000) < ONE / 1_000_000);
}

#[test]
fn a_clock_that_is_corrected_is_followed() {
    // By a twelfth, after two seconds: more than what goes for an error.
    let (measured, ..) = measure(|nanos| {
        let now = pair(nanos);
        Pair {
            nanos: now.nanos + nanos.saturating_sub(2_000_000_000) / 12,
            ..now
        }
    });
    let corrected = ONE / 3 * 13 / 12;
    assert!(measured.length.abs_diff(corrected) < ONE / 1_000_000);
}

#[test]
fn of_a_crowd_one_looks() {
    let rate = Rate::new();
    rate.begin(pair(0));
    rate.improve(|| pair(10_000), no_need);
    rate.improve(|| pair(100_000), no_need);
    let window = rate.window.load(Ordering::Relaxed);
    // As if it had come for the lock before.
    rate.improve(|| pair(100_100), no_need);
    assert_eq!(rate.window.load(Ordering::Relaxed), window);
    let measured = rate.wait_for_lock();
    assert!(
        measured
            .as_ref()
            .is_some_and(|it| it.base.nanos == pair(100_000).nanos)
    );
}

/// The counter goes on while it is suspended, by about as much each time, and the clock does not.
#[test]
fn a_machine_that_is_suspended_in_each_measurement_does_not_make_it_wrong() {
    const SECOND: u64 = 1_000_000_000;
    let mut measured = Measured::since(pair(0));
    for looks in 1..1_000 {
        measured.improve(pair(looks * SECOND / 100), no_need);
    }
    for suspended in 1..20 {
        let awake = |nanos: u64| {
            let now = pair((10 + suspended) * SECOND + nanos);
            let gone = 3 * 900 * SECOND * suspended;
            Pair {
                ticks: now.ticks + gone,
                ..now
            }
        };
        measured.improve(awake(0), || [0, 50_000].map(awake));
        assert!(measured.length.abs_diff(ONE / 3) < ONE / 1_000_000);
    }
}

/// Before anything is known, too, if that was long.
#[test]
fn a_machine_that_was_suspended_before_the_first_look_does_not_make_it_wrong() {
    let awake = |nanos: u64| Pair {
        ticks: pair(nanos).ticks + 3_000_000_000_000,
        ..pair(nanos)
    };
    let mut measured = Measured::since(pair(0));
    measured.improve(awake(10_000), || [10_000, 60_000].map(awake));
    assert!(measured.length.abs_diff(ONE / 3) < ONE / 1_000_000);
}

#[test]
fn a_clock_that_is_corrected_a_little_is_followed() {
    // By less than what is measured on the spot may be wrong by.
    for part in [60, 250, 400] {
        let clocks = |nanos: u64| {
            let now = pair(nanos);
            Pair {
                nanos: now.nanos + nanos.saturating_sub(2_000_000_000) / part,
                ..now
            }
        };
        let (measured, ..) = measure(clocks);
        let corrected = ONE / 3 * (part + 1) / part;
        assert!(measured.length.abs_diff(corrected) < ONE / 1_000_000);
    }
}

#[test]
fn a_counter_that_began_anew_before_the_first_look_is_measured_on_the_spot() {
    let mut measured = Measured::since(Pair {
        ticks: 1 << 60,
        ..pair(0)
    });
    measured.improve(pair(10_000), || [10_000, 60_000].map(pair));
    assert!(measured.length.abs_diff(ONE / 3) < ONE / 1_000_000);
}

#[test]
fn after_the_counter_began_anew_it_is_looked_again() {
    let before = |nanos: u64| Pair {
        ticks: pair(nanos).ticks + (1 << 60),
        ..pair(nanos)
    };
    let rate = Rate::new();
    rate.begin(before(0));
    rate.improve(|| before(10_000), no_need);
    rate.improve(|| before(1_000_000), no_need);
    assert!(!rate.is_due(before(1_100_000).ticks));
    // Who asks late, of what was a little before.
    assert!(!rate.is_due(before(900_000).ticks));
    assert!(rate.is_due(pair(1_100_000).ticks));
    rate.improve(|| pair(1_100_000), no_need);
    assert!(!rate.is_due(pair(1_100_000).ticks));
    assert!(rate.is_due(pair(3_100_000).ticks));
}

#[test]
fn who_comes_while_another_looks_does_not_wait() {
    let rate = Arc::new(Rate::new());
    rate.begin(pair(0));
    rate.improve(|| pair(10_000), no_need);
    let other = rate.wait_for_lock();
    let (tell, told) = mpsc::channel();
    let late = Arc::clone(&rate);
    let late = thread::spawn(move || {
        late.improve(|| panic!("another does"), no_need);
        tell.send(Length(late.length.load(Ordering::Relaxed)))
    });
    let known = told.recv_timeout(Duration::from_secs(20));
    drop(other);
    late.join().unwrap().unwrap();
    assert_eq!(known, Ok(Length(ONE / 3)));
}
