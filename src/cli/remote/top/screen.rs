//! How `dunlin top` is drawn: a line about the broker, plots, clients or topics, then groups and drops where there is room.
//!
//! A number is never cut: it would be another one. Where a terminal is narrow, numbers get shorter (`compact`, `time`),
//! and what does not fit is left out as a whole.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table, TableState};

use super::desk::{Desk, Mode, Page};
use super::figures::{History, Row as Client};
use super::topics::Topic;
use crate::cli::remote::table::Tone;
use crate::cli::remote::text;
use crate::numbers::{count, grouped, size};

/// Lines of the plots, with their titles.
const PLOTS_HEIGHT: u16 = 5;

/// Lines of groups and drops, with their titles.
const LISTS_HEIGHT: u16 = 7;

/// Lines that clients or topics have at least before there are other lists.
const PAGE_HEIGHT_MIN: u16 = 8;

/// Columns of the terminal from which on there is room for everything.
const WIDTH_WIDE: u16 = 120;

const KEYS: &str = "q leave  t topics  s sort  / search  k disconnect  arrows select";
const TOPIC_KEYS: &str = "q leave  t clients  s sort  / search  arrows select";

/// Draws all of it.
pub fn draw(frame: &mut Frame, desk: &Desk) {
    let area = frame.area();
    let lists =
        if area.height >= 2 + PLOTS_HEIGHT + PAGE_HEIGHT_MIN + LISTS_HEIGHT { LISTS_HEIGHT } else { 0 };
    let [head, plots, page, lists, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(PLOTS_HEIGHT),
        Constraint::Min(2),
        Constraint::Length(lists),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(headline(desk, head.width.into())), head);
    draw_plots(frame, desk, plots);
    match desk.page {
        Page::Clients => draw_clients(frame, desk, page),
        Page::Topics => draw_topics(frame, desk, page),
    }
    let [groups, drops] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).spacing(1).areas(lists);
    draw_groups(frame, desk, groups);
    draw_drops(frame, desk, drops);
    frame.render_widget(Paragraph::new(footline(desk)), foot);
}

/// The address and the state, then as many facts as there is room for.
fn headline(desk: &Desk, width: usize) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled("dunlin", bold), Span::raw(format!(" at {}", desk.url))];
    let Some(status) = desk.figures.last.as_ref().map(|last| &last.status) else { return Line::from(spans) };
    if !status.is_ready {
        spans.push(Span::styled("  NOT READY", style(Tone::Bad)));
    }
    let facts = [
        Some(count(status.connections, "connection")),
        Some(format!("{} queued", grouped(status.queued_messages))),
        status.memory_bytes.map(size),
        Some(count(status.sessions, "session")),
        Some(format!("up for {}", text::duration(status.uptime_s))),
        Some(format!("version {}", text::shown(&status.version))),
    ];
    let mut line = Line::from(spans);
    for (fact, gap) in facts.into_iter().flatten().zip([": "].into_iter().chain(std::iter::repeat(", "))) {
        if line.width() + gap.len() + fact.chars().count() > width {
            break;
        }
        line.push_span(format!("{gap}{fact}"));
    }
    line
}

fn draw_plots(frame: &mut Frame, desk: &Desk, area: Rect) {
    let figures = &desk.figures;
    let is_wide = area.width >= WIDTH_WIDE;
    let number = if is_wide { grouped } else { compact };
    let rate = |history: &History| format!("{}/s", number(history.now()));
    let (half, most) = (time(figures.latency_p50_us.now()), time(figures.latency_p99_us.now()));
    let latency = if is_wide { format!("{half}, 99% {most}") } else { format!("99% {most}") };
    let plots = [
        ("received", rate(&figures.received_per_s), &figures.received_per_s, Color::Green),
        ("sent", rate(&figures.sent_per_s), &figures.sent_per_s, Color::Cyan),
        ("latency", latency, &figures.latency_p99_us, Color::Yellow),
        ("dropped", rate(&figures.dropped_per_s), &figures.dropped_per_s, Color::Red),
    ];
    let widths = [Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)];
    let areas: [Rect; 4] = Layout::horizontal(widths).spacing(1).areas(area);
    for ((name, value, history, colour), area) in plots.into_iter().zip(areas) {
        let block = titled(format!("{name} {value}"));
        let values = history.last(block.inner(area).width.into());
        let plot = Sparkline::default().block(block).data(values).style(Style::new().fg(colour));
        frame.render_widget(plot, area);
    }
}

