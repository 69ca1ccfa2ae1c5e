//! The tables of results: brokers beside each other, and the figures of scenarios that have many.
//!
//! The table of brokers falls into cards on a phone; the roles say that it is still a table. Other tables have
//! a column for each contender and may be wider than the page, so they scroll in a region of their own.

use super::markup::Markup;
use crate::compare::{ComparedScenario, Figures};
use crate::report::lines::{self, Line};
use crate::report::measures;
use crate::scenario::Load;
use crate::statistics::Spread;

/// A table in a region that scrolls by itself; the name is for those who do not see it.
pub(super) fn wide(out: &mut Markup, name: &str, table: impl FnOnce(&mut Markup)) {
    let attributes = [("class", "wide"), ("role", "region"), ("aria-label", name), ("tabindex", "0")];
    out.element("div", &attributes, table);
}

/// Brokers compared: for each scenario, a line for each.
pub(super) fn overview(out: &mut Markup, scenarios: &[&ComparedScenario]) {
    let first = scenarios.first().and_then(|compared| compared.contenders.first()).map_or("", String::as_str);
    let ratio =
        scenarios.iter().any(|compared| compared.contenders.len() > 1).then(|| format!("{first} / this"));
    let headings = Headings { ratio };
    out.element("table", &[("class", "cards"), ("role", "table")], |table| {
        table.element("thead", &[("role", "rowgroup")], |head| {
            head.element("tr", &[("role", "row")], |row| {
                let names = std::iter::once("broker").chain(headings.all());
                names.for_each(|name| {
                    row.text_element("th", &[("scope", "col"), ("role", "columnheader")], name);
                });
            });
        });
        for compared in scenarios {
            table.element("tbody", &[("role", "rowgroup")], |body| write_group(body, compared, &headings));
        }
    });
}

/// The columns after the broker's name.
struct Headings {
    ratio: Option<String>,
}

impl Headings {
    const FIXED: [&'static str; 7] = [
        "CPU per message",
        "messages/s",
        "memory per connection",
        "broker core",
        "generator core",
        "disturbed",
        "lost",
    ];

    fn all(&self) -> impl Iterator<Item = &str> {
        Self::FIXED.into_iter().chain(self.ratio.as_deref())
    }
}

fn write_group(body: &mut Markup, compared: &ComparedScenario, headings: &Headings) {
    let columns = (1 + headings.all().count()).to_string();
    body.element("tr", &[("role", "row")], |row| {
        let attributes =
            [("scope", "rowgroup"), ("role", "rowheader"), ("class", "group"), ("colspan", columns.as_str())];
        row.element("th", &attributes, |th| {
            th.text(&compared.scenario.name);
            th.text_element(
                "span",
                &[("class", "soft")],
                &format!(" \u{2013} {}", compared.scenario.summary),
            );
        });
    });
    let costs = compared.figures.iter().map(|rounds| median_cost(rounds));
    let costs: Vec<_> = costs.collect();
    let most = costs.iter().flatten().copied().fold(0.0, f64::max);
    for (line, cost) in lines::lines(compared).into_iter().zip(&costs) {
        let part = cost.filter(|_| most > 0.0 && costs.len() > 1).map(|cost| cost / most);
        write_line(body, compared, headings, &line, part);
    }
}

fn median_cost(rounds: &[Figures]) -> Option<f64> {
    Spread::of(rounds.iter().filter_map(Figures::cost)).map(|cost| cost.median)
}

/// A broker's line. `part` is its cost as a part of the greatest.
fn write_line(
    body: &mut Markup,
    compared: &ComparedScenario,
    headings: &Headings,
    line: &Line,
    part: Option<f64>,
) {
    let (cpu, memory) = match compared.scenario.load {
        Load::Idle(_) => ("", line.cost.as_str()),
        _ => (line.cost.as_str(), ""),
    };
    let Line { rate, broker_core, generator_core, disturbed, lost, ratio, .. } = line;
    let values = [cpu, rate, memory, broker_core, generator_core, disturbed, lost, ratio];
    body.element("tr", &[("role", "row")], |row| {
        row.text_element("th", &[("scope", "row"), ("role", "rowheader")], &line.broker);
        for (heading, value) in headings.all().zip(values) {
            let is_fault = heading == "lost" && !matches!(value, "0" | "-");
            let class = if is_fault { "fault" } else { "figure" };
            row.element("td", &[("role", "cell"), ("data-label", heading), ("class", class)], |cell| {
                if !matches!(value, "-" | "") {
                    cell.element("span", &[], |text| write_figure(text, value));
                }
                if let Some(part) = part.filter(|_| value == line.cost) {
                    let width = format!("width: {:.1}%", part * 100.0);
                    cell.element(
                        "span",
                        &[("class", "bar"), ("style", &width), ("aria-hidden", "true")],
                        |_| {},
                    );
                }
            });
        }
    });
}

/// The figures of one scenario: a row for each, a column for each contender.
pub(super) fn figures(out: &mut Markup, compared: &ComparedScenario) {
    let rows = measures::rows(compared);
    let Some((headings, rows)) = rows.split_first() else { return };
    wide(out, "Figures", |region| {
        region.element("table", &[], |table| {
            table.element("thead", &[], |head| {
                head.element("tr", &[], |row| {
                    let names = headings.iter().map(|name| if name.is_empty() { "figure" } else { name });
                    names.for_each(|name| row.text_element("th", &[("scope", "col")], name));
                });
            });
            table.element("tbody", &[], |body| {
                for (name, values) in rows.iter().filter_map(|row| row.split_first()) {
                    body.element("tr", &[], |row| {
                        row.text_element("th", &[("scope", "row")], name);
                        for value in values {
                            row.element("td", &[], |cell| write_figure(cell, value));
                        }
                    });
                }
            });
        });
    });
}

/// A figure, with its spread below it.
fn write_figure(out: &mut Markup, text: &str) {
    match text.split_once(" (") {
        None => out.text(text),
        Some((figure, spread)) => {
            out.text(figure);
            out.text_element("span", &[("class", "spread")], &format!("({spread}"));
        }
    }
}
