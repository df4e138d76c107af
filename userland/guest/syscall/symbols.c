// SPDX-License-Identifier: MIT
/*
 * symbols.c - numbers of Linux's interface as names
 *
 * A set is an array of (mask, value, name), in the order in which names are printed. An entry
 * applies when the number's bits under the entry's mask are its value; those bits are then taken
 * away, so that a field of several bits (O_ACCMODE) and single flags stand in one array. An
 * enumeration is a set whose masks are all ones. What is left at the end is printed in hexadecimal:
 * nothing is hidden.
 */
#include <asm/unistd.h>
#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <linux/fs.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/random.h>
#include <linux/stat.h>
#include "symbols.h"
#include "../lib/string.h"
#include "../../include/rs_calls.h"

struct symbol {
	u64 mask, value;
	const char *name;
};

#define ONE(n)		{ ~0ull, (u32)(n), #n }
#define BIT(n)		{ (n), (n), #n }
#define VAL(v, n)	{ ~0ull, (v), n }
#define FLAG(v, n)	{ (v), (v), n }
#define FIELD(m, v, n)	{ (m), (v), n }
#define END		{ 0, 0, NULL }

static const struct symbol sym_open[] = {
	FIELD(3, 0, "O_RDONLY"), FIELD(3, 1, "O_WRONLY"), FIELD(3, 2, "O_RDWR"), FIELD(3, 3, "O_ACCMODE"),
	BIT(O_CREAT), BIT(O_EXCL), BIT(O_NOCTTY), BIT(O_TRUNC), BIT(O_APPEND), BIT(O_NONBLOCK),
	FLAG(O_SYNC, "O_SYNC"), BIT(O_DSYNC), BIT(O_DIRECT), FLAG(0100000, "O_LARGEFILE"), BIT(O_NOFOLLOW), BIT(O_NOATIME), BIT(O_CLOEXEC), BIT(O_PATH),
	FLAG(O_TMPFILE, "O_TMPFILE"), BIT(O_DIRECTORY), END
};
static const struct symbol sym_prot[] = {
	FIELD(7, 0, "PROT_NONE"), BIT(PROT_READ), BIT(PROT_WRITE), BIT(PROT_EXEC), BIT(PROT_GROWSDOWN), BIT(PROT_GROWSUP), END
};
static const struct symbol sym_map[] = {
	FIELD(15, 1, "MAP_SHARED"), FIELD(15, 2, "MAP_PRIVATE"), FIELD(15, 3, "MAP_SHARED_VALIDATE"), BIT(MAP_FIXED), BIT(MAP_ANONYMOUS),
	FLAG(0x40, "MAP_32BIT"), BIT(MAP_GROWSDOWN), BIT(MAP_DENYWRITE), BIT(MAP_EXECUTABLE), BIT(MAP_LOCKED), BIT(MAP_NORESERVE),
	BIT(MAP_POPULATE), BIT(MAP_NONBLOCK), BIT(MAP_STACK), BIT(MAP_HUGETLB), BIT(MAP_SYNC), BIT(MAP_FIXED_NOREPLACE), END
};
static const struct symbol sym_at[] = {
	FIELD(~0ull, 0, "0"), BIT(AT_SYMLINK_NOFOLLOW), FLAG(0x200, "AT_REMOVEDIR"), BIT(AT_SYMLINK_FOLLOW), BIT(AT_NO_AUTOMOUNT), BIT(AT_EMPTY_PATH),
	FLAG(0x2000, "AT_STATX_FORCE_SYNC"), FLAG(0x4000, "AT_STATX_DONT_SYNC"), END
};
static const struct symbol sym_access[] = {
	FIELD(~0ull, 0, "F_OK"), FLAG(4, "R_OK"), FLAG(2, "W_OK"), FLAG(1, "X_OK"), END
};
static const struct symbol sym_clock[] = {
	VAL(0, "CLOCK_REALTIME"), VAL(1, "CLOCK_MONOTONIC"), VAL(2, "CLOCK_PROCESS_CPUTIME_ID"), VAL(3, "CLOCK_THREAD_CPUTIME_ID"),
	VAL(4, "CLOCK_MONOTONIC_RAW"), VAL(5, "CLOCK_REALTIME_COARSE"), VAL(6, "CLOCK_MONOTONIC_COARSE"), VAL(7, "CLOCK_BOOTTIME"), END
};
static const struct symbol sym_signal[] = {
	VAL(1, "SIGHUP"), VAL(2, "SIGINT"), VAL(3, "SIGQUIT"), VAL(4, "SIGILL"), VAL(5, "SIGTRAP"), VAL(6, "SIGABRT"), VAL(7, "SIGBUS"),
	VAL(8, "SIGFPE"), VAL(9, "SIGKILL"), VAL(10, "SIGUSR1"), VAL(11, "SIGSEGV"), VAL(12, "SIGUSR2"), VAL(13, "SIGPIPE"), VAL(14, "SIGALRM"),
	VAL(15, "SIGTERM"), VAL(16, "SIGSTKFLT"), VAL(17, "SIGCHLD"), VAL(18, "SIGCONT"), VAL(19, "SIGSTOP"), VAL(20, "SIGTSTP"),
	VAL(21, "SIGTTIN"), VAL(22, "SIGTTOU"), VAL(23, "SIGURG"), VAL(24, "SIGXCPU"), VAL(25, "SIGXFSZ"), VAL(26, "SIGVTALRM"),
	VAL(27, "SIGPROF"), VAL(28, "SIGWINCH"), VAL(29, "SIGIO"), VAL(30, "SIGPWR"), VAL(31, "SIGSYS"), END
};
static const struct symbol sym_whence[] = {
	ONE(SEEK_SET), ONE(SEEK_CUR), ONE(SEEK_END), ONE(SEEK_DATA), ONE(SEEK_HOLE), END
};
static const struct symbol sym_family[] = {
	VAL(0, "AF_UNSPEC"), VAL(1, "AF_UNIX"), VAL(2, "AF_INET"), VAL(10, "AF_INET6"), VAL(16, "AF_NETLINK"), VAL(17, "AF_PACKET"), VAL(40, "AF_VSOCK"), END
};
static const struct symbol sym_sock[] = {
	FIELD(15, 1, "SOCK_STREAM"), FIELD(15, 2, "SOCK_DGRAM"), FIELD(15, 3, "SOCK_RAW"), FIELD(15, 5, "SOCK_SEQPACKET"),
	FLAG(02000000, "SOCK_CLOEXEC"), FLAG(04000, "SOCK_NONBLOCK"), END
};
static const struct symbol sym_msg[] = {
	FIELD(~0ull, 0, "0"), FLAG(1, "MSG_OOB"), FLAG(2, "MSG_PEEK"), FLAG(4, "MSG_DONTROUTE"), FLAG(0x20, "MSG_TRUNC"), FLAG(0x40, "MSG_DONTWAIT"),
	FLAG(0x80, "MSG_EOR"), FLAG(0x100, "MSG_WAITALL"), FLAG(0x4000, "MSG_NOSIGNAL"), FLAG(0x8000, "MSG_MORE"),
	FLAG(0x40000000, "MSG_CMSG_CLOEXEC"), END
};
static const struct symbol sym_madv[] = {
	ONE(MADV_NORMAL), ONE(MADV_RANDOM), ONE(MADV_SEQUENTIAL), ONE(MADV_WILLNEED), ONE(MADV_DONTNEED), ONE(MADV_FREE), ONE(MADV_REMOVE),
	ONE(MADV_DONTFORK), ONE(MADV_DOFORK), ONE(MADV_MERGEABLE), ONE(MADV_UNMERGEABLE), ONE(MADV_HUGEPAGE), ONE(MADV_NOHUGEPAGE),
	ONE(MADV_DONTDUMP), ONE(MADV_DODUMP), ONE(MADV_WIPEONFORK), ONE(MADV_COLD), ONE(MADV_PAGEOUT), END
};
static const struct symbol sym_sighow[] = {
	VAL(0, "SIG_BLOCK"), VAL(1, "SIG_UNBLOCK"), VAL(2, "SIG_SETMASK"), END
};
static const struct symbol sym_futex[] = {
	FIELD(0x7f, 0, "FUTEX_WAIT"), FIELD(0x7f, 1, "FUTEX_WAKE"), FIELD(0x7f, 3, "FUTEX_REQUEUE"), FIELD(0x7f, 4, "FUTEX_CMP_REQUEUE"),
	FIELD(0x7f, 5, "FUTEX_WAKE_OP"), FIELD(0x7f, 6, "FUTEX_LOCK_PI"), FIELD(0x7f, 7, "FUTEX_UNLOCK_PI"), FIELD(0x7f, 9, "FUTEX_WAIT_BITSET"),
	FIELD(0x7f, 10, "FUTEX_WAKE_BITSET"), BIT(FUTEX_PRIVATE_FLAG), BIT(FUTEX_CLOCK_REALTIME), END
};
static const struct symbol sym_clone[] = {
	BIT(CLONE_VM), BIT(CLONE_FS), BIT(CLONE_FILES), BIT(CLONE_SIGHAND), BIT(CLONE_PIDFD), BIT(CLONE_PTRACE), BIT(CLONE_VFORK), BIT(CLONE_PARENT),
	BIT(CLONE_THREAD), BIT(CLONE_NEWNS), BIT(CLONE_SYSVSEM), BIT(CLONE_SETTLS), BIT(CLONE_PARENT_SETTID), BIT(CLONE_CHILD_CLEARTID),
	BIT(CLONE_DETACHED), BIT(CLONE_UNTRACED), BIT(CLONE_CHILD_SETTID), BIT(CLONE_NEWCGROUP), BIT(CLONE_NEWUTS), BIT(CLONE_NEWIPC),
	BIT(CLONE_NEWUSER), BIT(CLONE_NEWPID), BIT(CLONE_NEWNET), BIT(CLONE_IO), BIT(CLONE_CLEAR_SIGHAND), BIT(CLONE_INTO_CGROUP), END
};
static const struct symbol sym_wait[] = {
	FIELD(~0ull, 0, "0"), FLAG(1, "WNOHANG"), FLAG(2, "WUNTRACED"), FLAG(4, "WEXITED"), FLAG(8, "WCONTINUED"), FLAG(0x01000000, "WNOWAIT"),
	FLAG(0x20000000, "__WNOTHREAD"), FLAG(0x40000000, "__WALL"), FLAG(0x80000000, "__WCLONE"), END
};
static const struct symbol sym_idtype[] = {
	VAL(0, "P_ALL"), VAL(1, "P_PID"), VAL(2, "P_PGID"), VAL(3, "P_PIDFD"), END
};
static const struct symbol sym_sigaction[] = {
	FIELD(~0ull, 0, "0"), FLAG(0x04000000, "SA_RESTORER"), FLAG(0x08000000, "SA_ONSTACK"), FLAG(0x10000000, "SA_RESTART"), FLAG(1, "SA_NOCLDSTOP"),
	FLAG(2, "SA_NOCLDWAIT"), FLAG(4, "SA_SIGINFO"), FLAG(0x40000000, "SA_NODEFER"), FLAG(0x80000000, "SA_RESETHAND"), END
};
static const struct symbol sym_rlimit[] = {
	VAL(0, "RLIMIT_CPU"), VAL(1, "RLIMIT_FSIZE"), VAL(2, "RLIMIT_DATA"), VAL(3, "RLIMIT_STACK"), VAL(4, "RLIMIT_CORE"), VAL(5, "RLIMIT_RSS"),
	VAL(6, "RLIMIT_NPROC"), VAL(7, "RLIMIT_NOFILE"), VAL(8, "RLIMIT_MEMLOCK"), VAL(9, "RLIMIT_AS"), VAL(10, "RLIMIT_LOCKS"),
	VAL(11, "RLIMIT_SIGPENDING"), VAL(12, "RLIMIT_MSGQUEUE"), VAL(13, "RLIMIT_NICE"), VAL(14, "RLIMIT_RTPRIO"), VAL(15, "RLIMIT_RTTIME"), END
};
static const struct symbol sym_grnd[] = {
	FIELD(~0ull, 0, "0"), BIT(GRND_NONBLOCK), BIT(GRND_RANDOM), BIT(GRND_INSECURE), END
};
static const struct symbol sym_prctl[] = {
	ONE(PR_SET_PDEATHSIG), ONE(PR_GET_PDEATHSIG), ONE(PR_GET_DUMPABLE), ONE(PR_SET_DUMPABLE), ONE(PR_SET_NAME), ONE(PR_GET_NAME),
	ONE(PR_GET_SECCOMP), ONE(PR_SET_SECCOMP), ONE(PR_CAPBSET_READ), ONE(PR_SET_NO_NEW_PRIVS), ONE(PR_GET_NO_NEW_PRIVS), ONE(PR_SET_VMA),
	ONE(PR_GET_TIMERSLACK), ONE(PR_SET_TIMERSLACK), ONE(PR_SET_CHILD_SUBREAPER), ONE(PR_SET_MM), ONE(PR_CAP_AMBIENT), ONE(PR_SET_THP_DISABLE), END
};
static const struct symbol sym_arch[] = {
	ONE(ARCH_SET_GS), ONE(ARCH_SET_FS), ONE(ARCH_GET_FS), ONE(ARCH_GET_GS), VAL(0x3001, "ARCH_CET_STATUS"), END
};
static const struct symbol sym_epoll[] = {
	VAL(1, "EPOLL_CTL_ADD"), VAL(2, "EPOLL_CTL_DEL"), VAL(3, "EPOLL_CTL_MOD"), END
};
static const struct symbol sym_flock[] = {
	FIELD(11, 1, "LOCK_SH"), FIELD(11, 2, "LOCK_EX"), FIELD(11, 8, "LOCK_UN"), FLAG(4, "LOCK_NB"), END
};
static const struct symbol sym_fcntl[] = {
	ONE(F_DUPFD), ONE(F_GETFD), ONE(F_SETFD), ONE(F_GETFL), ONE(F_SETFL), ONE(F_GETLK), ONE(F_SETLK), ONE(F_SETLKW), ONE(F_SETOWN),
	ONE(F_GETOWN), ONE(F_OFD_GETLK), ONE(F_OFD_SETLK), ONE(F_OFD_SETLKW), ONE(F_DUPFD_CLOEXEC), ONE(F_SETPIPE_SZ), ONE(F_GETPIPE_SZ),
	ONE(F_ADD_SEALS), ONE(F_GET_SEALS), END
};
static const struct symbol sym_ioctl[] = {
	ONE(TCGETS), ONE(TCSETS), ONE(TCSETSW), ONE(TCSETSF), ONE(TCSBRK), ONE(TCXONC), ONE(TCFLSH), ONE(TIOCGWINSZ), ONE(TIOCSWINSZ),
	ONE(TIOCGPGRP), ONE(TIOCSPGRP), ONE(TIOCGSID), ONE(TIOCSCTTY), ONE(TIOCSTI), ONE(FIONREAD), ONE(FIONBIO), ONE(FIOCLEX), ONE(FIONCLEX),
	ONE(FICLONE), ONE(FS_IOC_GETFLAGS), ONE(BLKGETSIZE64), ONE(BLKSSZGET), END
};

