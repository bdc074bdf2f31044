//! Figures over the number of callers, as lines. Colours are legible on a light and on a dark page; there
//! is no background.

use std::fs;
use std::io::Error;
use std::path::Path;

use anyhow::Context as _;
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::element::{Circle, PathElement, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont as _, RGBColor, TextStyle};

use super::report::{Level, Report};
use crate::words::number;

const TEXT: RGBColor = RGBColor(0x76, 0x83, 0x90);
const OURS: RGBColor = RGBColor(0x2f, 0x81, 0xf7);
const IDEAL: RGBColor = RGBColor(0x2d, 0xa0, 0x44);
const OTHERS: [RGBColor; 6] = [
    RGBColor(0xd2, 0x6b, 0x1f),
    RGBColor(0xb0, 0x5c, 0xd6),
    RGBColor(0xc9, 0x47, 0x6b),
    RGBColor(0x1f, 0x9e, 0x9e),
    RGBColor(0x9a, 0x8a, 0x22),
    RGBColor(0x8b, 0x94, 0x9e),
];
const FONT: &str = "sans-serif";

/// The place for lines; names stand to the right of it.
const LEFT: i32 = 90;
const RIGHT: i32 = 700;
const TOP: i32 = 50;
const WIDTH: u32 = 1_000;
const HEIGHT: i32 = 540;
/// Below the lines, for what stands at their axis.
const BELOW: i32 = 50;
/// What a name takes at least.
const ROW: i32 = 19;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<Error>>;

/// One contestant: its name and its points, in callers and figures.
#[derive(Debug)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// From numbers to places, both ways logarithmic.
#[derive(Clone, Copy, Debug)]
struct Scale {
    callers: (f64, f64),
    figures: (f64, f64),
    /// Where the lowest point is.
    bottom: i32,
}

impl Line {
    /// What is drawn in one colour.
    fn family(&self) -> &str {
        let first = self.name.split(' ').next().unwrap_or_default();
        if first.starts_with("ideal") {
            "ideal"
        } else {
            first
        }
    }
}

/// Writes what was measured into the directory.
pub(crate) fn write(report: &Report, directory: &Path) -> anyhow::Result<()> {
    let pictures = [
        (
            "redis-throughput.svg",
            "Requests of ten keys in a second",
            &report.levels,
            "requests_per_s",
        ),
        ("redis-p99.svg", "p99 in µs", &report.levels, "p99_us"),
        (
            "redis-sweep.svg",
            "Requests in a second, by settings",
            &report.sweep,
            "requests_per_s",
        ),
    ];
    for (file, title, levels, figure) in pictures {
        let lines = lines(levels, figure);
        if lines.is_empty() {
            continue;
        }
        let path = directory.join(file);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path, picture(title, &lines)?))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn lines(levels: &[Level], figure: &'static str) -> Vec<Line> {
    let titles = levels.iter().flat_map(|level| &level.results);
    let mut titles: Vec<String> = titles.map(|outcome| outcome.title()).collect();
    titles.sort();
    titles.dedup();
    let lines = titles.into_iter().map(|name| Line {
        points: levels
            .iter()
            .filter_map(|level| {
                let outcome = level.results.iter().find(|one| one.title() == name)?;
                let figure = outcome.figure(figure)?.median;
                (figure > 0.0).then_some((level.concurrency as f64, figure))
            })
            .collect(),
        name,
    });
    lines.filter(|line| !line.points.is_empty()).collect()
}

fn picture(title: &str, lines: &[Line]) -> std::io::Result<String> {
    let mut svg = String::new();
    let scale = Scale::of(lines);
    let size = (WIDTH, (scale.bottom + BELOW) as u32);
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw(&area, title, lines, scale).map_err(Error::other)?;
    area.present().map_err(Error::other)?;
    drop(area);
    svg.push('\n');
    Ok(svg)
}

fn draw<'a>(area: &Area<'a>, title: &str, lines: &[Line], scale: Scale) -> Drawn<'a> {
    area.draw(&Text::new(
        title.to_owned(),
        (8, 20),
        style(19, HPos::Left, TEXT),
    ))?;
    axes(area, lines, scale)?;
    let mut ends: Vec<(i32, &str, RGBColor)> = Vec::new();
    let mut others = OTHERS.iter().cycle();
    let mut family = ("", TEXT);
    for line in lines {
        let ours = line.name.starts_with("wait-pool");
        // Lines are sorted, so those of one family follow each other.
        if line.family() != family.0 {
            let colour = match line.family() {
                _ if ours => &OURS,
                "ideal" => &IDEAL,
                _ => others.next().unwrap_or(&TEXT),
            };
            family = (line.family(), *colour);
        }
        let colour = family.1;
        let places: Vec<_> = line
            .points
            .iter()
            .map(|&point| scale.place(point))
            .collect();
        let width = if ours { 3 } else { 2 };
        for &place in &places {
            area.draw(&Circle::new(place, width, colour.filled()))?;
        }
        ends.extend(
            places
                .last()
                .map(|&(_, height)| (height, &*line.name, colour)),
        );
        area.draw(&PathElement::new(places, colour.stroke_width(width as u32)))?;
    }
    ends.sort_by_key(|(height, ..)| *height);
    let mut heights: Vec<i32> = ends.iter().map(|(height, ..)| *height).collect();
    apart(&mut heights, scale.bottom);
    for ((end, name, colour), height) in ends.into_iter().zip(heights) {
        let lead = vec![(RIGHT + 4, end), (RIGHT + 24, height)];
        area.draw(&PathElement::new(lead, colour.mix(0.5)))?;
        let name = Text::new(
            name.to_owned(),
            (RIGHT + 30, height),
            style(15, HPos::Left, colour),
        );
        area.draw(&name)?;
    }
    Ok(())
}

