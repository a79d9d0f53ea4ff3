//! The longer help texts: examples, the rules' grammar, exit statuses.

pub const OVERVIEW: &str = "\
Examples:
  weft run --allow api.example.com:443 -- ./build.sh
  weft run --allow '*.example.com' --deny old.example.com -- npm install
  weft demo

`weft help run` explains rules and exit statuses.";

pub const RUN: &str = "\
Runs COMMAND in a user, network, mount and process namespace of its own, as the same user, unmodified. The only link \
of that network ends in weft's own TCP/IP stack: it ends every connection, decides by the rules, and carries what is \
allowed on by the host's sockets. What no rule allows is refused at once, and told on standard error.

Needs neither root nor a change of the host.";

pub const RUN_AFTER: &str = "\
Rules:
  RULE = [tcp://|udp://|icmp://]TARGET[:PORT[-PORT]] | dns://TARGET
       | unix:/PATH | unix:/DIRECTORY/
  TARGET = name | *.name | IPv4 | [IPv6] | IPv4/BITS | [IPv6]/BITS

  Nothing is allowed but by --allow, and --deny wins over it. Without a protocol a rule holds for
  all three, without a port for every port. A name is that name alone; *.name is every name below
  it and not the name itself. A name that leads to a private, loopback or otherwise inner address
  is refused unless an address rule or --resolve allows that address. A connection for a name that
  starts with TLS or QUIC must carry that name as its server name. dns:// lets a name be asked for
  and nothing be connected to.

  The host's own loopback is host.weft.internal inside, by rule like any other. So are its Unix
  sockets, by their path; those that COMMAND's own programs make are open to it.

Limits:
  connections=N/s[:BURST]   so many new connections a second, and at once where nothing was asked
                            for before; /m, /h and /d are a minute, an hour and a day
  open=N                    so many connections at once
  bandwidth=BYTES/s[:BURST] so many bytes a second, both ways together; up= and down= for one way
  bytes=BYTES               so many bytes in all

  BYTES are bytes of payload, with K, M, G or T for powers of a thousand. A connection over its
  limit is refused. TCP over the bandwidth waits; datagrams over it are lost. Once all bytes are
  carried, what is open is closed, and nothing more is opened. Questions for names are not counted.

Examples:
  weft run --allow api.example.com:443 -- ./build.sh
  weft run --allow registry.example.org --allow '*.cdn.example.org:443' -- npm install
  weft run --allow 192.0.2.0/24:8000-8099 --deny 192.0.2.1 -- ./probe
  weft run --allow udp://time.example.com:123 --allow icmp://192.0.2.7 -- ./check
  weft run --allow host.weft.internal:5432 -- psql -h host.weft.internal
  weft run --allow unix:/run/docker.sock -- docker ps
  weft run --resolve db.example.com=10.0.0.5 --allow db.example.com:5432 -- ./migrate
  weft run --publish 8080:80 -- ./server
  weft run --policy build.rules -- ./build.sh
  weft run --allow '*.example.com' --limit bandwidth=10M/s --limit bytes=5G -- ./mirror

Exit status:
  that of COMMAND, or
  128 + N  COMMAND was ended by signal N
  100      something was refused, with --fail-on-deny, whatever COMMAND exits with
  124      COMMAND ran longer than --timeout
  125      weft itself failed, a rule or an option cannot be understood included, or 64 runs write
           the ledger already
  126      COMMAND cannot be executed
  127      COMMAND was not found";

pub const LEARN: &str = "\
Runs COMMAND as `weft run` does, with everything allowed that goes out and that no --deny denies, and writes the smallest \
policy under which it can do the same again: each name or address with its protocol and port, names that were only asked \
for as dns://NAME. The host's Unix sockets stay closed, but those that --allow opens.

With --ask nothing is allowed that no rule allows before you have said so at the terminal, for each name or address with its \
protocol and port, and each Unix socket of the host: once (what waits for it now), always (from here on, and in FILE) or \
never (denied from here on, and in FILE). A name that is only looked up is asked about at the end; nothing of it has left before. The rest of the command goes on \
while a question waits, but what it shows waits too. Ctrl-D refuses without a rule, Ctrl-C interrupts the command.";

pub const LEARN_AFTER: &str = "\
Examples:
  weft learn -o build.rules -- ./build.sh
  weft run --policy build.rules -- ./build.sh
  weft learn --ask -o build.rules -- ./build.sh
  weft learn -o build.cedar -- ./build.sh    # each program by itself

FILE is written at the end. A name that leads to an inner address needs a rule for
that address too, and has one. Read it before you use it: it is what COMMAND did,
not what it should.

Exit status: as of weft run; 125 too where --ask has no terminal to ask at.";

pub const DEMO: &str = "\
Starts two small HTTPS servers on one address and a resolver on loopback, all in this process, then runs curl (or, \
where there is none, a small fetcher of its own) under `weft run` with one of the two names allowed. The allowed name \
answers, the other is refused on the same address, and, where standard error is a terminal, a table at the end shows both.

Needs no network, no root and no configuration. Exits with 0 where it went as told, else with 1.";

pub const FILTER: &str = "\
Reads rules files of the packet filter (docs/filter.md): tells every error with its line and column, shows the rules as \
they are understood, and says what becomes of packets and by which rule.";

pub const FILTER_AFTER: &str = "\
A packet in words:
  [HOOK] [on INTERFACE] PROTOCOL SOURCE[:PORT] > DESTINATION[:PORT] [flags FLAGS] [type TYPE] [id N]
      [length BYTES] [program N] [after MILLISECONDS]
  [HOOK] [on INTERFACE] hex DIGITS [program N] [after MILLISECONDS]

Examples:
  weft filter check rules
  weft filter test rules --packet 'on eth0 tcp 192.0.2.1:7000 > 198.51.100.2:22 flags syn'
  weft run --allow api.example.com --filter rules -- ./build.sh    # tells what each rule has met

Exit status:
  0  the file can be understood; of test: every packet passes, or is as --expect says
  1  the file cannot be understood; of test: a packet does not pass, or is not as --expect says
  2  bad usage; of test: the file or a packet cannot be understood";

pub const FLEET: &str = "\
Policies for many hosts, and their ledgers in one place, through NATS JetStream (docs/fleet.md). Each host decides by \
itself: an agent beside `weft run` keeps the host's policy file, and ships the ledger's entries to a stream; where the \
servers are away, nothing waits.";

pub const FLEET_AFTER: &str = "\
Examples:
  weft fleet setup --server tls://nats.example.com --replicas 3
  weft fleet agent --server tls://nats.example.com --credentials host7.creds \\
      --host host7.example.com --ledger ~/.local/state/weft/ledger --policy policy.list
  weft fleet policy push team.list --server tls://nats.example.com
  weft fleet policy push team.list --sign policies.key --server tls://nats.example.com
                                   # for agents with --policy-key policies.pub
  weft fleet status --server tls://nats.example.com
  weft fleet ledger verify --host host7.example.com --key host7.pub --server tls://nats.example.com

Exit status:
  0  it was done; with ledger verify, nothing is wrong
  1  with ledger verify, something is wrong, and was named; else there is nothing of what was asked for
  2  a server cannot be reached, a file cannot be used, or an option cannot be understood";

pub const DOCTOR: &str = "\
Tries what `weft run` needs of this machine, and prints the exact fix for what is lacking: user namespaces restricted \
by the kernel's settings or by AppArmor, no /dev/net/tun, a container's limits.

Exits with 0 where `weft run` will work, else with 1.";

pub const KEY_AFTER: &str = "\
Examples:
  weft key new -o ledger.key > ledger.pub
  weft key show ledger.key

A public key is one line, in the form that the tools of C2SP's transparency logs take. The secret half is never printed.

Exit status:
  0  it was done
  1  the file cannot be read or made, or others may read it
  2  an option cannot be understood";

pub const LEDGER: &str = "\
Reads a ledger: what was decided about each connection, in order, in a transparency log that is signed and that nobody \
can change unseen (docs/ledger.md). A ledger can be read while it is written, as a copy, and as an exported file.";

pub const LEDGER_AFTER: &str = "\
Examples:
  weft ledger list --since 2h --verdict refused
  weft ledger tail -f --program curl --json
  weft ledger checkpoint > kept.checkpoint
  weft ledger verify --key ledger.pub --checkpoint kept.checkpoint
  weft ledger verify --key ledger.pub --checkpoint 'weft: checkpoint ...'    # as a run has printed it
  weft ledger prove 4711 -o connection.tlog-proof
  weft ledger verify connection.tlog-proof --key ledger.pub
  weft ledger export -o ledger.tar

Exit status:
  0  it was done; with verify, nothing is wrong
  1  with verify, something is wrong, and was named; else there is no such entry, the checkpoint to prove since is not of
     this ledger, or what is made cannot be written to its end
  2  the ledger or a key cannot be read, or an option cannot be understood";

pub const WHY: &str = "\
Explains a refusal afterwards, from the ledger alone: which program wanted what, when, in which run, by which rule of which \
policy it was refused or that none allows it, how often, and what would allow it. An authorisation is explained likewise, \
with how the connection ended; the number of an end is as good.";

pub const WHY_AFTER: &str = "\
Examples:
  weft why
  weft why 17
  weft why 3.17 --json
  weft why last --run 8c1f0b6e27d94a51b3a5f7c2d9e04816

A line `weft: refused ...` of `weft run` is found by `weft why`; what `entry` says in a line of
--events is an ID.

Exit status:
  0  it was explained, whether it was refused or allowed
  1  there is no such entry, nothing was asked for in it, or nothing was refused
  2  the ledger cannot be read, or an option cannot be understood";

pub const POLICY: &str = "\
A policy says which program may connect where. It is a file of rules, one a line, or a file of policies in Cedar, whose \
name ends in .cedar. docs/policy.md tells of both languages, of the schema, and of files of expected verdicts.";

pub const POLICY_AFTER: &str = "\
Rules, one a line:
  allow api.example.com:443   # as after --allow; without a word it is the same
  deny 10.0.0.0/8             # as after --deny
  allow unix:/run/service.sock
  include team.list           # found beside this file

Questions:
  ACTION ENDPOINT [KEY=VALUE]...
  ACTION = connect | bind | listen | accept | ping | resolve
  KEY = address | program | parents | command | digest | user | container | run | time | bytes

Expected verdicts, one a line:
  allow connect tcp://api.example.com:443 program=/usr/bin/curl
  deny connect tcp://10.0.0.1:22 by=10.0.0.0/8

Examples:
  weft policy check run.cedar --list team=team.list
  weft policy explain run.list connect tcp://api.example.com:443
  weft policy test run.list run.expect
  weft policy fmt --check run.list run.cedar

Exit status:
  0  it is as asked: the policy is right, the verdicts are met, the connection is allowed, the files are formatted
  1  it is not
  2  what was asked cannot be understood or read, a wrong policy included where something else than `check` was asked";
