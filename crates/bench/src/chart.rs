//! The figures as bars. Colours are legible on a light and on a dark page; there is no background.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont as _, RGBColor, TextStyle};

use crate::report::{Case, Outcome, Report};
use crate::words::number;

/// The panels: case, runtime, timeouts.
const PANELS: [(&str, &str, bool); 4] = [
    ("uncontended", "current_thread", true),
    ("64-over-16", "multi_thread", true),
    ("10000-over-16", "multi_thread", true),
    ("memory-per-waiter", "current_thread", true),
];

const SIZE: (u32, u32) = (960, 560);
const TEXT: RGBColor = RGBColor(0x76, 0x83, 0x90);
const OURS: RGBColor = RGBColor(0x2f, 0x81, 0xf7);
const OTHERS: RGBColor = RGBColor(0x8b, 0x94, 0x9e);
const FONT: &str = "sans-serif";

/// Where bars begin and end in a panel, and the rows.
const LEFT: i32 = 130;
const RIGHT: i32 = 390;
const TOP: i32 = 44;
const ROW: i32 = 32;
const BAR: i32 = 18;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Writes `core.svg` into the directory.
pub(crate) fn write(report: &Report, directory: &Path) -> anyhow::Result<()> {
    let path = directory.join("core.svg");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, core(report)?))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn core(report: &Report) -> std::io::Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    for (panel, (case, runtime, timeouts)) in area.split_evenly((2, 2)).iter().zip(PANELS) {
        if let Some(case) = report.find(case, runtime, timeouts) {
            draw(panel, case).map_err(std::io::Error::other)?;
        }
    }
    area.present().map_err(std::io::Error::other)?;
    drop(area);
    svg.push('\n');
    Ok(svg)
}

fn draw<'a>(panel: &Area<'a>, case: &Case) -> Drawn<'a> {
    let better = if case.lower_is_better { "less" } else { "more" };
    let title = format!("{} ({})", case.case, case.runtime);
    panel.draw(&Text::new(title, (8, 18), style(19, HPos::Left)))?;
    let unit = format!("{}, {better} is better", case.unit);
    panel.draw(&Text::new(unit, (RIGHT + 74, 18), style(15, HPos::Right)))?;
    let longest = case.results.iter().map(|result| result.max);
    let scale = f64::from(RIGHT - LEFT) / longest.fold(f64::MIN_POSITIVE, f64::max);
    for (outcome, row) in case.results.iter().zip(0..) {
        bar(panel, outcome, TOP + row * ROW, scale)?;
    }
    Ok(())
}

/// The name, a bar as long as the median, a line from the least to the most, and the median.
fn bar<'a>(panel: &Area<'a>, outcome: &Outcome, top: i32, scale: f64) -> Drawn<'a> {
    let at = |value: f64| LEFT + (value * scale) as i32;
    let colour = match outcome.name.starts_with("wait-pool") {
        true => OURS.to_rgba(),
        false => OTHERS.mix(0.5),
    };
    let middle = top + BAR / 2;
    let name = style(17, HPos::Right);
    panel.draw(&Text::new(outcome.name, (LEFT - 8, middle), name))?;
    let corners = [(LEFT, top), (at(outcome.median), top + BAR)];
    panel.draw(&Rectangle::new(corners, colour.filled()))?;
    let spread = vec![(at(outcome.min), middle), (at(outcome.max), middle)];
    panel.draw(&PathElement::new(spread, TEXT.stroke_width(2)))?;
    let figure = style(17, HPos::Left);
    let right = at(outcome.max.max(outcome.median)) + 8;
    panel.draw(&Text::new(number(outcome.median), (right, middle), figure))
}

/// In the backend's measure, which is about a fifth smaller than a pixel.
fn style(size: i32, side: HPos) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font())
        .color(&TEXT)
        .pos(Pos::new(side, VPos::Center))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{case, outcome};

    #[test]
    fn names_and_figures_are_in_the_picture() {
        let results = vec![outcome("wait-pool", 84.0), outcome("bb8", 1234.0)];
        let report = Report {
            quick: false,
            cases: vec![case("uncontended", true, results)],
        };
        let svg = core(&report).unwrap();
        for expected in [
            "<svg",
            "uncontended",
            "wait-pool",
            "1,234",
            "less is better",
            "</svg>",
        ] {
            assert!(svg.contains(expected), "{expected}:\n{svg}");
        }
    }
}
