//! The whole picture: title, legend, lanes, strips, axis.

use super::frame::{Frame, Px, WIDTH, scale};
use super::plan::Plan;
use super::scale::{Scale, ticks};
use super::strip::STRIPS;
use super::text::{Count, Of, Span, Xml, shorten};
use super::{Timeline, bar, density, legend, strip};
use std::fmt::{Result, Write};

/// Colours that the colour-blind can tell apart, of different lightness; outlines and patterns for
/// those who see none. A dark page gets a dark ground.
const STYLE: &str = r##"<style>
text{font-family:system-ui,"Segoe UI","DejaVu Sans",sans-serif;fill:#24292f}
.b{fill:#fff}.e{fill:#f1f3f5}.o{fill:#e8ebee}.g{stroke:#8c959f;stroke-width:.5;stroke-opacity:.45}.y{stroke:#57606a;stroke-width:1}
.m{fill:#57606a}.t{fill:#10151b}.l{fill:#fff}
.c{fill:#8ac8ee}.x{fill:#eda100;stroke:#7a4b00;stroke-width:.8}.p{fill:url(#p)}.r{fill:#2fa67c;stroke:#0b5a40;stroke-width:.8;stroke-dasharray:3 2}
.n{fill:#737c87}.w{fill:#a58bd6}.h{fill:url(#h)}.d{stroke:none}.i{stroke:#fff;stroke-width:1;stroke-dasharray:none}
.a{fill:#10151b;stroke:#10151b;stroke-width:1}.s{fill:#fff;stroke:#10151b;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#d8dee4}.b{fill:#16191d}.e{fill:#20252b}.o{fill:#262c33}.m{fill:#9aa4ae}.y{stroke:#9aa4ae}
.t{fill:#10151b}.l{fill:#fff}.q{fill:#d8dee4}.i{stroke:#16191d}}
</style>
<defs><pattern id="p" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 0h6v6h-6z" fill="#99264f"/><path d="M0 0L6 6M6 0L0 6" stroke="#e59ab5" stroke-width=".7"/></pattern>
<pattern id="h" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0h5v5h-5z" fill="#fff" fill-opacity=".3"/><path d="M0 0h2v5h-2z" fill="#fff" fill-opacity=".55"/></pattern></defs>
"##;

pub(super) fn draw(timeline: &Timeline) -> String {
    let mut body = String::new();
    let mut out = String::new();
    // Nothing can go wrong: they are strings.
    if let Ok(height) = write_body(&mut body, timeline) {
        let _ = write_head(&mut out, timeline, height);
    }
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

fn write_head(out: &mut String, timeline: &Timeline, height: f64) -> Result {
    let (width, height) = (Px(WIDTH), Px(height));
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#
    )?;
    writeln!(out, "<title>{}</title>", headline(timeline))?;
    out.push_str(STYLE);
    writeln!(
        out,
        r#"<rect class="b" width="{width}" height="{height}"/>"#
    )?;
    writeln!(
        out,
        r#"<text x="16" y="28" font-size="16" font-weight="600">{}</text>"#,
        headline(timeline)
    )
}

/// What is below the title. Says how tall the picture is.
fn write_body(out: &mut String, timeline: &Timeline) -> std::result::Result<f64, std::fmt::Error> {
    let scale = scale(timeline.length);
    let plan = Plan::new(timeline, &scale);
    let strips = STRIPS
        .into_iter()
        .filter(|(status, _)| timeline.count(*status) > 0);
    let strips: Vec<_> = strips.collect();
    let bottom = legend::draw(out, timeline, (16.0, WIDTH - 16.0), 44.0)?;
    let frame = Frame::new(bottom + 10.0, &plan, strips.len());
    for lane in 0..plan.lanes {
        ground(out, &frame, &scale, lane, timeline.threads)?;
    }
    for (n, (_, words)) in strips.iter().enumerate() {
        strip_ground(out, &frame, &scale, n, words)?;
    }
    axis(out, &frame, &scale)?;
    let inner = plan.bars.partition_point(|placed| placed.task.depth == 0);
    for (merged, bars) in [(false, &plan.bars[..inner]), (true, &plan.bars[inner..])] {
        density::draw(out, &frame, &scale, &plan, merged)?;
        for placed in bars {
            bar::draw(out, &frame, &scale, placed)?;
        }
    }
    for (n, (status, _)) in strips.iter().enumerate() {
        strip::draw(out, timeline, &scale, *status, frame.strip(n))?;
    }
    Ok(frame.height())
}

fn headline(timeline: &Timeline) -> String {
    let name = match timeline.pool_name() {
        Some(name) => format!("pool “{}”", Xml(&shorten(name, 50))),
        None => "pool".to_owned(),
    };
    let tasks = Of(timeline.tasks.len() as u64, "task");
    let workers = Of(timeline.threads as u64, "worker");
    let left_out = match timeline.left_out {
        0 => String::new(),
        count => format!(" ({} more not recorded)", Count(count)),
    };
    format!(
        "{name}: {tasks}{left_out}, {workers}, {}",
        Span(timeline.length)
    )
}

/// The ground of a lane, and who it is.
fn ground(out: &mut String, frame: &Frame, scale: &Scale, lane: usize, threads: usize) -> Result {
    let band = frame.lane(lane);
    let class = if lane % 2 == 0 { "e" } else { "o" };
    write_ground(out, scale, band.top, band.height, class)?;
    // Where lanes are lower than letters, some of them are named.
    let every = (12.0 / band.height).ceil() as usize;
    if lane >= threads {
        row_label(out, scale, band.middle(), "elsewhere")
    } else if lane % every == 0 {
        row_label(out, scale, band.middle(), &format!("worker {lane}"))
    } else {
        Ok(())
    }
}

fn strip_ground(out: &mut String, frame: &Frame, scale: &Scale, n: usize, words: &str) -> Result {
    let band = frame.strip(n);
    write_ground(out, scale, band.top, band.height, "e")?;
    row_label(out, scale, band.middle(), words)
}

fn write_ground(out: &mut String, scale: &Scale, top: f64, height: f64, class: &str) -> Result {
    let (x, y, width, height) = (Px(scale.left), Px(top), Px(scale.width), Px(height));
    writeln!(
        out,
        r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#
    )
}

fn row_label(out: &mut String, scale: &Scale, middle: f64, words: &str) -> Result {
    let (x, y) = (Px(scale.left - 8.0), Px(middle + 3.8));
    writeln!(
        out,
        r#"<text class="m" x="{x}" y="{y}" font-size="11" text-anchor="end">{words}</text>"#
    )
}

fn axis(out: &mut String, frame: &Frame, scale: &Scale) -> Result {
    let (top, bottom) = (Px(frame.top), Px(frame.bottom()));
    let (left, right) = (Px(scale.left), Px(scale.right()));
    for (at, label) in ticks(scale.length) {
        let (x, y) = (Px(scale.x(at)), Px(frame.bottom() + 16.0));
        write!(out, r#"<path class="g" d="M{x} {top}V{bottom}"/>"#)?;
        writeln!(
            out,
            r#"<text class="m" x="{x}" y="{y}" font-size="11" text-anchor="middle">{label}</text>"#
        )?;
    }
    writeln!(out, r#"<path class="y" d="M{left} {bottom}H{right}"/>"#)
}
