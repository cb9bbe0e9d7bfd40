//! The program chooses its faster paths when it runs: on a processor without them it does the same.

use std::{path::Path, process::Command};

use traffic::Shape;

use crate::{
    roundtrip::recorded,
    server::{Basalt, folder, program, usual_flags},
};

/// The program on a processor that has nothing which not every x86-64 has.
fn on_plain_processor(folder: &Path) -> Basalt {
    let mut command = Command::new("qemu-x86_64");
    command.args(["-cpu", "qemu64"]).arg(program()).args(usual_flags(folder));
    Basalt::spawn(command)
}

#[test]
fn a_plain_processor_and_a_new_one_read_what_the_other_wrote() {
    let folder = folder();
    let shape = Shape { series: 400, samples_per_request: 2000, ..Shape::default() };
    let (first_bodies, first) = recorded(&shape, 0..30);
    // Some of it comes again.
    let (all_bodies, all) = recorded(&shape, 0..60);
    let everything = r#"{__name__=~".%2b"}"#;
    let write = |basalt: &Basalt, bodies: &[Vec<u8>]| {
        bodies.iter().for_each(|body| assert_eq!(basalt.write(body).status, 204));
        basalt.ok("/internal/force_flush");
    };
    let basalt = Basalt::start(folder.path(), &[]);
    write(&basalt, &first_bodies);
    basalt.stop();

    let basalt = on_plain_processor(folder.path());
    basalt.export(everything).check(&first, &first);
    write(&basalt, &all_bodies);
    basalt.export(everything).check(&all, &all);
    basalt.ok("/internal/force_merge?wait=1");
    basalt.export(everything).check(&all, &all);
    basalt.stop();

    let basalt = Basalt::start(folder.path(), &[]);
    basalt.export(everything).check(&all, &all);
}
