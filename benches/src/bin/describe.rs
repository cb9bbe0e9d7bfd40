//! Prints what the traffic is made of: per job the targets' series, classes, labels and bytes.

use std::collections::BTreeMap;

use traffic::{Class, Shape, Traffic};

#[derive(Default)]
struct Tally {
    series: usize,
    labels: usize,
    label_bytes: usize,
    classes: BTreeMap<Class, usize>,
}

fn main() {
    let traffic = Traffic::new(Shape::default());
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for series in 0..traffic.series_count() {
        let job = traffic.labels(series).find(|&(name, _)| name == "job").map_or("", |(_, value)| value);
        for key in [job, "total"] {
            let tally = tallies.entry(key.to_owned()).or_default();
            tally.series += 1;
            tally.labels += traffic.labels(series).count();
            tally.label_bytes +=
                traffic.labels(series).map(|(name, value)| name.len() + value.len() + 6).sum::<usize>();
            *tally.classes.entry(traffic.class(series)).or_default() += 1;
        }
    }
    println!("{} series in {} targets", traffic.series_count(), traffic.target_count());
    for (job, Tally { series, labels, label_bytes, classes }) in tallies {
        let each = |sum: usize| sum as f64 / series as f64;
        print!("{job:22} {series:6} series {:6.2} labels {:6.1} label bytes:", each(labels), each(label_bytes));
        for (class, count) in classes {
            print!("  {class:?} {:.1} %", 100.0 * each(count));
        }
        println!();
    }
}
