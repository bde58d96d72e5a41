//! Pages of results, opened as people open them: in a browser, from a folder, without a network.

use std::collections::BTreeSet;
use std::path::Path;

use scarce::draw::palette::{Colors, Paint};
use scarce::draw::svg::Scene;
use scarce::draw::table::{Align, Cell, Table};
use scarce::report::page::{Block, Cost, Figure, MeasuredLoss, Page, Section, Source};
use serde_json::json;

use crate::browser::{self, Browser};

/// The values of an attribute in the order of the page. Pages write attributes in double quotes and
/// escape every quote in text.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let mark = format!(" {name}=\"");
    let values = page.split(&mark).skip(1);
    values.map(|rest| rest.split_once('"').unwrap().0).collect()
}

/// Every link within the page has its target, every other its file beside the page; nothing else
/// is linked or loaded.
pub(crate) fn check_links(path: &Path) {
    let page = std::fs::read_to_string(path).unwrap();
    let ids = attributes(&page, "id");
    let targets: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), targets.len(), "{}: an id stands twice", path.display());
    for link in attributes(&page, "href") {
        match link.strip_prefix('#') {
            Some(target) => assert!(targets.contains(target), "no target for {link}"),
            None => {
                let file = path.parent().unwrap().join(link.replace("%20", " "));
                assert!(!link.contains(':') && file.is_file(), "no file for {link}");
            }
        }
    }
    assert_eq!(attributes(&page, "src"), Vec::<&str>::new(), "a page loads nothing");
}

/// The page in the browser: nothing in the console, no request, no link without a target, no
/// sideways scrolling on any screen; numbers lead to their records, and back again.
#[expect(clippy::print_stderr, reason = "a skipped check is said")]
pub(crate) fn check_in_browser(path: &Path) {
    check_links(path);
    let Some(program) = browser::find() else {
        eprintln!("SKIPPED: no browser; `apt-get install chromium` brings one");
        return;
    };
    let mut browser = Browser::start(&program);
    for (width, dark) in [(1200, false), (390, false), (1200, true)] {
        browser.open(path, width, dark, true);
        let wider = browser.evaluate("document.documentElement.scrollWidth - innerWidth");
        assert!(wider.as_f64().unwrap() <= 0.0, "the page is {wider} pixels too wide at {width}");
        let lost = browser.evaluate(
            "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))
             .filter(h => h[0] === '#' && !document.getElementById(h.slice(1)))",
        );
        assert_eq!(lost, json!([]), "links without a target");
    }
    for scripts in [true, false] {
        for selector in ["td a", "figure svg a"] {
            browser.open(path, 1200, false, scripts);
            browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)");
            let count =
                browser.evaluate(&format!("document.querySelectorAll('{selector}').length"));
            let count = usize::try_from(count.as_u64().unwrap()).unwrap();
            for index in (0..count).step_by(count.div_ceil(4).max(1)) {
                check_click(&mut browser, selector, index);
            }
        }
    }
    assert_eq!(browser.complaints(), Vec::<String>::new(), "the console stays empty");
}

/// Clicks on a number, sees what it leads to, and goes back.
fn check_click(browser: &mut Browser, selector: &str, index: usize) {
    let seen = "(() => { const t = document.querySelector(':target');
        if (!t) return false;
        const inner = t.querySelector('dl, ul'), box = t.getBoundingClientRect();
        return inner.getBoundingClientRect().height > 20 && box.top >= 0
            && box.top < innerHeight; })()";
    let link = browser.evaluate(&format!(
        "document.querySelectorAll('{selector}')[{index}].getAttribute('href')"
    ));
    browser.click(selector, index);
    browser.wait_for(&format!("location.hash === {link}"));
    browser.wait_for(seen);
    if link.as_str().unwrap().starts_with("#set-") {
        browser.click(":target li a", 0);
        browser.wait_for("document.querySelector(':target').matches('.record')");
        browser.wait_for(seen);
        browser.evaluate("history.back()");
        browser.wait_for(&format!("location.hash === {link}"));
    }
    browser.evaluate("history.back()");
    browser.wait_for("location.hash === '' && document.querySelector(':target') === null");
}

