//! What the colours and marks mean, with how many tasks there are of each.

use super::bar::{asked_mark, class, seen_mark};
use super::frame::{Band, Px};
use super::text::Count;
use super::{Timeline, TimelineTask};
use crate::report::TaskStatus;
use std::fmt::{Result, Write};

const LINE: f64 = 20.0;
const SAMPLE: f64 = 20.0;
/// About the width of a letter.
const LETTER: f64 = 6.7;
const GAP: f64 = 20.0;

enum Sample {
    Status(TaskStatus),
    Asked,
    Hatch,
    Seen,
}

/// Draws it into so much room, and says where it ends.
pub(super) fn draw(
    out: &mut String,
    timeline: &Timeline,
    (left, right): (f64, f64),
    top: f64,
) -> std::result::Result<f64, std::fmt::Error> {
    let (mut x, mut y) = (left, top);
    for (sample, words) in items(timeline) {
        let width = SAMPLE + 6.0 + words.chars().count() as f64 * LETTER;
        if x > left && x + width > right {
            (x, y) = (left, y + LINE);
        }
        draw_sample(
            out,
            &sample,
            x,
            Band {
                top: y,
                height: 14.0,
            },
        )?;
        let (text, base) = (Px(x + SAMPLE + 6.0), Px(y + 11.0));
        writeln!(
            out,
            r#"<text class="q" x="{text}" y="{base}" font-size="12">{words}</text>"#
        )?;
        x += width + GAP;
    }
    Ok(y + LINE)
}

fn items(timeline: &Timeline) -> Vec<(Sample, String)> {
    let statuses = [
        (TaskStatus::Completed, "completed"),
        (TaskStatus::Cancelled, "cancelled"),
        (TaskStatus::Panicked, "panicked"),
        (TaskStatus::NeverStarted, "never started"),
        (TaskStatus::Running, "still running"),
        (TaskStatus::Pending, "pending"),
    ];
    let counted = statuses.map(|(status, words)| (status, words, timeline.count(status)));
    let present = counted.into_iter().filter(|(_, _, count)| *count > 0);
    let item = |(status, words, count): (TaskStatus, &str, usize)| {
        (
            Sample::Status(status),
            format!("{} {words}", Count(count as u64)),
        )
    };
    let mut items: Vec<_> = present.map(item).collect();
    let marks = [
        (
            Sample::Asked,
            "asked to stop",
            has(timeline, |task| task.asked.is_some()),
        ),
        (
            Sample::Seen,
            "saw it",
            has(timeline, |task| task.seen.is_some()),
        ),
        (
            Sample::Hatch,
            "asked, not ended yet",
            has(timeline, |task| task.asked.is_some()),
        ),
    ];
    let marks = marks.into_iter().filter(|(_, _, present)| *present);
    items.extend(marks.map(|(sample, words, _)| (sample, words.to_owned())));
    items
}

/// Whether a task that has a bar is so.
fn has(timeline: &Timeline, is: impl Fn(&TimelineTask) -> bool) -> bool {
    let mut tasks = timeline.tasks.iter();
    tasks.any(|task| task.has_begun() && is(task))
}

fn draw_sample(out: &mut String, sample: &Sample, x: f64, band: Band) -> Result {
    let (from, y, middle) = (Px(x), Px(band.top), x + SAMPLE / 2.0);
    let rect = |class: &str| {
        format!(r#"<rect class="{class}" x="{from}" y="{y}" width="20" height="14"/>"#)
    };
    match sample {
        Sample::Status(TaskStatus::Running) => {
            write!(out, r#"<path class="r" d="M{from} {y}h14l6 7l-6 7h-14z"/>"#)?;
        }
        Sample::Status(status @ (TaskStatus::NeverStarted | TaskStatus::Pending)) => {
            for n in [4.0, 9.0, 14.0] {
                let (class, x) = (class(*status), Px(x + n));
                write!(
                    out,
                    r#"<rect class="{class}" x="{x}" y="{y}" width="1.5" height="14"/>"#
                )?;
            }
        }
        Sample::Status(status) => out.push_str(&rect(class(*status))),
        Sample::Asked | Sample::Seen | Sample::Hatch => out.push_str(&rect("x")),
    }
    match sample {
        Sample::Asked => asked_mark(out, middle, band, 3.0)?,
        Sample::Seen => seen_mark(out, middle, band, 3.0)?,
        Sample::Hatch => out.push_str(&rect("h")),
        Sample::Status(_) => {}
    }
    Ok(())
}
