// SPDX-License-Identifier: MIT
/*
 * exec_test.c - what execve keeps, what it drops, and how it fails
 *
 * The program that is executed is this one: called with a first argument that begins with "@", it is one of the
 * programs at the top of this file instead of the tests, and reports to its standard output.
 */
#include <dirent.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "proc.h"

extern char **environ;

/* --- programs -------------------------------------------------------------------------------------------------------- */

/* Everything it was given, each word ended by a NUL. */
static int prog_args(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		fwrite(argv[i], strlen(argv[i]) + 1, 1, stdout);
	putchar('|');
	for (char **e = environ; *e; e++)
		fwrite(*e, strlen(*e) + 1, 1, stdout);
	return 0;
}

/* Sizes only, for what is too much to print. */
static int prog_count(int argc, char **argv)
{
	size_t bytes = 0;

	for (int i = 0; i < argc; i++)
		bytes += strlen(argv[i]);
	printf("%d %zu", argc, bytes);
	return 0;
}

static int prog_fds(int argc, char **argv)
{
	for (int fd = 3; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d:%ld ", fd, (long)lseek(fd, 0, SEEK_CUR));
	return 0;
}

static int prog_signals(int argc, char **argv)
{
	struct sigaction sa;
	sigset_t mask, waiting;
	stack_t ss;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigpending(&waiting);
	sigaltstack(NULL, &ss);
	for (int s = 1; s < 32; s++) {
		sigaction(s, NULL, &sa);
		if (sa.sa_handler != SIG_DFL)
			printf("%d:%s ", s, sa.sa_handler == SIG_IGN ? "ignored" : "handled");
		if (sigismember(&mask, s))
			printf("%d:masked ", s);
		if (sigismember(&waiting, s))
			printf("%d:waiting ", s);
	}
	printf("%s", ss.ss_flags == SS_DISABLE ? "no-stack" : "stack");
	return 0;
}

static int prog_ids(int argc, char **argv)
{
	char name[17] = "", cwd[4096];
	struct rlimit lim;

	prctl(PR_GET_NAME, name);
	getrlimit(RLIMIT_CORE, &lim);
	printf("%d %d %d %d %d %03o %s %s %ld %d", getpid(), gettid(), getppid(), getpgrp(), getsid(0),
	       umask(0), name, getcwd(cwd, sizeof(cwd)), (long)lim.rlim_cur, alarm(0) > 0);
	return 0;
}

static int prog_mapped(int argc, char **argv)
{
	unsigned char vec;
	void *p = (void *)strtoul(argv[2], NULL, 16);

	printf("%s", mincore(p, PAGE, &vec) ? strerrorname_np(errno) : "mapped");
	return 0;
}

static int prog_auxv(int argc, char **argv)
{
	unsigned char *r = (void *)getauxval(AT_RANDOM);

	printf("%s %ld %ld ", (char *)getauxval(AT_EXECFN), getauxval(AT_PAGESZ), getauxval(AT_SECURE));
	for (int i = 0; i < 16; i++)
		printf("%02x", r[i]);
	return 0;
}

static int prog_exit(int argc, char **argv)
{
	return atoi(argv[2]);
}

static int prog_echo(int argc, char **argv)
{
	char buf[100];
	ssize_t n;

	while ((n = read(0, buf, sizeof(buf))) > 0)
		if (write(1, buf, n) != n)
			return 1;
	return 0;
}

static int prog_chain(int argc, char **argv)
{
	int left = atoi(argv[2]);
	char text[16];

	if (!left)
		return 33;
	snprintf(text, sizeof(text), "%d", left - 1);
	execl(self_path(), "chain", "@chain", text, NULL);
	return 1;
}

/* Constant and, for the compiler, not: what is printed is what the file has. */
static const volatile char marker[] = "the marker of this program: 0";

static int prog_marker(int argc, char **argv)
{
	printf("%s", (const char *)marker);
	return 0;
}

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} programs[] = {
	{ "@args", prog_args }, { "@count", prog_count }, { "@fds", prog_fds }, { "@signals", prog_signals },
	{ "@ids", prog_ids }, { "@mapped", prog_mapped }, { "@auxv", prog_auxv }, { "@exit", prog_exit },
	{ "@echo", prog_echo }, { "@chain", prog_chain }, { "@marker", prog_marker },
};

