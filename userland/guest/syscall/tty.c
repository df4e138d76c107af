// SPDX-License-Identifier: MIT
/*
 * tty.c - terminals: whose they are, who may use them now, and whom their keys concern
 *
 * A terminal has two halves. Bytes, editing of lines, echo, settings and window size are Linux's: a
 * terminal that a program here makes (/dev/ptmx, with --rw for that and for /dev/pts) is a pair of
 * files of the host like any other, and so is the one the sandbox was started at. What has to do
 * with processes cannot be Linux's, because it knows one process only: which session has the
 * terminal, which group is in the foreground, whom a key or a hang-up signals, who is stopped for
 * reading from the background. That half is here, in a struct tty for each terminal that has open
 * files, found by its device number. For Linux the terminals made inside belong to no session
 * (they are opened with O_NOCTTY, and TIOCSCTTY never reaches it), so it signals nobody and stops
 * nobody.
 *
 * Who makes the signals of keys? Linux takes the characters out of the input, but has no group to
 * tell. They come in by write() on the other side of the pair, by a process of the sandbox (a
 * terminal multiplexer, script, expect); so the bytes that it has written are looked at for the
 * characters that the settings name, as they were before the write (tty_keys_begin(),
 * tty_keys_end()). If the other side has been handed to a process outside, through a socket, its keys
 * signal nobody. The keys of the outer terminal Linux sees: its signals reach the host process,
 * and signal_from_host() gives them to the group that is in the foreground here.
 *
 * Job control is looked at before the host is asked: a read by a group in the background raises
 * SIGTTIN for it, a write if the settings say so (TOSTOP) and a change of the settings SIGTTOU, and the
 * call starts again when the group goes on; EIO when it is ignored, or the group is an orphaned one.
 *
 * Hang-up: the last file of the other side is closed. Linux makes reads and writes fail; here the
 * leader of the session gets SIGHUP and SIGCONT, and the session has no terminal any more; the
 * group in the foreground is told when the leader ends. The other end: the leader ends first, then the
 * group in the foreground gets SIGHUP, and the terminal is free.
 *
 * Which files are of a terminal? One opened by a name below /dev is looked at then; any other
 * at the first ioctl of terminals that is made on it, with which every program that cares begins
 * (isatty()); with the first of them all three that the sandbox was started with. Until then it is a
 * plain file, without job control.
 *
 * Invariants: a session has at most one terminal and a terminal at most one session; files counts
 * the struct files whose tty this is, masters those of them that are its other side; a tty other than
 * the outer one is there as long as it has files.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include "signal.h"
#include "stat.h"
#include "syscall.h"
#include "tty.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define PTMX_DEV	0x502u		/* 5, 2 */
#define TTY_DEV		0x500u		/* 5, 0: /dev/tty */
#define PTS_MAJOR	136u
#define PTS_MAJORS	8u

/* Of struct termios and its flags; Linux's header for them does not go together with a C library's. */
struct k_termios {
	u32 iflag, oflag, cflag, lflag;
	u8 line, cc[19];
};

_Static_assert(sizeof(struct k_termios) == 36, "struct termios");

#define L_ISIG		0x1u
#define L_ICANON	0x2u
#define L_TOSTOP	0x100u
#define L_IEXTEN	0x8000u
#define CC_INTR		0
#define CC_QUIT		1
#define CC_SUSP		10
#define CC_LNEXT	15

struct tty tty_outer;
static struct list ttys = LIST_INIT(ttys);

void tty_init(const struct process *p)
{
	tty_outer = (struct tty){ .session = rs_boot->sid, .foreground = p->pgid };
	list_init(&tty_outer.link);
	list_init(&tty_outer.open);
}

struct tty *tty_of(const struct process *p)
{
	struct tty *t;

	if (p->no_tty)
		return NULL;
	if (tty_outer.session == p->sid)
		return &tty_outer;
	list_for_each(t, &ttys, link)
		if (t->session == p->sid)
			return t;
	return NULL;
}

static u32 major_of(u32 dev)
{
	return dev >> 8 & 0xfff;
}

