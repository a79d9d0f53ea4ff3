//! From rounds to what is read: tables, JSON, and the files of a kept run.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::Settings;
use crate::goals::{Better, Verdict, times_as_good};
use crate::machine::Circumstances;
use crate::measure::{self, Bench, Layout, Measure, Series, Table};
use crate::topology::{self, Topology};
use crate::{candidates, statistics, tools};

/// One measure and the series of each of its tables.
type Taken = (&'static Measure, Vec<Vec<Series>>);

/// Takes the measures, prints them, and keeps them.
pub fn measure_and_report(settings: &Settings) -> Result<(), String> {
    topology::need_root()?;
    let circumstances = Circumstances::observe();
    let weft = tools::build_weft();
    match &weft {
        Ok(path) => eprintln!("weft: {}", path.display()),
        Err(reason) => eprintln!("weft: {reason}"),
    }
    topology::prepare_process()?;
    let mut bench = Bench { settings: settings.clone(), weft, quiet: Topology::new()?, round: 0 };
    let chosen = |measure: &&Measure| {
        settings.names.is_empty() || settings.names.iter().any(|name| name == measure.name)
    };
    let taken: Vec<Taken> = measure::MEASURES
        .into_iter()
        .filter(chosen)
        .map(|measure| (measure, measure::take(measure, &mut bench)))
        .collect();
    if let Ok(weft) = &bench.weft {
        candidates::remove_ledger(weft);
    }
    let peers = tools::peer_versions();
    let document = to_json(&circumstances, &peers, settings, &taken);
    let text = to_text(&circumstances, &peers, settings, &taken);
    let json = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())? + "\n";
    print!("{}", if settings.json { &json } else { &text });
    if let Some(folder) = &settings.runs {
        keep(folder, &file_stem(&circumstances, &taken), &json, &text)?;
    }
    Ok(())
}

fn keep(folder: &Path, stem: &str, json: &str, text: &str) -> Result<(), String> {
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join(format!("{stem}.json")), json))
        .and_then(|()| std::fs::write(folder.join(format!("{stem}.md")), text))
        .map_err(|error| format!("cannot keep the run: {error}"))?;
    eprintln!("kept as {stem}.json and {stem}.md");
    Ok(())
}

/// `2026-11-21T023045Z-0123456789ab-bulk`: the moment, the commit, and what was measured.
fn file_stem(circumstances: &Circumstances, taken: &[Taken]) -> String {
    let names: Vec<&str> = taken.iter().map(|(measure, _)| measure.name).collect();
    let what = if names.len() == measure::MEASURES.len() { "all".to_owned() } else { names.join("-") };
    format!("{}-{}-{what}", circumstances.date.replace(':', ""), circumstances.commit)
}

