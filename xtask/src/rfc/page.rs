//! The page: tables whose rows are `| RFC | clause | status | shown by |`, and a list of RFCs that are not TCP's.

use super::Section;

/// How the paragraph begins that lists RFCs which are cited and have no rows, or sections of them.
const ELSEWHERE: &str = "Not TCP's:";

/// The page, read.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows in order.
    pub rows: Vec<Row>,
    /// RFCs that have no rows here, or only for sections other than these.
    pub elsewhere: Vec<Elsewhere>,
    /// Lines that look like rows and cannot be read, and why.
    pub broken: Vec<(usize, String)>,
}

/// An RFC, or a section of one, that has no rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// On which line, from 1.
    pub line: usize,
    /// Which RFC.
    pub rfc: u32,
    /// Which part of it; `None`: all.
    pub section: Option<Section>,
}

/// One clause.
#[derive(Debug)]
pub struct Row {
    /// On which line, from 1.
    pub line: usize,
    /// Which RFC; `None` for a draft.
    pub rfc: Option<u32>,
    /// Where in it.
    pub sections: Vec<Section>,
    /// RFC and clause as they are written.
    pub clause: String,
    /// Whether it is obeyed; `None` where the cell begins with none of the three words.
    pub status: Option<Status>,
    /// The scripts and tests that show it.
    pub shown_by: Vec<String>,
}

/// What becomes of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is obeyed.
    Obeyed,
    /// It is not, for a reason.
    Deviates,
    /// It is not yet.
    Open,
}

impl Page {
    /// Reads the page.
    pub fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut is_list = false;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            is_list = line.starts_with(ELSEWHERE) || (is_list && !line.is_empty());
            if is_list {
                page.list(line, number);
            } else if line.starts_with('|') {
                match Row::parse(line, number) {
                    Ok(Some(row)) => page.rows.push(row),
                    Ok(None) => {}
                    Err(reason) => page.broken.push((number, reason)),
                }
            }
        }
        page
    }
}

impl Page {
    /// A line of the list, whose RFCs stand on the line with their sections.
    fn list(&mut self, line: &str, number: usize) {
        let list = line.strip_prefix(ELSEWHERE).unwrap_or(line);
        for word in list.split(|c: char| c.is_whitespace() || c == ',').map(|word| word.trim_end_matches('.'))
        {
            if let Ok(rfc) = word.parse() {
                self.elsewhere.push(Elsewhere { line: number, rfc, section: None });
            } else if let (Some(section), Some(last)) = (Section::read(word), self.elsewhere.last_mut()) {
                let rfc = last.rfc;
                match last.section {
                    None => last.section = Some(section),
                    Some(_) => self.elsewhere.push(Elsewhere { line: number, rfc, section: Some(section) }),
                }
            }
        }
    }
}

impl Elsewhere {
    /// Whether a section of an RFC, or a mention of it as a whole, is meant.
    pub fn covers(&self, rfc: u32, section: Option<&Section>) -> bool {
        let within = |own: &Section| section.is_none_or(|section| own.holds(section));
        self.rfc == rfc && self.section.as_ref().is_none_or(within)
    }
}

impl Row {
    /// A row; `None` for the head of a table.
    fn parse(line: &str, number: usize) -> Result<Option<Self>, String> {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let first = cells.first().copied().unwrap_or_default();
        let rfc = first.parse().ok();
        if rfc.is_none() && (!first.contains('-') || first.starts_with("--")) {
            return Ok(None);
        }
        let &[_, clause, status, shown_by] = cells.as_slice() else {
            return Err(format!(
                "a row has four cells: RFC, clause, status, shown by; this has {}",
                cells.len()
            ));
        };
        let sections: Vec<Section> = clause.split_whitespace().map_while(Section::read).collect();
        if sections.is_empty() {
            return Err("a clause begins with its section, as §3.1".to_owned());
        }
        Ok(Some(Self {
            line: number,
            rfc,
            sections,
            clause: format!("{first} {clause}"),
            status: Status::read(status),
            shown_by: shown_by.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        }))
    }
}

impl Status {
    /// The word that a cell begins with. Only what is obeyed needs no reason.
    fn read(cell: &str) -> Option<Self> {
        let (word, rest) = cell.split_at(cell.find(|c: char| !c.is_alphabetic()).unwrap_or(cell.len()));
        let has_reason = rest.len() > 2;
        match word {
            "obeyed" => Some(Self::Obeyed),
            "deviates" if has_reason => Some(Self::Deviates),
            "open" if has_reason => Some(Self::Open),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_heads_are_not() {
        let page = Page::parse(
            "Not TCP's: RFC 768, RFC 791\n\
             §3, §4.\n\n\
             | RFC | clause | | shown by |\n\
             |---|---|---|---|\n\
             | 9293 | §3.1, §3.2 a clause | obeyed, so | `rfc9293/a_b_c`, `a_test` |\n\
             | x-01 | §4 another | deviates: why | |\n\
             | 9293 | §3.3 a third | deviates | |",
        );
        let covers = |rfc, section: &str| {
            page.elsewhere.iter().any(|e| e.covers(rfc, Section::read(section).as_ref()))
        };
        assert!(covers(768, "§9") && covers(791, "§3.1") && covers(791, "§4") && covers(791, ""));
        assert!(!covers(791, "§5") && !covers(9293, "§3"));
        assert_eq!(page.broken, []);
        let [first, second, third] = page.rows.as_slice() else { panic!("{page:?}") };
        assert_eq!((first.rfc, first.sections.len(), first.line), (Some(9293), 2, 6));
        assert_eq!(first.shown_by, ["rfc9293/a_b_c", "a_test"]);
        assert_eq!((second.rfc, second.status), (None, Some(Status::Deviates)));
        assert_eq!(third.status, None, "a deviation has a reason");
    }

    #[test]
    fn a_row_with_too_few_cells_or_no_section_is_told() {
        let page = Page::parse("| 9293 | §3.1 a clause | obeyed |\n| 9293 | a clause | obeyed | |");
        let lines: Vec<usize> = page.broken.iter().map(|(line, _)| *line).collect();
        assert_eq!((lines, page.rows.len()), (vec![1, 2], 0));
    }
}
