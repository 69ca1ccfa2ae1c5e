//! Tables for people: a heading, aligned columns, one line a row, no wider than the terminal.
//!
//! Where a terminal is narrow, texts are cut to [`TEXT_WIDTH_MIN`], and if that is not enough, columns at the right are
//! left out: so what matters most stands at the left. Where output is no terminal nothing is cut and nothing coloured, so that a file or `grep` gets the whole text.
//! `NO_COLOR` (<https://no-color.org>) keeps colours off terminals, too. Cells come from `text.rs` or from Dunlin itself:
//! a table does not look for control characters.

use std::io::{self, IsTerminal};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row};
use ratatui::crossterm::terminal;

/// Columns of the terminal that a text has at least, if it is as long.
const TEXT_WIDTH_MIN: u16 = 16;

/// Columns of the terminal between two columns of a table.
const GAP: u16 = 2;

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Columns of the terminal; none where nothing has to be cut.
    pub width: Option<u16>,
    pub is_coloured: bool,
}

/// How a column stands, and whether it may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// To the left; it gives way where the terminal is narrow.
    Text(&'static str),
    /// To the left, and never cut: a word that Dunlin chose.
    Word(&'static str),
    /// To the right, and never cut.
    Number(&'static str),
}

/// See the top of the file.
pub(super) struct Table {
    table: comfy_table::Table,
    columns: Vec<Column>,
    /// Columns of the terminal, where there is one.
    room: Option<u16>,
}

/// A cell, whose colour says more than its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Faint,
}

impl Look {
    /// That of standard output.
    pub fn of_output() -> Self {
        if !io::stdout().is_terminal() {
            return Self { width: None, is_coloured: false };
        }
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            width: terminal::size().ok().map(|(columns, _)| columns).filter(|columns| *columns > 0),
            is_coloured: !forbidden,
        }
    }
}

/// A cell with a meaning.
pub(super) fn cell(text: impl Into<String>, tone: Tone) -> Cell {
    let cell = Cell::new_owned(text.into());
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Faint => cell.add_attribute(Attribute::Dim),
    }
}

impl Table {
    /// One with a heading.
    pub fn new<const N: usize>(columns: [Column; N], look: Look) -> Self {
        let mut table = Self::bare(columns, look);
        let headings = columns.map(|column| Cell::new(column.heading()).add_attribute(Attribute::Bold));
        table.table.set_header(one_line(headings));
        table
    }

    /// Names and values.
    pub fn of_facts(look: Look) -> Self {
        Self::bare([Column::Word(""), Column::Text("")], look)
    }

    fn bare<const N: usize>(columns: [Column; N], look: Look) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).force_no_tty();
        if look.is_coloured {
            table.enforce_styling();
        }
        if let Some(width) = look.width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        Self { table, columns: columns.to_vec(), room: look.width }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [impl Into<Cell>; N]) {
        self.table.add_row(one_line(cells.map(Into::into)));
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Cell>) {
        self.row([cell(name, Tone::Faint), value.into()]);
    }

    /// All of it, each row with its line end; nothing if there is no row.
    pub fn text(mut self) -> String {
        if self.table.is_empty() {
            return String::new();
        }
        self.table.discover_columns();
        let widths = self.table.column_max_content_widths();
        let shown = self.room.map_or(self.columns.len(), |room| shown(&self.columns, &widths, room));
        for (index, (column, kind)) in self.table.column_iter_mut().zip(&self.columns).enumerate() {
            column.set_padding((0, GAP));
            if matches!(kind, Column::Number(_)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if index >= shown {
                column.set_constraint(ColumnConstraint::Hidden);
            } else if !matches!(kind, Column::Text(_)) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        self.table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// How many columns, from the left, there is room for; at least one.
fn shown(columns: &[Column], widths: &[u16], room: u16) -> usize {
    let needed = columns.iter().zip(widths).scan(0_u16, |used, (column, width)| {
        let width = if matches!(column, Column::Text(_)) { *width.min(&TEXT_WIDTH_MIN) } else { *width };
        *used = used.saturating_add(width).saturating_add(GAP);
        Some(*used)
    });
    needed.take_while(|used| *used <= room).count().max(1)
}

fn one_line<const N: usize>(cells: [Cell; N]) -> Row {
    let mut row = Row::from(cells.to_vec());
    row.max_height(1);
    row
}

impl Column {
    fn heading(self) -> &'static str {
        let (Self::Text(heading) | Self::Word(heading) | Self::Number(heading)) = self;
        heading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::Text("CLIENT"), Column::Word("STATE"), Column::Number("QUEUED")];

    fn table(look: Look) -> String {
        let mut table = Table::new(COLUMNS, look);
        table.row([cell("lamp", Tone::Plain), cell("connected", Tone::Good), cell("12", Tone::Plain)]);
        let long = "a-sensor-with-a-name-that-no-terminal-shows-whole".repeat(2);
        table.row([cell(long, Tone::Plain), cell("away", Tone::Faint), cell("1,234", Tone::Plain)]);
        table.text()
    }

    #[test]
    fn columns_are_aligned_and_nothing_is_cut_without_a_terminal() {
        let text = table(Look { width: None, is_coloured: false });
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("CLIENT  ") && lines[0].ends_with("  STATE      QUEUED"), "{text}");
        assert!(lines[1].starts_with("lamp  ") && lines[1].ends_with("  connected      12"), "{text}");
        assert!(
            lines[2].contains("shows-wholea-sensor") && lines[2].ends_with("  away        1,234"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_narrow_terminal_cuts_texts_and_leaves_numbers() {
        let text = table(Look { width: Some(40), is_coloured: false });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 40), "{text}");
        assert!(lines[2].contains('…') && lines[2].ends_with("1,234"), "{text}");
    }

    #[test]
    fn where_cutting_is_not_enough_columns_at_the_right_are_left_out() {
        let text = table(Look { width: Some(30), is_coloured: false });
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 30), "{text}");
        assert!(lines[0].contains("STATE") && !lines[0].contains("QUEUED"), "{text}");
        assert!(lines[2].starts_with("a-sensor"), "{text}");
        assert!(table(Look { width: Some(1), is_coloured: false }).lines().count() > 0);
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(table(Look { width: Some(80), is_coloured: true }).contains("\u{1b}["));
        assert!(Table::new(COLUMNS, Look { width: None, is_coloured: false }).text().is_empty());
    }
}
