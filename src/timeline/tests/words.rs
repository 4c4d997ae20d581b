//! Durations, counts, ticks and escapes; what users read of the data itself.

use super::made_up::life;
use crate::timeline::scale::ticks;
use crate::timeline::text::{Count, Span, Xml, shorten};
use std::time::Duration;

#[test]
fn durations_have_three_figures_or_two_units() {
    let cases = [
        (0, "0"),
        (7, "7 ns"),
        (1_500, "1.5 µs"),
        (850_400, "850 µs"),
        (12_340_000, "12.3 ms"),
        (1_000_000_000, "1 s"),
        (119_000_000_000, "119 s"),
        (120_000_000_000, "2 min"),
        (7_503_000_000_000, "2 h 5 min"),
        (86_405_000_000_000, "1 d"),
    ];
    for (nanos, words) in cases {
        assert_eq!(Span(Duration::from_nanos(nanos)).to_string(), words);
    }
    let counts = [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
    ];
    for (count, words) in counts {
        assert_eq!(Count(count).to_string(), words);
    }
}

#[test]
fn ticks_are_few_and_round() {
    let cases = [
        (Duration::from_nanos(10), "1 ns"),
        (Duration::from_nanos(1_500), "0.2 µs"),
        (Duration::from_millis(40), "5 ms"),
        (Duration::from_millis(2_310), "0.2 s"),
        (Duration::from_secs(100), "10 s"),
        (Duration::from_secs(800), "2 min"),
        (Duration::from_secs(86_400 * 3), "6 h"),
        (Duration::from_secs(86_400 * 70), "10 d"),
    ];
    for (length, first) in cases {
        let ticks = ticks(length);
        assert_eq!(ticks[1].1, first);
        assert!((5..=13).contains(&ticks.len()), "{ticks:?}");
    }
    assert!(ticks(Duration::MAX).len() <= 13);
    assert_eq!(ticks(Duration::ZERO).len(), 1);
    let labels: Vec<_> = ticks(Duration::from_secs(16_000))
        .into_iter()
        .map(|tick| tick.1)
        .collect();
    assert_eq!(
        labels,
        [
            "0",
            "30 min",
            "1 h",
            "1 h 30 min",
            "2 h",
            "2 h 30 min",
            "3 h",
            "3 h 30 min",
            "4 h"
        ]
    );
}

#[test]
fn texts_are_shortened_and_escaped() {
    assert_eq!(shorten("seven", 5), "seven");
    assert_eq!(shorten("größer", 5), "größ…");
    assert_eq!(shorten("x", 0), "…");
    let xml = Xml("a<b>&\"c\"\n\0\u{1b}\u{202e}\u{ffff}é").to_string();
    assert_eq!(
        xml,
        "a&lt;b&gt;&amp;&quot;c&quot; \u{fffd}\u{fffd}\u{fffd}\u{fffd}é"
    );
}

#[test]
fn debug_is_short() {
    let debug = format!("{:?}", life(2, 10, 1.0, 1));
    assert!(
        debug.starts_with("Timeline { pool: Some(\"indexer\"), threads: 2, length: 1s, tasks: "),
        "{debug}"
    );
}
