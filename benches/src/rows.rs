//! The rows that are times, with their marks; for the table and for `solo`.

use crate::kit::{Class, Contender};
use crate::{
    cancel_each, counted, fan_out, fire_and_forget, idle, parallel, poll, round_trip,
    shutdown_pending, stop_latency, submit_all, submit_collect,
};
use std::fmt;

/// One row.
#[derive(Debug)]
pub struct Row {
    /// What it is called on the command line.
    pub key: &'static str,
    /// What it is called in the table.
    pub title: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// All who do the work.
    pub contenders: fn() -> Vec<Contender>,
    /// What we want to reach.
    pub marks: &'static [Mark],
}

/// What a row's number of tasks is, and what its figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `n` tasks; nanoseconds for each.
    Tasks,
    /// A twentieth of `n`; nanoseconds for each.
    Trips,
    /// Twenty times `n` polls, or items of a loop; nanoseconds for each.
    Polls,
    /// A thousandth of `n`, with a sleep in each; nanoseconds for each.
    Naps,
    /// One second for each 20,000, ten at most; nanoseconds of each.
    Seconds,
}

impl Unit {
    /// How many there are in a run of `n` tasks.
    pub fn times(self, n: usize) -> usize {
        match self {
            Unit::Tasks => n,
            Unit::Trips => (n / 20).max(1),
            Unit::Polls => n * 20,
            Unit::Naps => (n / 1_000).max(1),
            Unit::Seconds => (n / 20_000).clamp(1, 10),
        }
    }
}

/// What our figure is held against.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    /// The best peer whose tasks can be cancelled.
    BestCancellable,
    /// The best peer whose tasks cannot be cancelled.
    BestPlain,
    /// The best of all peers.
    BestPeer,
    /// The contender of that name.
    Named(&'static str),
    /// So many nanoseconds.
    Nanoseconds,
}

impl Against {
    /// Whether the figure of that contender may be the one.
    pub fn admits(self, contender: &str, class: Class) -> bool {
        match self {
            Against::BestCancellable => class == Class::Cancellable,
            Against::BestPlain => class == Class::Plain,
            Against::BestPeer => matches!(class, Class::Cancellable | Class::Plain),
            Against::Named(name) => contender == name,
            Against::Nanoseconds => false,
        }
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Against::BestCancellable => "best cancellable",
            Against::BestPlain => "best plain",
            Against::BestPeer => "best",
            Against::Named(name) => name,
            Against::Nanoseconds => "nanoseconds",
        })
    }
}

/// We want to be at most `factor` times what is named.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// How much of it. `None`: our part of it is only to be known.
    pub factor: Option<f64>,
    /// What.
    pub against: Against,
}

const fn mark(factor: f64, against: Against) -> Mark {
    Mark {
        factor: Some(factor),
        against,
    }
}

const fn to_be_known(against: Against) -> Mark {
    Mark {
        factor: None,
        against,
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark { factor, against } = self;
        let Some(factor) = factor else {
            return write!(f, "to {against}");
        };
        match against {
            Against::Nanoseconds => write!(f, "≤ {} ms", factor / 1e6),
            against => write!(f, "≤ {factor} × {against}"),
        }
    }
}

/// A look before each item of a parallel loop: beside none, and beside one by hand.
const PAR_ITER: [Mark; 2] = [
    to_be_known(Against::Named("no look at all")),
    to_be_known(Against::Named("AtomicBool and try_fold")),
];

/// All of them.
pub const ROWS: &[Row] = &[
    Row {
        key: "submit_collect",
        title: "submit + collect",
        unit: Unit::Tasks,
        contenders: submit_collect::contenders,
        marks: &[
            mark(0.5, Against::BestCancellable),
            mark(1.0, Against::BestPlain),
        ],
    },
    Row {
        key: "submit_all",
        title: "submit_all + collect",
        unit: Unit::Tasks,
        contenders: submit_all::contenders,
        marks: &[mark(0.15, Against::BestPeer)],
    },
    Row {
        key: "fire_and_forget",
        title: "fire and forget",
        unit: Unit::Tasks,
        contenders: fire_and_forget::contenders,
        marks: &[mark(0.8, Against::BestPeer)],
    },
    Row {
        key: "round_trip",
        title: "round trip",
        unit: Unit::Trips,
        contenders: round_trip::contenders,
        marks: &[mark(0.7, Against::BestPeer)],
    },
    Row {
        key: "fan_out",
        title: "fan-out inside",
        unit: Unit::Tasks,
        contenders: fan_out::contenders,
        marks: &[mark(0.8, Against::BestPeer)],
    },
    Row {
        key: "poll",
        title: "poll",
        unit: Unit::Polls,
        contenders: poll::contenders,
        marks: &[mark(2.0, Against::Named("one relaxed load"))],
    },
    Row {
        key: "cancel_each",
        title: "cancel each",
        unit: Unit::Tasks,
        contenders: cancel_each::contenders,
        marks: &[mark(0.4, Against::BestPeer)],
    },
    Row {
        key: "shutdown_pending",
        title: "shutdown, cancel pending",
        unit: Unit::Tasks,
        contenders: shutdown_pending::contenders,
        marks: &[mark(0.3, Against::BestPeer)],
    },
    Row {
        key: "stop_polling",
        title: "stop latency, polling task",
        unit: Unit::Trips,
        contenders: stop_latency::polling,
        marks: &[mark(1.5, Against::Named("spinning on an AtomicBool"))],
    },
    Row {
        key: "stop_waiting",
        title: "stop latency, waiting task",
        unit: Unit::Naps,
        contenders: stop_latency::waiting,
        marks: &[mark(1.1, Against::Named("std Condvar"))],
    },
    Row {
        key: "rayon_body",
        title: "par_iter, 50 ns an item",
        unit: Unit::Polls,
        contenders: parallel::bodies,
        marks: &PAR_ITER,
    },
    Row {
        key: "rayon_body_every",
        title: "par_iter, 50 ns an item, a look every 1024",
        unit: Unit::Polls,
        contenders: parallel::bodies_seldom,
        marks: &PAR_ITER,
    },
    Row {
        key: "rayon_sum",
        title: "par_iter, bare sum",
        unit: Unit::Polls,
        contenders: parallel::sums,
        marks: &PAR_ITER,
    },
    Row {
        key: "rayon_sum_every",
        title: "par_iter, bare sum, a look every 1024",
        unit: Unit::Polls,
        contenders: parallel::sums_seldom,
        marks: &PAR_ITER,
    },
    Row {
        key: "idle",
        title: "idle, processor time a second",
        unit: Unit::Seconds,
        contenders: idle::contenders,
        marks: &[mark(2e6, Against::Nanoseconds)],
    },
];

/// The contenders of what goes by that name: a row, or [`counted`].
pub fn contenders(key: &str) -> Option<Vec<Contender>> {
    if key == "counted" {
        return Some(counted::contenders());
    }
    let row = ROWS.iter().find(|row| row.key == key)?;
    Some((row.contenders)())
}
