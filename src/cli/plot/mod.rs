//! `scarce plot`: the paper's figures of whatever a store holds.

mod print;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::options::{existing_store, processors};
use super::print as out;
use crate::analysis::{Options, Run, Runs, imported, of_records};
use crate::draw::chart::Figure;
use crate::draw::palette::Colors;
use crate::draw::{pdf, png};
use crate::figures::{Mode, draw};
use crate::laws::Noise;
use crate::number::parse_count;
use crate::spec::{JobId, Split};
use crate::store::{Average, Store, write_atomically};
use crate::{Error, Result};

/// Arguments of `scarce plot`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every figure becomes NAME.svg, NAME.png, NAME.pdf and NAME.csv, the last with every number that is
drawn and the records it is from. What a mode finds is printed: laws with their intervals (profile
likelihood), data efficiency, certificates, and why there is none.")]
pub(super) struct PlotArgs {
    /// What to plot; --list shows the modes
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// List the modes
    #[arg(long)]
    list: bool,
    /// Directory of the records
    #[arg(long, default_value = "scarce-store", value_name = "DIR")]
    store: PathBuf,
    /// Where the files go
    #[arg(long, default_value = "scarce-plots", value_name = "DIR")]
    out: PathBuf,
    /// Plot imported runs instead of records
    #[arg(long, conflicts_with = "mixed")]
    foreign: bool,
    /// Plot both, with different marks
    #[arg(long)]
    mixed: bool,
    /// Which held-out losses of records are shown
    #[arg(long, value_enum, default_value = "val")]
    split: Held,
    /// Only runs on this data: a corpus' id or its beginning, or what imported runs call theirs
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// Only imported runs with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Which average of ensembles is shown
    #[arg(long, value_parser = averages(), default_value = "logits")]
    averaging: Average,
    /// The budget D of figures that show one; default: the one with most ensembles, then runs
    #[arg(long, value_name = "TOKENS", value_parser = parse_count)]
    budget: Option<u64>,
    /// The weight decay of the standard recipe
    #[arg(long, value_name = "DECAY", default_value_t = 0.1)]
    standard_decay: f64,
    /// Standard deviation of a loss, if it is known, for example over seeds; otherwise the scatter
    /// around a law is used
    #[arg(long, value_name = "SD")]
    noise: Option<f64>,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.9)]
    level: f64,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// Splits that losses are held out on.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Held {
    /// What choices are made on
    Val,
    /// What is reported
    Test,
}

/// Averages by their names.
fn averages() -> impl TypedValueParser<Value = Average> {
    PossibleValuesParser::new(Average::BOTH.map(Average::name))
        .try_map(|name| name.parse::<Average>())
}

impl Held {
    fn split(self) -> Split {
        match self {
            Self::Val => Split::Val,
            Self::Test => Split::Test,
        }
    }
}

pub(super) fn run(arguments: &PlotArgs) -> Result<()> {
    if arguments.list {
        out::data(&print::list(arguments.json));
        return Ok(());
    }
    let Some(mode) = arguments.mode.as_deref() else {
        let names: Vec<&str> = Mode::ALL.into_iter().map(Mode::name).collect();
        return Err(Error::usage("what is to be plotted?")
            .hint(format!("--mode {}; --list says what each shows", names.join(", "))));
    };
    let mode = Mode::parse(mode)?;
    let options = options(arguments)?;
    let runs = runs(arguments, mode)?;
    let plots = draw(mode, &runs, &options)?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|cause| Error::io("create", &arguments.out, &cause))?;
    let files = write_all(&arguments.out, &plots.figures)?;
    if arguments.json {
        out::json(&print::json(mode, &plots, &files));
    } else {
        out::data(&print::text(&plots, &files));
    }
    for remark in runs.remarks() {
        out::note(&remark);
    }
    for lack in &plots.lacks {
        out::note(&format!("not drawn: {} needs {}", lack.figure, lack.needs));
    }
    Ok(())
}