static u32 pts_dev(u32 n)
{
	return (PTS_MAJOR + n / 256) << 8 | n % 256;
}

static u32 pts_number(const struct tty *t)
{
	return (major_of(t->dev) - PTS_MAJOR) * 256 + (t->dev & 0xff);
}

static long host_ioctl(const struct file *f, u32 cmd, void *arg)
{
	return file_host_call(__NR_ioctl, (u64)f->host_fd, cmd, gpa_of(arg));
}

/* --- which files ------------------------------------------------------------------------------ */

static void enter(struct file *f, struct tty *t, bool master)
{
	f->tty = t;
	f->tty_master = master;
	t->files++;
	if (master)
		t->masters++;
	else
		list_add_tail(&t->open, &f->tty_link);
}

static void attach(struct file *f, u32 dev, bool master)
{
	struct tty *t;

	list_for_each(t, &ttys, link)
		if (t->dev == dev)
			goto found;
	t = kzalloc(sizeof(*t));
	if (!t)
		return;
	t->dev = dev;
	list_init(&t->open);
	list_add_tail(&ttys, &t->link);
found:
	enter(f, t, master);
}

static struct tty *identify(struct file *f);

/* Who cares for one of them cares for all, but need not ask about each. */
static void identify_stdio(void)
{
	struct file *f;
	u32 fd;

	for (fd = 0; fd < 3; fd++) {
		f = fd_lookup(current_proc()->files, fd);
		if (f)
			identify(f);
	}
}

/* Finds out whether @f is a terminal, once. */
static struct tty *identify(struct file *f)
{
	struct k_stat *st = host_bounce();
	struct k_termios *k;
	u32 dev, n;

	if (f->tty || f->tty_known || f->host_fd < 0)
		return f->tty;
	f->tty_known = true;
	if (file_host_call(__NR_fstat, (u64)f->host_fd, gpa_of(st), 0) ||
	    (st->mode & 0170000) != 0020000)
		return NULL;
	dev = (u32)st->rdev;
	if (dev == PTMX_DEV) {
		if (!host_ioctl(f, TIOCGPTN, &n))
			attach(f, pts_dev(n), true);
		return f->tty;
	}
	k = host_bounce();
	if (host_ioctl(f, TCGETS, k))
		return NULL;
	/* The first one that is asked about, of those that the sandbox was started with. */
	if (!tty_outer.dev && dev != TTY_DEV && current_proc()->sid == rs_boot->sid && !f->name) {
		tty_outer.dev = dev;
		identify_stdio();
	}
	if (dev == TTY_DEV || dev == tty_outer.dev)
		enter(f, &tty_outer, false);
	else
		attach(f, dev, false);
	return f->tty;
}

long tty_open_path(char *path)
{
	struct tty *t;

	if (likely(strcmp(path, "/dev/tty")))
		return 0;
	t = tty_of(current_proc());
	if (!t)
		return -ENXIO;
	if (t == &tty_outer)
		return 0;
	if (major_of(t->dev) - PTS_MAJOR >= PTS_MAJORS)
		return -ENXIO;
	rs_snprintf(path, PATH_SIZE, "/dev/pts/%u", pts_number(t));
	return 0;
}

static void take(struct tty *t, struct process *p)
{
	t->session = p->sid;
	t->foreground = p->pgid;
	p->no_tty = false;
}

