// SPDX-License-Identifier: MIT
/*
 * lock_test.c - record locks between processes: those of POSIX, which belong to a process, and those
 * of open files
 */
#include <pthread.h>
#include <sys/file.h>
#include "proc.h"

static struct flock range(int type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);

	return fcntl(fd, cmd, &l);
}

static int fresh(const char *name)
{
	unlink(name);
	return SYS(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

/* What stands in the way of a lock to write there: "type start len pid", or "-". */
static const char *found(int fd, off_t start, off_t len)
{
	static char text[80];
	struct flock l = range(F_WRLCK, start, len);

	SYS(fcntl(fd, F_GETLK, &l));
	if (l.l_type == F_UNLCK)
		return "-";
	snprintf(text, sizeof(text), "%c %d %d %s", l.l_type == F_RDLCK ? 'r' : 'w', (int)l.l_start,
		 (int)l.l_len, l.l_pid == getppid() ? "parent" : l.l_pid == -1 ? "file" : "other");
	return text;
}

#define FOUND(fd, start, len, what) do {						\
	const char *got_ = found(fd, start, len);					\
	if (strcmp(got_, what))								\
		FAIL("[%d, +%d): %s, not %s", (int)(start), (int)(len), got_, what);	\
} while (0)

/* Locks of one owner are cut and joined; each step is looked at by a child. */
TEST(lock_ranges)
{
	int fd = fresh("ranges");

	SYS(lock(fd, F_SETLK, F_WRLCK, 100, 100));
	EXITS(CHILD(FOUND(fd, 0, 0, "w 100 100 parent"); FOUND(fd, 0, 100, "-"); FOUND(fd, 200, 0, "-")), 0);
	SYS(lock(fd, F_SETLK, F_UNLCK, 140, 20));
	EXITS(CHILD({
		FOUND(fd, 110, 1, "w 100 40 parent");
		FOUND(fd, 140, 20, "-");
		FOUND(fd, 150, 20, "w 160 40 parent");
	}), 0);
	SYS(lock(fd, F_SETLK, F_RDLCK, 120, 60));
	EXITS(CHILD({
		FOUND(fd, 100, 20, "w 100 20 parent");
		FOUND(fd, 120, 60, "r 120 60 parent");
		FOUND(fd, 180, 20, "w 180 20 parent");
		SYS(lock(fd, F_SETLK, F_RDLCK, 130, 10));	/* readers share */
		EXPECT_ERRNO(lock(fd, F_SETLK, F_RDLCK, 110, 20), EAGAIN);
	}), 0);
	SYS(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	EXITS(CHILD(FOUND(fd, 5, 5, "w 0 0 parent"); FOUND(fd, 1LL << 40, 1, "w 0 0 parent")), 0);
	SYS(lock(fd, F_SETLK, F_UNLCK, 10, 0));
	EXITS(CHILD(FOUND(fd, 0, 0, "w 0 10 parent"); FOUND(fd, 10, 0, "-")), 0);
	EXPECT_EQ(lock(fd, F_SETLK, F_WRLCK, 0, 0), 0);		/* nobody is in its own way */
	unlink("ranges");
}

TEST(lock_arguments)
{
	struct flock l = range(F_WRLCK, 0, 0);
	int fd = fresh("arguments"), reader = SYS(open("arguments", O_RDONLY));
	int writer = SYS(open("arguments", O_WRONLY)), path = SYS(open("arguments", O_PATH));

	SYS(ftruncate(fd, 50));
	EXPECT_ERRNO(lock(reader, F_SETLK, F_WRLCK, 0, 1), EBADF);
	EXPECT_ERRNO(lock(writer, F_SETLK, F_RDLCK, 0, 1), EBADF);
	EXPECT_ERRNO(lock(path, F_SETLK, F_RDLCK, 0, 1), EBADF);
	EXPECT_ERRNO(lock(fd, F_SETLK, 7, 0, 1), EINVAL);
	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, 5, -6), EINVAL);
	EXPECT_ERRNO(lock(fd, F_GETLK, F_UNLCK, 0, 1), EINVAL);
	EXPECT_ERRNO(fcntl(fd, F_SETLK, (void *)8), EFAULT);
	EXPECT_ERRNO(lock(99, F_SETLK, F_WRLCK, 0, 1), EBADF);
	l.l_pid = 1;
	EXPECT_ERRNO(fcntl(fd, F_OFD_SETLK, &l), EINVAL);
	/* backwards, from the end, and from where the file is */
	SYS(lock(fd, F_SETLK, F_WRLCK, 20, -5));
	EXITS(CHILD(FOUND(fd, 0, 0, "w 15 5 parent")), 0);
	SYS(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 4 };
	SYS(fcntl(fd, F_SETLK, &l));
	EXITS(CHILD(FOUND(fd, 0, 0, "w 40 4 parent")), 0);
	SYS(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	SYS(lseek(fd, 30, SEEK_SET));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 2 };
	SYS(fcntl(fd, F_SETLK, &l));
	EXITS(CHILD(FOUND(fd, 0, 0, "w 31 2 parent")), 0);
	unlink("arguments");
}