fn options(arguments: &PlotArgs) -> Result<Options> {
    if !(arguments.level > 0.0 && arguments.level < 1.0) {
        return Err(Error::usage(format!("--level: {} does not lie in (0, 1)", arguments.level)));
    }
    let noise = match arguments.noise {
        None => Noise::Residuals,
        Some(deviation) if deviation > 0.0 && deviation.is_finite() => Noise::Known { deviation },
        Some(deviation) => {
            return Err(Error::usage(format!("--noise: {deviation} is no standard deviation")));
        }
    };
    Ok(Options {
        noise,
        level: arguments.level,
        standard_weight_decay: arguments.standard_decay,
        averaging: arguments.averaging,
        budget_tokens: arguments.budget.map(|tokens| tokens as f64),
        ..Options::default()
    })
}

/// The runs that were asked for: own and foreign ones are never mixed unless that is asked for.
fn runs(arguments: &PlotArgs, mode: Mode) -> Result<Runs> {
    let hint = "name it with --store DIR; `scarce train` makes one, `scarce import runs`, too";
    let store = existing_store(&arguments.store, hint)?;
    let split = arguments.split.split();
    let mut runs = Runs { split: split.name().to_owned(), ..Runs::default() };
    if !arguments.foreign {
        runs.runs.extend(read(&store, split, mode, None)?);
    }
    if arguments.foreign || arguments.mixed {
        let foreign = imported(&store, arguments.tag.as_deref(), mode.needs_trajectories())?;
        // Nominal sizes and exact counts are not the same axis: mixed plots use exact counts.
        runs.nominal = arguments.foreign && foreign.nominal;
        runs.runs.extend(if arguments.mixed { foreign.exact } else { foreign.runs });
        if arguments.foreign {
            runs.split = String::new();
        }
    }
    if runs.runs.is_empty() {
        let error = Error::data(format!("no runs for `{}`: the store has none", mode.name()));
        return Err(error.hint(match arguments.foreign || arguments.mixed {
            true => "`scarce import runs FILE` takes them in",
            false => "`scarce scale` makes them; `--foreign` plots imported runs",
        }));
    }
    runs.on_one_data(arguments.data.as_deref())?;
    Ok(runs)
}

/// The losses of records that a mode shows, all of them or those of `only` some; says which ones
/// could not be read.
pub(super) fn read(
    store: &Store,
    split: Split,
    mode: Mode,
    only: Option<&BTreeSet<JobId>>,
) -> Result<Vec<Run>> {
    let found = of_records(store, split, mode.needs_trajectories(), only)?;
    found.left_out.iter().for_each(|text| out::warning(text));
    Ok(found.runs)
}

/// Writes all figures on all processors; drawing them takes longer than everything before.
fn write_all(folder: &Path, figures: &[Figure]) -> Result<Vec<PathBuf>> {
    let share = figures.len().div_ceil(processors()).max(1);
    let parts = std::thread::scope(|scope| {
        let part = |figures: &[Figure]| {
            figures.iter().map(|figure| write(folder, figure)).collect::<Result<Vec<_>>>()
        };
        let workers: Vec<_> =
            figures.chunks(share).map(|figures| scope.spawn(move || part(figures))).collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Result<Vec<_>>>()
    })?;
    Ok(parts.into_iter().flatten().flatten().collect())
}

/// Writes the four files of a figure and returns their paths.
pub(super) fn write(folder: &Path, figure: &Figure) -> Result<Vec<PathBuf>> {
    let files: [(&str, Vec<u8>); 4] = [
        ("svg", figure.scene.to_svg(Colors::Light).into_bytes()),
        ("png", png::encode(&figure.scene)),
        ("pdf", pdf::encode(&figure.scene)),
        ("csv", figure.csv().into_bytes()),
    ];
    let mut written = Vec::new();
    for (ending, bytes) in files {
        let path = folder.join(format!("{}.{ending}", figure.name));
        write_atomically(&path, &bytes)?;
        written.push(path);
    }
    Ok(written)
}
