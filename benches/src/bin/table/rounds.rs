//! Rounds that are each taken in one mode of the machine, and with the machine for themselves.
//!
//! The machine is probed before a round, after each figure in it, and so at its end too. If the
//! probes are not those of one mode, what the figures of the round say of each other is chance, and
//! the round is done again. So it is if others had a part of the machine meanwhile. On a machine
//! that never keeps still the rounds that were disturbed least are taken at last, and the table
//! says so.

use std::fmt;
use stoppable_benches::kit::{Class, median};
use stoppable_benches::others::Account;
use stoppable_benches::probe;

/// So much of the machine others may have in a round.
const OTHERS: f64 = 0.2;

/// A name, a class, and nanoseconds for each of what is counted, round by round.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) rounds: Vec<f64>,
}

impl Figures {
    pub(crate) fn new(name: &'static str, class: Class) -> Figures {
        Figures {
            name,
            class,
            rounds: Vec::new(),
        }
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// Of these to those, within a round.
    pub(crate) fn ratio_to(&self, those: &Figures) -> f64 {
        let pairs = self.rounds.iter().zip(&those.rounds);
        let ratios: Vec<f64> = pairs.map(|(these, those)| these / those).collect();
        median(&ratios)
    }
}

/// How many rounds, and how often to try for them.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) tries: usize,
}

impl Effort {
    /// Each round three times, if it must be.
    pub(crate) fn of(rounds: usize) -> Effort {
        Effort {
            rounds,
            tries: 3 * rounds,
        }
    }
}

struct Round {
    figures: Vec<f64>,
    round_trips: Vec<f64>,
    /// Which part of the machine others had.
    others: f64,
}

impl Round {
    /// Runs what has the places 0 to `len`, each once, beginning with the place `first`.
    fn run(len: usize, first: usize, run: &mut impl FnMut(usize) -> f64) -> Round {
        let before = Account::now();
        let mut round = Round {
            figures: vec![0.0; len],
            round_trips: vec![probe::line_round_trip()],
            others: 0.0,
        };
        for turn in 0..len {
            let place = (first + turn) % len;
            round.figures[place] = run(place);
            round.round_trips.push(probe::line_round_trip());
        }
        round.others = Account::others_since(before);
        round
    }

    fn is_of_one_mode(&self) -> bool {
        probe::are_of_one_mode(&self.round_trips)
    }

    fn is_undisturbed(&self) -> bool {
        self.is_of_one_mode() && self.others <= OTHERS
    }

    /// One more for each time that the mode doubled, and for each part that others may not have.
    fn disturbance(&self) -> f64 {
        let (least, most) = probe::range(&self.round_trips);
        (most / least).log2() + self.others / OTHERS
    }
}

/// What the rounds of a row were taken in.
#[derive(Default)]
pub(crate) struct Conditions {
    /// The median of each round's probes.
    round_trips: Vec<f64>,
    /// Rounds in which the mode changed.
    mixed: usize,
    /// Which part of the machine others had in each.
    others: Vec<f64>,
}

impl Conditions {
    /// Adds the rounds of another part of the row.
    pub(crate) fn add(&mut self, other: Conditions) {
        self.round_trips.extend(other.round_trips);
        self.mixed += other.mixed;
        self.others.extend(other.others);
    }
}

/// Takes rounds of all `figures`: `run` does what is at a place, and gives the nanoseconds of each.
pub(crate) fn take(
    figures: &mut [Figures],
    effort: Effort,
    mut run: impl FnMut(usize) -> f64,
) -> Conditions {
    let mut conditions = Conditions::default();
    for round in try_for(effort, |first| Round::run(figures.len(), first, &mut run)) {
        conditions.round_trips.push(median(&round.round_trips));
        conditions.mixed += usize::from(!round.is_of_one_mode());
        conditions.others.push(round.others);
        for (figures, figure) in figures.iter_mut().zip(round.figures) {
            figures.rounds.push(figure);
        }
    }
    conditions
}

/// Undisturbed rounds, and if there are too few of them those that were disturbed least.
fn try_for(effort: Effort, mut round: impl FnMut(usize) -> Round) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    for first in 0..effort.tries {
        rounds.push(round(first));
        if rounds.iter().filter(|it| it.is_undisturbed()).count() == effort.rounds {
            rounds.retain(Round::is_undisturbed);
            break;
        }
    }
    rounds.sort_by(|a, b| a.disturbance().total_cmp(&b.disturbance()));
    rounds.truncate(effort.rounds);
    rounds
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if probe::are_of_one_mode(&self.round_trips) {
            write!(f, "{:.0} ns", median(&self.round_trips))?;
        } else {
            let (least, most) = probe::range(&self.round_trips);
            write!(f, "{least:.0}–{most:.0} ns")?;
        }
        if self.mixed > 0 {
            let all = self.round_trips.len();
            write!(f, ", changing within {} of {all} rounds", self.mixed)?;
        }
        let others = median(&self.others);
        if others > OTHERS {
            write!(f, ", others had {:.0} % of the machine", others * 100.0)?;
        }
        Ok(())
    }
}