/* Runs before main, and never comes back when a program was asked for. */
__attribute__((constructor)) static void program(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!strcmp(argv[1], programs[i].name))
			exit(programs[i].main(argc, argv));
}

const char *self_path(void)
{
	return (const char *)getauxval(AT_EXECFN);
}

/* --- reading what they report ---------------------------------------------------------------------------------------- */

static char out[200000];
static size_t out_size;

/* Collects what the child writes until the end, and its status. */
static int collect(int fd, pid_t pid)
{
	ssize_t n;

	out_size = 0;
	while ((n = read(fd, out + out_size, sizeof(out) - 1 - out_size)) > 0)
		out_size += n;
	out[out_size] = 0;
	close(fd);
	return status_of(pid);
}

#define RUN(...) ({									\
	int end_[2];									\
	pid_t pid_;									\
	SYS(pipe(end_));								\
	pid_ = CHILD({									\
		SYS(dup2(end_[1], 1));							\
		close(end_[0]);								\
		close(end_[1]);								\
		__VA_ARGS__;								\
		FAIL("exec: %s", strerror(errno));					\
	});										\
	close(end_[1]);									\
	collect(end_[0], pid_);								\
})

static const char *me;

/* --- tests ----------------------------------------------------------------------------------------------------------- */

TEST(exec_args_and_environment)
{
	static const char want[] = "zero\0@args\0\0two words\0\xff\x01\n\0|A=1\0EMPTY=\0noequals\0";
	char *argv[] = { "zero", "@args", "", "two words", "\xff\x01\n", NULL };
	char *env[] = { "A=1", "EMPTY=", "noequals", NULL };

	me = self_path();
	EXPECT_EQ(RUN(execve(me, argv, env)), 0);
	EXPECT_EQ(out_size, sizeof(want) - 1);
	EXPECT(!memcmp(out, want, sizeof(want) - 1));
	EXPECT_EQ(RUN(execve(me, argv, argv + 5)), 0);
	EXPECT_EQ(out[out_size - 1], '|');
}

TEST(exec_many_and_long_arguments)
{
	static char *argv[3001], one[131072];
	char want[64];

	me = self_path();
	argv[0] = "x";
	argv[1] = "@count";
	for (int i = 2; i < 3000; i++)
		argv[i] = "0123456789";
	EXPECT_EQ(RUN(execv(me, argv)), 0);
	snprintf(want, sizeof(want), "3000 %d", 1 + 6 + 2998 * 10);
	EXPECT(!strcmp(out, want));
	memset(one, 'a', sizeof(one) - 1);	/* with its NUL the longest that one argument may be */
	argv[2] = one;
	argv[3] = NULL;
	EXPECT_EQ(RUN(execv(me, argv)), 0);
	EXPECT(!strcmp(out, "3 131078"));
}

TEST(exec_too_long)
{
	char *one = malloc(131073), **argv = calloc(300000, sizeof(*argv));

	me = self_path();
	memset(one, 'a', 131072);
	one[131072] = 0;
	argv[0] = "x";
	argv[1] = one;
	EXPECT_ERRNO(execv(me, argv), E2BIG);
	argv[1] = "@count";
	for (int i = 2; i < 290000; i++)
		argv[i] = "0123456789abcdef0123456789abcdef";
	EXPECT_ERRNO(execv(me, argv), E2BIG);
}

TEST(exec_bad_pointers)
{
	char *argv[] = { "x", (char *)8, NULL }, *good[] = { "x", NULL };

	me = self_path();
	EXPECT_ERRNO(syscall(SYS_execve, 8L, good, good), EFAULT);
	EXPECT_ERRNO(syscall(SYS_execve, me, 8L, good), EFAULT);
	EXPECT_ERRNO(syscall(SYS_execve, me, argv, good), EFAULT);
	EXPECT_ERRNO(syscall(SYS_execve, me, good, argv), EFAULT);
}