static const struct symbol *const sets[RS_SET_COUNT] = {
	[RS_SET_OPEN] = sym_open, [RS_SET_PROT] = sym_prot, [RS_SET_MAP] = sym_map, [RS_SET_AT] = sym_at, [RS_SET_ACCESS] = sym_access,
	[RS_SET_CLOCK] = sym_clock, [RS_SET_SIGNAL] = sym_signal, [RS_SET_WHENCE] = sym_whence, [RS_SET_FAMILY] = sym_family, [RS_SET_SOCK] = sym_sock,
	[RS_SET_MSG] = sym_msg, [RS_SET_MADV] = sym_madv, [RS_SET_SIGHOW] = sym_sighow, [RS_SET_FUTEX] = sym_futex, [RS_SET_RLIMIT] = sym_rlimit,
	[RS_SET_GRND] = sym_grnd, [RS_SET_PRCTL] = sym_prctl, [RS_SET_ARCH] = sym_arch, [RS_SET_EPOLL] = sym_epoll, [RS_SET_FLOCK] = sym_flock,
	[RS_SET_FCNTL] = sym_fcntl, [RS_SET_IOCTL] = sym_ioctl, [RS_SET_CLONE] = sym_clone, [RS_SET_WAIT] = sym_wait, [RS_SET_IDTYPE] = sym_idtype,
	[RS_SET_SIGACTION] = sym_sigaction,
};

