//! Flags, exit codes and log lines, as supervisors and scripts see them.

use std::process::{Command, Output};

use crate::server::{Basalt, PATIENCE, PROGRAM, folder, usual_flags};

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(PROGRAM).args(arguments).output().expect("the program starts");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn wrong_command_lines_end_with_2_and_say_why() {
    for (arguments, part) in [
        (&["-retentionPerod=3d"][..], "-retentionPeriod"),
        (&["--no.such.flag"], "--no.such.flag".trim_start_matches('-')),
        (&["-promscrape.config=x.yml"], "-promscrape.config"),
        (&["-retentionPeriod=1h"], "at least 1d"),
        (&["agent"], "not in this version"),
        (&["-loggerTimezone=Nowhere/Else"], "-loggerTimezone"),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn version_and_help_end_well() {
    let (code, said) = run(&["-version"]);
    assert!(code == Some(0) && said.starts_with("basalt-"), "{said}");
    let (code, said) = run(&["--help"]);
    assert!(code == Some(0) && said.contains("-storageDataPath"), "{said}");
}

#[test]
fn log_lines_are_what_supervisors_wait_for() {
    let folder = folder();
    let basalt = Basalt::start(folder.path(), &["-precisionBits=60", "-loggerTimezone=Asia/Shanghai"]);
    let opened = format!("successfully opened storage \"{}\"", folder.path().display());
    let line = basalt.process.wait_for_line(&opened, PATIENCE).expect("it says so");
    let fields: Vec<&str> = line.split('\t').collect();
    assert!(fields.len() == 4 && fields[0].ends_with("+08:00") && fields[1] == "info", "{line}");
    let started = format!("started server at http://{}/", basalt.address);
    basalt.process.wait_for_line(&started, PATIENCE).expect("it says so");
    basalt.process.wait_for_line("-precisionBits changes nothing", PATIENCE).expect("it says so");
    let hangup = Command::new("kill").args(["-HUP", &basalt.process.pid().to_string()]).status();
    assert!(hangup.expect("kill runs").success());
    basalt.process.wait_for_line("nothing to reload", PATIENCE).expect("it goes on");
    basalt.stop();

    let basalt = Basalt::start(folder.path(), &["--loggerFormat=json"]);
    let line = basalt.process.wait_for_line("started server", PATIENCE).expect("it says so");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["level"], "info");
    assert!(line["ts"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
}

#[test]
fn the_environment_sets_flags() {
    let folder = folder();
    let mut command = Command::new(PROGRAM);
    command.args(["single", "--envflag.enable", "--envflag.prefix=BT_", "-httpListenAddr=127.0.0.1:0"]);
    command.env("BT_storageDataPath", "%{BT_FOLDER}/data").env("BT_FOLDER", folder.path());
    let basalt = Basalt::spawn(command);
    assert!(folder.path().join("data").is_dir());
    assert!(basalt.ok("/flags").contains(&format!("-storageDataPath=\"{}/data\"", folder.path().display())));
    let shown =
        format!("flag{{name=\"storageDataPath\", value=\"{}/data\", is_set=\"true\"}} 1", folder.path().display());
    assert!(basalt.ok("/metrics").contains(&shown));
}

#[test]
fn a_taken_port_and_a_taken_folder_end_with_1_and_say_why() {
    let (one, other) = (folder(), folder());
    let basalt = Basalt::start(one.path(), &[]);
    let taken_port = format!("-httpListenAddr={}", basalt.address);
    let (code, said) = run(&[&taken_port, &format!("-storageDataPath={}", other.path().display())]);
    assert!(code == Some(1) && said.contains("cannot listen at"), "{said}");
    let flags = usual_flags(one.path());
    let (code, said) = run(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let path = one.path().display().to_string();
    assert!(code == Some(1) && said.contains("cannot open storage") && said.contains(&path), "{said}");
    assert_eq!(basalt.ok("/health"), "OK");
}
