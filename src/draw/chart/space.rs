//! Free space for labels: each takes the nearest place that covers the fewest curves and marks
//! and no other label.

use crate::draw::font;

/// A box: left, top, right, bottom.
pub(crate) type Box4 = [f64; 4];

/// Edge of a square of the field, in picture units.
const CELL: f64 = 2.0;
/// What a label may come near: curves, and marks.
const CURVE_MARGIN: f64 = 2.0;
const MARK_MARGIN: f64 = 5.0;
/// Costs of covering a mark or another label, of a unit of distance, of standing nearer to a mark
/// of something else, and of a leading line across another label; a point of a curve costs 1.
const MARK_COST: f64 = 40.0;
const LABEL_COST: f64 = 1000.0;
const DISTANCE_COST: f64 = 0.4;
const DOUBT_COST: f64 = 25.0;
const CROSSING_COST: f64 = 60.0;
/// A label at an anchor after the first must be clearer by this much.
const ANCHOR_COST: f64 = 1.0;

/// A label farther than this from its anchor gets a line that leads to it.
pub(crate) const LEADER_FROM: f64 = 14.0;

/// A label that wants a place.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Its text.
    pub(crate) text: String,
    /// Points that it may stand at, the favorite first.
    pub(crate) anchors: Vec<(f64, f64)>,
    /// What it names; see [`Crowd::marks`].
    pub(crate) owner: usize,
}

/// What is in the way of labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd<'c> {
    /// Curves.
    pub(crate) curves: &'c [Vec<(f64, f64)>],
    /// Marks with a number for what they belong to.
    pub(crate) marks: &'c [(usize, (f64, f64))],
    /// Where labels may stand.
    pub(crate) frame: &'c Box4,
    /// A label whose best place costs more than this gets none.
    pub(crate) cost_max: f64,
}

/// Where a label stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// The text's box, with a little air.
    pub(crate) area: Box4,
    /// The anchor that it belongs to.
    pub(crate) anchor: (f64, f64),
}

/// Counts of points in any box of a frame, from sums over squares.
#[derive(Debug)]
struct Field {
    left: f64,
    top: f64,
    columns: usize,
    rows: usize,
    /// Sum over all squares above and to the left of a corner.
    sums: Vec<f64>,
}

impl Field {
    fn new(frame: &Box4, points: &[(f64, f64)]) -> Self {
        let squares = |length: f64| (length / CELL).ceil().max(1.0) as usize;
        let (columns, rows) = (squares(frame[2] - frame[0]), squares(frame[3] - frame[1]));
        let mut field = Self { left: frame[0], top: frame[1], columns, rows, sums: Vec::new() };
        let mut counts = vec![0.0; (columns + 1) * (rows + 1)];
        for &(x, y) in points {
            let (column, row) = ((x - frame[0]) / CELL, (y - frame[1]) / CELL);
            if column >= 0.0 && row >= 0.0 && column < columns as f64 && row < rows as f64 {
                counts[(row as usize + 1) * (columns + 1) + column as usize + 1] += 1.0;
            }
        }
        for row in 1..=rows {
            let mut line = 0.0;
            for column in 1..=columns {
                let index = row * (columns + 1) + column;
                line += counts[index];
                counts[index] = line + counts[index - columns - 1];
            }
        }
        field.sums = counts;
        field
    }

    /// Points in a box that is widened by a margin.
    fn count(&self, area: &Box4, margin: f64) -> f64 {
        let corner = |value: f64, start: f64, most: usize, up: bool| {
            let squares = (value - start) / CELL;
            let squares = if up { squares.ceil() } else { squares.floor() };
            squares.clamp(0.0, most as f64) as usize
        };
        let left = corner(area[0] - margin, self.left, self.columns, false);
        let right = corner(area[2] + margin, self.left, self.columns, true);
        let top = corner(area[1] - margin, self.top, self.rows, false);
        let bottom = corner(area[3] + margin, self.top, self.rows, true);
        let sum = |row: usize, column: usize| self.sums[row * (self.columns + 1) + column];
        sum(bottom, right) - sum(top, right) - sum(bottom, left) + sum(top, left)
    }
}