fn draw_clients(frame: &mut Frame, desk: &Desk, area: Rect) {
    let figures = &desk.figures;
    let shown = figures.rows.len() as u64;
    let of =
        if figures.matched > shown { format!("the first {} of ", grouped(shown)) } else { String::new() };
    let (clients, search) = (count(figures.matched, "client"), searched(desk));
    let title = format!("{of}{clients}{search} by {}", desk.order.name());
    let headings =
        ["CLIENT", "STATE", ">RECEIVED/s", ">SENT/s", ">QUEUED", ">IN FLIGHT", ">DROPPED", "ADDRESS"];
    // Names need the room of the addresses where there is little.
    let is_wide = area.width >= WIDTH_WIDE;
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        if is_wide { Constraint::Fill(2) } else { Constraint::Length(0) },
    ];
    let rows = figures.rows.iter().map(client);
    let table = Table::new(rows, widths)
        .header(heading(headings))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(titled(title));
    let mut state = TableState::default().with_selected(desk.selected());
    frame.render_stateful_widget(table, area, &mut state);
}

fn client(row: &Client) -> Row<'static> {
    let client = &row.client;
    let (state, tone) = client.state();
    Row::new([
        Cell::from(text::shown(&client.client)),
        Cell::from(Span::styled(state, style(tone))),
        number(rate(row.received_per_s)),
        number(rate(row.sent_per_s)),
        number(compact(client.queued_messages)),
        number(compact(client.in_flight_messages)),
        number(compact(client.dropped)),
        Cell::from(text::or_dash(client.address.as_deref())),
    ])
}

fn draw_topics(frame: &mut Frame, desk: &Desk, area: Rect) {
    let topics = desk.topics();
    let title = match &desk.figures.topics {
        None => "topics are counted from now on".to_owned(),
        Some(found) => {
            let (shown, order) = (count(topics.len() as u64, "topic"), desk.topic_order.name());
            let of = match found.matched > found.topics.len() as u64 {
                true => format!(" of the busiest among {}", grouped(found.matched)),
                false => String::new(),
            };
            let others = match found.other_messages_per_s {
                0.0 => String::new(),
                per_s => format!(", and {}/s to others, too many to be kept apart", rate(per_s)),
            };
            format!("{shown}{of}{} by {order}{others}", searched(desk))
        }
    };
    let widths = [Constraint::Fill(1), Constraint::Length(12), Constraint::Length(12)];
    let table = Table::new(topics.into_iter().map(topic), widths)
        .header(heading(["TOPIC", ">MESSAGES/s", ">BYTES/s"]))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(titled(title));
    let mut state = TableState::default().with_selected(desk.selected());
    frame.render_stateful_widget(table, area, &mut state);
}

fn topic(topic: &Topic) -> Row<'static> {
    // Where there are more topics than the broker keeps apart, a count may lack what came before.
    let at_least = if topic.missed_per_s_max > 0.0 { ">= " } else { "" };
    Row::new([
        Cell::from(text::shown(&topic.topic)),
        number(format!("{at_least}{}", rate(topic.messages_per_s))),
        number(format!("{at_least}{}", size(topic.bytes_per_s.round() as u64))),
    ])
}

/// What a title says of the search.
fn searched(desk: &Desk) -> String {
    match desk.search.as_str() {
        "" => String::new(),
        search => format!(" with {search:?}"),
    }
}

