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
  RULE = [tcp://|udp://|icmp://]TARGET[:PORT[-PORT]]
  TARGET = name | *.name | IPv4 | [IPv6] | IPv4/BITS | [IPv6]/BITS

  Nothing is allowed but by --allow, and --deny wins over it. Without a protocol a rule holds for all three, without a
  port for every port. A name is that name alone; *.name is every name below it and not the name itself. A name that
  leads to a private, loopback or otherwise inner address is refused unless an address rule or --resolve allows that
  address. A connection for a name that starts with TLS or QUIC must carry that name as its server name.

  The host's own loopback is host.weft.internal inside, by rule like any other.

Examples:
  weft run --allow api.example.com:443 -- ./build.sh
  weft run --allow registry.example.org --allow '*.cdn.example.org:443' -- npm install
  weft run --allow 192.0.2.0/24:8000-8099 --deny 192.0.2.1 -- ./probe
  weft run --allow udp://time.example.com:123 --allow icmp://192.0.2.7 -- ./check
  weft run --allow host.weft.internal:5432 -- psql -h host.weft.internal
  weft run --resolve db.example.com=10.0.0.5 --allow db.example.com:5432 -- ./migrate
  weft run --publish 8080:80 -- ./server

Exit status:
  that of COMMAND, or
  128 + N  COMMAND was ended by signal N
  100      something was refused, with --fail-on-deny, whatever COMMAND exits with
  124      COMMAND ran longer than --timeout
  125      weft itself failed, a rule or an option cannot be understood included
  126      COMMAND cannot be executed
  127      COMMAND was not found";

pub const DEMO: &str = "\
Starts two small HTTPS servers on one address and a resolver on loopback, all in this process, then runs curl (or, \
where there is none, a small fetcher of its own) under `weft run` with one of the two names allowed. The allowed name \
answers, the other is refused on the same address, and the summary shows both.

Needs no network, no root and no configuration. Exits with 0 where it went as told, else with 1.";

pub const DOCTOR: &str = "\
Tries what `weft run` needs of this machine, and prints the exact fix for what is lacking: user namespaces restricted \
by the kernel's settings or by AppArmor, no /dev/net/tun, a container's limits.

Exits with 0 where `weft run` will work, else with 1.";
