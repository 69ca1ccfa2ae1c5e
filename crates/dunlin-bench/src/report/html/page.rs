//! The page: what was measured where, the results, and how to read them.

use super::course;
use super::markup::Markup;
use super::percentiles::{self, Waits};
use super::plot::{Plot, class_of};
use super::results;
use crate::compare::{ComparedScenario, Comparison};
use crate::report::date::today;
use crate::report::{Machine, has_lines, show_disk};
use crate::scenario::Scenario;

const STYLE: &str = include_str!("style.css");

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Brokers that were started in turn.
    Comparison,
    /// One run against a broker that was there.
    SingleRun,
}

/// The report as an HTML document.
#[must_use]
pub fn html(comparison: &Comparison, machine: &Machine, subject: Subject) -> String {
    let title = title(comparison, subject);
    let mut markup = Markup::default();
    markup.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |head| {
            head.empty("meta", &[("charset", "utf-8")]);
            head.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            head.text_element("title", &[], &title);
            // The style sheet has none of the characters that would be escaped.
            head.text_element("style", &[], STYLE);
        });
        html.element("body", &[], |body| {
            body.element("main", &[], |main| {
                main.text_element("h1", &[], &title);
                main.text_element("p", &[("class", "soft")], &format!("Measured on {} (UTC)", today()));
                write_settings(main, comparison, machine, subject);
                write_overview(main, comparison);
                comparison.scenarios.iter().for_each(|compared| write_scenario(main, compared));
            });
            write_reading(body);
        });
    });
    markup.into_document()
}

fn title(comparison: &Comparison, subject: Subject) -> String {
    let mut names = Vec::new();
    for name in comparison.scenarios.iter().flat_map(|compared| &compared.contenders) {
        if !names.contains(&name.as_str()) {
            names.push(name.as_str());
        }
    }
    let names = names.join(", ");
    match subject {
        Subject::Comparison => format!("MQTT brokers compared: {names}"),
        Subject::SingleRun => format!("A run against {names}"),
    }
}

fn write_settings(out: &mut Markup, comparison: &Comparison, machine: &Machine, subject: Subject) {
    let cores = match (comparison.cores, subject) {
        (Some((broker, generator)), _) => format!("; broker on core {broker}, generator on core {generator}"),
        (None, Subject::Comparison) => "; broker and generator share one".to_owned(),
        (None, Subject::SingleRun) => String::new(),
    };
    let Machine { processor, cores: count, kernel } = machine;
    out.text_element("h2", &[], "Machine and settings");
    out.element("dl", &[], |list| {
        let mut pair = |name: &str, value: &str| {
            list.text_element("dt", &[], name);
            list.text_element("dd", &[], value);
        };
        pair("Processor", processor);
        pair("Cores", &format!("{count}{cores}"));
        pair("Kernel", &format!("Linux {kernel}"));
        pair("Protocol", &format!("MQTT {}", comparison.protocol));
        pair("Rounds", &comparison.rounds.to_string());
        if let Some(disk) = &comparison.disk {
            pair("Disk", show_disk(disk).trim_start_matches("disk: "));
        }
        for broker in &comparison.brokers {
            let version = broker.version.as_ref().map(|version| format!("{version}; ")).unwrap_or_default();
            pair(&broker.name, &format!("{version}{}", broker.settings));
        }
    });
}

fn write_overview(out: &mut Markup, comparison: &Comparison) {
    let scenarios: Vec<_> = comparison.scenarios.iter().filter(|compared| has_lines(compared)).collect();
    if !scenarios.is_empty() {
        out.text_element("h2", &[], "Results");
        results::overview(out, &scenarios);
    }
}

fn write_scenario(out: &mut Markup, compared: &ComparedScenario) {
    let Scenario { name, summary, .. } = &compared.scenario;
    let (course, waits) = (course::plot(compared), percentiles::waits(compared));
    if has_lines(compared) && course.is_none() && waits.is_empty() {
        return;
    }
    out.element("section", &[], |section| {
        section.text_element("h2", &[], name);
        section.text_element("p", &[], summary);
        if !has_lines(compared) {
            results::figures(section, compared);
        }
        write_plots(section, compared, course, &waits);
    });
}

