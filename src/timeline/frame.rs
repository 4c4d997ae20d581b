//! The parts of the picture and where they are.

use super::plan::Plan;
use super::scale::Scale;
use std::fmt;
use std::time::Duration;

/// The width of the picture.
pub(super) const WIDTH: f64 = 1_200.0;
/// Where the time axis begins and ends.
const LEFT: f64 = 92.0;
const RIGHT: f64 = 1_168.0;
/// How tall a strip of ticks is, and its distance from what is above.
pub(super) const STRIP: f64 = 22.0;
const GAP: f64 = 10.0;

/// A place in the picture, to a tenth of a pixel.
#[derive(Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", (self.0 * 10.0).round() / 10.0)
    }
}

/// The scale of the time axis.
pub(super) fn scale(length: Duration) -> Scale {
    Scale {
        left: LEFT,
        width: RIGHT - LEFT,
        length,
    }
}

/// From the top of something to its bottom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pub(super) top: f64,
    pub(super) height: f64,
}

impl Band {
    pub(super) fn bottom(self) -> f64 {
        self.top + self.height
    }

    pub(super) fn middle(self) -> f64 {
        self.top + self.height / 2.0
    }
}

/// Where the lanes and the strips below them are.
#[derive(Debug)]
pub(super) struct Frame {
    /// The first lane begins here.
    pub(super) top: f64,
    pub(super) lane: f64,
    lanes: usize,
    nested: bool,
    strips: usize,
}

impl Frame {
    pub(super) fn new(top: f64, plan: &Plan<'_>, strips: usize) -> Self {
        let lane = match plan.lanes {
            ..=8 if plan.nested => 38.0,
            ..=8 => 28.0,
            9..=16 => 24.0,
            17..=32 => 18.0,
            33..=64 => 13.0,
            _ => 9.0,
        };
        Frame {
            top,
            lane,
            lanes: plan.lanes,
            nested: plan.nested,
            strips,
        }
    }

    pub(super) fn lane(&self, lane: usize) -> Band {
        Band {
            top: self.top + self.lane * lane as f64,
            height: self.lane,
        }
    }

    /// Where bars are in a lane: inner ones lower and thinner, inside of the outer.
    pub(super) fn bar(&self, lane: usize, depth: u32) -> Band {
        let pad = if self.lane > 20.0 { 2.0 } else { 1.0 };
        let lane = self.lane(lane);
        let height = lane.height - 2.0 * pad;
        let bottom = lane.bottom() - pad;
        let share = match depth {
            0 => {
                return Band {
                    top: lane.top + pad,
                    height,
                };
            }
            1 => 0.56,
            2 => 0.36,
            3 => 0.22,
            _ => 0.14,
        };
        let (height, edge) = ((height * share).max(2.0), 1.5);
        Band {
            top: bottom - edge - height,
            height,
        }
    }

    /// Where the label of a bar is: above what is nested in it, or in the middle.
    pub(super) fn label(&self, bar: Band, depth: u32) -> Band {
        if self.nested && depth == 0 {
            return Band {
                top: bar.top,
                height: bar.height * 0.44 - 1.0,
            };
        }
        bar
    }

    pub(super) fn lanes_bottom(&self) -> f64 {
        self.top + self.lane * self.lanes.max(1) as f64
    }

    pub(super) fn strip(&self, strip: usize) -> Band {
        Band {
            top: self.lanes_bottom() + GAP + (STRIP + GAP) * strip as f64,
            height: STRIP,
        }
    }

    /// The line of the time axis.
    pub(super) fn bottom(&self) -> f64 {
        match self.strips {
            0 => self.lanes_bottom() + 2.0,
            strips => self.strip(strips - 1).bottom() + 2.0,
        }
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom() + 32.0
    }
}