void text_set(struct textbuf *t, unsigned int set, u64 v)
{
	const struct symbol *s;
	bool any = false;

	if (set != RS_SET_CLONE)	/* clone3() has more of them */
		v = (u32)v;	/* all others are C ints */
	if (set == RS_SET_MODE) {
		text_printf(t, "%#o", (unsigned int)v);
		return;
	}
	if (set >= RS_SET_COUNT || !sets[set]) {
		text_printf(t, "%#lx", (unsigned long)v);
		return;
	}
	for (s = sets[set]; s->name; s++) {
		/*
		 * A field whose value is 0 has no bits to recognise it by, so it is only looked at
		 * before anything was printed.
		 */
		if ((v & s->mask) != s->value || (!s->value && any))
			continue;
		text_printf(t, "%s%s", any ? "|" : "", s->name);
		any = true;
		v &= ~s->mask;
		if (!v)
			return;
	}
	if (v || !any)
		text_printf(t, "%s%#lx", any ? "|" : "", (unsigned long)v);
}

const char *errno_name(int e)
{
	switch (e) {
#define RS_ERRNO(name, text) case name: return #name;
#include "errnos.def"
#undef RS_ERRNO
	}
	return NULL;
}

void text_error(struct textbuf *t, int e)
{
	switch (e) {
#define RS_ERRNO(name, text) case name: text_printf(t, "%s", #name " (" text ")"); return;
#include "errnos.def"
#undef RS_ERRNO
	}
	text_printf(t, "errno %d", e);
}

