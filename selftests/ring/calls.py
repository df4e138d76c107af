#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the system-call layer must do, asked by an unmodified interpreter: timers, interrupted waits, descriptors, sockets, files.

Prints TAP. Every case but those marked `ring` holds natively, too, which the suite checks first. Working directory: an empty, writable one.
usage: calls.py native|ring
"""
import errno
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time

IN_RING = sys.argv[1:] == ['ring']
number = failed = 0
hits = []


def case(name, ring=False):
    """Runs the function below at once; None or True is what it must return."""
    def decorate(f):
        global number, failed
        if ring and not IN_RING:
            return f
        number += 1
        try:
            got = f()
        except BaseException as e:  # an interrupted wait may leave by any door
            got = f'{type(e).__name__}: {e}'
        good = got in (None, True)
        failed += not good
        print('ok' if good else 'not ok', number, '-', name, '' if good else f'# {got}', flush=True)
        return f
    return decorate


def hit(sig, frame):
    hits.append(sig)


class Alarm(Exception):
    pass


def leave(sig, frame):
    raise Alarm


@case('alarm ends pause')
def _():
    signal.signal(signal.SIGALRM, hit)
    hits.clear()
    signal.alarm(1)
    signal.pause()
    return hits == [signal.SIGALRM]


@case('a timer reaches an endless loop, again and again')
def _():
    hits.clear()
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    end = time.monotonic() + 60
    while len(hits) < 5 and time.monotonic() < end:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    return len(hits) >= 5


@case('a sleep with a handler in between keeps its length')
def _():
    hits.clear()
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    start = time.monotonic()
    time.sleep(0.3)
    return hits == [signal.SIGALRM] and time.monotonic() - start >= 0.3


def interrupted(wait):
    """wait() must be ended by a handler that raises."""
    signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        wait()
    except Alarm:
        return True
    return False


@case('a handler that raises ends a sleep')
def _():
    return interrupted(lambda: time.sleep(600))


@case('... a read of an empty pipe')
def _():
    r, _w = os.pipe()
    return interrupted(lambda: os.read(r, 1))


@case('... a select')
def _():
    r, _w = os.pipe()
    return interrupted(lambda: select.select([r], [], [], 600))


@case('... a poll without end')
def _():
    p = select.poll()
    p.register(os.pipe()[0], select.POLLIN)
    return interrupted(p.poll)


@case('... an epoll')
def _():
    e = select.epoll()
    e.register(os.pipe()[0], select.EPOLLIN)
    return interrupted(e.poll)


@case('poll waits for its time')
def _():
    p = select.poll()
    p.register(os.pipe()[0], select.POLLIN)
    start = time.monotonic()
    return p.poll(100) == [] and time.monotonic() - start >= 0.1


@case('epoll reports what is ready')
def _():
    r, w = os.pipe()
    e = select.epoll()
    e.register(r, select.EPOLLIN)
    os.write(w, b'x')
    return e.poll(1) == [(r, select.EPOLLIN)]


@case('sigtimedwait takes a blocked signal, and times out')
def _():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    first = signal.sigtimedwait([signal.SIGUSR1], 1)
    return first.si_signo == signal.SIGUSR1 and signal.sigtimedwait([signal.SIGUSR1], 0.05) is None


def burn(timer, sig):
    signal.signal(sig, hit)
    hits.clear()
    signal.setitimer(timer, 0.05)
    end = time.monotonic() + 60
    while not hits and time.monotonic() < end:
        pass
    return hits == [sig]


@case('the timer of user time')
def _():
    return burn(signal.ITIMER_VIRTUAL, signal.SIGVTALRM)


@case('the timer of CPU time')
def _():
    return burn(signal.ITIMER_PROF, signal.SIGPROF)


@case('a pipe without reader')
def _():
    r, w = os.pipe()
    os.close(r)
    try:
        os.write(w, b'x')
    except BrokenPipeError:
        return True
    return False


@case('record locks and whole-file locks')
def _():
    with tempfile.TemporaryFile(dir='.') as f:
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(f, fcntl.LOCK_SH)
        fcntl.lockf(f, fcntl.LOCK_UN)


@case('a descriptor travels through a socket pair')
def _():
    a, b = socket.socketpair()
    r, w = os.pipe()
    socket.send_fds(a, [b'm'], [w])
    msg, fds, _flags, _addr = socket.recv_fds(b, 10, 4)
    os.write(fds[0], b'via')
    return msg == b'm' and os.read(r, 9) == b'via'


@case('300,000 bytes through a socket pair')
def _():
    a, b = socket.socketpair()
    data, got, sent = os.urandom(300000), b'', 0
    a.setblocking(False)
    while len(got) < len(data):
        try:
            sent += a.send(data[sent:])
        except BlockingIOError:
            pass
        got += b.recv(1 << 20)
    return got == data


@case('times and usage')
def _():
    return os.times().user >= 0 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >= 0 and time.process_time() >= 0


@case('times and modes of a file')
def _():
    with open('f1', 'w') as f:
        f.write('x')
    os.utime('f1', (5, 6))
    os.chmod('f1', 0o640)
    os.statvfs('.')
    s = os.stat('f1')
    return s.st_mtime == 6 and s.st_mode & 0o777 == 0o640


@case('rename, link, symlink, readlink, unlink')
def _():
    os.rename('f1', 'f2')
    os.link('f2', 'f3')
    os.symlink('f2', 'f4')
    good = os.readlink('f4') == 'f2' and os.stat('f2').st_nlink == 2
    for name in ('f2', 'f3', 'f4'):
        os.unlink(name)
    return good


@case('sendfile and copy_file_range')
def _():
    with tempfile.TemporaryFile(dir='.') as a, tempfile.TemporaryFile(dir='.') as b:
        a.write(b'q' * 100000)
        a.flush()
        return os.sendfile(b.fileno(), a.fileno(), 0, 100000) == 100000 and os.copy_file_range(a.fileno(), b.fileno(), 10, 0, 0) == 10


@case('20 MiB in one read')
def _():
    with tempfile.TemporaryFile(dir='.') as f:
        f.write(os.urandom(1 << 20) * 20)
        f.flush()
        return len(os.pread(f.fileno(), 20 << 20, 0)) == 20 << 20


@case('a shared mapping of a file')
def _():
    with tempfile.TemporaryFile(dir='.') as f:
        f.truncate(8192)
        m = mmap.mmap(f.fileno(), 8192)
        m[5000] = 7
        m.flush()
        return os.pread(f.fileno(), 1, 5000) == b'\7'


@case('memfd and eventfd')
def _():
    m = os.memfd_create('x')
    os.write(m, b'abc')
    e = os.eventfd(3)
    return os.pread(m, 3, 0) == b'abc' and os.eventfd_read(e) == 3


@case('as many descriptors as the limit says')
def _():
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    opened, good = [], False
    try:
        while True:
            opened.append(os.dup(0))
    except OSError as e:
        good = e.errno == errno.EMFILE and opened[-1] == 599
    for fd in opened:
        os.close(fd)
    return good


@case('working directory')
def _():
    before = os.getcwd()
    os.mkdir('dd')
    os.chdir('dd')
    good = os.getcwd() == before + '/dd' and os.listdir('..') == ['dd']
    os.chdir('..')
    os.rmdir('dd')
    return good and os.getcwd() == before


@case('/proc/self tells about this process')
def _():
    with open('/proc/self/maps') as maps, open('/proc/self/status') as status:
        return 'python' in os.readlink('/proc/self/exe') and 'r-xp' in maps.read() and f'Pid:\t{os.getpid()}\n' in status.read()


@case('no child to wait for')
def _():
    try:
        os.wait()
    except ChildProcessError:
        return True
    return False


@case('the host process behind /proc/self is out of reach', ring=True)
def _():
    if os.listdir('/proc/self/task') != [str(os.getpid())]:
        return 'threads that are not ours'
    for name in ('mem', 'environ-of-nobody', f'task/{os.getpid()}/mem', 'ns/mnt'):
        try:
            os.open('/proc/self/' + name, os.O_RDONLY)
            return name
        except FileNotFoundError:
            pass
    return True


@case('fork and wait')
def _():
    pid = os.fork()
    if not pid:
        os._exit(7)
    return os.waitpid(pid, 0) == (pid, 7 << 8)


@case('what administers the system is refused', ring=True)
def _():
    try:
        os.chroot('.')
    except PermissionError:
        return True
    return False


@case('no network without --net host', ring=True)
def _():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    except PermissionError:
        return True
    return False


print(f'1..{number}')
sys.exit(failed != 0)