/// A place for every label of a font size, chosen in order and then once more with all others
/// known; `None` where only a place on top of another label is left, or a costly one.
pub(crate) fn place(wishes: &[Wish], size: f64, crowd: Crowd<'_>) -> Vec<Option<Place>> {
    let dense: Vec<(f64, f64)> = crowd.curves.iter().flat_map(|path| sampled(path)).collect();
    let points: Vec<(f64, f64)> = crowd.marks.iter().map(|(_, point)| *point).collect();
    let fields = (Field::new(crowd.frame, &dense), Field::new(crowd.frame, &points));
    let mut places: Vec<Option<Place>> = vec![None; wishes.len()];
    for _ in 0..2 {
        for (index, wish) in wishes.iter().enumerate() {
            places[index] = None;
            places[index] = best(wish, size, &places, &fields, crowd);
        }
    }
    for index in 0..places.len() {
        let Some(own) = places[index] else { continue };
        if places[..index].iter().flatten().any(|other| overlap(&own.area, &other.area)) {
            places[index] = None;
        }
    }
    places
}

/// The cheapest place of a label beside those that the others have.
fn best(
    wish: &Wish,
    size: f64,
    others: &[Option<Place>],
    (curves, marks): &(Field, Field),
    crowd: Crowd<'_>,
) -> Option<Place> {
    let width = font::text_width(&wish.text, size);
    let mut best: Option<(f64, Place)> = None;
    for (number, &anchor) in wish.anchors.iter().enumerate() {
        for (far, area) in candidates(anchor, width, size * 1.15, crowd.frame) {
            let mut cost = curves.count(&area, CURVE_MARGIN)
                + MARK_COST * marks.count(&area, MARK_MARGIN)
                + DISTANCE_COST * far
                + ANCHOR_COST * number as f64;
            if best.is_some_and(|(lowest, _)| cost >= lowest) {
                continue;
            }
            let stranger = |(owner, point): &&(usize, (f64, f64))| {
                *owner != wish.owner && distance(&area, *point) < 1.5 * far + 3.0
            };
            if crowd.marks.iter().any(|mark| stranger(&mark)) {
                cost += DOUBT_COST;
            }
            for other in others.iter().flatten() {
                if overlap(&area, &other.area) {
                    cost += LABEL_COST;
                }
                if crosses(&area, anchor, &other.area) || crosses(&other.area, other.anchor, &area)
                {
                    cost += CROSSING_COST;
                }
            }
            if best.is_none_or(|(lowest, _)| cost < lowest) {
                best = Some((cost, Place { area, anchor }));
            }
        }
    }
    best.filter(|(cost, _)| *cost <= crowd.cost_max).map(|(_, place)| place)
}

/// Whether the line that leads from a label to its anchor runs through a box.
fn crosses(area: &Box4, anchor: (f64, f64), through: &Box4) -> bool {
    if distance(area, anchor) <= LEADER_FROM {
        return false;
    }
    let start = nearest(area, anchor);
    (0..=16).any(|step| {
        let share = f64::from(step) / 16.0;
        let x = start.0 + share * (anchor.0 - start.0);
        let y = start.1 + share * (anchor.1 - start.1);
        x > through[0] && x < through[2] && y > through[1] && y < through[3]
    })
}

/// Boxes within the frame around an anchor, with their distances from it.
fn candidates(anchor: (f64, f64), width: f64, height: f64, frame: &Box4) -> Vec<(f64, Box4)> {
    let mut found = Vec::new();
    let steps = (4.0 * (frame[3] - frame[1]) / height) as i32;
    for step in 0..=2 * steps {
        // 0, +1, -1, +2, -2, ... quarters of a line below and above.
        let quarters = if step % 2 == 1 { (step + 1) / 2 } else { -(step / 2) };
        let middle = anchor.1 + f64::from(quarters) * height / 4.0;
        for left in [anchor.0 + 8.0, anchor.0 - width / 2.0, anchor.0 - width - 8.0] {
            let area = [left, middle - height / 2.0, left + width, middle + height / 2.0];
            // A line that leads from above or below would cross the labels in between.
            let beside = area[0] > anchor.0 || area[2] < anchor.0;
            let fits = (beside || distance(&area, anchor) <= LEADER_FROM)
                && area[0] >= frame[0]
                && area[2] <= frame[2]
                && area[1] >= frame[1]
                && area[3] <= frame[3];
            if fits {
                found.push((distance(&area, anchor), area));
            }
        }
    }
    found
}