/// A thin line for each level and for each power of ten.
fn axes<'a>(area: &Area<'a>, lines: &[Line], scale: Scale) -> Drawn<'a> {
    let faint = TEXT.mix(0.3);
    let mut levels: Vec<u64> = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(callers, _)| *callers as u64))
        .collect();
    levels.sort_unstable();
    levels.dedup();
    for level in levels.into_iter().map(|level| level as f64) {
        let (x, _) = scale.place((level, scale.figures.0));
        area.draw(&PathElement::new(vec![(x, TOP), (x, scale.bottom)], faint))?;
        let text = number(level);
        area.draw(&Text::new(
            text,
            (x, scale.bottom + 16),
            style(15, HPos::Center, TEXT),
        ))?;
    }
    let middle = (LEFT + RIGHT) / 2;
    let callers = Text::new(
        "callers",
        (middle, scale.bottom + 36),
        style(15, HPos::Center, TEXT),
    );
    area.draw(&callers)?;
    let (least, most) = scale.figures;
    for power in -3..10 {
        for step in [1.0, 2.0, 5.0] {
            let figure = step * 10_f64.powi(power);
            if (least..=most).contains(&figure) {
                let (_, y) = scale.place((scale.callers.0, figure));
                area.draw(&PathElement::new(vec![(LEFT, y), (RIGHT, y)], faint))?;
                let text = Text::new(number(figure), (LEFT - 8, y), style(15, HPos::Right, TEXT));
                area.draw(&text)?;
            }
        }
    }
    Ok(())
}

impl Scale {
    fn of(lines: &[Line]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points).copied();
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| {
                (least.min(value), most.max(value))
            })
        };
        Self {
            callers: range(&mut points().map(|(callers, _)| callers)),
            figures: range(&mut points().map(|(_, figure)| figure)),
            bottom: TOP + HEIGHT.max(ROW * lines.len() as i32),
        }
    }

    fn place(self, (callers, figure): (f64, f64)) -> (i32, i32) {
        let along = |value: f64, (least, most): (f64, f64)| match most > least {
            true => (value / least).ln() / (most / least).ln(),
            false => 0.5,
        };
        let x = f64::from(LEFT) + along(callers, self.callers) * f64::from(RIGHT - LEFT);
        let y = f64::from(self.bottom) - along(figure, self.figures) * f64::from(self.bottom - TOP);
        (x as i32, y as i32)
    }
}

/// Moves sorted heights so far apart that names do not cover each other, and back up where they would
/// leave the picture.
fn apart(heights: &mut [i32], bottom: i32) {
    let mut next = i32::MIN;
    for height in heights.iter_mut() {
        *height = (*height).max(next);
        next = *height + ROW;
    }
    let mut last = bottom;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(last);
        last = *height - ROW;
    }
}

/// In the backend's measure, which is about a fifth smaller than a pixel.
fn style(size: i32, side: HPos, colour: RGBColor) -> TextStyle<'static> {
    TextStyle {
        color: colour.to_backend_color(),
        ..TextStyle::from((FONT, size).into_font()).pos(Pos::new(side, VPos::Center))
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{level, outcome};
    use super::*;

    #[test]
    fn names_and_levels_are_in_the_picture() {
        let levels = [
            level(
                1,
                vec![
                    outcome("wait-pool-redis", [900.0; 3]),
                    outcome("b", [500.0; 3]),
                ],
            ),
            level(
                1_024,
                vec![outcome("wait-pool-redis", [9e4; 3]), outcome("b", [8e4; 3])],
            ),
        ];
        let svg = picture("requests", &lines(&levels, "requests_per_s")).unwrap();
        for expected in [
            "<svg",
            "wait-pool-redis pipe",
            "b pipe",
            "1,024",
            "50,000",
            "</svg>",
        ] {
            assert!(svg.contains(expected), "{expected}:\n{svg}");
        }
    }

    #[test]
    fn more_is_higher_and_further_right() {
        let lines = lines(
            &[
                level(1, vec![outcome("a", [10.0; 3])]),
                level(100, vec![outcome("a", [1e3; 3])]),
            ],
            "requests_per_s",
        );
        let scale = Scale::of(&lines);
        let bottom = TOP + HEIGHT;
        assert_eq!(scale.place((1.0, 10.0)), (LEFT, bottom));
        assert_eq!(scale.place((100.0, 1e3)), (RIGHT, TOP));
        assert_eq!(
            scale.place((10.0, 100.0)),
            ((LEFT + RIGHT) / 2, (TOP + bottom) / 2)
        );
    }

    #[test]
    fn names_do_not_cover_each_other() {
        let mut heights = [100, 101, 102, 300];
        apart(&mut heights, 500);
        assert_eq!(heights, [100, 100 + ROW, 100 + 2 * ROW, 300]);
        let mut heights = [499, 500];
        apart(&mut heights, 500);
        assert_eq!(heights, [500 - ROW, 500]);
    }
}