static void put_file(const char *name, const char *text, mode_t mode)
{
	int fd;

	unlink(name);
	fd = SYS(open(name, O_CREAT | O_WRONLY | O_TRUNC, mode));
	ASSERT_EQ(write(fd, text, strlen(text)), strlen(text));
	SYS(fchmod(fd, mode));
	close(fd);
}

TEST(exec_failures)
{
	char *argv[] = { "x", NULL }, longname[5000];

	put_file("not-executable", "x", 0644);
	put_file("no-format", "\x01\x02\x03\x04 nothing", 0755);
	put_file("short-elf", "\x7f" "ELF", 0755);
	put_file("empty", "", 0755);
	memset(longname, 'n', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = 0;
	EXPECT_ERRNO(execv("no-such-file", argv), ENOENT);
	EXPECT_ERRNO(execv("", argv), ENOENT);
	EXPECT_ERRNO(execv("not-executable", argv), EACCES);
	EXPECT_ERRNO(execv(".", argv), EACCES);
	EXPECT_ERRNO(execv("no-format", argv), ENOEXEC);
	EXPECT_ERRNO(execv("short-elf", argv), ENOEXEC);
	EXPECT_ERRNO(execv("empty", argv), ENOEXEC);
	EXPECT_ERRNO(execv("no-format/x", argv), ENOTDIR);
	EXPECT_ERRNO(execv(longname, argv), ENAMETOOLONG);
	unlink("loop");
	SYS(symlink("loop", "loop"));
	EXPECT_ERRNO(execv("loop", argv), ELOOP);
	/* and the process is as it was */
	EXITS(CHILD(), 0);
	for (const char *const *f = (const char *const[]){ "not-executable", "no-format", "short-elf",
			"empty", "loop", NULL }; *f; f++)
		unlink(*f);
}

TEST(exec_scripts)
{
	char text[5000], *argv[] = { "zero", "one", NULL }, *env[] = { NULL };
	int n;

	me = self_path();
	n = snprintf(text, sizeof(text), "#!%s @args\nignored\n", me);
	put_file("script", text, 0755);
	put_file("script2", "#!./script extra\n", 0755);
	put_file("script3", "#!/no/such/interpreter\n", 0755);
	put_file("script4", "#!./script4\n", 0755);
	EXPECT_EQ(RUN(execve("./script", argv, env)), 0);
	n = snprintf(text, sizeof(text), "%s%c@args%c./script%cone%c|", me, 0, 0, 0, 0);
	EXPECT_EQ(out_size, n);
	EXPECT(!memcmp(out, text, n));
	/* an interpreter that is a script itself: prog sees the inner script's line first */
	EXPECT_EQ(RUN(execve("./script2", argv, env)), 0);
	n = snprintf(text, sizeof(text), "%s%c@args%c./script%cextra%c./script2%cone%c|", me, 0, 0, 0, 0, 0, 0);
	EXPECT_EQ(out_size, n);
	EXPECT(!memcmp(out, text, n));
	EXPECT_ERRNO(execve("./script3", argv, env), ENOENT);
	EXPECT_ERRNO(execve("./script4", argv, env), ELOOP);
	for (const char *const *f = (const char *const[]){ "script", "script2", "script3", "script4", NULL }; *f; f++)
		unlink(*f);
}

TEST(exec_close_on_exec)
{
	char want[64], *argv[] = { "x", "@fds", NULL };

	me = self_path();
	for (int fd = 3; fd < 200; fd++)
		close(fd);
	int status = RUN({
		int fd = scratch_file("0123456789", 10), end[2];

		SYS(pipe2(end, O_CLOEXEC));
		SYS(lseek(fd, 3, SEEK_SET));
		SYS(dup2(fd, 100));				/* stays, with the offset */
		SYS(dup3(fd, 101, O_CLOEXEC));			/* goes */
		SYS(fcntl(fd, F_DUPFD, 102));			/* stays */
		SYS(fcntl(fd, F_DUPFD_CLOEXEC, 103));		/* goes */
		SYS(dup2(101, 104));				/* stays: dup2 clears the flag */
		SYS(dup2(fd, 105));
		SYS(fcntl(105, F_SETFD, FD_CLOEXEC));		/* goes */
		SYS(dup2(105, 106));
		SYS(fcntl(106, F_SETFD, 0));			/* stays */
		SYS(lseek(104, 7, SEEK_SET));			/* one open file: all see it */
		execv(me, argv);
	});

	EXPECT_EQ(status, 0);
	snprintf(want, sizeof(want), "100:7 102:7 104:7 106:7 ");
	if (strcmp(out, want))
		FAIL("descriptors are %s", out);
}

static void handler(int sig)
{
}

TEST(exec_signals)
{
	char *argv[] = { "x", "@signals", NULL };

	me = self_path();
	int status = RUN({
		stack_t ss = { .ss_sp = private_pages(8), .ss_size = 8 * PAGE };
		sigset_t mask;

		signal(SIGUSR1, handler);
		signal(SIGHUP, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		signal(SIGCHLD, SIG_DFL);
		SYS(sigaltstack(&ss, NULL));
		sigemptyset(&mask);
		sigaddset(&mask, SIGTERM);
		sigaddset(&mask, SIGUSR2);
		sigprocmask(SIG_SETMASK, &mask, NULL);
		raise(SIGUSR2);
		execv(me, argv);
	});

	EXPECT_EQ(status, 0);
	if (strcmp(out, "1:ignored 3:ignored 12:masked 12:waiting 15:masked no-stack"))
		FAIL("signals are %s", out);
}

TEST(exec_keeps_the_process)
{
	char want[5000], cwd[4096], *argv[] = { "x", "@ids", NULL };
	const char *base;
	pid_t pid;
	int end[2];

	me = self_path();
	base = strrchr(me, '/') ? strrchr(me, '/') + 1 : me;
	SYS(pipe(end));
	pid = CHILD({
		struct rlimit lim = { 12345, 12345 };

		SYS(dup2(end[1], 1));
		SYS(setrlimit(RLIMIT_CORE, &lim));
		umask(027);
		SYS(setsid());
		alarm(1000);
		prctl(PR_SET_NAME, "before");
		execv(me, argv);
	});
	close(end[1]);
	EXPECT_EQ(collect(end[0], pid), 0);
	snprintf(want, sizeof(want), "%d %d %d %d %d 027 %.15s %s 12345 1", pid, pid, getpid(), pid, pid, base,
		 getcwd(cwd, sizeof(cwd)));
	if (strcmp(out, want))
		FAIL("is %s; not %s", out, want);
}

TEST(exec_drops_memory)
{
	char address[32], *argv[] = { "x", "@mapped", address, NULL };
	void *p = mmap((void *)0x3000000000, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	me = self_path();
	ASSERT(p != MAP_FAILED);
	snprintf(address, sizeof(address), "%p", p);
	EXPECT_EQ(RUN(execv(me, argv)), 0);
	EXPECT(!strcmp(out, "ENOMEM"));
	*(int *)p = 1;		/* here it is still there */
}

TEST(exec_auxiliary_vector)
{
	char first[200], want[200], *argv[] = { "x", "@auxv", NULL };

	me = self_path();
	EXPECT_EQ(RUN(execv(me, argv)), 0);
	snprintf(want, sizeof(want), "%s 4096 0 ", me);
	EXPECT(!strncmp(out, want, strlen(want)));
	ASSERT(strlen(out) < sizeof(first));
	strcpy(first, out);
	EXPECT_EQ(RUN(execv(me, argv)), 0);
	EXPECT_EQ(strlen(first), strlen(out));
	EXPECT(strcmp(first, out));		/* 16 bytes that are not random would be the same */
}

static int thread_end[2];

static void *exec_thread(void *arg)
{
	char *argv[] = { "x", "@ids", NULL };

	execv(me, argv);
	_exit(99);
}

static void *sleep_thread(void *arg)
{
	while (pause())
		;
	return NULL;
}

static void *spin_thread(void *arg)
{
	while (!sched_yield())
		;
	return NULL;
}

/* The new program is the process, whoever called exec: the other threads are gone, the thread has the leader's id. */
TEST(exec_from_a_thread)
{
	pid_t pid, a, b;

	me = self_path();
	SYS(pipe(thread_end));
	pid = CHILD({
		pthread_t t;

		SYS(dup2(thread_end[1], 1));
		pthread_create(&t, NULL, sleep_thread, NULL);
		pthread_create(&t, NULL, spin_thread, NULL);
		pthread_create(&t, NULL, exec_thread, NULL);
		pthread_join(t, NULL);
	});
	close(thread_end[1]);
	EXPECT_EQ(collect(thread_end[0], pid), 0);
	ASSERT_EQ(sscanf(out, "%d %d", &a, &b), 2);
	EXPECT_EQ(a, pid);
	EXPECT_EQ(b, pid);
}

TEST(exec_by_descriptor)
{
	char *argv[] = { "x", "@exit", "7", NULL }, *env[] = { NULL };
	int fd;

	me = self_path();
	fd = SYS(open(me, O_RDONLY | O_CLOEXEC));
	EXITS(CHILD(fexecve(fd, argv, env)), 7);
	EXITS(CHILD(execve("/proc/self/exe", argv, env)), 7);
	EXPECT_ERRNO(execveat(-1, "x", argv, env, 0), EBADF);
	EXPECT_ERRNO(execveat(-1, "", argv, env, AT_EMPTY_PATH), EBADF);
	EXPECT_ERRNO(execveat(fd, "", argv, env, 0), ENOENT);
	EXPECT_ERRNO(execveat(fd, "x", argv, env, 0x4000000), EINVAL);
}

TEST(exec_chain)
{
	char *argv[] = { "chain", "@chain", "100", NULL };

	me = self_path();
	EXITS(CHILD(execv(me, argv)), 33);
}

TEST(vfork_then_exec)
{
	char *argv[] = { "x", "@exit", "6", NULL };
	volatile int touched = 0, i;
	pid_t pid;

	me = self_path();
	for (i = 0; i < 20; i++) {
		pid = vfork();
		if (!pid) {
			touched++;
			execv(me, argv);
			_exit(1);
		}
		ASSERT(pid > 0);
		EXITS(pid, 6);
	}
	EXPECT_EQ(touched, 20);
}

/* --- files that change ----------------------------------------------------------------------------------------------- */

/* A copy of this program at @path; returns where its marker's last character lies in the file. */
static off_t copy_self(const char *path)
{
	int in = SYS(open(self_path(), O_RDONLY | O_CLOEXEC)), to = SYS(open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755));
	size_t size = SYS(lseek(in, 0, SEEK_END)), done = 0, n = sizeof(marker) - 2;
	char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, in, 0), *at;

	ASSERT(p != MAP_FAILED);
	while (done < size)
		done += SYS(write(to, p + done, size - done));
	at = memmem(p, size, (const void *)marker, n);
	ASSERT(at);
	done = at - p + n;
	munmap(p, size);
	close(in);
	close(to);
	return done;
}

static void put_char(const char *path, off_t at, char c)
{
	int fd = SYS(open(path, O_WRONLY | O_CLOEXEC));

	EXPECT_EQ(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void expect_marker(const char *path, char c)
{
	char *argv[] = { "x", "@marker", NULL }, want[sizeof(marker)];

	memcpy(want, (const void *)marker, sizeof(marker));
	want[sizeof(marker) - 2] = c;
	EXPECT_EQ(RUN(execv(path, argv)), 0);
	EXPECT(!strcmp(out, want));
}

/* What is executed is the file as it is now, however often it was executed before. */
TEST(exec_of_changed_files)
{
	char *argv[] = { "x", "@marker", NULL };
	off_t at = copy_self("changing");
	int fd;

	copy_self("other");
	put_char("other", at, 'B');
	for (int i = 0; i < 4; i++) {
		expect_marker("./changing", '0');
		/* in place, in what may be one tick of the file system's clock */
		put_char("changing", at, '1');
		expect_marker("./changing", '1');
		/* another file under the name */
		SYS(rename("other", "changing"));
		expect_marker("./changing", 'B');
		SYS(unlink("changing"));
		EXPECT_ERRNO(execv("./changing", argv), ENOENT);
		/* and perhaps the inode number of one that was there before */
		copy_self("changing");
		expect_marker("./changing", '0');
		copy_self("other");
		put_char("other", at, 'B');
	}
	/* shorter, longer again, not executable, executable again */
	SYS(truncate("changing", 64));
	EXPECT_ERRNO(execv("./changing", argv), ENOEXEC);
	SYS(truncate("changing", 0));
	EXPECT_ERRNO(execv("./changing", argv), ENOEXEC);
	copy_self("changing");
	expect_marker("./changing", '0');
	SYS(chmod("changing", 0600));
	EXPECT_ERRNO(execv("./changing", argv), EACCES);
	SYS(chmod("changing", 0700));
	expect_marker("./changing", '0');
	/* by another name, and by descriptor after the last name has gone */
	SYS(link("changing", "linked"));
	expect_marker("./linked", '0');
	fd = SYS(open("changing", O_RDONLY | O_CLOEXEC));
	SYS(unlink("changing"));
	SYS(unlink("linked"));
	EXPECT_EQ(RUN(fexecve(fd, argv, environ)), 0);
	EXPECT(strstr(out, ": 0"));
	close(fd);
	SYS(unlink("other"));
}

static char first_of(const char *path, int flags, off_t page)
{
	int fd = SYS(open(path, flags | O_CLOEXEC));
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, page * PAGE), c;

	ASSERT(p != MAP_FAILED);
	c = *p;
	munmap(p, PAGE);
	close(fd);
	return c;
}

TEST(mapping_of_changed_files)
{
	int fd = SYS(open("mapped", O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600)), path_fd;
	char *p, *q;

	SYS(ftruncate(fd, 3 * PAGE));
	for (char c = 'a'; c < 'f'; c++) {
		EXPECT_EQ(pwrite(fd, &c, 1, PAGE), 1);
		EXPECT_EQ(first_of("mapped", O_RDONLY, 1), c);
		EXPECT_EQ(first_of("mapped", O_RDWR, 0), 0);
	}
	/* who has it mapped sees what others write, but not what they write into their own mapping */
	p = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	q = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
	ASSERT(p != MAP_FAILED && q != MAP_FAILED);
	EXPECT_EQ(p[PAGE], 'e');
	EXPECT_EQ(q[0], 'e');
	q[0] = 'X';
	EXPECT_EQ(p[PAGE], 'e');
	EXPECT_EQ(first_of("mapped", O_RDONLY, 1), 'e');
	EXPECT_EQ(pwrite(fd, "Y", 1, PAGE), 1);
	EXPECT_EQ(p[PAGE], 'Y');
	EXPECT_EQ(q[0], 'X');
	/* what is cut off is gone for a mapping from before and for one from after */
	SYS(ftruncate(fd, PAGE));
	EXPECT_EQ(p[0], 0);
	DIES(CHILD({ EXPECT_EQ(*(volatile char *)(p + PAGE), 0); }), SIGBUS);
	DIES(CHILD({ first_of("mapped", O_RDONLY, 1); }), SIGBUS);
	SYS(ftruncate(fd, 3 * PAGE));
	EXPECT_EQ(first_of("mapped", O_RDONLY, 1), 0);
	EXPECT_EQ(p[PAGE], 0);
	munmap(p, 3 * PAGE);
	munmap(q, 2 * PAGE);
	/* that others have it mapped is no right to it */
	EXPECT_EQ(first_of("mapped", O_RDONLY, 1), 0);
	path_fd = SYS(open("mapped", O_WRONLY | O_CLOEXEC));
	EXPECT_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path_fd, 0), EACCES);
	close(path_fd);
	path_fd = SYS(open("mapped", O_PATH | O_CLOEXEC));
	EXPECT_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path_fd, 0), EBADF);
	close(path_fd);
	close(fd);
	SYS(unlink("mapped"));
}

