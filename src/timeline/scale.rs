//! From a time to a place in the picture, and the ticks of the time axis.

use super::text::compound;
use std::time::Duration;

/// The time axis: the pool's start at the left, the moment of the picture at the right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) length: Duration,
}

impl Scale {
    /// Where a time is, never outside of the axis.
    pub(super) fn x(&self, at: Duration) -> f64 {
        let whole = self.length.as_secs_f64().max(1e-9);
        self.left + self.width * (at.as_secs_f64() / whole).clamp(0.0, 1.0)
    }

    /// The right end of the axis.
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    /// The time at a place.
    pub(super) fn time(&self, x: f64) -> Duration {
        self.length
            .mul_f64(((x - self.left) / self.width).clamp(0.0, 0.999_999))
    }
}

const SECOND: u128 = 1_000_000_000;
/// The steps between a decimal number of seconds and one of days.
const STEPS: [u128; 14] = [
    5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200,
];
const DAY: u128 = 86_400 * SECOND;
/// There are at most so many ticks after the one at zero.
const TICKS: u128 = 12;

/// Times that are round numbers, and their labels.
pub(super) fn ticks(length: Duration) -> Vec<(Duration, String)> {
    let length = length.as_nanos();
    let step = step(length);
    (0..=length / step)
        .map(|n| (duration(n * step), label(n * step, step, length)))
        .collect()
}

fn step(length: u128) -> u128 {
    let decimal = |unit: u128| {
        let tens = (0..20).map(move |power| unit * 10_u128.pow(power));
        tens.flat_map(|ten| [ten, 2 * ten, 5 * ten])
    };
    let steps = decimal(1).take_while(|step| *step < 5 * SECOND);
    let steps = steps.chain(STEPS.map(|step| step * SECOND));
    let mut steps = steps.chain(decimal(DAY));
    let fits = |step: &u128| length / step <= TICKS;
    steps.find(fits).unwrap_or(length.max(1))
}

fn label(at: u128, step: u128, length: u128) -> String {
    if at == 0 {
        return "0".to_owned();
    }
    let (unit, word) = match length {
        0..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..SECOND => (1_000_000, "ms"),
        _ if length < 120 * SECOND => (SECOND, "s"),
        _ => {
            let mut words = String::new();
            // Nothing can go wrong: it is a string.
            let _ = compound(&mut words, duration(at).as_secs(), 4);
            return words;
        }
    };
    let mut digits = 0;
    while step * 10_u128.pow(digits) < unit {
        digits += 1;
    }
    format!("{:.*} {word}", digits as usize, at as f64 / unit as f64)
}

fn duration(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % SECOND) as u32)
}
