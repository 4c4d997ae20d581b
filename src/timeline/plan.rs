//! Which tasks are drawn as bars of their own, and which are merged.
//!
//! A task narrower than a pixel or so, unless it is alone, is counted in the cell of its lane in which it
//! began, and covers part of the cells that it touches. When even the wide ones are too many, only the widest are
//! drawn. So the picture has a bounded number of parts.

use super::scale::Scale;
use super::{Timeline, TimelineTask};
use crate::report::TaskStatus;
use std::collections::BTreeMap;

/// At most so many tasks are drawn one by one.
const BARS_MOST: usize = 2_500;
/// There are about so many cells at most.
const CELLS_MOST: usize = 40_000;
/// Narrower ones are merged.
const NARROW: f64 = 1.5;

/// A task with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) task: &'a TimelineTask,
    pub(super) lane: usize,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Placed<'_> {
    fn width(&self) -> f64 {
        self.to - self.from
    }

    fn row(&self) -> Row {
        (self.lane, self.task.depth > 0)
    }

    /// Whether there is room between it and a neighbour in its row, if it has one.
    fn is_apart(&self, neighbour: Option<&Placed<'_>>) -> bool {
        neighbour.is_none_or(|other| {
            let gap = (self.from - other.to).max(other.from - self.to);
            other.row() != self.row() || gap > NARROW
        })
    }

    /// How much it deserves a bar of its own: those that show a stop more, open ones above all.
    fn weight(&self) -> f64 {
        match (self.task.status, self.task.asked) {
            (TaskStatus::Running, _) => self.width() + 1e6,
            (_, Some(_)) => self.width() * 4.0,
            (_, None) => self.width(),
        }
    }
}

/// Those who ended in each way, of the tasks that began.
pub(super) const KINDS: [TaskStatus; 4] = [
    TaskStatus::Completed,
    TaskStatus::Running,
    TaskStatus::Cancelled,
    TaskStatus::Panicked,
];

/// What is merged in a few pixels of a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    /// How many began here, of each of the [`KINDS`].
    pub(super) counts: [u32; KINDS.len()],
    /// How many touch it, of each of the [`KINDS`].
    pub(super) touches: [u32; KINDS.len()],
    /// The share of the time in which one of them ran; more than 1 if they overlap.
    pub(super) cover: f64,
}

/// Lane, and whether it is of the inner tasks.
pub(super) type Row = (usize, bool);

/// Everything that is drawn in lanes.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Outer ones first.
    pub(super) bars: Vec<Placed<'a>>,
    pub(super) rows: BTreeMap<Row, Vec<Cell>>,
    /// How wide a cell is.
    pub(super) cell: f64,
    /// How many lanes there are: one for each worker, and one for what ran elsewhere, if anything did.
    pub(super) lanes: usize,
    /// Whether some tasks ran inside of others.
    pub(super) nested: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(timeline: &'a Timeline, scale: &Scale) -> Self {
        let placed: Vec<_> = placed(timeline, scale).collect();
        let lanes = placed.iter().map(|placed| placed.lane + 1).max();
        let lanes = lanes.unwrap_or(0).max(timeline.threads);
        let cells = scale.width as usize * lanes;
        let mut plan = Plan {
            bars: Vec::new(),
            rows: BTreeMap::new(),
            cell: cells.div_ceil(CELLS_MOST).max(1) as f64,
            lanes,
            nested: placed.iter().any(|placed| placed.task.depth > 0),
        };
        let least = least_weight(&placed);
        let is_bar = |placed: &Placed<'_>| is_wide(placed) && placed.weight() > least;
        let (bars, mut narrow): (Vec<_>, Vec<_>) = placed.into_iter().partition(is_bar);
        plan.bars = bars;
        narrow.sort_by(|a, b| a.row().cmp(&b.row()).then(a.from.total_cmp(&b.from)));
        for (n, placed) in narrow.iter().enumerate() {
            let before = n.checked_sub(1).map(|n| &narrow[n]);
            let is_alone = placed.is_apart(before) && placed.is_apart(narrow.get(n + 1));
            if least == 0.0 && is_alone && plan.bars.len() < BARS_MOST {
                plan.bars.push(*placed);
            } else {
                plan.merge(placed, scale);
            }
        }
        // In each depth, what ended badly is above what did not.
        let rank = |placed: &Placed<'_>| KINDS.iter().position(|kind| *kind == placed.task.status);
        plan.bars
            .sort_by_key(|placed| (placed.task.depth, rank(placed)));
        plan
    }

    fn merge(&mut self, placed: &Placed<'_>, scale: &Scale) {
        let count = (scale.width / self.cell).ceil() as usize;
        let row = self.rows.entry(placed.row());
        let row = row.or_insert_with(|| vec![Cell::default(); count]);
        let kind = KINDS.iter().position(|kind| *kind == placed.task.status);
        let kind = kind.unwrap_or(0);
        let place = |x: f64| (x - scale.left) / self.cell;
        let (from, to) = (place(placed.from), place(placed.to));
        let first = (from as usize).min(count - 1);
        let last = (to as usize).clamp(first, count - 1);
        row[first].counts[kind] += 1;
        for (n, cell) in row.iter_mut().enumerate().take(last + 1).skip(first) {
            let n = n as f64;
            cell.touches[kind] += 1;
            cell.cover += (to.min(n + 1.0) - from.max(n)).max(0.0);
        }
    }
}

fn is_wide(placed: &Placed<'_>) -> bool {
    placed.width() >= NARROW || placed.task.status == TaskStatus::Running
}

/// Only what weighs more is drawn by itself.
fn least_weight(placed: &[Placed<'_>]) -> f64 {
    let wide = placed.iter().filter(|placed| is_wide(placed));
    let mut weights: Vec<_> = wide.map(Placed::weight).collect();
    if weights.len() <= BARS_MOST {
        return 0.0;
    }
    let falling = |a: &f64, b: &f64| b.total_cmp(a);
    *weights.select_nth_unstable_by(BARS_MOST, falling).1
}

fn placed<'a>(timeline: &'a Timeline, scale: &Scale) -> impl Iterator<Item = Placed<'a>> {
    let begun = timeline.tasks.iter().filter(|task| task.has_begun());
    begun.map(|task| {
        let (begin, end) = task.span(timeline.length);
        Placed {
            task,
            lane: lane(timeline, task),
            from: scale.x(begin),
            to: scale.x(end),
        }
    })
}

/// What no worker ran has a lane of its own, after theirs.
pub(super) fn lane(timeline: &Timeline, task: &TimelineTask) -> usize {
    task.lane.unwrap_or(usize::MAX).min(timeline.threads)
}
