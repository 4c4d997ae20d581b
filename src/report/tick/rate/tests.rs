//! Clocks that are made up: pairs of what both say.

use super::*;

/// Three ticks a nanosecond, and what the clocks say so many nanoseconds after the beginning.
fn pair(nanos: u64) -> Pair {
    Pair {
        ticks: 1_000 + 3 * nanos,
        nanos: 5 + nanos,
    }
}

/// Looks every ten microseconds, if that is worth while, for eight seconds. Says how often it looked, and for how
/// many of these ten microseconds a tick was taken to have another length than it has.
fn measure(clocks: impl Fn(u64) -> Pair) -> (Measured, u32, u32) {
    let mut measured = Measured::since(clocks(0));
    let (mut looks, mut wrong, mut until) = (0, 0, 0);
    for nanos in (10_000..8_000_000_000).step_by(10_000) {
        let now = clocks(nanos);
        if now.ticks >= until {
            until = measured.improve(now);
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
    measured.improve(pair(10_000_000_000));
    let length = measured.length;
    let soon = pair(10_000_011_000);
    measured.improve(Pair {
        nanos: soon.nanos + 200,
        ..soon
    });
    assert_eq!(measured.length, length);
    // But one over some seconds is as good as one over minutes, and newer: the clock has been corrected.
    for late in 1..3 {
        let now = pair(10_000_000_000 + late * 2_000_000_000);
        measured.improve(Pair {
            nanos: now.nanos + late * 2_000_000,
            ..now
        });
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
    rate.improve(|| pair(10_000));
    rate.improve(|| pair(100_000));
    let until = rate.until.load(Ordering::Relaxed);
    // As if it had come for the lock before.
    rate.improve(|| pair(100_100));
    assert_eq!(rate.until.load(Ordering::Relaxed), until);
    let measured = rate.lock();
    assert!(
        measured
            .as_ref()
            .is_some_and(|it| it.base.nanos == pair(100_000).nanos)
    );
}
