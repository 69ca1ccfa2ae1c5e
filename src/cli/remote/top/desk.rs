//! What `dunlin top` shows at present, and what keys do to it.
//!
//! ```text
//!             /               Enter, Esc (which drops the search)
//!   Browse ───────> Search ──────────────> Browse
//!     │  k                      y, any other
//!     └────────> Question ───────────────> Browse
//! ```

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::figures::{Figures, Row};
use super::order::Order;
use super::topics::{Topic, TopicOrder};
use super::watcher::{News, View, Wish};
use crate::cli::remote::{Failure, text};

/// Rows that PgUp and PgDn pass over.
const PAGE: usize = 10;

/// Whom keys are for.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Browse,
    /// A search is typed.
    Search,
    /// Shall this client be disconnected?
    Question(String),
}

/// What the list in the middle is of; `t` changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Page {
    #[default]
    Clients,
    Topics,
}

/// What a key has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Pressed {
    Nothing,
    Leave,
    Wish(Wish),
}

/// See the top of the file.
#[derive(Debug)]
pub struct Desk {
    pub url: String,
    pub figures: Figures,
    pub mode: Mode,
    pub page: Page,
    pub order: Order,
    pub topic_order: TopicOrder,
    /// In clients the broker searches, in topics this desk.
    pub search: String,
    /// The client identifier or the topic of the selected row: rows move.
    selected: Option<String>,
    /// What the last wish came to, or why the broker does not answer.
    pub notice: Option<String>,
}