void tty_opened(struct file *f, const char *path, u32 flags)
{
	struct process *p = current_proc();
	struct tty *t;

	if (likely(strncmp(path, "/dev/", 5)))
		return;
	t = identify(f);
	if (t && !f->tty_master && !(flags & O_NOCTTY) && (flags & O_ACCMODE) != O_WRONLY &&
	    p->sid == p->pid && !t->session && !tty_of(p))
		take(t, p);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void tell(u32 pgid, int sig)
{
	if (pgid)
		signal_raise_group(pgid, &(struct k_siginfo){ .signo = sig, .code = SI_KERNEL });
}

static void leave_session(struct tty *t)
{
	t->session = t->foreground = 0;
}

static void hang_up(struct tty *t)
{
	struct process *leader = t->session ? process_find(t->session) : NULL;

	if (leader && leader->sid == leader->pid) {
		struct k_siginfo info = { .signo = SIGHUP, .code = SI_KERNEL };

		signal_raise(leader, NULL, &info);
		info.signo = SIGCONT;
		signal_raise(leader, NULL, &info);
		leader->hung_up_group = t->foreground;
	}
	leave_session(t);
}

/* Its session keeps one without files. */
static void drop_unused(struct tty *t)
{
	if (t == &tty_outer || t->files || t->session)
		return;
	list_del(&t->link);
	kfree(t);
}

void file_tty_released(struct file *f)
{
	struct tty *t = f->tty;

	f->tty = NULL;
	if (!f->tty_master)
		list_del(&f->tty_link);
	else if (!--t->masters)
		hang_up(t);
	t->files--;
	drop_unused(t);
}

void tty_session_ends(struct process *leader)
{
	struct tty *t = leader->sid == leader->pid ? tty_of(leader) : NULL;

	if (leader->hung_up_group) {
		tell(leader->hung_up_group, SIGHUP);
		tell(leader->hung_up_group, SIGCONT);
		leader->hung_up_group = 0;
	}
	if (!t)
		return;
	tell(t->foreground, SIGHUP);
	leave_session(t);
	drop_unused(t);
}

/* --- job control ------------------------------------------------------------------------------ */

static bool in_background(const struct tty *t)
{
	const struct process *p = current_proc();

	return tty_of(p) == t && t->foreground && t->foreground != p->pgid;
}

/* In the background: what becomes of a call that @sig is for. */
static long stop_for(int sig)
{
	struct process *p = current_proc();

	if (signal_ignored_now(sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (signal_group_orphaned(p->pgid))
		return -EIO;
	tell(p->pgid, sig);
	return -ERESTARTSYS;
}

long tty_before_read(struct file *f)
{
	return f->tty_master || !in_background(f->tty) ? 0 : stop_for(SIGTTIN);
}

long tty_before_write(struct file *f)
{
	struct k_termios k;

	if (f->tty_master || !in_background(f->tty) || host_ioctl(f, TCGETS, &k) ||
	    !(k.lflag & L_TOSTOP))
		return 0;
	return stop_for(SIGTTOU);
}

/* --- keys ------------------------------------------------------------------------------------- */

struct tty_keys tty_keys_begin(struct file *f)
{
	const u32 edited = L_ICANON | L_IEXTEN;
	struct k_termios k;

	if (!f->tty_master || !f->tty->foreground || host_ioctl(f, TCGETS, &k) ||
	    !(k.lflag & L_ISIG))
		return (struct tty_keys){ 0 };
	return (struct tty_keys){
		.on = true, .intr = k.cc[CC_INTR], .quit = k.cc[CC_QUIT], .susp = k.cc[CC_SUSP],
		.lnext = (k.lflag & edited) == edited ? k.cc[CC_LNEXT] : 0,
	};
}

static void key(struct tty *t, const struct tty_keys *k, u8 c)
{
	int sig = !c ? 0 : c == k->intr ? SIGINT : c == k->quit ? SIGQUIT :
		  c == k->susp ? SIGTSTP : 0;

	if (t->literal) {
		t->literal = false;
		return;
	}
	if (sig)
		tell(t->foreground, sig);
	else if (c && c == k->lnext)
		t->literal = true;
}

/*
 * What is written to the other side goes through a queue; Linux empties it before it says that there
 * is nothing to be read. So the keys have done at the host what they do there (lines thrown away)
 * before anybody hears of them.
 */
static void settle(const struct tty *t)
{
	struct {
		s32 fd;
		s16 events, revents;
	} p = { .events = 1 };
	u64 none[2] = { 0 };

	if (list_empty(&t->open))
		return;
	p.fd = list_first(&t->open, struct file, tty_link)->host_fd;
	file_host_call(__NR_ppoll, gpa_of(&p), 1, gpa_of(none));
}

void tty_keys_end(const struct tty_keys *k, struct file *f, const struct user_vec *v, u32 n,
		  long done)
{
	struct user_cursor c;
	u8 some[64];
	u64 part, i;

	if (!k->on)
		return;
	if (done > 0)
		settle(f->tty);
	cursor_init(&c, v, n);
	while (done > 0 && c.left) {
		part = min(min(cursor_run(&c), (u64)done), (u64)sizeof(some));
		if (copyin(some, cursor_va(&c), part))
			break;
		for (i = 0; i < part; i++)
			key(f->tty, k, some[i]);
		cursor_move(&c, part);
		done -= (long)part;
	}
}

/* --- ioctl ------------------------------------------------------------------------------------ */

static long set_controlling(struct file *f)
{
	struct process *p = current_proc();
	struct tty *t = f->tty;

	if (p->sid == p->pid && t->session == p->sid)
		return 0;
	if (f->tty_master || p->sid != p->pid || tty_of(p) || t->session)
		return -EPERM;
	take(t, p);
	return 0;
}

static long give_up(struct tty *t)
{
	struct process *p = current_proc();

	if (tty_of(p) != t)
		return -ENOTTY;
	if (p->sid != p->pid) {
		p->no_tty = true;
		return 0;
	}
	tell(t->foreground, SIGHUP);
	tell(t->foreground, SIGCONT);
	leave_session(t);
	return 0;
}

static long set_foreground(struct file *f, u64 arg)
{
	struct process *p = current_proc();
	struct tty *t = f->tty;
	long ret;
	u32 pgid;

	if (tty_of(p) != t)
		return -ENOTTY;
	ret = in_background(t) ? stop_for(SIGTTOU) : 0;
	if (ret)
		return ret == -EIO ? -ENOTTY : ret;
	if (get_user_u32(&pgid, arg))
		return -EFAULT;
	if ((s32)pgid < 0)
		return -EINVAL;
	if (!process_group_alive(pgid, p->sid))
		return process_group_alive(pgid, 0) ? -EPERM : -ESRCH;
	t->foreground = pgid;
	return 0;
}

static long set_size(struct file *f, u64 arg)
{
	u16 size[4], old[4];
	long ret;

	if (copyin(size, arg, sizeof(size)))
		return -EFAULT;
	ret = host_ioctl(f, TIOCGWINSZ, old);
	if (!ret)
		ret = host_ioctl(f, TIOCSWINSZ, size);
	/* Of the outer one Linux knows whom to tell: the host process. */
	if (!ret && memcmp(size, old, sizeof(size)) && f->tty != &tty_outer)
		tell(f->tty->foreground, SIGWINCH);
	return ret;
}

/* The terminal itself, from its other side; by its name, which says whether it may be opened. */
static long open_peer(struct file *f, u32 flags)
{
	char *path = path_buffer(0);

	if (!f->tty_master)
		return -ENOTTY;
	if (!path)
		return -ENOMEM;
	rs_snprintf(path, PATH_SIZE, "/dev/pts/%u", pts_number(f->tty));
	return open_host_path(path, flags & (O_ACCMODE | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

bool tty_ioctl(struct file *f, u32 cmd, u64 arg, long *ret)
{
	struct tty *t;
	bool own;

	if ((cmd >> 8 & 0xff) != 'T')
		return false;
	t = identify(f);
	if (!t)
		return false;
	own = tty_of(current_proc()) == t;
	switch (cmd) {
	case TIOCSCTTY: *ret = set_controlling(f); return true;
	case TIOCNOTTY: *ret = give_up(t); return true;
	case TIOCGPGRP:
		*ret = own || f->tty_master ? put_user_u32(arg, t->foreground) : -ENOTTY;
		return true;
	case TIOCGSID:
		*ret = (own || f->tty_master) && t->session ? put_user_u32(arg, t->session) : -ENOTTY;
		return true;
	case TIOCSPGRP: *ret = set_foreground(f, arg); return true;
	case TIOCSWINSZ: *ret = set_size(f, arg); return true;
	case TIOCGPTPEER: *ret = open_peer(f, (u32)arg); return true;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
	case TCSBRK:
	case TCSBRKP:
	case TCXONC:
	case TCFLSH:
		*ret = !f->tty_master && in_background(t) ? stop_for(SIGTTOU) : 0;
		return *ret;
	}
	return false;
}