fn draw_groups(frame: &mut Frame, desk: &Desk, area: Rect) {
    let mut groups: Vec<_> = desk.figures.last.iter().flat_map(|last| &last.groups).collect();
    groups.sort_by(|a, b| b.queued_messages.cmp(&a.queued_messages).then_with(|| a.name.cmp(&b.name)));
    let rows = groups.iter().map(|group| {
        Row::new([
            Cell::from(text::shown(&group.name)),
            number(compact(group.queued_messages)),
            number(group.oldest()),
            number(compact(group.size())),
        ])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(9), Constraint::Length(11), Constraint::Length(7)];
    let table = Table::new(rows, widths).header(heading(["GROUP", ">QUEUED", ">OLDEST", ">MEMBERS"]));
    frame.render_widget(table.block(titled("shared groups".to_owned())), area);
}

fn draw_drops(frame: &mut Frame, desk: &Desk, area: Rect) {
    let rows = desk.figures.drops.iter().map(|drops| {
        Row::new([
            Cell::from(text::shown(&drops.reason)),
            number(rate(drops.per_s)),
            number(compact(drops.count)),
        ])
    });
    let widths = [Constraint::Fill(1), Constraint::Length(8), Constraint::Length(8)];
    let table = Table::new(rows, widths).header(heading(["DROPPED", ">NOW/s", ">SO FAR"]));
    frame.render_widget(table.block(titled("drops".to_owned())), area);
}

fn footline(desk: &Desk) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::REVERSED);
    match (&desk.mode, &desk.notice) {
        (Mode::Search, _) => Line::styled(
            format!("search: {}_  (Enter keeps it, Esc drops it)", text::shown(&desk.search)),
            strong,
        ),
        (Mode::Question(client), _) => {
            Line::styled(format!("disconnect {}? y is yes, any other key no", text::shown(client)), strong)
        }
        (Mode::Browse, Some(notice)) => Line::styled(notice.clone(), strong),
        (Mode::Browse, None) => Line::raw(match desk.page {
            Page::Clients => KEYS,
            Page::Topics => TOPIC_KEYS,
        }),
    }
}

fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(title)
}

/// Words to the left, as their columns, and what is marked with `>` to the right, as numbers are.
fn heading<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    let cell = |name: &'static str| match name.strip_prefix('>') {
        Some(name) => number(name.to_owned()),
        None => Cell::from(name),
    };
    Row::new(names.map(cell)).style(Style::new().add_modifier(Modifier::BOLD))
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Faint => Style::new().add_modifier(Modifier::DIM),
    }
}

