//! In what order the program asks the system: the log is synced before the answer leaves.

use std::process::Command;

use crate::{
    server::{Basalt, PATIENCE, PROGRAM, folder, usual_flags},
    wire::{BodyWriter, labels},
};

/// The lines of strace between the arrival of the body and the answer that acknowledges it.
fn calls_before_the_answer(acknowledge: &str) -> Vec<String> {
    let folder = folder();
    let trace = folder.path().join("trace");
    let mut command = Command::new("strace");
    // With -D the program is our child and strace a grandchild that follows it.
    command.args([
        "-D",
        "-f",
        "-qq",
        "-s",
        "64",
        "-e",
        "trace=fdatasync,fsync,write,writev,sendto,sendmsg,recvfrom,pwrite64",
    ]);
    command.arg("-o").arg(&trace).arg(PROGRAM).args(usual_flags(&folder.path().join("data"))).arg(acknowledge);
    let basalt = Basalt::spawn(command);
    let mut body = BodyWriter::default();
    body.series(&labels(&[("__name__", "traced")]), &[(1_767_312_000_000, 1.0)]);
    assert_eq!(basalt.write(&body.body).status, 204);
    let mut process = basalt.process;
    process.terminate(PATIENCE).expect("it ends");

    let text = std::fs::read_to_string(&trace).expect("strace wrote its lines");
    let lines: Vec<&str> = text.lines().collect();
    let asked = lines.iter().position(|line| line.contains("POST /api/v1/write")).expect("the request came");
    let answered = lines.iter().position(|line| line.contains("HTTP/1.1 204")).expect("the answer left");
    lines[asked..answered].iter().map(|line| line.to_string()).collect()
}

fn is_sync_that_returned(line: &str) -> bool {
    (line.contains("fdatasync(") || line.contains("fdatasync resumed") || line.contains("fsync("))
        && line.ends_with("= 0")
}

#[test]
fn the_log_is_synced_before_the_answer_leaves() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is missing");
        eprintln!("strace is missing; nothing was tested");
        return;
    }
    let calls = calls_before_the_answer("-storage.ack=power");
    assert!(calls.iter().any(|line| is_sync_that_returned(line)), "no sync before the answer: {calls:#?}");
    let calls = calls_before_the_answer("-storage.ack=none");
    assert!(
        !calls.iter().any(|line| is_sync_that_returned(line)),
        "the test sees syncs that are not there: {calls:#?}"
    );
}
