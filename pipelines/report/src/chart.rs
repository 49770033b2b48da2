//! Charts as SVG, written by hand: two kinds, no script, colours from the page's style.

use std::fmt::Write;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// One line of a chart: its class in the page's style, and a value a round.
pub(crate) struct Series {
    pub class: &'static str,
    pub values: Vec<Option<f64>>,
}

/// Values by round, labelled by `show`; `None` when there is nothing to draw.
pub(crate) fn lines(series: &[Series], show: fn(f64) -> String) -> Option<String> {
    let known = series.iter().flat_map(|s| s.values.iter().flatten().copied());
    let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if low > high {
        return None;
    }
    let margin = ((high - low) * 0.15).max(high.abs() * 0.02).max(1e-6);
    let (low, high) = (low - margin, high + margin);
    let rounds = series.iter().map(|s| s.values.len()).max().unwrap_or(0);
    let x = |i: usize| {
        let share = if rounds < 2 { 0.5 } else { i as f64 / (rounds - 1) as f64 };
        LEFT + 14.0 + share * (WIDTH - LEFT - RIGHT - 28.0)
    };
    let y = |v: f64| TOP + (high - v) / (high - low) * (HEIGHT - TOP - BOTTOM);

    let mut svg = open();
    for step in 0..=4 {
        let value = low + (high - low) * f64::from(step) / 4.0;
        grid(&mut svg, y(value), &show(value));
    }
    for i in 0..rounds {
        tick(&mut svg, x(i), &(i + 1).to_string());
    }
    label(&mut svg, "round");
    for line in series {
        let points: Vec<_> = (0..line.values.len())
            .filter_map(|i| Some((x(i), y(line.values[i]?), line.values[i]?)))
            .collect();
        let path: Vec<_> =
            points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        push(
            &mut svg,
            &format!(r#"<polyline class="{}" points="{}"/>"#, line.class, path.join(" ")),
        );
        for (x, y, value) in points {
            let class = line.class;
            let value = show(value);
            push(
                &mut svg,
                &format!(
                    r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4"><title>{value}</title></circle>"#
                ),
            );
        }
    }
    Some(svg + "</svg>")
}

/// How often each twentieth of \[0, 1\] occurs among `values`.
pub(crate) fn histogram(values: &[f64]) -> String {
    const BINS: usize = 20;
    let mut counts = [0usize; BINS];
    for value in values {
        counts[((value * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let span = (WIDTH - LEFT - RIGHT) / BINS as f64;

    let mut svg = open();
    let bottom = HEIGHT - BOTTOM;
    for step in [0, 1, 2] {
        let height = f64::from(step) / 2.0;
        let count = most as f64 * height;
        grid(&mut svg, bottom - height * (bottom - TOP), &format!("{count:.0}"));
    }
    for (bin, &count) in counts.iter().enumerate() {
        let height = count as f64 / most as f64 * (bottom - TOP);
        let x = LEFT + bin as f64 * span;
        let (y, width) = (bottom - height, span - 1.5);
        let from = bin as f64 / BINS as f64;
        push(
            &mut svg,
            &format!(
                r#"<rect class="bar" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><title>{from:.2}: {count}</title></rect>"#
            ),
        );
    }
    for (share, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
        tick(&mut svg, LEFT + share * (WIDTH - LEFT - RIGHT), text);
    }
    label(&mut svg, "D");
    svg + "</svg>"
}

fn open() -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#)
}

fn grid(svg: &mut String, y: f64, text: &str) {
    let (right, left, base) = (WIDTH - RIGHT, LEFT - 6.0, y + 4.0);
    push(
        svg,
        &format!(
            r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text x="{left}" y="{base:.1}" text-anchor="end">{text}</text>"#
        ),
    );
}

fn tick(svg: &mut String, x: f64, text: &str) {
    let y = HEIGHT - BOTTOM + 16.0;
    push(svg, &format!(r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{text}</text>"#));
}

fn label(svg: &mut String, text: &str) {
    let (x, y) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 3.0);
    push(
        svg,
        &format!(
            r#"<text class="axis" x="{x}" y="{y}" text-anchor="middle">{text}</text>"#
        ),
    );
}

fn push(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("a string takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_value_is_a_point() {
        let series = Series { class: "ours", values: vec![Some(0.5), None, Some(0.75)] };
        let svg = lines(&[series], |v| format!("{v:.2}")).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("<title>0.75</title>"));
    }

    #[test]
    fn nothing_known_is_no_chart() {
        assert!(
            lines(&[Series { class: "ours", values: vec![None] }], |v| v.to_string())
                .is_none()
        );
    }

    #[test]
    fn one_falls_into_the_last_bin() {
        let svg = histogram(&[0.0, 0.01, 1.0]);
        assert!(svg.contains("<title>0.00: 2</title>"));
        assert!(svg.contains("<title>0.95: 1</title>"));
    }
}