type Versions = [(&'static str, String)];

fn to_text(at: &Circumstances, peers: &Versions, settings: &Settings, taken: &[Taken]) -> String {
    let mut text = format!(
        "# Run of {}\n\n\
         - commit: {}\n\
         - machine: {}, {} cores, Linux {} (by default {}), {} descriptors, load {} at the start\n\
         - rounds: {} interleaved, {} s each where timed; figures are medians\n",
        at.date,
        at.commit,
        at.processor,
        at.cores,
        at.kernel,
        at.congestion_control,
        at.descriptors,
        at.load,
        settings.rounds,
        settings.seconds
    );
    let versions: Vec<String> = peers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(text, "- peers: {}", versions.join(", "));
    for (measure, tables) in taken {
        let _ = write!(text, "\n## {}\n\n{}\n", measure.name, measure.about);
        match measure.layout {
            Layout::Grid => write_grid(&mut text, measure, tables),
            Layout::Tables => {
                measure
                    .tables
                    .iter()
                    .zip(tables)
                    .for_each(|(table, series)| write_table(&mut text, table, series));
            }
        }
    }
    text
}

/// A row for each table, a column for each candidate.
fn write_grid(text: &mut String, measure: &Measure, tables: &[Vec<Series>]) {
    let names: Vec<&str> = measure.candidates.iter().map(|candidate| candidate.name()).collect();
    let unit = measure.tables.first().map_or("", |table| table.unit);
    let _ = writeln!(text, "\n| {unit} | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
    let (mut met, mut judged) = (0, 0);
    for (table, series) in measure.tables.iter().zip(tables) {
        let median_of =
            |candidate| series.iter().find(|one| one.candidate == candidate).and_then(Series::median);
        let _ = write!(text, "| {} |", table.title);
        for one in series {
            let Some(median) = one.median() else {
                let _ = write!(text, " not measured: {} |", cell(&one.failures().join("; ")));
                judged += if one.candidate.is_weft() { table.goals.len() } else { 0 };
                continue;
            };
            let _ = write!(text, " {}", short(median));
            for goal in table.goals.iter().filter(|_| one.candidate.is_weft()) {
                judged += 1;
                match goal.verdict(table.better, Some(median), median_of) {
                    Verdict::Met(times) => {
                        met += 1;
                        let _ = write!(text, " ({times:.2} x)");
                    }
                    Verdict::NotMet(times) => {
                        let _ = write!(text, " (**{times:.2} x**)");
                    }
                    Verdict::NotMeasured => {}
                }
            }
            text.push_str(" |");
        }
        text.push('\n');
    }
    let goals = measure.tables.first().map_or(&[][..], |table| table.goals);
    let goals: Vec<String> = goals.iter().map(|goal| goal.text(unit)).collect();
    let _ =
        writeln!(text, "\n- goal: {}: met {met} times of {judged}; what is bold missed it", goals.join(", "));
}

fn write_table(text: &mut String, table: &Table, series: &[Series]) {
    let better = match table.better {
        Better::Higher => "more is better",
        Better::Lower => "less is better",
        Better::NearerToOne => "nearer to 1 is better",
    };
    let first = reference(table, series);
    let versus = first.map_or("-", |one| one.candidate.name());
    let _ = write!(
        text,
        "\n### {} ({}, {better})\n\n\
         | candidate | median | low | high | as good as {versus} | rounds |\n\
         |---|---:|---:|---:|---:|---|\n",
        table.title, table.unit
    );
    for one in series {
        write_row(text, table, one, first.and_then(Series::median));
    }
    write_goals(text, table, series);
}

/// Ratios are against the first candidate, but for one that is taken off the others.
fn reference<'a>(table: &Table, series: &'a [Series]) -> Option<&'a Series> {
    series.iter().find(|one| Some(one.candidate) != table.over)
}

fn write_row(text: &mut String, table: &Table, one: &Series, reference: Option<f64>) {
    let figures = one.figures();
    let bare = Some(one.candidate) == table.over;
    let name = if bare { "bare command (taken off the others)" } else { one.candidate.name() };
    let failures = one.failures().join("; ");
    let (Some(median), Some((low, high))) = (one.median(), statistics::range(&figures)) else {
        let _ = writeln!(text, "| {name} | | | | | not measured: {} |", cell(&failures));
        return;
    };
    let ratio = match reference {
        Some(reference) if !bare && reference > 0.0 && median > 0.0 => {
            format!("{:.2} x", times_as_good(table.better, median, reference))
        }
        _ => String::new(),
    };
    let mut rounds: Vec<String> = figures.iter().map(|&figure| short(figure)).collect();
    if !failures.is_empty() {
        rounds.push(format!("{} failed: {}", one.rounds.len() - figures.len(), cell(&failures)));
    }
    let (median, low, high) = (short(median), short(low), short(high));
    let _ = writeln!(text, "| {name} | {median} | {low} | {high} | {ratio} | {} |", rounds.join(" "));
}

fn write_goals(text: &mut String, table: &Table, series: &[Series]) {
    let median_of = |candidate| series.iter().find(|one| one.candidate == candidate).and_then(Series::median);
    if !table.goals.is_empty() {
        text.push('\n');
    }
    for one in series.iter().filter(|one| one.candidate.is_weft()) {
        for goal in table.goals {
            let verdict = goal.verdict(table.better, one.median(), median_of);
            let _ = writeln!(
                text,
                "- goal for {}: {}: {}",
                one.candidate.name(),
                goal.text(table.unit),
                verdict.text()
            );
        }
    }
}

/// Text that cannot break out of a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}

/// Three digits where that many matter.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

fn to_json(at: &Circumstances, peers: &Versions, settings: &Settings, taken: &[Taken]) -> Value {
    let peers: serde_json::Map<String, Value> =
        peers.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
    let tables: Vec<Value> = taken
        .iter()
        .flat_map(|(measure, tables)| {
            measure.tables.iter().zip(tables).map(|(table, series)| table_to_json(measure, table, series))
        })
        .collect();
    json!({
        "date": at.date,
        "commit": at.commit,
        "machine": {
            "processor": at.processor,
            "cores": at.cores,
            "kernel": at.kernel,
            "congestion_control": at.congestion_control,
            "descriptors": at.descriptors,
            "load": at.load,
        },
        "peers": peers,
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "tables": tables,
    })
}

fn table_to_json(measure: &Measure, table: &Table, series: &[Series]) -> Value {
    let median_of = |candidate| series.iter().find(|one| one.candidate == candidate).and_then(Series::median);
    let rows: Vec<Value> = series
        .iter()
        .map(|one| {
            let goals: Vec<Value> = table
                .goals
                .iter()
                .filter(|_| one.candidate.is_weft())
                .map(|goal| {
                    let verdict = goal.verdict(table.better, one.median(), median_of);
                    json!({ "goal": goal.text(table.unit), "verdict": verdict.text() })
                })
                .collect();
            json!({
                "candidate": one.candidate.name(),
                "median": one.median(),
                "rounds": one.figures(),
                "failures": one.failures(),
                "goals": goals,
            })
        })
        .collect();
    json!({
        "measure": measure.name,
        "title": table.title,
        "unit": table.unit,
        "more_is_better": table.better == Better::Higher,
        "over": table.over.map(|base| base.name()),
        "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidates::Candidate;
    use crate::goals::Goal;

    const TABLE: Table = Table {
        title: "speed",
        unit: "Gbit/s",
        better: Better::Higher,
        over: None,
        goals: &[Goal::Times(2.0, Candidate::Slirp4netns)],
    };

    fn series(candidate: Candidate, rounds: Vec<Result<f64, String>>) -> Series {
        Series { candidate, rounds }
    }

    #[test]
    fn a_table_shows_ratios_goals_and_what_is_missing() {
        let all = [
            series(Candidate::Kernel, vec![Ok(10.0), Ok(12.0), Ok(11.0)]),
            series(Candidate::Slirp4netns, vec![Ok(2.0), Err("slow | late".to_owned())]),
            series(Candidate::WeftTap, vec![Ok(5.5)]),
            series(Candidate::WeftVeth, vec![Err("not built".to_owned())]),
        ];
        let mut text = String::new();
        write_table(&mut text, &TABLE, &all);
        for line in [
            "| kernel | 11.0 | 10.0 | 12.0 | 1.00 x | 10.0 12.0 11.0 |",
            "| slirp4netns | 2.00 | 2.00 | 2.00 | 0.18 x | 2.00 1 failed: slow / late |",
            "| weft (veth) | | | | | not measured: not built |",
            "- goal for weft (tap): 2 x slirp4netns: met (2.75 x)",
            "- goal for weft (veth): 2 x slirp4netns: not measured",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }
}