impl Desk {
    /// For a broker that was not looked at yet.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            figures: Figures::default(),
            mode: Mode::default(),
            page: Page::default(),
            order: Order::default(),
            topic_order: TopicOrder::default(),
            search: String::new(),
            selected: None,
            notice: None,
        }
    }

    /// Takes in what the broker said.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Seen(snapshot) => {
                self.figures.take(*snapshot);
                self.sort();
                self.notice = self.notice.take().filter(|notice| !notice.starts_with(NO_ANSWER));
            }
            News::Disconnected(client) => {
                self.notice = Some(format!("{} is disconnected", text::shown(&client)));
            }
            News::Failed(Failure::Refused { text, .. }) => self.notice = Some(text::shown(&text)),
            News::Failed(failure) => self.notice = Some(format!("{NO_ANSWER}: {}", reason(&failure))),
        }
    }

    /// The index of the selected row.
    pub fn selected(&self) -> Option<usize> {
        let name = self.selected.as_ref()?;
        match self.page {
            Page::Clients => self.figures.rows.iter().position(|row| row.client.client == *name),
            Page::Topics => self.topics().iter().position(|topic| topic.topic == *name),
        }
    }

    /// The topics that the search finds.
    pub fn topics(&self) -> Vec<&Topic> {
        let topics = self.figures.topics.iter().flat_map(|topics| &topics.topics);
        topics.filter(|topic| topic.topic.contains(&self.search)).collect()
    }

    /// Does what a key says.
    pub fn press(&mut self, key: KeyEvent) -> Pressed {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Pressed::Leave;
        }
        match &self.mode {
            Mode::Browse => self.browse(key.code),
            Mode::Search => self.type_search(key.code),
            Mode::Question(client) => {
                let client = client.clone();
                self.mode = Mode::Browse;
                match key.code {
                    KeyCode::Char('y' | 'Y') => Pressed::Wish(Wish::Disconnect(client)),
                    _ => Pressed::Nothing,
                }
            }
        }
    }

    fn browse(&mut self, key: KeyCode) -> Pressed {
        self.notice = None;
        match key {
            KeyCode::Esc if !self.search.is_empty() => return self.drop_search(),
            KeyCode::Char('q') | KeyCode::Esc => return Pressed::Leave,
            KeyCode::Char('t') => {
                self.page = match self.page {
                    Page::Clients => Page::Topics,
                    Page::Topics => Page::Clients,
                };
                self.selected = None;
                return self.see();
            }
            KeyCode::Char('s') if self.page == Page::Topics => {
                self.topic_order = self.topic_order.next();
                self.sort();
            }
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.sort();
                return self.see();
            }
            KeyCode::Char('/') => self.mode = Mode::Search,
            KeyCode::Char('k') if self.page == Page::Clients => {
                let connected = self.selected_row().filter(|row| row.client.is_connected);
                match connected.map(|row| row.client.client.clone()) {
                    Some(client) => self.mode = Mode::Question(client),
                    None => self.notice = Some("select a client that is connected first".to_owned()),
                }
            }
            KeyCode::Down => self.select(|index| index.map_or(0, |index| index + 1)),
            KeyCode::Up => self.select(|index| index.map_or(0, |index| index.saturating_sub(1))),
            KeyCode::PageDown => self.select(|index| index.map_or(0, |index| index + PAGE)),
            KeyCode::PageUp => self.select(|index| index.map_or(0, |index| index.saturating_sub(PAGE))),
            KeyCode::Home => self.select(|_| 0),
            KeyCode::End => self.select(|_| usize::MAX),
            _ => {}
        }
        Pressed::Nothing
    }

    fn type_search(&mut self, key: KeyCode) -> Pressed {
        match key {
            KeyCode::Enter => self.mode = Mode::Browse,
            KeyCode::Esc => {
                self.mode = Mode::Browse;
                return self.drop_search();
            }
            KeyCode::Backspace => {
                self.search.pop();
                return self.see();
            }
            KeyCode::Char(c) => {
                self.search.push(c);
                return self.see();
            }
            _ => {}
        }
        Pressed::Nothing
    }

    fn drop_search(&mut self) -> Pressed {
        self.search.clear();
        self.see()
    }

    fn see(&self) -> Pressed {
        let has_topics = self.page == Page::Topics;
        Pressed::Wish(Wish::See(View { order: self.order, search: self.search.clone(), has_topics }))
    }

    fn select(&mut self, to: impl FnOnce(Option<usize>) -> usize) {
        let names: Vec<&String> = match self.page {
            Page::Clients => self.figures.rows.iter().map(|row| &row.client.client).collect(),
            Page::Topics => self.topics().iter().map(|topic| &topic.topic).collect(),
        };
        let index = to(self.selected()).min(names.len().saturating_sub(1));
        self.selected = names.get(index).map(|name| (*name).clone());
    }

    fn selected_row(&self) -> Option<&Row> {
        self.selected().and_then(|index| self.figures.rows.get(index))
    }

    fn sort(&mut self) {
        let order = self.order;
        self.figures.rows.sort_by(|a, b| order.compare(a, b));
        let order = self.topic_order;
        if let Some(topics) = &mut self.figures.topics {
            topics.topics.sort_by(|a, b| order.compare(a, b));
        }
    }
}

/// How a notice begins that the next answer takes away.
const NO_ANSWER: &str = "no answer";

fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Refused { text, .. }
        | Failure::Here(text)
        | Failure::Arguments(text)
        | Failure::Unreachable(text) => text::shown(text),
        Failure::Configuration(errors) => text::shown(&errors.to_string()),
        Failure::Output(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::sample::{snapshot, with_topics};
    use super::*;

    fn desk() -> Desk {
        let (mut desk, start) = (Desk::new("http://127.0.0.1:18083"), Instant::now());
        desk.hear(News::Seen(Box::new(snapshot(start, 0, 0))));
        desk.hear(News::Seen(Box::new(snapshot(start + Duration::from_secs(2), 20, 20))));
        desk
    }

    fn press(desk: &mut Desk, code: KeyCode) -> Pressed {
        desk.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn a_client_is_disconnected_after_a_question_that_was_answered_with_yes() {
        let mut desk = desk();
        press(&mut desk, KeyCode::Char('k'));
        assert!(desk.mode == Mode::Browse && desk.notice.is_some(), "none is selected");
        press(&mut desk, KeyCode::End);
        press(&mut desk, KeyCode::Char('k'));
        assert_eq!(desk.mode, Mode::Question("meter".to_owned()));
        assert_eq!(press(&mut desk, KeyCode::Enter), Pressed::Nothing);
        press(&mut desk, KeyCode::Char('k'));
        let wish = Wish::Disconnect("meter".to_owned());
        assert_eq!(press(&mut desk, KeyCode::Char('y')), Pressed::Wish(wish));
        assert_eq!(desk.mode, Mode::Browse);
    }

    #[test]
    fn a_search_is_asked_for_as_it_is_typed_and_q_is_a_letter_there() {
        let mut desk = desk();
        press(&mut desk, KeyCode::Char('/'));
        let see = |search: &str| {
            let search = search.to_owned();
            Pressed::Wish(Wish::See(View { order: Order::Rate, search, has_topics: false }))
        };
        assert_eq!(press(&mut desk, KeyCode::Char('q')), see("q"));
        assert_eq!(press(&mut desk, KeyCode::Backspace), see(""));
        assert_eq!(press(&mut desk, KeyCode::Enter), Pressed::Nothing);
        assert_eq!(press(&mut desk, KeyCode::Char('q')), Pressed::Leave);
        assert_eq!(desk.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Pressed::Leave);
    }

    #[test]
    fn esc_drops_a_search_first_and_leaves_then() {
        let mut desk = desk();
        for code in [KeyCode::Char('/'), KeyCode::Char('m'), KeyCode::Enter] {
            press(&mut desk, code);
        }
        let all = View { order: Order::Rate, search: String::new(), has_topics: false };
        assert_eq!(press(&mut desk, KeyCode::Esc), Pressed::Wish(Wish::See(all)));
        assert_eq!((desk.search.as_str(), &desk.mode), ("", &Mode::Browse));
        assert_eq!(press(&mut desk, KeyCode::Esc), Pressed::Leave);
    }

    #[test]
    fn the_selection_stays_with_its_client_when_rows_move() {
        let mut desk = desk();
        press(&mut desk, KeyCode::Home);
        assert_eq!(desk.selected(), Some(0));
        desk.order = Order::Dropped;
        desk.figures.rows[1].client.dropped = 5;
        desk.sort();
        assert_eq!(desk.selected(), Some(1));
        press(&mut desk, KeyCode::PageDown);
        assert_eq!(desk.selected(), Some(1));
    }

    #[test]
    fn topics_are_asked_for_while_their_page_is_shown_sorted_and_searched() {
        let mut desk = desk();
        let Pressed::Wish(Wish::See(view)) = press(&mut desk, KeyCode::Char('t')) else {
            panic!("nothing is asked for")
        };
        assert!(view.has_topics);
        desk.hear(News::Seen(Box::new(with_topics(snapshot(Instant::now(), 0, 0)))));
        let names = |desk: &Desk| desk.topics().iter().map(|topic| topic.topic.clone()).collect::<Vec<_>>();
        assert_eq!(names(&desk), ["home/often", "home/large"]);
        press(&mut desk, KeyCode::End);
        press(&mut desk, KeyCode::Char('s'));
        assert_eq!(
            (names(&desk), desk.selected()),
            (vec!["home/large".into(), "home/often".into()], Some(0))
        );
        press(&mut desk, KeyCode::Char('k'));
        assert_eq!(desk.mode, Mode::Browse, "a topic is nobody who could be disconnected");
        for letter in "/oft".chars() {
            press(&mut desk, KeyCode::Char(letter));
        }
        assert_eq!(names(&desk), ["home/often"]);
    }

    #[test]
    fn a_broker_that_comes_back_takes_its_notice_away() {
        let mut desk = desk();
        desk.hear(News::Failed(Failure::Unreachable("gone".to_owned())));
        assert_eq!(desk.notice.as_deref(), Some("no answer: gone"));
        desk.hear(News::Seen(Box::new(snapshot(Instant::now() + Duration::from_secs(9), 20, 20))));
        assert_eq!(desk.notice, None);
    }
}
