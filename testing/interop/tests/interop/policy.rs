//! Policies in Cedar that are deep, or long.

use std::fs;

use interop::world::SITE_V4;
use interop::{Echo, World, needs, wait};

fn deep() -> [String; 3] {
    let condition = |text: String| format!("permit (principal, action, resource) when {{ {text} }};\n");
    [
        condition(format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000))),
        condition(format!("true{}", " || resource.name == \"one.test\"".repeat(1_000))),
        condition(format!("{}true", "if resource.port == 1 then true else ".repeat(1_000))),
    ]
}

#[test]
fn a_policy_that_is_too_deep_runs_nothing() {
    let world = World::with_echo();
    for text in deep() {
        let policy = world.write("deep.cedar", &text);
        let run = world.weft().option("--policy").option(policy.to_string_lossy());
        let outcome = run.shell("echo ran").exited(125);
        assert!(outcome.stdout.is_empty(), "{outcome}");
        assert!(outcome.stderr.contains("deep.cedar:1:"), "{outcome}");
        assert!(outcome.stderr.contains("more than 512 operators and brackets"), "{outcome}");
    }
}

#[test]
fn a_policy_that_becomes_too_deep_closes_everything_and_the_run_goes_on() {
    needs!["python3"];
    let world = World::with_echo();
    let policies = world.home().join("policies");
    fs::create_dir(&policies).expect("a directory");
    let policy = policies.join("run.cedar");
    let open = "permit (principal, action, resource);\n";
    fs::write(&policy, open).expect("written");
    let loops = "import socket, time\n\
        def reaches():\n    \
            try:\n        socket.create_connection(('one.test', 7)).close()\n        return True\n    \
            except OSError:\n        return False\n\
        def wait(wanted, told):\n    \
            while reaches() != wanted:\n        time.sleep(0.01)\n    \
            print(told, flush=True)\n\
        for turn in range(3):\n    \
            wait(True, f'open {turn}')\n    wait(False, f'closed {turn}')\n\
        wait(True, 'open at the end')";
    let run = world.weft().option("--policy").option(policy.to_string_lossy());
    let run = run.option("--read-only").option(policies.to_string_lossy());
    let mut running = run.start(&["python3", "-c", loops]);
    for (turn, text) in deep().iter().enumerate() {
        let _ = running.line(&format!("open {turn}"));
        fs::write(&policy, text).expect("written");
        let _ = running.line(&format!("closed {turn}"));
        fs::write(&policy, open).expect("written");
    }
    let _ = running.line("open at the end");
    wait::until("the complaint", || running.stderr().contains("more than 512 operators").then_some(()));
    let _ = running.finish().succeeded();
}

#[test]
fn three_thousand_endpoints_are_learned_as_a_few_policies_that_are_enough() {
    needs!["python3"];
    let world = World::with_echo();
    let path = world.home().join("learned.cedar");
    let program = "import socket\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        for port in sorted(range(1, 3001), key=lambda port: (port == 7, port)):\n\
        \x20   s.sendto(b'x', ('203.0.113.80', port))\n\
        s.settimeout(60)\n\
        assert s.recv(1) == b'x'\n";
    // The last is answered once all before it were looked at: of a program that has ended nobody knows.
    Echo::udp(&world.internet, (SITE_V4, 7));
    let learned = world.weft().learn(&path).output(&["python3", "-c", program]).succeeded();
    assert!(learned.stderr.contains("weft: learned 3000 rules"), "{learned}");
    let text = fs::read_to_string(&path).expect("the policy");
    let policies = text.matches("permit (").count();
    assert!(policies <= 8, "{policies} policies\n{learned}");
    assert_eq!(text.matches("Endpoint::\"udp://203.0.113.80:").count(), 3_000);
    let again = world.weft().option("--policy").option(path.to_string_lossy()).option("--fail-on-deny");
    let _ = again.output(&["python3", "-c", program]).succeeded();
    let other = world.weft().option("--policy").option(path.to_string_lossy()).option("--fail-on-deny");
    let _ = other.output(&["python3", "-c", &program.replace("3001", "3002")]).exited(100);
}
