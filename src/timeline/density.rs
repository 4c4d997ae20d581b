//! Tasks that are too short to be drawn one by one: stacks as tall as their lane was busy, in the colours
//! of how they ended.

use super::bar::class;
use super::frame::{Band, Frame, Px};
use super::plan::{Cell, KINDS, Plan};
use super::scale::Scale;
use super::text::{Of, Span};
use std::fmt::{Result, Write};

/// So many pixels share a tooltip.
const GROUP: f64 = 24.0;
/// However short they were, something is to be seen, and something of each kind.
const LEAST: f64 = 0.22;
const LEAST_EACH: f64 = 2.0;

/// Draws the merged tasks of all lanes; the inner or the outer ones.
pub(super) fn draw(
    out: &mut String,
    frame: &Frame,
    scale: &Scale,
    plan: &Plan<'_>,
    inner: bool,
) -> Result {
    for (row, cells) in plan.rows.iter().filter(|(row, _)| row.1 == inner) {
        let group = (GROUP / plan.cell).ceil() as usize;
        let band = frame.bar(row.0, u32::from(inner));
        for (n, cells) in cells.chunks(group).enumerate() {
            let left = scale.left + (n * group) as f64 * plan.cell;
            if cells.iter().any(|cell| cell.touches != [0; KINDS.len()]) {
                out.push_str("<g>");
                title(out, scale, cells, left, plan.cell * group as f64)?;
                stacks(out, cells, band, left, plan.cell)?;
                out.push_str("</g>\n");
            }
        }
    }
    Ok(())
}

fn title(out: &mut String, scale: &Scale, cells: &[Cell], left: f64, width: f64) -> Result {
    let mut counts = [0_u64; KINDS.len()];
    for cell in cells {
        for (sum, count) in counts.iter_mut().zip(cell.counts) {
            *sum += u64::from(count);
        }
    }
    let all: u64 = counts.iter().sum();
    let (from, to) = (scale.time(left), scale.time(left + width));
    write!(
        out,
        "<title>{} that began from {} to {}",
        Of(all, "task"),
        Span(from),
        Span(to)
    )?;
    for (kind, count) in KINDS.iter().zip(counts).filter(|(_, count)| *count > 0) {
        write!(out, "\n{count} {kind}")?;
    }
    out.push_str("</title>");
    Ok(())
}

/// A path for each kind, with a rectangle for each run of cells where it is equally tall.
fn stacks(out: &mut String, cells: &[Cell], band: Band, left: f64, width: f64) -> Result {
    let stacks: Vec<_> = cells.iter().map(|cell| stack(cell, band)).collect();
    for (n, kind) in KINDS.iter().enumerate() {
        let parts: Vec<_> = stacks.iter().map(|stack| stack[n]).collect();
        if parts.iter().all(|(_, height)| *height == 0.0) {
            continue;
        }
        write!(out, r#"<path class="{} d" d=""#, class(*kind))?;
        let mut x = left;
        for run in parts.chunk_by(|a, b| a == b) {
            let (y, height) = run[0];
            let wide = width * run.len() as f64;
            if height > 0.0 {
                write!(
                    out,
                    "M{} {}h{w}v{h}h-{w}z",
                    Px(x),
                    Px(y),
                    w = Px(wide),
                    h = Px(height)
                )?;
            }
            x += wide;
        }
        out.push_str(r#""/>"#);
    }
    Ok(())
}

/// The top and height of each kind in a cell, from the bottom of the lane up.
fn stack(cell: &Cell, band: Band) -> [(f64, f64); KINDS.len()] {
    let mut parts = [(0.0, 0.0); KINDS.len()];
    let all: u32 = cell.touches.iter().sum();
    if all == 0 {
        return parts;
    }
    let tall = band.height * cell.cover.clamp(LEAST, 1.0);
    let share = |count: u32| match count {
        0 => 0.0,
        _ => (tall * f64::from(count) / f64::from(all)).max(LEAST_EACH),
    };
    let sum: f64 = cell.touches.iter().map(|count| share(*count)).sum();
    let shrink = (band.height / sum).min(1.0);
    let mut y = band.bottom();
    for (part, count) in parts.iter_mut().zip(cell.touches) {
        // Halves of a pixel, so that neighbours are often equal.
        let height = (share(count) * shrink * 2.0).floor() / 2.0;
        y -= height;
        *part = (y, height);
    }
    parts
}
