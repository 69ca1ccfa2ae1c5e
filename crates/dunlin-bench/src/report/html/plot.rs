//! A plot: lines between two axes, as SVG that adapts to the page's width and colours.
//!
//! Who a line belongs to is told by colour and by dashes, and said in the legend above; what the plot shows is
//! said in its description, for those who do not see it.

use super::markup::Markup;
use super::scale::Scale;

/// The plot with its labels, in pixels of its own; a phone shows it hardly smaller.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 42.0;

/// How long the axes are.
pub(super) const X_PIXELS: f64 = WIDTH - LEFT - RIGHT;
pub(super) const Y_PIXELS: f64 = HEIGHT - TOP - BOTTOM;

/// How many lines can be told from each other.
const STYLES: usize = 6;

/// What a plot shows.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// A scale with what is written beside it.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) label: &'static str,
}

/// Points that are joined.
#[derive(Debug)]
pub(super) struct Line {
    /// Which contender it belongs to.
    pub(super) contender: usize,
    /// One of several that the eye should pass over.
    pub(super) is_faint: bool,
    pub(super) points: Vec<(f64, f64)>,
}

impl Axis {
    /// An axis with the ticks of its scale.
    pub(super) fn of(scale: Scale, label: &'static str, show: impl Fn(f64) -> String) -> Self {
        Self { ticks: scale.ticks().into_iter().map(|value| (value, show(value))).collect(), scale, label }
    }
}

/// The class of a contender's line, in plot and legend.
pub(super) fn class_of(contender: usize) -> String {
    format!("line c{}", contender % STYLES)
}

impl Plot {
    /// Draws it as a figure with its title.
    pub(super) fn draw(&self, out: &mut Markup) {
        out.element("figure", &[], |figure| {
            figure.text_element("figcaption", &[], &self.title);
            let view = format!("0 0 {WIDTH} {HEIGHT}");
            let label = format!("{}. {}", self.title, self.description);
            let attributes = [("viewBox", view.as_str()), ("role", "img"), ("aria-label", label.as_str())];
            figure.element("svg", &attributes, |svg| {
                self.draw_axes(svg);
                // The faint ones first: what counts lies above.
                for is_faint in [true, false] {
                    self.lines
                        .iter()
                        .filter(|line| line.is_faint == is_faint)
                        .for_each(|line| self.draw_line(svg, line));
                }
            });
        });
    }

    fn draw_axes(&self, svg: &mut Markup) {
        let (bottom, right) = (TOP + Y_PIXELS, LEFT + X_PIXELS);
        for (value, text) in &self.y.ticks {
            let y = bottom - self.y.scale.place(*value);
            draw_rule(svg, [LEFT, y, right, y]);
            draw_text(svg, "y tick", (LEFT - 6.0, y + 4.0), text);
        }
        for (value, text) in &self.x.ticks {
            let x = LEFT + self.x.scale.place(*value);
            draw_rule(svg, [x, bottom, x, bottom + 4.0]);
            draw_text(svg, "x tick", (x, bottom + 18.0), text);
        }
        draw_text(svg, "x name", (right, HEIGHT - 6.0), self.x.label);
        draw_text(svg, "y name", (LEFT, 13.0), self.y.label);
    }

    fn draw_line(&self, svg: &mut Markup, line: &Line) {
        let points = line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let points: Vec<_> = points
            .map(|&(x, y)| {
                format!("{:.1},{:.1}", LEFT + self.x.scale.place(x), TOP + Y_PIXELS - self.y.scale.place(y))
            })
            .collect();
        let mut class = class_of(line.contender);
        if line.is_faint {
            class += " faint";
        }
        svg.empty("polyline", &[("class", &class), ("points", &points.join(" "))]);
    }
}

fn draw_rule(svg: &mut Markup, [x1, y1, x2, y2]: [f64; 4]) {
    let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(|it| format!("{it:.1}"));
    svg.empty("line", &[("class", "rule"), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)]);
}

fn draw_text(svg: &mut Markup, class: &str, (x, y): (f64, f64), text: &str) {
    let (x, y) = (format!("{x:.1}"), format!("{y:.1}"));
    svg.text_element("text", &[("class", class), ("x", &x), ("y", &y)], text);
}

#[cfg(test)]
mod tests {
    use super::super::markup::tests::assert_well_formed;
    use super::*;

    #[test]
    fn points_lie_between_the_axes_and_what_is_not_a_number_is_left_out() {
        let plot = Plot {
            title: "A < B".to_owned(),
            description: "nothing".to_owned(),
            x: Axis::of(Scale::of_time(1.0, X_PIXELS), "s", |value| value.to_string()),
            y: Axis::of(Scale::from_zero(1.0, Y_PIXELS), "messages/s", |value| value.to_string()),
            lines: vec![Line {
                contender: 7,
                is_faint: true,
                points: vec![(0.0, 0.0), (0.5, f64::NAN), (1.0, 1.0)],
            }],
        };
        let mut out = Markup::default();
        plot.draw(&mut out);
        let text = out.into_document();
        assert_well_formed(&text);
        assert!(text.contains("aria-label=\"A &lt; B. nothing\""), "{text}");
        assert!(text.contains("class=\"line c1 faint\" points=\"58.0,218.0 426.0,26.0\""), "{text}");
    }
}
