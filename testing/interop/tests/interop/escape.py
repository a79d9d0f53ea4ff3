"""Tries to get at the gateway and the host. Arguments: an abstract Unix socket of the host's, the id of a process outside.
A line that starts with ESCAPED is an attempt that succeeded."""
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys

name, outside = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
CLONE_NEWNET = 0x40000000


def attempt(what, action):
    try:
        result = action()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print('held:', what, error)
    else:
        print('ESCAPED:', what, result)


def ptrace(process):
    if libc.ptrace(PTRACE_SEIZE, int(process), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'ptrace')


def setns(path):
    with open(path) as namespace:
        if libc.setns(namespace.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), 'setns')


def status(field):
    return next(line.split()[1] for line in open('/proc/self/status') if line.startswith(field + ':'))


# Whatever of weft can be seen from here is an ancestor, if it can be seen at all.
others = {int(outside), 1}
ancestor = os.getppid()
while ancestor > 0:
    others.add(ancestor)
    try:
        ancestor = int(open(f'/proc/{ancestor}/stat').read().rsplit(')', 1)[1].split()[1])
    except OSError:
        break

for process in sorted(others):
    if process == 1:
        # The first process of a process namespace may be sent what it likes to ignore, where Landlock does not forbid it.
        # If this ended it, we went too.
        for number in (signal.SIGKILL, signal.SIGTERM):
            try:
                os.kill(1, number)
            except PermissionError:
                pass
    else:
        attempt(f'signal {process}', lambda: os.kill(process, 0))
    attempt(f'trace {process}', lambda: ptrace(process))
    attempt(f'memory of {process}', lambda: open(f'/proc/{process}/mem', 'rb'))
    attempt(f'environment of {process}', lambda: len(open(f'/proc/{process}/environ', 'rb').read()))
    for kind in ('net', 'user', 'mnt', 'pid'):
        attempt(f'{kind} namespace of {process}', lambda: setns(f'/proc/{process}/ns/{kind}'))
    attempt(f'nsenter {process}', lambda: subprocess.run(
        ['nsenter', '--net', '--target', str(process), 'true'], check=True, capture_output=True))

attempt('abstract socket', lambda: socket.socket(socket.AF_UNIX).connect('\0' + name))
attempt('raw socket', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255))
attempt('packet socket', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
attempt('link up and down', lambda: subprocess.run(['ip', 'link', 'set', 'lo', 'down'], check=True, capture_output=True))
attempt('another address', lambda: subprocess.run(
    ['ip', 'address', 'add', '10.0.2.77/24', 'dev', 'lo'], check=True, capture_output=True))
attempt('host name', lambda: socket.sethostname('other'))
attempt('mount over the resolver file', lambda: subprocess.run(
    ['mount', '--bind', '/etc/hosts', '/etc/resolv.conf'], check=True, capture_output=True))
attempt('unmount the resolver file', lambda: subprocess.run(
    ['umount', '/etc/resolv.conf'], check=True, capture_output=True))
# A user namespace of one's own gives every privilege, over nothing that is already there.
attempt('link down from a user namespace', lambda: subprocess.run(
    ['unshare', '--user', '--map-root-user', 'ip', 'link', 'set', 'lo', 'down'], check=True, capture_output=True))
# PR_SET_MM: another file as the one that this process executes, which a user namespace of its own is enough for.
attempt('another executable', lambda: subprocess.run(
    ['unshare', '--user', '--map-root-user', sys.executable, '-c',
     'import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); libc.prctl(35, 14, 0, 0, 0); '
     'sys.exit(ctypes.get_errno() == 1)'], check=True))
attempt('limits of init', lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (16, 16)))
attempt('new privileges', lambda: (_ for _ in ()).throw(ValueError('none')) if status('NoNewPrivs') == '1' else 'possible')
print('tried everything')