fn write_plots(out: &mut Markup, compared: &ComparedScenario, course: Option<Plot>, waits: &[Waits<'_>]) {
    if course.is_none() && waits.is_empty() {
        return;
    }
    out.element("ul", &[("class", "key")], |key| {
        for (index, name) in compared.contenders.iter().enumerate() {
            key.element("li", &[], |item| {
                item.element("svg", &[("viewBox", "0 0 28 10"), ("aria-hidden", "true")], |svg| {
                    svg.empty("polyline", &[("class", &class_of(index)), ("points", "0,5 28,5")]);
                });
                item.text(name);
            });
        }
    });
    out.element("div", &[("class", "plots")], |plots| {
        course.iter().for_each(|plot| plot.draw(plots));
        for waits in waits {
            plots.element("div", &[], |both| {
                waits.plot().draw(both);
                both.element("details", &[], |details| {
                    details.text_element("summary", &[], "The same in numbers");
                    results::wide(details, "Percentiles", |region| waits.table(region));
                });
            });
        }
    });
}

fn write_reading(out: &mut Markup) {
    const READING: [&str; 4] = [
        "Figures are medians of the rounds, with the least and the greatest beside them. A ratio is that of the first \
         broker to this one, taken within each round, where both met the same machine.",
        "CPU time is that of the broker's process, system calls included, for each message delivered (where messages \
         are stored: acknowledged). It is the figure to compare brokers by: where others used the cores \
         (\u{201C}disturbed\u{201D}), rates say little.",
        "In plots, the strong line is the round in the middle, or the median of the rounds; faint lines are the \
         other rounds.",
        "Written by dunlin bench. This file needs no other and asks for none.",
    ];
    out.element("footer", &[("class", "soft")], |footer| {
        READING.iter().for_each(|text| footer.text_element("p", &[], text));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{ComparedBroker, Figures};
    use crate::course::Sample;
    use crate::latency::Latency;
    use crate::report::html::markup::tests::assert_well_formed;
    use crate::scenario::by_name;
    use crate::traffic::{Acknowledged, TrafficFigures};

    const HOSTILE: &str = "<script src=\"http://x\">&'";

    fn traffic(acknowledged: Option<Acknowledged>) -> Figures {
        let sample = |tenth: u64| Sample {
            at_s: tenth as f64 / 10.0,
            sent: tenth * 1_000,
            received: tenth * 900,
            acknowledged: tenth * 800,
        };
        Figures::Traffic(Box::new(TrafficFigures {
            measured_s: 1.0,
            delivered: 9_000,
            delivered_per_s: 9_000.0,
            acknowledged,
            scheduled: None,
            broker_cpu_us_per_message: Some(1.5),
            broker_cpu_share: Some(0.9),
            broker_wait_share: Some(0.0),
            generator_cpu_share: 0.5,
            generator_wait_share: 0.0,
            published: 9_000,
            expected: 9_000,
            received: 8_999,
            lost: 1,
            repeated: 0,
            course: (1..=10).map(sample).collect(),
        }))
    }

    /// Two contenders with two rounds of the same figures.
    fn compared(scenario: &str, figures: &Figures) -> ComparedScenario {
        ComparedScenario {
            scenario: by_name(scenario).unwrap(),
            contenders: vec!["dunlin".to_owned(), HOSTILE.to_owned()],
            figures: vec![vec![figures.clone(); 2]; 2],
            ratios: vec![None],
        }
    }

    fn page(scenarios: Vec<ComparedScenario>, subject: Subject) -> String {
        let broker = |name: &str| ComparedBroker {
            name: name.to_owned(),
            version: Some(HOSTILE.to_owned()),
            settings: HOSTILE.to_owned(),
        };
        let comparison = Comparison {
            brokers: vec![broker("dunlin"), broker(HOSTILE)],
            scenarios,
            protocol: "3.1.1".to_owned(),
            cores: None,
            rounds: 2,
            disk: None,
        };
        html(&comparison, &Machine::this(), subject)
    }

    #[test]
    fn a_report_is_well_formed_and_needs_no_other_file() {
        let latency = Latency { p50_us: 90.0, max_us: 700.0, count: 3, ..Latency::default() };
        let stored = Acknowledged { messages: 8_000, messages_per_s: 8_000.0, latency: Some(latency) };
        let both = vec![
            compared("qos0-10-10", &traffic(None)),
            compared("durable-offline-1", &traffic(Some(stored))),
        ];
        let text = page(both, Subject::Comparison);
        assert_well_formed(&text);
        for asks in ["http://", "https://", "<script", "<link", "url(", "@import", "<img", "src="] {
            let escaped = text.replace("&lt;script src=&quot;http://x", "");
            assert!(!escaped.contains(asks), "{asks}");
        }
        for shown in ["Throughput over time", "messages delivered/s", "From PUBLISH to its", "8,000"] {
            assert!(text.contains(shown), "{shown}");
        }
        assert_eq!(text.matches("role=\"img\"").count(), 3, "two courses and one of latencies");
    }

    #[test]
    fn the_style_sheet_is_written_as_it_is() {
        assert!(page(Vec::new(), Subject::Comparison).contains(STYLE));
    }

    #[test]
    fn what_was_lost_is_seen_at_once() {
        let text = page(vec![compared("qos0-10-10", &traffic(None))], Subject::Comparison);
        assert!(text.contains("class=\"fault\""), "{text}");
    }

    #[test]
    fn a_single_run_does_not_say_where_the_broker_was() {
        let scenarios = || vec![compared("qos0-10-10", &traffic(None))];
        assert!(page(scenarios(), Subject::Comparison).contains("share one"));
        assert!(!page(scenarios(), Subject::SingleRun).contains("share one"));
    }
}