/// A page with everything that a page can hold, and its files.
fn write_example(folder: &Path) -> std::path::PathBuf {
    let ids: Vec<String> = (10..40).map(|number| format!("{number}").repeat(32)).collect();
    let source = |id: &String| Source {
        id: id.clone(),
        label: "179,136 parameters, 16 epochs, lr 0.01, weight decay 1.6".into(),
        kind: Some(scarce::spec::JobKind::Train),
        outcome: "finished".into(),
        losses: vec![MeasuredLoss {
            name: "val, model".into(),
            text: "2.7157 ± 0.0088 nats/token".into(),
        }],
        headline: None,
        allowed: String::new(),
        cost: Cost::default(),
        machine: "a processor, 1 of 2 processors, avx512, linux-x86_64".into(),
        numerics_class: "cpu/f32/exact/1".parse().ok(),
        made_by: "scarce 0.1.0, 2026-11-22 04:45:08 UTC".into(),
        spec: "key.of.the.spec = \"a long value that would not fit on the line of a phone\"\n"
            .repeat(30),
        inputs: Vec::new(),
        known: false,
    };
    let mut page = Page::new("A page with everything", "a corpus with a rather long name");
    page.headline = "The lowest loss is 2.7157 nats per token (2.70 to 2.73).".into();
    page.notes = vec!["Weight decay lies at the edge of its grid.".into()];
    page.sources = ids.iter().map(source).collect();
    for number in 0..4 {
        let mut table = Table::new(&[
            ("a setting with many words in its heading", Align::Left),
            ("loss (nats/token)", Align::Right),
            ("law: loss at infinity (nats/token)", Align::Right),
            ("interval from bootstrap", Align::Right),
        ]);
        for id in &ids[number..number + 9] {
            table.push([
                Cell::from("16 epochs, weight decay 1.6, which is a long name"),
                Cell::of("2.7157 ± 0.0088", std::slice::from_ref(id)),
                Cell::of("2.6012 (2.5551 to 2.6312)", &ids[number..]),
                Cell::from("2.5551 to 2.6312"),
            ]);
        }
        let mut section = Section::new(format!("Section {number}"), format!("section-{number}"));
        let folded = Block::table(table.clone(), "What the numbers are.");
        section.blocks = vec![
            Block::table(table, "What the numbers are."),
            Block::Fold { title: "Details".into(), blocks: vec![folded] },
        ];
        page.sections.push(section);
    }
    let mut scene = Scene::new(480.0, 200.0, "one point");
    scene.circle((240.0, 100.0), 4.0, Paint::Blue, None);
    scene.spot((240.0, 100.0), "2.7157 ± 0.0088 nats/token", &ids[3..4]);
    let file = "figures/a point.svg";
    std::fs::create_dir(folder.join("figures")).unwrap();
    std::fs::write(folder.join(file), scene.to_svg(Colors::Light)).unwrap();
    page.sections[1].blocks.push(Block::Warning("The data do not fix E.".into()));
    page.sections[1].blocks.push(Block::Figure(Figure {
        name: "point".into(),
        caption: "A point.".into(),
        scene,
        files: vec![file.into()],
    }));
    let path = folder.join("report.html");
    std::fs::write(&path, page.to_html()).unwrap();
    path
}

#[test]
fn a_page_opens_without_a_network_and_its_links_work() {
    let folder = tempfile::tempdir().unwrap();
    check_in_browser(&write_example(folder.path()));
}

#[test]
fn pages_that_the_project_stands_by_have_working_links() {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("records");
    let folders = std::fs::read_dir(records).unwrap();
    let pages = folders.map(|folder| folder.unwrap().path().join("report.html"));
    let pages: Vec<_> = pages.filter(|page| page.is_file()).collect();
    assert!(pages.len() >= 2, "{pages:?}");
    pages.iter().for_each(|page| check_links(page));
}

#[test]
fn the_browser_tells_of_errors_and_requests() {
    let Some(program) = browser::find() else {
        eprintln!("SKIPPED: no browser; `apt-get install chromium` brings one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("bad.html");
    let bad = "<script>console.error('first'); window.second();</script>\
               <img src=\"http://third.invalid/x.png\"><img src=\"fourth.png\">";
    std::fs::write(&page, bad).unwrap();
    let mut browser = Browser::start(&program);
    browser.open(&page, 1200, false, true);
    let complaints = browser.complaints().join("\n");
    for expected in ["first", "window.second is not a function", "third.invalid", "fourth.png"] {
        assert!(complaints.contains(expected), "{complaints}");
    }
}

#[test]
#[should_panic(expected = "no file for ./figures/a%20point.svg")]
fn a_missing_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let page = write_example(folder.path());
    std::fs::remove_dir_all(folder.path().join("figures")).unwrap();
    check_links(&page);
}
