//! One task as a bar: its colour, its moments, its label.

use super::frame::{Band, Frame, Px};
use super::plan::Placed;
use super::scale::Scale;
use super::text::{Tooltip, Xml, shorten};
use crate::report::TaskStatus;
use std::fmt::{Result, Write};

/// The narrowest bar.
const LEAST: f64 = 1.2;
/// How far a bar without an end sticks out of the picture.
const ARROW: f64 = 9.0;
/// The narrowest bar with marks.
const MARKED: f64 = 8.0;
/// About the width of a letter, for its height of 11.
const LETTER: f64 = 6.4;

/// The style of a task that ended so.
pub(super) fn class(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Completed => "c",
        TaskStatus::Running => "r",
        TaskStatus::Cancelled => "x",
        TaskStatus::Panicked => "p",
        TaskStatus::NeverStarted => "n",
        TaskStatus::Pending => "w",
    }
}

pub(super) fn draw(out: &mut String, frame: &Frame, scale: &Scale, placed: &Placed<'_>) -> Result {
    let task = placed.task;
    let band = frame.bar(placed.lane, task.depth);
    write!(out, "<g><title>{}</title>", Tooltip(task, scale.length))?;
    let to = outline(out, scale, placed, band)?;
    let place = |at| scale.x(at).max(placed.from).min(to);
    let asked = task.asked.map_or(to, place);
    if to - asked > 0.5 {
        let (x, width) = (Px(asked), Px(to - asked));
        let (y, height) = (Px(band.top), Px(band.height));
        write!(
            out,
            r#"<rect class="h" x="{x}" y="{y}" width="{width}" height="{height}"/>"#
        )?;
    }
    let seen = task.seen.map_or(to, place).max(asked);
    let parts = [(placed.from, asked), (asked + 3.0, seen), (seen + 2.0, to)];
    label(out, frame, placed, widest(parts))?;
    moments(out, scale, placed, band)?;
    out.push_str("</g>\n");
    Ok(())
}

/// Draws the bar, and says where it ends.
fn outline(
    out: &mut String,
    scale: &Scale,
    placed: &Placed<'_>,
    band: Band,
) -> std::result::Result<f64, std::fmt::Error> {
    let task = placed.task;
    // What is thin would be all edge.
    let has_edge = task.depth > 0 && placed.to - placed.from > 4.0 && band.height > 5.0;
    let edge = if has_edge { " i" } else { "" };
    let class = class(task.status);
    let (from, y, height) = (placed.from, Px(band.top), Px(band.height));
    if task.status == TaskStatus::Running {
        let from = from.min(scale.right() - LEAST);
        let (x, right, half) = (Px(from), Px(scale.right()), Px(band.height / 2.0));
        write!(
            out,
            r#"<path class="{class}{edge}" d="M{x} {y}H{right}l{ARROW} {half}l-{ARROW} {half}H{x}z"/>"#
        )?;
        return Ok(scale.right());
    }
    // A little less, so that the next one can be told from it.
    let width = placed.to - from;
    let width = if width > 3.0 {
        width - 0.6
    } else {
        width.max(LEAST)
    };
    let from = from.min(scale.right() - width);
    let (x, width) = (Px(from), Px(width));
    write!(
        out,
        r#"<rect class="{class}{edge}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#
    )?;
    Ok(from + width.0)
}

/// The moments at which the task was asked, and saw it.
fn moments(out: &mut String, scale: &Scale, placed: &Placed<'_>, band: Band) -> Result {
    // A bar of some pixels only is hatched, and has no room for more.
    let width = placed.to - placed.from;
    if width < MARKED && placed.task.status != TaskStatus::Running {
        return Ok(());
    }
    let size = (band.height / 5.0).min(width / 4.0).clamp(1.5, 3.0);
    let place = |at| scale.x(at).clamp(placed.from, placed.to);
    if let Some(asked) = placed.task.asked {
        asked_mark(out, place(asked), band, size)?;
    }
    if let Some(seen) = placed.task.seen {
        seen_mark(out, place(seen), band, size)?;
    }
    Ok(())
}

/// A line that hangs from a triangle.
pub(super) fn asked_mark(out: &mut String, x: f64, band: Band, size: f64) -> Result {
    let (x, y, height) = (Px(x), Px(band.top), Px(band.height));
    let (size, wide, tall) = (Px(size), Px(2.0 * size), Px(1.5 * size));
    write!(
        out,
        r#"<path class="a" d="M{x} {y}v{height}v-{height}h-{size}h{wide}l-{size} {tall}l-{size} -{tall}"/>"#
    )
}

/// A line that stands on a ring.
pub(super) fn seen_mark(out: &mut String, x: f64, band: Band, size: f64) -> Result {
    let foot = band.bottom() - size;
    let (x, y, end, foot) = (Px(x), Px(band.top), Px(foot - size), Px(foot));
    write!(
        out,
        r#"<path class="s" d="M{x} {y}V{end}"/><circle class="s" cx="{x}" cy="{foot}" r="{}"/>"#,
        Px(size)
    )
}

/// The first of the widest parts, so that a label does not cross a mark.
fn widest(parts: [(f64, f64); 3]) -> (f64, f64) {
    let [first, others @ ..] = parts;
    others.into_iter().fold(first, |best, part| {
        if part.1 - part.0 > best.1 - best.0 {
            part
        } else {
            best
        }
    })
}

/// The task's name or id, if there is room between two places.
fn label(out: &mut String, frame: &Frame, placed: &Placed<'_>, (from, to): (f64, f64)) -> Result {
    let band = frame.bar(placed.lane, placed.task.depth);
    let room = frame.label(band, placed.task.depth);
    if room.height < 8.0 {
        return Ok(());
    }
    let size = (room.height - 1.0).min(11.0);
    let letters = ((to - from - 7.0) / (LETTER * size / 11.0)).max(0.0) as usize;
    let Some(words) = words(placed, letters).filter(|_| letters > 0) else {
        return Ok(());
    };
    let (x, y, width, height) = (Px(from), Px(room.top), Px(to - from), Px(room.height));
    let base = Px(room.height / 2.0 + size * 0.36);
    let class = if placed.task.status == TaskStatus::Panicked {
        "t l"
    } else {
        "t"
    };
    // An inner picture cuts off what is wider than expected.
    write!(
        out,
        r#"<svg x="{x}" y="{y}" width="{width}" height="{height}"><text class="{class}" x="4" y="{base}" font-size="{}">{}</text></svg>"#,
        Px(size),
        Xml(&words)
    )
}

/// The name, a good part of it, or the id, in at most so many letters.
fn words(placed: &Placed<'_>, letters: usize) -> Option<String> {
    // Some letters are twice as wide.
    let width = |text: &str| {
        text.chars()
            .map(|c| if c < '\u{1100}' { 1 } else { 2 })
            .sum::<usize>()
    };
    if let Some(name) = placed.task.name() {
        if width(name) <= letters {
            return Some(name.to_owned());
        }
        let wide = name.chars().any(|c| c >= '\u{1100}');
        let most = if wide { letters / 2 } else { letters };
        if most >= 6 {
            return Some(shorten(name, most));
        }
    }
    let id = placed.task.id.to_string();
    (id.len() <= letters).then_some(id)
}