fn number(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

/// Small rates have a decimal.
fn rate(per_s: f64) -> String {
    match per_s {
        0.0 => "0".to_owned(),
        0.0..10.0 => format!("{per_s:.1}"),
        _ => compact(per_s.round() as u64),
    }
}

/// A number in no more than eight columns: `99,999`, `123.4 k`, `12.3 M`, `1.2 G`.
fn compact(number: u64) -> String {
    let in_units = |of: f64, unit| format!("{:.1} {unit}", number as f64 / of);
    match number {
        0..100_000 => grouped(number),
        100_000..1_000_000 => in_units(1e3, "k"),
        1_000_000..1_000_000_000 => in_units(1e6, "M"),
        _ => in_units(1e9, "G"),
    }
}

/// Microseconds as people read them, in no more than seven columns below a quarter of an hour.
fn time(us: u64) -> String {
    match us {
        0..1000 => format!("{us} us"),
        1000..99_950 => format!("{:.1} ms", us as f64 / 1e3),
        99_950..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::sample::{snapshot, with_topics};
    use super::super::watcher::News;
    use super::*;

    /// The screen after two looks and some keys.
    fn screen(width: u16, height: u16, keys: &[KeyCode]) -> String {
        screen_after(9000, width, height, keys)
    }

    /// The same when so many messages came in two seconds.
    fn screen_after(messages: u64, width: u16, height: u16, keys: &[KeyCode]) -> String {
        let (mut desk, start) = (Desk::new("http://127.0.0.1:18083"), Instant::now());
        desk.hear(News::Seen(Box::new(snapshot(start, 0, 0))));
        desk.hear(News::Seen(Box::new(snapshot(start + Duration::from_secs(2), messages, messages))));
        for key in keys {
            desk.press(KeyEvent::new(*key, KeyModifiers::NONE));
        }
        drawn(width, height, &desk)
    }

    fn drawn(width: u16, height: u16, desk: &Desk) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, desk)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_screen_has_the_broker_rates_clients_groups_and_drops() {
        let text = screen(120, 30, &[]);
        for expected in [
            "up for 2 h 1 min",
            "1,234 sessions",
            "received 4,500/s",
            "latency 0 us, 99% 0 us",
            "█",
            "2 clients by messages per second",
            "meter",
            "$share/workers/jobs/#",
            "queue_full",
            KEYS,
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        assert!(
            text.contains("lamp\\u{1b}[2J"),
            "what a client is called does nothing to the terminal\n{text}"
        );
        let place = |name: &str| text.find(name).unwrap();
        assert!(place("lamp") < place("meter"), "the busiest comes first\n{text}");
    }

    #[test]
    fn a_small_terminal_has_clients_and_keys_and_a_tiny_one_harms_nobody() {
        let text = screen(80, 20, &[]);
        assert!(text.contains("meter") && text.contains(KEYS), "{text}");
        assert!(text.contains("latency 99% 0 us") && !text.contains("shared groups"), "{text}");
        screen(1, 1, &[]);
    }

    #[test]
    fn eighty_columns_cut_no_number_and_no_unit() {
        let text = screen_after(2_469_135_780, 80, 30, &[]);
        for expected in ["received 1.2 G/s", "dropped 1.2 G/s", "24 queued, 50.0 MB", "  1 min  ", " 2.5 G"] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        let numbers = [0, 99_999, 123_456, 999_999, 9_999_999, 999_999_999, u64::from(u32::MAX)];
        assert_eq!(
            numbers.map(compact),
            ["0", "99,999", "123.5 k", "1000.0 k", "10.0 M", "1000.0 M", "4.3 G"]
        );
        assert_eq!(
            [999, 99_949, 99_950, 999_999, 60_000_000].map(time),
            ["999 us", "99.9 ms", "100 ms", "1000 ms", "60.0 s"]
        );
    }

    #[test]
    fn the_page_of_topics_has_rates_and_says_where_they_are_uncertain() {
        let (mut desk, start) = (Desk::new("http://127.0.0.1:18083"), Instant::now());
        desk.press(KeyEvent::new(KeyCode::Char('t'), KeyModifiers::NONE));
        desk.hear(News::Seen(Box::new(snapshot(start, 0, 0))));
        let text = drawn(120, 30, &desk);
        assert!(text.contains("topics are counted from now on") && !text.contains("meter"), "{text}");
        desk.hear(News::Seen(Box::new(with_topics(snapshot(start, 0, 0)))));
        let text = drawn(120, 30, &desk);
        for expected in [
            "2 topics by messages per second, and 7.0/s to others, too many to be kept apart",
            "home/often",
            ">= 2.5",
            ">= 48.8 KB",
            "shared groups",
            TOPIC_KEYS,
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_question_and_a_search_stand_below() {
        let text = screen(80, 24, &[KeyCode::Home, KeyCode::Char('k')]);
        assert!(text.contains("disconnect lamp\\u{1b}[2J? y is yes"), "{text}");
        let text = screen(80, 24, &[KeyCode::Char('/'), KeyCode::Char('m')]);
        assert!(text.contains("search: m_") && text.contains("with \"m\""), "{text}");
    }
}