/* What lies behind the end of a file is not there; when the file has grown, it is. */
TEST(private_mapping_of_a_growing_file)
{
	int fd = scratch_file("x", 1);
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	ASSERT(p != MAP_FAILED);
	EXPECT_EQ(dies_by(touch_read, p), 0);
	EXPECT_EQ(dies_by(touch_read, p + 2 * PAGE), SIGBUS);
	EXPECT_EQ(dies_by(touch_write, p + 2 * PAGE), SIGBUS);
	SYS(ftruncate(fd, 3 * PAGE));
	EXPECT_EQ(pwrite(fd, "y", 1, 2 * PAGE), 1);
	EXPECT_EQ(p[2 * PAGE], 'y');
	p[2 * PAGE + 1] = 'z';
	EXPECT_EQ(p[2 * PAGE], 'y');
	EXPECT_EQ(dies_by(touch_read, p + 3 * PAGE), SIGBUS);
	close(fd);
}

/* A larger mapping has more of the file, and what was written into the smaller one. */
TEST(private_mapping_enlarged)
{
	int fd = scratch_file("x", 1);
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	ASSERT(p != MAP_FAILED);
	SYS(ftruncate(fd, 4 * PAGE));
	EXPECT_EQ(pwrite(fd, "y", 1, 3 * PAGE), 1);
	p[1] = 'w';
	p = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	ASSERT(p != MAP_FAILED);
	EXPECT(p[0] == 'x' && p[1] == 'w' && p[3 * PAGE] == 'y');
	close(fd);
}

