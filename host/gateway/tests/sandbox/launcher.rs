//! A gateway without a stack: launches, passes signals on, answers the simplest frames, and exits as the command did.
//!
//! `launch ATTACH [--threads] [--strict] [--own-terminal] [--allow unix:/path]... [--hide DIRECTORY]... COMMAND...`

use crate::harness::say;
use gateway::options::Attach;
use gateway::sandbox::{AttachedDevice, GuardNews, Launch, Launched, UnixRules, launch};
use packet::{Batch, Bytes, Device, Packet};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::Read;

/// The launcher's own failure, as weft has it.
const FAILURE: i32 = 125;

/// Launches, and exits.
pub fn run(arguments: &[String]) -> ! {
    let attach = match arguments[0].as_str() {
        "tap" => Attach::Tap,
        "veth" => Attach::Veth,
        _ => Attach::Auto,
    };
    let (mut threads, mut strict, mut own_terminal) = (false, false, false);
    let (mut opened, mut hidden) = (Vec::new(), Vec::new());
    let mut command = &arguments[1..];
    loop {
        match command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["--threads", ..] => threads = true,
            ["--strict", ..] => strict = true,
            ["--own-terminal", ..] => own_terminal = true,
            ["--allow", rule, ..] => {
                opened.push(rule.to_owned());
                command = &command[1..];
            }
            ["--hide", directory, ..] => {
                hidden.push(directory.into());
                command = &command[1..];
            }
            _ => break,
        }
        command = &command[1..];
    }
    // What a gateway changes for itself must not reach the command: a signal mask, an open file.
    let signals = signal_pipe();
    let leaked = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    let park = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        if threads {
            scope.spawn(|| park.wait());
        }
        let mut wanted = Launch::new(command.iter().map(OsString::from).collect());
        wanted.attach = attach;
        wanted.strict = strict;
        wanted.own_terminal = own_terminal;
        wanted.hidden = hidden;
        wanted.unix = UnixRules::of(&axiom::rules::Rules::parse(&opened, &[]).expect("good rules"));
        let launched = launch(wanted);
        if threads {
            park.wait();
        }
        match launched {
            Ok(launched) => attend(launched, &signals),
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(FAILURE);
            }
        }
    });
    drop(leaked);
    std::process::exit(FAILURE);
}

/// A descriptor from which the signals that a gateway passes on are read, one number each.
fn signal_pipe() -> OwnedFd {
    let names = [libc::SIGUSR1, libc::SIGTERM];
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset makes the set whole; the other calls read it.
    let raw = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for name in names {
            libc::sigaddset(set.as_mut_ptr(), name);
        }
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC)
    };
    assert!(raw >= 0, "a signal descriptor");
    // SAFETY: `raw` was just opened and is nobody else's.
    unsafe { <OwnedFd as rustix::fd::FromRawFd>::from_raw_fd(raw) }
}

fn attend(launched: Launched, signals: &OwnedFd) {
    let Launched { mut sandbox, mut device, socket_tables, terminal } = launched;
    for warning in sandbox.warnings() {
        eprintln!("warning: {warning}");
    }
    eprintln!("attached by {}; command {:?}", sandbox.attachment(), sandbox.command_pid());
    sandbox.start().expect("init listens");
    let mut reader = std::fs::File::from(signals.try_clone().expect("a copy"));
    let mut echo = Echo::default();
    let exit = loop {
        let status = sandbox.try_status().expect("init makes sense");
        // What came before the end is told before it.
        while let Some(news) = sandbox.take_guard_news() {
            let asked = match news {
                GuardNews::Asked(asked) => asked,
                GuardNews::Called(call) => {
                    call.answer.allow();
                    continue;
                }
                GuardNews::Opened { .. } | GuardNews::Lost => continue,
            };
            let verdict = if asked.denied { "refused" } else { "opened" };
            eprintln!("{verdict} {} rule {:?}", asked.path, asked.rule);
            if !asked.denied {
                asked.answer.allow();
            }
        }
        if let Some(exit) = status {
            break exit;
        }
        let interrupts = sandbox.take_interrupts();
        if interrupts > 0 {
            say(&format!("interrupted {interrupts}"));
        }
        if sandbox.take_stop() {
            say("stopped");
            sandbox.resume();
        }
        let control = sandbox.control_fd();
        let frames = device.as_fd();
        let mut ready =
            [control, frames, signals.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match rustix::event::poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        let [_, frames, signalled] = ready.map(|fd| !fd.revents().is_empty());
        if frames {
            echo.turn(&mut device);
        }
        if signalled {
            let mut information = [0; 128];
            reader.read_exact(&mut information).expect("a signal");
            let number = i32::from(information[0]);
            let signal = Signal::from_named_raw(number).expect("a signal's number");
            sandbox.signal(signal).expect("the command is there");
        }
    };
    eprintln!("largest frame {} drops {} {exit}", echo.largest, device.drops().total());
    drop((sandbox, device, socket_tables));
    if let Some(near) = terminal {
        let mut shown = Vec::new();
        // EIO where nobody has the far end any more.
        let _ = std::fs::File::from(near).read_to_end(&mut shown);
        say(&String::from_utf8_lossy(&shown));
    }
    std::process::exit(exit.status().into());
}

/// Answers ARP for every address, and sends UDP and ICMP echo back where they came from.
#[derive(Default)]
struct Echo {
    largest: usize,
}

impl Echo {
    fn turn(&mut self, device: &mut AttachedDevice) {
        let mut received = Batch::with_capacity(64);
        device.receive(&mut received).expect("the device is there");
        let mut answers = Batch::with_capacity(64);
        while let Some(packet) = received.pop() {
            self.largest = self.largest.max(packet.len());
            let offload = packet.offload;
            if let Some(frame) = answer(packet.into_bytes().to_vec()) {
                assert!(answers.push(Packet::received(Bytes::from(frame), offload)).is_ok());
            }
        }
        device.transmit(&mut answers).expect("the device is there");
        assert!(answers.is_empty(), "the device takes so little at once");
    }
}

const OUR_MAC: [u8; 6] = gateway::sandbox::plan::GATEWAY_MAC;

/// The frame turned round.
fn answer(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    frame.copy_within(6..12, 0);
    frame[6..12].copy_from_slice(&OUR_MAC);
    match frame[12..14] {
        // ARP, a request: their addresses become the target's, and ours the sender's.
        [0x08, 0x06] if frame[21] == 1 => {
            frame[21] = 2;
            let (theirs, target) = (frame[22..32].to_vec(), frame[38..42].to_vec());
            frame[22..28].copy_from_slice(&OUR_MAC);
            frame[28..32].copy_from_slice(&target);
            frame[32..42].copy_from_slice(&theirs);
        }
        // IPv4 without options. Swapping addresses and ports leaves every checksum as it is.
        [0x08, 0x00] if frame[14] == 0x45 => {
            swap(&mut frame, 26, 30, 4);
            match frame[23] {
                17 => swap(&mut frame, 34, 36, 2),
                1 if frame[34] == 8 => {
                    frame[34] = 0;
                    let sum = u32::from(frame[36]) << 8 | u32::from(frame[37]);
                    let sum = sum + 0x0800;
                    frame[36..38].copy_from_slice(&((sum + (sum >> 16)) as u16).to_be_bytes());
                }
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(frame)
}

fn swap(frame: &mut [u8], one: usize, other: usize, length: usize) {
    for at in 0..length {
        frame.swap(one + at, other + at);
    }
}