const char *signal_name(int sig)
{
	const struct symbol *s;

	for (s = sym_signal; s->name; s++)
		if (s->value == (u64)sig)
			return s->name;
	return NULL;
}

/* Codes that a signal has of its own begin at 1. */
static const struct {
	int sig;
	const char *name[9];
} codes[] = {
	{ 4, { NULL, "ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC", "ILL_BADSTK" } },
	{ 5, { NULL, "TRAP_BRKPT", "TRAP_TRACE" } },
	{ 7, { NULL, "BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR" } },
	{ 8, { NULL, "FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB" } },
	{ 11, { NULL, "SEGV_MAPERR", "SEGV_ACCERR" } },
	{ 17, { NULL, "CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED" } },
};

const char *signal_code_name(int sig, int code)
{
	size_t i;

	switch (code) {
	case 0: return "SI_USER";
	case 0x80: return "SI_KERNEL";
	case -1: return "SI_QUEUE";
	case -2: return "SI_TIMER";
	case -6: return "SI_TKILL";
	}
	for (i = 0; i < ARRAY_SIZE(codes) && code > 0; i++)
		if (codes[i].sig == sig && (size_t)code < ARRAY_SIZE(codes[i].name))
			return codes[i].name[code];
	return NULL;
}

const char *syscall_name(u64 nr)
{
	switch (nr) {
#define RS_GUEST(name, ...)	case __NR_##name: return #name;
#define RS_FORWARD		RS_GUEST
#define RS_SPECIAL		RS_GUEST
#define RS_REFUSE		RS_GUEST
#include "../../include/rs_calls.def"
#undef RS_GUEST
#undef RS_FORWARD
#undef RS_SPECIAL
#undef RS_REFUSE
	}
	return NULL;
}

const char *syscall_name_any(u64 nr)
{
	switch (nr) {
#define ABSENT(name) case __NR_##name: return #name;
	ABSENT(rseq) ABSENT(vmsplice) ABSENT(signalfd) ABSENT(signalfd4)
	ABSENT(timer_create) ABSENT(timer_settime) ABSENT(timer_gettime) ABSENT(timer_delete) ABSENT(seccomp) ABSENT(getdents)
	ABSENT(io_uring_setup) ABSENT(io_uring_enter) ABSENT(io_setup) ABSENT(mq_open) ABSENT(shmget) ABSENT(shmat) ABSENT(semget) ABSENT(msgget)
	ABSENT(modify_ldt) ABSENT(pkey_alloc) ABSENT(pkey_mprotect) ABSENT(mbind) ABSENT(get_mempolicy) ABSENT(set_mempolicy)
#undef ABSENT
#ifdef __NR_openat2
	case __NR_openat2: return "openat2";
#endif
	}
	return syscall_name(nr);
}
