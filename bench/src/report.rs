//! Tables on the terminal, and the same figures as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

#[derive(Default)]
pub(crate) struct Report {
    tables: Map<String, Value>,
}

impl Report {
    /// Prints a table and keeps it. The first column of each row is its name.
    pub(crate) fn table(&mut self, title: &str, columns: &[&str], rows: &[(String, Vec<f64>)]) {
        println!("\n{title}");
        let width = rows
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        let mut line = " ".repeat(width);
        for column in columns {
            write!(line, "  {column:>14}").expect("a string takes all");
        }
        println!("{line}");
        let mut kept = Vec::new();
        for (name, figures) in rows {
            let mut line = format!("{name:<width$}");
            let mut row = Map::new();
            row.insert("name".to_owned(), json!(name));
            for (column, figure) in columns.iter().zip(figures) {
                write!(line, "  {:>14}", number(*figure)).expect("a string takes all");
                row.insert((*column).to_owned(), json!(figure));
            }
            println!("{line}");
            kept.push(Value::Object(row));
        }
        self.tables.insert(title.to_owned(), Value::Array(kept));
    }

    pub(crate) fn json(&self) -> String {
        format!("{:#}\n", Value::Object(self.tables.clone()))
    }
}

/// Three digits that count; a dash for what was not measured.
fn number(figure: f64) -> String {
    match figure.abs() {
        _ if figure.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// The median and the lowest of some samples.
pub(crate) fn median_and_lowest(mut samples: Vec<f64>) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() / 2], samples[0])
}