/// Points along a path, close enough that no label slips between them.
fn sampled(path: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut points = path.to_vec();
    for pair in path.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let pieces = ((to.0 - from.0).hypot(to.1 - from.1) / 2.0).ceil() as usize;
        points.extend((1..pieces).map(|piece| {
            let share = piece as f64 / pieces as f64;
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        }));
    }
    points
}

fn overlap(a: &Box4, b: &Box4) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// From a box to a point, zero if it lies within.
pub(crate) fn distance(area: &Box4, point: (f64, f64)) -> f64 {
    let (x, y) = nearest(area, point);
    (x - point.0).hypot(y - point.1)
}

/// The point of a box that is nearest to another point.
pub(crate) fn nearest(area: &Box4, point: (f64, f64)) -> (f64, f64) {
    (point.0.clamp(area[0], area[2]), point.1.clamp(area[1], area[3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Box4 = [0.0, 0.0, 200.0, 100.0];

    fn wish(text: &str, x: f64, y: f64) -> Wish {
        Wish { text: text.to_owned(), anchors: vec![(x, y)], owner: 0 }
    }

    fn crowd<'c>(curves: &'c [Vec<(f64, f64)>], marks: &'c [(usize, (f64, f64))]) -> Crowd<'c> {
        Crowd { curves, marks, frame: &FRAME, cost_max: f64::INFINITY }
    }

    #[test]
    fn a_label_avoids_curves_marks_and_other_labels() {
        let curves = [vec![(0.0, 50.0), (200.0, 50.0)]];
        let wishes = [wish("first", 100.0, 50.0), wish("second", 100.0, 50.0)];
        let places = place(&wishes, 12.5, crowd(&curves, &[(0, (100.0, 50.0))]));
        let areas: Vec<Box4> = places.into_iter().map(|place| place.unwrap().area).collect();
        assert!(!overlap(&areas[0], &areas[1]));
        for area in areas {
            assert!(area[3] <= 48.5 || area[1] >= 51.5, "{area:?} lies on the curve");
        }
    }

    #[test]
    fn what_has_no_place_gets_none() {
        let text = "a label of some width";
        let many: Vec<Wish> = (0..30).map(|i| wish(text, f64::from(i), 50.0)).collect();
        let places = place(&many, 12.5, crowd(&[], &[]));
        let placed: Vec<Place> = places.iter().flatten().copied().collect();
        assert!(placed.len() > 2 && placed.len() < 20, "{}", placed.len());
        for (index, one) in placed.iter().enumerate() {
            assert!(placed[..index].iter().all(|other| !overlap(&one.area, &other.area)));
        }
        let wide = [wish("wider than the whole frame, however small the frame may be", 1.0, 1.0)];
        assert_eq!(place(&wide, 12.5, crowd(&[], &[])), [None]);
        // What is dear has no place, either: it goes to the legend.
        let dear = Crowd { cost_max: -1.0, ..crowd(&[], &[]) };
        assert_eq!(place(&[wish("short", 100.0, 50.0)], 12.5, dear), [None]);
    }

    #[test]
    fn a_label_stands_nearer_to_its_own_mark() {
        let marks = [(0, (100.0, 50.0)), (1, (100.0, 62.0))];
        let below = Wish { owner: 1, ..wish("lower", 100.0, 62.0) };
        let places = place(&[below], 12.5, crowd(&[], &marks));
        let area = places[0].unwrap().area;
        assert!(distance(&area, (100.0, 62.0)) < distance(&area, (100.0, 50.0)), "{area:?}");
    }
}
