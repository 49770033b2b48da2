//! The comparison to be read: a table a setting, a row a method, a column a measure.

use artifact::Comparison;
use askama::Template;

use crate::{args::Args, measure::is_percentage, paper::Paper};

/// The page, `templates/tabulate.html`.
#[derive(Template)]
#[template(path = "tabulate.html")]
pub(crate) struct Page {
    title: String,
    note: String,
    legend: String,
    tables: Vec<Table>,
    paper: Vec<Table>,
}

/// A setting.
struct Table {
    name: String,
    columns: Vec<String>,
    /// Methods and their cells.
    rows: Vec<(String, Vec<String>)>,
}

impl Page {
    pub(crate) fn new(args: &Args, rows: &Comparison, paper: Option<&Paper>) -> Self {
        let mut tables = Vec::new();
        for i in 0..rows.len() {
            put(
                &mut tables,
                (&rows.setting[i], &rows.method[i], &rows.measure[i]),
                cell(rows, i),
            );
        }
        let mut of_paper = Vec::new();
        for row in paper.iter().flat_map(|paper| &paper.rows) {
            put(
                &mut of_paper,
                (&row.setting, &row.method, &row.measure),
                row.value.clone(),
            );
        }
        let n = rows.seeds.iter().max().copied().unwrap_or_default();
        let fewest = rows.seeds.iter().min().copied().unwrap_or_default();
        let seeds =
            if n == fewest { format!("n = {n}") } else { format!("n = {fewest} to {n}") };
        let against = args.baseline.as_deref().map_or(String::new(), |baseline| {
            format!(
                "; in brackets the mean ± standard deviation of the differences to {baseline} \
                 with the same seed, and p of Student's t-test of these pairs, two-sided"
            )
        });
        Self {
            title: args.title.clone(),
            note: args.note.clone(),
            legend: format!("Mean ± standard deviation over the seeds, {seeds}{against}."),
            tables,
            paper: of_paper,
        }
    }

    /// The same as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut parts = vec![format!("# {}\n", self.title)];
        let paragraphs =
            [&self.note, &self.legend].into_iter().filter(|text| !text.is_empty());
        parts.extend(paragraphs.map(|text| format!("\n{text}\n")));
        parts.extend(self.tables.iter().map(|table| table.markdown(&table.name)));
        parts.extend(self.paper.iter().map(|table| {
            table.markdown(&format!("{} (from the paper: other data)", table.name))
        }));
        parts.concat()
    }
}

/// Puts a cell into the table of its setting.
fn put(
    tables: &mut Vec<Table>,
    (setting, method, measure): (&str, &str, &str),
    cell: String,
) {
    let at = tables.iter().position(|table| table.name == setting).unwrap_or_else(|| {
        tables.push(Table {
            name: setting.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
        });
        tables.len() - 1
    });
    let Table { columns, rows, .. } = &mut tables[at];
    let column = columns.iter().position(|name| name == measure).unwrap_or_else(|| {
        columns.push(measure.to_owned());
        columns.len() - 1
    });
    let row = rows.iter().position(|(name, _)| name == method).unwrap_or_else(|| {
        rows.push((method.to_owned(), Vec::new()));
        rows.len() - 1
    });
    let cells = &mut rows[row].1;
    cells.resize(cells.len().max(column + 1), String::new());
    cells[column] = cell;
}

impl Table {
    fn markdown(&self, name: &str) -> String {
        let columns = self.columns.len();
        let mut parts = vec![
            format!("\n## {name}\n\n| method | {} |\n", self.columns.join(" | ")),
            format!("|---|{}\n", "---|".repeat(columns)),
        ];
        parts.extend(self.rows.iter().map(|(method, cells)| {
            let mut cells = cells.clone();
            cells.resize(columns, String::new());
            format!("| {method} | {} |\n", cells.join(" | "))
        }));
        parts.concat()
    }
}

/// `mean ± deviation (difference ± deviation, p)`
fn cell(rows: &Comparison, i: usize) -> String {
    let (factor, digits) =
        if is_percentage(&rows.measure[i]) { (100.0, 1) } else { (1.0, 4) };
    let number = |value: f64| format!("{:.digits$}", value * factor);
    let around = |deviation: Option<f64>| {
        deviation.map_or(String::new(), |deviation| format!(" ± {}", number(deviation)))
    };
    let mean = number(rows.mean[i]) + &around(rows.deviation[i]);
    let Some(difference) = rows.difference[i] else { return mean };
    let sign = if difference < 0.0 { "−" } else { "+" };
    let size = number(difference.abs()) + &around(rows.difference_deviation[i]);
    let p = match rows.probability[i] {
        Some(p) if p < 0.01 => ", p < 0.01".to_owned(),
        Some(p) => format!(", p {p:.2}"),
        None => String::new(),
    };
    format!("{mean} ({sign}{size}{p})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_tells_the_mean_and_the_difference() {
        let rows = Comparison {
            setting: vec!["a".into(); 2],
            method: vec!["m".into(); 2],
            measure: vec!["accuracy, %".into(), "mIoU".into()],
            seeds: vec![3, 1],
            mean: vec![0.5, 0.125],
            deviation: vec![Some(0.01), None],
            difference: vec![Some(-0.02), None],
            difference_deviation: vec![Some(0.005), None],
            probability: vec![Some(0.031), None],
        };
        assert_eq!(cell(&rows, 0), "50.0 ± 1.0 (−2.0 ± 0.5, p 0.03)");
        assert_eq!(cell(&rows, 1), "0.1250");
        let surer = Comparison { probability: vec![Some(0.0099), None], ..rows };
        assert_eq!(cell(&surer, 0), "50.0 ± 1.0 (−2.0 ± 0.5, p < 0.01)");
    }

    #[test]
    fn cells_find_their_table_row_and_column() {
        let mut tables = Vec::new();
        put(&mut tables, ("net", "a", "x"), "1".into());
        put(&mut tables, ("net", "b", "y"), "2".into());
        let text = tables[0].markdown("net");
        assert!(text.contains("| method | x | y |\n|---|---|---|\n"), "{text}");
        assert!(text.contains("| a | 1 |  |\n| b |  | 2 |\n"), "{text}");
    }
}
