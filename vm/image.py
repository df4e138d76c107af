# SPDX-License-Identifier: MIT
"""The VM's file system: cpio archives that the kernel unpacks into its root tmpfs.

An image is a concatenation of archives, each made for one reason, so that a run rebuilds only what is
its own: the base (busybox, init, /etc), the kernel's modules, and the overlay (our programs, --with
paths, the command). The kernel unpacks them in order into one tree. No archive is compressed: unpacking
costs more instructions in an emulator than reading.

The tree is laid out as Debian's: /bin, /sbin, /lib, /lib64 are links into /usr. A path that goes through
a link (these or the host's) is stored as the link and the path it leads to, because a directory entry
and a link of the same name cannot both be unpacked.
"""
import os
import re
import stat
import subprocess

USRMERGE = {'/bin': 'usr/bin', '/sbin': 'usr/sbin', '/lib': 'usr/lib', '/lib64': 'usr/lib64'}


class Archive:
    """Builds one newc archive in memory. Inode numbers are unique within it, so nothing is a hard link."""

    def __init__(self):
        self.parts = []
        self.done = {}          # absolute path -> 'dir', 'file' or the target of a link
        self.links = dict(USRMERGE)

    def _entry(self, path, mode, data=b'', uid=0, gid=0, mtime=0, rdev=(0, 0)):
        name = path.lstrip('/').encode('utf-8', 'surrogateescape') + b'\0'
        nlink = 2 if stat.S_ISDIR(mode) else 1
        fields = (len(self.parts) + 1, mode, uid, gid, nlink, int(mtime) & 0xffffffff, len(data),
                  0, 0, rdev[0], rdev[1], len(name), 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + name
        self.parts.append(head + b'\0' * (-len(head) % 4))
        self.parts.append(data)
        self.parts.append(b'\0' * (-len(data) % 4))

    def directory(self, path, mode=0o755, uid=0, gid=0):
        path = self.resolve(path)
        if path != '/' and path not in self.done:
            self.parents(path)
            self.done[path] = 'dir'
            self._entry(path, stat.S_IFDIR | mode, uid=uid, gid=gid)

    def parents(self, path):
        """Make every directory above path, with the host's mode where the host has such a directory."""
        up = os.path.dirname(path)
        if up in ('/', '') or up in self.done:
            return
        self.parents(up)
        mode, uid, gid = 0o755, 0, 0
        if up not in ('/usr', '/root', '/etc', '/dev', '/proc', '/sys') and os.path.isdir(up):
            st = os.stat(up)
            mode, uid, gid = stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid
        self.done[up] = 'dir'
        self._entry(up, stat.S_IFDIR | mode, uid=uid, gid=gid)

    def resolve(self, path):
        """Follow the links in path's directories (ours first, then the host's); stores the host's links."""
        todo = [c for c in path.split('/') if c and c != '.']
        here, hops = '/', 0
        while len(todo) > 1:
            name = todo.pop(0)
            if name == '..':
                here = os.path.dirname(here)
                continue
            step = os.path.join(here, name)
            target = self.links.get(step)
            if target is None and step not in self.done and os.path.islink(step):
                target = os.readlink(step)
                self.symlink(step, target)
            if target is None:
                here = step
                continue
            hops += 1
            if hops > 40:
                raise OSError(f'{path}: too many links')
            todo = [c for c in target.split('/') if c and c != '.'] + todo
            if target.startswith('/'):
                here = '/'
        if not todo:
            return here
        if todo[0] == '..':
            return os.path.dirname(here)
        return os.path.join(here, todo[0])

    def symlink(self, path, target, uid=0, gid=0):
        path = self.resolve(path)
        if path in self.links or path in self.done:
            return
        self.parents(path)
        self.links[path] = target
        self.done[path] = target
        self._entry(path, stat.S_IFLNK | 0o777, os.fsencode(target), uid=uid, gid=gid)

    def data(self, path, data, mode=0o644, uid=0, gid=0, mtime=0):
        path = self.resolve(path)
        if path in self.done:
            return
        self.parents(path)
        self.done[path] = 'file'
        self._entry(path, stat.S_IFREG | mode, data, uid=uid, gid=gid, mtime=mtime)

    def copy(self, path, as_path=None, libraries=False):
        """Add the host's file, link, directory tree or special file at path, as as_path."""
        st = os.lstat(path)
        into = as_path or path
        ids = {'uid': st.st_uid, 'gid': st.st_gid}
        if stat.S_ISLNK(st.st_mode):
            target = os.readlink(path)
            self.symlink(into, target, **ids)
            if libraries:
                self.copy(os.path.join(os.path.dirname(path), target), libraries=True)
        elif stat.S_ISDIR(st.st_mode):
            self.directory(into, stat.S_IMODE(st.st_mode), **ids)
            for name in sorted(os.listdir(path)):
                self.copy(os.path.join(path, name), os.path.join(into, name))
        elif stat.S_ISREG(st.st_mode):
            with open(path, 'rb') as f:
                content = f.read()
            self.data(into, content, stat.S_IMODE(st.st_mode), mtime=st.st_mtime, **ids)
            if libraries:
                for lib in needed_files(path, content):
                    self.copy(lib, libraries=True)
        elif self.resolve(into) not in self.done:
            into = self.resolve(into)
            self.parents(into)
            self.done[into] = 'file'
            self._entry(into, st.st_mode, rdev=(os.major(st.st_rdev), os.minor(st.st_rdev)), **ids)

    def write(self, out):
        for part in self.parts:
            out.write(part)
        trailer = Archive()
        trailer._entry('TRAILER!!!', 0)
        block = b''.join(trailer.parts)
        out.write(block + b'\0' * (512 - len(block)))


def needed_files(path, content):
    """What a program needs to start: its libraries and loader, or its interpreter if it is a script."""
    if content.startswith(b'#!'):
        words = content.split(b'\n', 1)[0][2:].split()
        words = [os.fsdecode(w) for w in words[:2]]
        return [w for w in words[:1] if os.path.exists(w)]
    if not content.startswith(b'\x7fELF'):
        return []
    got = subprocess.run(['ldd', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found = []
    for line in os.fsdecode(got.stdout).splitlines():
        m = re.match(r'\s+(?:\S+ => )?(/\S+) \(0x', line)
        if m and os.path.exists(m.group(1)):
            found.append(m.group(1))
    return found


PASSWD = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'
GROUP = 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n'


def build_base(busybox, init, out):
    """Write the part of the image that is the same in every run: PID 1, busybox and its names, /etc."""
    a = Archive()
    for link, target in USRMERGE.items():
        a._entry(link, stat.S_IFLNK | 0o777, target.encode())
    for path in ('/usr', '/usr/bin', '/usr/sbin', '/usr/lib', '/usr/lib64', '/usr/local', '/usr/local/bin', '/etc',
                 '/proc', '/sys', '/dev', '/run', '/var', '/var/log', '/mnt', '/home', '/opt', '/srv', '/.vm'):
        a.directory(path)
    a.directory('/root', 0o700)
    a.directory('/tmp', 0o1777)
    a.directory('/var/tmp', 0o1777)
    a._entry('/dev/console', stat.S_IFCHR | 0o600, rdev=(5, 1))
    a._entry('/dev/null', stat.S_IFCHR | 0o666, rdev=(1, 3))
    for path, real in (('/init', init), ('/usr/bin/busybox', busybox)):
        with open(real, 'rb') as f:
            a.data(path, f.read(), 0o755)
    applets = subprocess.run([busybox, '--list-full'], stdout=subprocess.PIPE, check=True)
    for name in applets.stdout.decode().split():
        where = '/' + name if name.startswith('usr/') else '/usr/' + name
        if os.path.basename(name) not in ('busybox', 'init', 'linuxrc') and where.count('/') == 3:
            a.symlink(where, '/usr/bin/busybox')
    a.data('/etc/passwd', PASSWD.encode())
    a.data('/etc/group', GROUP.encode())
    a.data('/etc/shells', b'/bin/sh\n')
    a.data('/etc/hostname', b'ringside\n')
    a.data('/etc/hosts', b'127.0.0.1 localhost ringside\n')
    a.data('/etc/nsswitch.conf', b'passwd: files\ngroup: files\nhosts: files dns\n')
    with open(out + '.tmp', 'wb') as f:
        a.write(f)
    os.rename(out + '.tmp', out)


def build_modules(kernel, release, out):
    """Write the kernel's own modules under /lib/modules/RELEASE with a modules.dep that busybox reads."""
    a = Archive()
    folder = os.path.join(kernel, 'modules')
    names = sorted(os.listdir(folder))
    where = f'/usr/lib/modules/{release}'
    by_name = {n[:-3].replace('-', '_'): n for n in names}
    dep = []
    for n in names:
        with open(os.path.join(folder, n), 'rb') as f:
            content = f.read()
        a.data(f'{where}/{n}', content)
        m = re.search(rb'(?:^|\0)depends=([^\0]*)\0', content)
        need = [by_name[d] for d in (m.group(1).decode().split(',') if m else []) if d in by_name]
        dep.append(f'{n}:' + ''.join(' ' + d for d in closure(need, folder, by_name)))
    a.data(f'{where}/modules.dep', ('\n'.join(dep) + '\n').encode())
    with open(out + '.tmp', 'wb') as f:
        a.write(f)
    os.rename(out + '.tmp', out)


def closure(need, folder, by_name):
    """Modules to load for the ones in need, the last to load first, as modules.dep lists them."""
    out = []
    for n in need:
        with open(os.path.join(folder, n), 'rb') as f:
            m = re.search(rb'(?:^|\0)depends=([^\0]*)\0', f.read())
        below = [by_name[d] for d in (m.group(1).decode().split(',') if m else []) if d in by_name]
        out += [n] + closure(below, folder, by_name)
    return list(dict.fromkeys(out))