/* Closing any descriptor of the file lets go of all that the process has there. */
TEST(lock_goes_with_a_close)
{
	int fd = fresh("closed"), other, copy;

	SYS(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	other = SYS(open("closed", O_RDONLY));
	EXITS(CHILD(FOUND(fd, 0, 0, "w 0 10 parent")), 0);
	SYS(close(other));
	EXITS(CHILD(FOUND(fd, 0, 0, "-")), 0);
	SYS(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	copy = SYS(dup(fd));
	SYS(dup2(0, copy));
	EXITS(CHILD(FOUND(fd, 0, 0, "-")), 0);
	/* a child's descriptors are its own: what it closes takes nothing away */
	SYS(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	EXITS(CHILD(close(fd)), 0);
	EXITS(CHILD(FOUND(fd, 0, 0, "w 0 10 parent")), 0);
	SYS(lock(fd, F_SETLK, F_UNLCK, 5, 1));
	SYS(close_range(fd, fd, 0));
	fd = SYS(open("closed", O_RDWR));
	EXITS(CHILD(FOUND(fd, 0, 0, "-")), 0);
	unlink("closed");
}

TEST(lock_waits)
{
	struct gate ready = gate_make(), go = gate_make();
	int fd = fresh("waits");
	pid_t a, b;

	a = CHILD({
		SYS(lock(fd, F_SETLK, F_WRLCK, 0, 10));
		SYS(lock(fd, F_SETLK, F_RDLCK, 20, 10));
		gate_open(ready);
		gate_wait(go);
		SYS(lock(fd, F_SETLK, F_UNLCK, 0, 5));
		gate_wait(go);
	});
	gate_wait(ready);
	b = CHILD({
		SYS(lock(fd, F_SETLKW, F_WRLCK, 0, 5));
		gate_open(ready);
		SYS(lock(fd, F_SETLKW, F_WRLCK, 0, 30));	/* until the end of the other */
	});
	gate_open(go);
	gate_wait(ready);
	EXPECT_EQ(waitpid(b, NULL, WNOHANG), 0);
	gate_open(go);
	EXITS(a, 0);
	EXITS(b, 0);
	unlink("waits");
}

static void on_alarm(int sig)
{
	alarm(1);
}

TEST(lock_wait_is_interrupted)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct gate ready = gate_make();
	int fd = fresh("interrupted");
	pid_t pid = CHILD({
		SYS(lock(fd, F_SETLK, F_WRLCK, 0, 0));
		gate_open(ready);
		pause();
	});

	gate_wait(ready);
	SYS(sigaction(SIGALRM, &sa, NULL));
	alarm(1);	/* and again, should it come before the wait */
	EXPECT_ERRNO(lock(fd, F_SETLKW, F_WRLCK, 5, 5), EINTR);
	alarm(0);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	EXPECT_EQ(lock(fd, F_SETLKW, F_WRLCK, 0, 0), 0);
	unlink("interrupted");
}

/* Two that wait for each other would wait for ever: one of them is told. */
TEST(lock_deadlock)
{
	struct gate ready = gate_make();
	int fd = fresh("deadlock"), told = 0, status;
	pid_t pid[3];

	/* a circle of three, each has one byte and wants the next */
	for (int i = 0; i < 3; i++) {
		struct gate go = gate_make();

		pid[i] = CHILD({
			SYS(lock(fd, F_SETLK, F_WRLCK, i, 1));
			gate_open(ready);
			gate_wait(go);
			if (lock(fd, F_SETLKW, F_WRLCK, (i + 1) % 3, 1))
				_exit(errno == EDEADLK ? 77 : 78);
		});
		gate_wait(ready);
		/* the gates are opened only when all have theirs */
		if (i == 2) {
			gate_open(go);
		} else {
			SYS(dup2(go.fd[1], 200 + i));
		}
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(write(200 + i, "", 1), 1);
	for (int i = 0; i < 3; i++) {
		status = status_of(pid[i]);
		told += WIFEXITED(status) && WEXITSTATUS(status) == 77;
		EXPECT(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || !WEXITSTATUS(status)));
	}
	EXPECT_EQ(told, 1);
	unlink("deadlock");
}

static void *locks_too(void *arg)
{
	SYS(lock(*(int *)arg, F_SETLK, F_WRLCK, 5, 10));
	return NULL;
}

TEST(lock_belongs_to_the_process)
{
	int fd = fresh("process");
	pthread_t t;

	SYS(lock(fd, F_SETLK, F_RDLCK, 0, 10));
	ASSERT_EQ(pthread_create(&t, NULL, locks_too, &fd), 0);
	pthread_join(t, NULL);
	EXITS(CHILD({
		FOUND(fd, 0, 0, "r 0 5 parent");
		FOUND(fd, 5, 0, "w 5 10 parent");
		EXPECT_ERRNO(lock(fd, F_SETLK, F_RDLCK, 0, 10), EAGAIN);
	}), 0);
	unlink("process");
}

/* Files open to read, to write and for both: one's locks become others without being let go. */
TEST(lock_through_several_opens)
{
	int first = fresh("opens"), reader = SYS(open("opens", O_RDONLY | O_CLOEXEC));
	int writer = SYS(open("opens", O_WRONLY | O_CLOEXEC)), both;

	SYS(lock(reader, F_SETLK, F_RDLCK, 0, 20));
	SYS(lock(writer, F_SETLK, F_WRLCK, 0, 10));
	EXITS(CHILD(FOUND(first, 0, 10, "w 0 10 parent"); FOUND(first, 10, 0, "r 10 10 parent")), 0);
	SYS(lock(reader, F_SETLK, F_RDLCK, 0, 10));
	EXITS(CHILD(FOUND(first, 0, 0, "r 0 20 parent")), 0);
	both = SYS(open("opens", O_RDWR | O_CLOEXEC));
	SYS(lock(both, F_SETLK, F_WRLCK, 5, 10));
	SYS(lock(both, F_SETLK, F_WRLCK, 0, 20));
	EXITS(CHILD({
		FOUND(first, 0, 0, "w 0 20 parent");
		EXPECT_ERRNO(lock(reader, F_SETLK, F_RDLCK, 19, 1), EAGAIN);
	}), 0);
	SYS(lock(both, F_SETLK, F_UNLCK, 0, 0));
	EXITS(CHILD(SYS(lock(first, F_SETLK, F_WRLCK, 0, 0))), 0);
	unlink("opens");
}

TEST(lock_of_an_open_file)
{
	int a = fresh("ofd"), b = SYS(open("ofd", O_RDWR)), copy;
	struct flock l = range(F_WRLCK, 0, 0);

	SYS(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	EXPECT_ERRNO(lock(b, F_OFD_SETLK, F_WRLCK, 5, 10), EAGAIN);
	SYS(lock(b, F_OFD_SETLK, F_WRLCK, 10, 10));
	SYS(fcntl(b, F_OFD_GETLK, &l));
	EXPECT_EQ(l.l_type, F_WRLCK);
	EXPECT_EQ(l.l_start, 0);
	EXPECT_EQ(l.l_pid, -1);
	/* against those of the process: it is somebody else, even to itself */
	EXPECT_ERRNO(lock(a, F_SETLK, F_RDLCK, 0, 1), EAGAIN);
	SYS(lock(a, F_SETLK, F_WRLCK, 20, 10));
	EXPECT_ERRNO(lock(a, F_OFD_SETLK, F_RDLCK, 20, 1), EAGAIN);
	/* shared over fork and dup; gone with the last descriptor */
	EXITS(CHILD({
		SYS(lock(a, F_OFD_SETLK, F_RDLCK, 0, 5));
		FOUND(a, 5, 5, "w 5 5 file");
	}), 0);
	SYS(lock(b, F_OFD_SETLK, F_RDLCK, 0, 5));
	copy = SYS(dup(a));
	SYS(close(a));
	EXPECT_ERRNO(lock(b, F_OFD_SETLK, F_RDLCK, 0, 10), EAGAIN);
	SYS(close(copy));
	SYS(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0));
	unlink("ofd");
}

/* Four processes add to one number, each time under a lock. */
TEST(lock_excludes)
{
	int fd = fresh("number"), n = 0;
	pid_t pid[4];

	ASSERT_EQ(pwrite(fd, &n, sizeof(n), 0), sizeof(n));
	for (int k = 0; k < 4; k++)
		pid[k] = CHILD({
			int own = SYS(open("number", O_RDWR));

			for (int i = 0; i < 50; i++) {
				SYS(lock(own, k & 1 ? F_OFD_SETLKW : F_SETLKW, F_WRLCK, 0, 4));
				ASSERT_EQ(pread(own, &n, sizeof(n), 0), sizeof(n));
				sched_yield();
				n++;
				ASSERT_EQ(pwrite(own, &n, sizeof(n), 0), sizeof(n));
				SYS(lock(own, k & 1 ? F_OFD_SETLK : F_SETLK, F_UNLCK, 0, 4));
			}
		});
	for (int k = 0; k < 4; k++)
		EXITS(pid[k], 0);
	ASSERT_EQ(pread(fd, &n, sizeof(n), 0), sizeof(n));
	EXPECT_EQ(n, 200);
	unlink("number");
}

TEST(flock_excludes)
{
	struct gate ready = gate_make();
	int fd = fresh("flocked"), other = SYS(open("flocked", O_RDONLY));
	pid_t pid;

	SYS(flock(fd, LOCK_SH));
	SYS(flock(other, LOCK_SH));
	EXPECT_ERRNO(flock(other, LOCK_EX | LOCK_NB), EAGAIN);
	SYS(flock(other, LOCK_UN));
	SYS(flock(fd, LOCK_EX));
	pid = CHILD({
		int own = SYS(open("flocked", O_RDWR));

		close(fd);
		gate_open(ready);
		SYS(flock(own, LOCK_EX));
	});
	gate_wait(ready);
	SYS(lock(other, F_SETLK, F_RDLCK, 0, 0));	/* the two kinds do not know each other */
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	SYS(close(fd));
	EXITS(pid, 0);
	unlink("flocked");
}

/* --- somebody outside --------------------------------------------------------------------------- */

/*
 *	@locks COMMAND...	holds locks and runs COMMAND, which is this program again as @locks-inside,
 *				natively or in a sandbox. The two take turns: a byte over a pipe
 *				says that the other is to go on. Both end with 0 when all was as it should be.
 */
static int bad;

#define MUST(x) do {									\
	errno = 0;									\
	if (!(x)) {									\
		fprintf(stderr, "%s: line %d: %s (%s)\n", __func__, __LINE__, #x, strerror(errno)); \
		bad = 1;								\
	}										\
} while (0)

static bool may_lock(int fd, int type, off_t start, off_t len)
{
	if (lock(fd, F_SETLK, type, start, len))
		return false;
	lock(fd, F_SETLK, F_UNLCK, start, len);
	return true;
}

static void pass(int out)
{
	MUST(write(out, "", 1) == 1);
}

static void turn(int in)
{
	char c;

	MUST(read(in, &c, 1) == 1);
}

static int locks_inside(void)
{
	int fd = open("outside", O_RDWR), other;
	struct flock l = range(F_WRLCK, 0, 0);
	pid_t pid;

	MUST(!may_lock(fd, F_RDLCK, 5, 1));
	MUST(!may_lock(fd, F_WRLCK, 20, 1));
	MUST(may_lock(fd, F_RDLCK, 20, 10));
	MUST(!fcntl(fd, F_GETLK, &l) && l.l_type == F_WRLCK && l.l_start == 0 && l.l_len == 10);
	MUST(!lock(fd, F_SETLK, F_WRLCK, 100, 10));
	MUST(!lock(fd, F_SETLK, F_RDLCK, 120, 10));
	pid = fork();
	if (!pid) {
		MUST(!may_lock(fd, F_RDLCK, 100, 1));
		MUST(!lock(fd, F_SETLK, F_RDLCK, 120, 10));
		MUST(!lock(fd, F_SETLK, F_WRLCK, 140, 10));
		_exit(bad);
	}
	MUST(!status_of(pid));
	other = open("outside", O_RDONLY);
	pid = fork();
	if (!pid) {
		close(other);		/* not its own locks */
		_exit(0);
	}
	MUST(!status_of(pid));
	pass(1);
	MUST(!lock(fd, F_SETLKW, F_WRLCK, 0, 10));
	pass(1);
	turn(0);
	close(other);			/* all of them */
	pass(1);
	turn(0);
	return bad;
}

static int locks(char **argv)
{
	int to[2], from[2], fd = fresh("outside");
	pid_t pid;

	MUST(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC));
	MUST(!lock(fd, F_SETLK, F_WRLCK, 0, 10));
	MUST(!lock(fd, F_SETLK, F_RDLCK, 20, 10));
	pid = fork();
	if (!pid) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	turn(from[0]);
	MUST(!may_lock(fd, F_RDLCK, 100, 1));
	MUST(!may_lock(fd, F_WRLCK, 109, 1));
	MUST(!may_lock(fd, F_WRLCK, 120, 1));
	MUST(may_lock(fd, F_RDLCK, 120, 1));
	MUST(may_lock(fd, F_WRLCK, 110, 10));
	MUST(may_lock(fd, F_WRLCK, 140, 10));	/* that of a child which has ended */
	MUST(!lock(fd, F_SETLK, F_UNLCK, 0, 10));
	turn(from[0]);
	MUST(!may_lock(fd, F_WRLCK, 0, 1));
	MUST(may_lock(fd, F_WRLCK, 10, 10));
	pass(to[1]);
	turn(from[0]);
	MUST(may_lock(fd, F_WRLCK, 0, 0));
	pass(to[1]);
	MUST(!status_of(pid));
	unlink("outside");
	return bad;
}

__attribute__((constructor)) static void program(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "@locks"))
		exit(locks(argv + 2));
	if (argc == 2 && !strcmp(argv[1], "@locks-inside"))
		exit(locks_inside());
}
