//! Tasks that have no bar: ticks at the time at which they ended, or were submitted; taller where
//! there are many.

use super::bar::class;
use super::frame::{Band, Px};
use super::scale::Scale;
use super::text::{Count, Of, Span, Tooltip};
use super::{Timeline, TimelineTask};
use crate::report::TaskStatus;
use std::fmt::{Result, Write};

/// The statuses that have a strip, with the words before it.
pub(super) const STRIPS: [(TaskStatus, &str); 2] = [
    (TaskStatus::NeverStarted, "never started"),
    (TaskStatus::Pending, "pending since"),
];
/// How wide a tick is.
const TICK: f64 = 1.5;
/// How tall a tick for one task is, of a strip where there are more elsewhere.
const LEAST: f64 = 0.25;

/// The tallest tick has its number beside it if it stands for so many.
const SAID: u64 = 10;

/// What falls on one tick.
#[derive(Clone, Copy, Default)]
struct Tick<'a> {
    count: u64,
    first: Option<&'a TimelineTask>,
}

pub(super) fn draw(
    out: &mut String,
    timeline: &Timeline,
    scale: &Scale,
    status: TaskStatus,
    band: Band,
) -> Result {
    let ticks = ticks(timeline, scale, status);
    let tallest = ticks.iter().enumerate().max_by_key(|(_, tick)| tick.count);
    let (place, most) = tallest.map_or((0, 1), |(place, tick)| (place, tick.count));
    if most >= SAID {
        write_most(out, scale, scale.left + place as f64 * TICK, band, most)?;
    }
    for (n, tick) in ticks.iter().enumerate() {
        let Some(first) = tick.first else {
            continue;
        };
        // By the logarithm: a shutdown ends thousands at one time, and the others are to be seen, too.
        let share = (tick.count as f64).ln_1p() / (most as f64).ln_1p();
        let share = share.max(LEAST);
        let height = band.height * share;
        let x = scale.left + n as f64 * TICK;
        out.push_str("<g><title>");
        match tick.count {
            1 => write!(out, "{}", Tooltip(first, scale.length))?,
            count => write!(
                out,
                "{} {status}, at {}",
                Of(count, "task"),
                Span(scale.time(x))
            )?,
        }
        let (x, y, height) = (Px(x), Px(band.bottom() - height), Px(height));
        let class = class(status);
        writeln!(
            out,
            r#"</title><rect class="{class}" x="{x}" y="{y}" width="{TICK}" height="{height}"/></g>"#
        )?;
    }
    Ok(())
}

/// How many tasks the tallest tick stands for, beside it.
fn write_most(out: &mut String, scale: &Scale, x: f64, band: Band, most: u64) -> Result {
    let fits = x + 60.0 < scale.right();
    let (x, anchor) = if fits {
        (x + TICK + 4.0, "start")
    } else {
        (x - 4.0, "end")
    };
    let (x, y, most) = (Px(x), Px(band.top + 10.0), Count(most));
    writeln!(
        out,
        r#"<text class="m" x="{x}" y="{y}" font-size="10" text-anchor="{anchor}">{most}</text>"#
    )
}

fn ticks<'a>(timeline: &'a Timeline, scale: &Scale, status: TaskStatus) -> Vec<Tick<'a>> {
    let count = (scale.width / TICK) as usize;
    let mut ticks = vec![Tick::default(); count];
    for task in timeline.tasks.iter().filter(|task| task.status == status) {
        let x = scale.x(moment(task).unwrap_or(timeline.length));
        let place = ((x - scale.left) / TICK) as usize;
        let tick = &mut ticks[place.min(count - 1)];
        tick.count += 1;
        tick.first.get_or_insert(task);
    }
    ticks
}

/// The time that stands for a task without a bar.
pub(super) fn moment(task: &TimelineTask) -> Option<std::time::Duration> {
    match task.status {
        TaskStatus::Pending => task.submitted,
        _ => task.ended.or(task.asked).or(task.submitted),
    }
}
