//! Threads that have the network or the mounts of the machine to themselves, hosts that are far away from them, and disks that are small.
//!
//! 1. A thread leaves the namespaces of its process. The threads and processes that it starts come along; nobody else sees what they do.
//! 2. What they make has no name outside: it collides with nothing, and the kernel takes it back with the last of them, however they ended.
//! 3. All of this needs rights. Who lacks them, or the programs `ip`, `nsenter` and `mount`, is told so and leaves a test out.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    net::Ipv4Addr,
    os::fd::AsRawFd,
    panic,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
};

/// What a thread has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Interfaces, addresses and ports: a loopback, and the cables of [`FarHost`]s.
    Network,
    /// What is mounted where ([`SmallDisk`]s).
    Mounts,
}

/// Does something in a thread that has this to itself. The error says why the machine does not allow it.
pub fn with_own<T: Send>(own: Own, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let apart = scope.spawn(|| {
            match own {
                Own::Network => {
                    leave(libc::CLONE_NEWNET)?;
                    run("ip", &["link", "set", "lo", "up"])?;
                }
                Own::Mounts => {
                    leave(libc::CLONE_NEWNS)?;
                    // Else what is mounted here would be seen elsewhere.
                    run("mount", &["--make-rprivate", "/"])?;
                }
            }
            Ok(work())
        });
        apart.join().unwrap_or_else(|failure| panic::resume_unwind(failure))
    })
}

/// Takes this thread out of a namespace of its process.
#[expect(unsafe_code, reason = "the standard library knows no namespaces")]
fn leave(namespace: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare touches no memory of ours, and what it changes is this thread's alone.
    match unsafe { libc::unshare(namespace) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(command)
}

fn finish(mut command: Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {}", said.trim())))
}

/// A disk in memory that is soon full. It goes with everything on it when this is dropped, at the latest with the thread.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts an empty disk of so many bytes. The thread must have mounts of its own.
    pub fn mount(folder: &Path, bytes: u64) -> io::Result<SmallDisk> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder);
        finish(command)?;
        Ok(SmallDisk { folder: folder.to_path_buf() })
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        // Whole pages first, so that not a byte is left in the end.
        for piece in [&[1; 4096][..], &[1]] {
            let failure = loop {
                if let Err(why) = file.write_all(piece) {
                    break why;
                }
            };
            if failure.kind() != io::ErrorKind::StorageFull {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Gives back what [`Self::fill`] took.
    pub fn free(&self) -> io::Result<()> {
        fs::remove_file(self.filler())
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        // Programs may still have files open; the kernel takes the disk back when they have ended.
        command.arg("--lazy").arg(&self.folder);
        let _ = finish(command);
    }
}

/// A network of its own, joined to that of the thread which made it by one cable.
#[derive(Debug)]
pub struct FarHost {
    number: u8,
    /// It lives for as long as somebody has it open, or runs in it.
    network: File,
}

impl FarHost {
    /// The host of this number. The thread must have a network of its own.
    pub fn new(number: u8) -> io::Result<FarHost> {
        let open = || {
            leave(libc::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        };
        let network = thread::scope(|scope| scope.spawn(open).join().expect("BUG: a thread that opens a file panics"))?;
        let host = FarHost { number, network };
        let (near, near_mac, far_mac) = (host.cable(), host.mac(1), host.mac(2));
        let add = ["link", "add", &near, "address", &near_mac, "type", "veth"];
        run("ip", &[&add[..], &["peer", "name", "far", "address", &far_mac, "netns", &host.path()]].concat())?;
        run("ip", &["address", "add", &format!("10.77.{number}.1/30"), "dev", &near])?;
        run("ip", &["link", "set", &near, "up"])?;
        // Who the other end is stays known when the cable is cut, so that what is sent there gets no answer, not even that nobody is there.
        let address = host.address().to_string();
        run("ip", &["neighbor", "replace", &address, "lladdr", &far_mac, "nud", "permanent", "dev", &near])?;
        for arguments in [
            ["address", "add", &format!("{address}/30"), "dev", "far"],
            ["link", "set", "dev", "lo", "up"],
            ["link", "set", "dev", "far", "up"],
        ] {
            host.run_ip(&arguments)?;
        }
        Ok(host)
    }

    /// Where it is reached.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 2)
    }

    /// A program that will run there.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg("--").arg(program);
        command
    }

    /// Cuts the cable: nothing goes through, and nobody is told.
    pub fn cut(&self) -> io::Result<()> {
        self.run_ip(&["link", "set", "dev", "far", "down"])
    }

    /// Joins what was cut.
    pub fn join(&self) -> io::Result<()> {
        self.run_ip(&["link", "set", "dev", "far", "up"])
    }

    fn run_ip(&self, arguments: &[&str]) -> io::Result<()> {
        let mut command = self.command("ip");
        command.args(arguments);
        finish(command)
    }

    /// The name of the cable's near end.
    fn cable(&self) -> String {
        format!("near{}", self.number)
    }

    fn mac(&self, end: u8) -> String {
        format!("02:00:00:00:{:02x}:{end:02x}", self.number)
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.network.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{SocketAddr, TcpListener, TcpStream},
        time::Duration,
    };

    use super::*;

    /// Says why something is left out; no failure of the machine is one of the test.
    fn or_left_out<T>(outcome: io::Result<T>) -> Option<T> {
        outcome.inspect_err(|why| println!("left out, the machine does not allow it: {why}")).ok()
    }

    /// What a server in the network of the thread has heard, and from where.
    fn heard_by(listener: &TcpListener) -> String {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it speaks");
        said
    }

    #[test]
    fn a_far_host_is_reached_until_its_cable_is_cut() {
        or_left_out(with_own(Own::Network, || {
            let Some(host) = or_left_out(FarHost::new(1)) else { return };
            let listener = TcpListener::bind("10.77.1.1:0").expect("the cable's near end has its address");
            let port = listener.local_addr().expect("it has an address").port();
            let say = |word: &str| {
                let mut command = host.command("bash");
                command.args(["-c", &format!("exec 3<>/dev/tcp/10.77.1.1/{port}; echo {word} >&3")]);
                finish(command).expect("it can be said");
                heard_by(&listener)
            };
            assert_eq!(say("hello"), "hello\n");
            let nobody = SocketAddr::from((host.address(), 9));
            let patience = Duration::from_millis(200);
            let refused = TcpStream::connect_timeout(&nobody, patience).expect_err("nobody listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            host.cut().expect("a cable can be cut");
            let silent = TcpStream::connect_timeout(&nobody, patience).expect_err("nobody is told");
            assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
            host.join().expect("a cable can be joined");
            assert_eq!(say("again"), "again\n");
        }));
    }

    #[test]
    fn a_small_disk_is_full_soon_and_nobody_else_sees_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        or_left_out(with_own(Own::Mounts, || {
            let Some(disk) = or_left_out(SmallDisk::mount(folder.path(), 1 << 16)) else { return };
            let mut file = File::create(&path).expect("there is room for a file");
            file.write_all(&[1; 4096]).expect("it is small");
            disk.fill().expect("it can be filled");
            let full = file.write_all(&[1]).expect_err("no byte is left");
            assert_eq!(full.kind(), io::ErrorKind::StorageFull);
            disk.free().expect("what fills it can go");
            file.write_all(&[1; 4096]).expect("there is room again");
            drop(disk);
            assert!(!path.exists(), "it is gone with its disk");
        }));
        assert!(!path.exists());
    }
}