TEST(spawn)
{
	char *argv[] = { "x", "@echo", NULL }, *fds[] = { "x", "@fds", NULL }, *sigs[] = { "x", "@signals", NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int in[2], end[2];
	sigset_t set;
	pid_t pid;

	me = self_path();
	EXPECT_EQ(posix_spawn(&pid, "/no/such/file", NULL, NULL, argv, environ), ENOENT);
	EXPECT_ERRNO(wait(NULL), ECHILD);
	SYS(pipe2(in, O_CLOEXEC));
	SYS(pipe2(end, O_CLOEXEC));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, end[1], 1);
	ASSERT_EQ(posix_spawn(&pid, me, &fa, NULL, argv, environ), 0);
	close(end[1]);
	close(in[0]);
	ASSERT_EQ(write(in[1], "through the child", 17), 17);
	close(in[1]);
	EXPECT_EQ(collect(end[0], pid), 0);
	EXPECT(!strcmp(out, "through the child"));
	/* a file opened for the child, the group, the mask and the defaults set */
	posix_spawn_file_actions_destroy(&fa);
	posix_spawn_file_actions_init(&fa);
	SYS(pipe2(end, O_CLOEXEC));
	posix_spawn_file_actions_adddup2(&fa, end[1], 1);
	for (int fd = 3; fd < 200; fd++)
		if (fd != end[0] && fd != end[1])
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	posix_spawn_file_actions_addopen(&fa, 150, me, O_RDONLY, 0);
	ASSERT_EQ(posix_spawn(&pid, me, &fa, NULL, fds, environ), 0);
	close(end[1]);
	EXPECT_EQ(collect(end[0], pid), 0);
	EXPECT(!strcmp(out, "150:0 "));
	posix_spawn_file_actions_destroy(&fa);
	posix_spawn_file_actions_init(&fa);
	SYS(pipe2(end, O_CLOEXEC));
	posix_spawn_file_actions_adddup2(&fa, end[1], 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	posix_spawnattr_setsigmask(&attr, &set);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	posix_spawnattr_setsigdefault(&attr, &set);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGUSR1, handler);
	ASSERT_EQ(posix_spawn(&pid, me, &fa, &attr, sigs, environ), 0);
	close(end[1]);
	EXPECT_EQ(getpgid(pid), pid);
	EXPECT_EQ(collect(end[0], pid), 0);
	if (strcmp(out, "2:masked 15:ignored no-stack"))
		FAIL("signals of the spawned one are %s", out);
}
