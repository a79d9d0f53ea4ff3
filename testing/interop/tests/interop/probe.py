"""Opens what it is told to and says exactly what became of it, one line for each.

Arguments in groups of three, PROTOCOL HOST PORT, where PROTOCOL is tcp or udp. A line is `PROTOCOL HOST PORT RESULT`, where
RESULT is `reached TEXT`, the name of an errno, `unknown` for a name that does not resolve, or `silent`.
"""
import errno
import socket
import sys

TYPES = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}


def probe(protocol, host, port):
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, int(port), 0, TYPES[protocol])[0]
    except socket.gaierror:
        return 'unknown'
    with socket.socket(family, kind) as connection:
        connection.settimeout(3)
        try:
            connection.connect(address)
            connection.sendall(b'probe\n')
            data = connection.recv(100)
            return 'reached ' + data.decode().strip() if data else 'closed'
        except socket.timeout:
            return 'silent'
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))


for at in range(1, len(sys.argv), 3):
    print(*sys.argv[at : at + 3], probe(*sys.argv[at : at + 3]), flush=True)
