// SPDX-License-Identifier: MIT
/*
 * procfs_test.c - what programs read in /proc about themselves and about their own processes
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "proc.h"

static char text[1 << 16];

static char *contents(const char *path)
{
	size_t n = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	text[0] = 0;
	if (fd < 0) {
		FAIL("%s: %s", path, strerror(errno));
		return text;
	}
	while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	text[n] = 0;
	close(fd);
	return text;
}

static const char *of(pid_t pid, const char *what)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return path;
}

static pid_t pausing(void)
{
	return CHILD({
		for (;;)
			pause();
	});
}

static void ends(pid_t pid)
{
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
}

TEST(proc_self)
{
	char link[64] = "";

	EXPECT(readlink("/proc/self", link, sizeof(link) - 1) > 0);
	EXPECT_EQ(atoi(link), getpid());
	EXITS(CHILD({
		memset(link, 0, sizeof(link));
		EXPECT(readlink("/proc/self", link, sizeof(link) - 1) > 0);
		EXPECT_EQ(atoi(link), getpid());
	}), 0);
}

TEST(proc_exe)
{
	struct stat a, b;
	char path[4096] = "";
	pid_t pid = pausing();

	EXPECT(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	SYS(stat(path, &a));
	SYS(stat("/proc/self/exe", &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	memset(path, 0, sizeof(path));
	EXPECT(readlink(of(pid, "exe"), path, sizeof(path) - 1) > 0);
	SYS(stat(path, &b));
	EXPECT_EQ(a.st_ino, b.st_ino);
	ends(pid);
}

/* The line of /proc/PID/maps that holds an address: its rights, or "". */
static const char *rights(const char *path, void *address)
{
	static char perms[8];
	char *line = contents(path);

	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned long from, to;

		*end = 0;
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) == 3 && (uintptr_t)address >= from &&
		    (uintptr_t)address < to)
			return perms;
	}
	return "";
}

TEST(proc_maps)
{
	char *p = private_pages(4), *s = shared_pages(1);
	struct gate go = gate_make(), ready = gate_make();
	int on_stack;
	pid_t pid;

	memset(p, 1, 4 * PAGE);
	SYS(mprotect(p + PAGE, PAGE, PROT_READ));
	SYS(munmap(p + 3 * PAGE, PAGE));
	EXPECT(!strcmp(rights("/proc/self/maps", p), "rw-p"));
	EXPECT(!strcmp(rights("/proc/self/maps", p + PAGE), "r--p"));
	EXPECT(!strcmp(rights("/proc/self/maps", p + 3 * PAGE), ""));
	EXPECT(!strcmp(rights("/proc/self/maps", s), "rw-s"));
	EXPECT(!strcmp(rights("/proc/self/maps", &on_stack), "rw-p"));
	EXPECT(!strcmp(rights("/proc/self/maps", (void *)(uintptr_t)rights), "r-xp"));
	contents("/proc/self/maps");
	EXPECT(strstr(text, "[stack]"));
	EXPECT(strstr(text, "[heap]") || sbrk(0) == sbrk(0));
	/* another process's are its own */
	pid = CHILD({
		SYS(munmap(p, PAGE));
		gate_open(ready);
		gate_wait(go);
	});
	gate_wait(ready);
	EXPECT(!strcmp(rights(of(pid, "maps"), p), ""));
	EXPECT(!strcmp(rights(of(pid, "maps"), p + PAGE), "r--p"));
	EXPECT(!strcmp(rights("/proc/self/maps", p), "rw-p"));
	gate_open(go);
	EXITS(pid, 0);
}

TEST(proc_fd)
{
	int fd = scratch_file("abc", 3), end[2], seen = 0;
	char path[64], target[256] = "", want[64];
	struct dirent *d;
	struct stat st;
	DIR *dir;

	SYS(pipe(end));
	SYS(dup2(fd, 60));
	dir = opendir("/proc/self/fd");
	ASSERT(dir);
	while ((d = readdir(dir)))
		seen += d->d_name[0] != '.' &&
			(atoi(d->d_name) == fd || atoi(d->d_name) == end[0] || atoi(d->d_name) == 60);
	closedir(dir);
	EXPECT_EQ(seen, 3);
	SYS(fstat(end[0], &st));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", end[0]);
	EXPECT(readlink(path, target, sizeof(target) - 1) > 0);
	snprintf(want, sizeof(want), "pipe:[%lu]", (unsigned long)st.st_ino);
	if (strcmp(target, want))
		FAIL("is %s, not %s", target, want);
	EXPECT_ERRNO(readlink("/proc/self/fd/999", target, sizeof(target)), ENOENT);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	fd = SYS(open(path, O_RDONLY));
	EXPECT_EQ(read(fd, target, 3), 3);
}

/* The number behind "NAME:" in a status file, -1 if there is no such line. */
static long field(const char *status, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = status; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, name, n) && p[n] == ':')
			return strtol(p + n + 1, NULL, 10);
	}
	return -1;
}

TEST(proc_status)
{
	pid_t pid;
	char *s;

	SYS(prctl(PR_SET_NAME, "name-of-it"));
	pid = pausing();
	s = contents("/proc/self/status");
	EXPECT(!strncmp(s, "Name:\tname-of-it\n", 17));
	EXPECT_EQ(field(s, "Pid"), getpid());
	EXPECT_EQ(field(s, "Tgid"), getpid());
	EXPECT_EQ(field(s, "PPid"), getppid());
	EXPECT_EQ(field(s, "Uid"), getuid());
	EXPECT_EQ(field(s, "Threads"), 1);
	EXPECT(field(s, "VmRSS") > 0);
	EXPECT(field(s, "VmSize") > 0);
	s = contents(of(pid, "status"));
	EXPECT_EQ(field(s, "Pid"), pid);
	EXPECT_EQ(field(s, "PPid"), getpid());
	EXPECT(eventually(strstr(contents(of(pid, "status")), "State:\tS")));
	SYS(kill(pid, SIGSTOP));
	EXPECT(eventually(strstr(contents(of(pid, "status")), "State:\tT")));
	SYS(kill(pid, SIGKILL));
	EXPECT(eventually(strstr(contents(of(pid, "status")), "State:\tZ")));
	DIES(pid, SIGKILL);
	EXPECT_ERRNO(open(of(pid, "status"), O_RDONLY), ENOENT);
}

TEST(proc_stat)
{
	pid_t pid = pausing();
	int got, parent, group, session;
	char state, name[64];
	long utime, stime;

	ASSERT_EQ(sscanf(contents(of(pid, "stat")), "%d (%63[^)]) %c %d %d %d", &got, name, &state, &parent, &group,
			 &session), 6);
	EXPECT_EQ(got, pid);
	EXPECT_EQ(parent, getpid());
	EXPECT_EQ(group, getpgrp());
	EXPECT_EQ(session, getsid(0));
	ASSERT_EQ(sscanf(contents("/proc/self/stat"),
			 "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &utime, &stime), 2);
	EXPECT(utime >= 0 && stime >= 0);
	EXPECT(contents(of(pid, "statm"))[0] >= '1');
	ends(pid);
}

TEST(proc_words)
{
	pid_t pid = pausing();
	char cwd[4096], path[4096] = "", mine[4096];
	size_t n;

	contents("/proc/self/cmdline");
	EXPECT(strstr(text, "proc"));
	n = strlen(text) + 1;
	memcpy(mine, text, n);
	EXPECT(!strcmp(contents(of(pid, "cmdline")), mine));
	SYS(prctl(PR_SET_NAME, "comm-test"));
	EXPECT(!strcmp(contents("/proc/self/comm"), "comm-test\n"));
	ASSERT(getcwd(cwd, sizeof(cwd)));
	EXPECT(readlink("/proc/self/cwd", path, sizeof(path) - 1) > 0);
	EXPECT(!strcmp(path, cwd));
	ends(pid);
}

static struct gate go_thread;

static void *stays(void *arg)
{
	gate_wait(go_thread);
	return NULL;
}

TEST(proc_task)
{
	struct dirent *d;
	pthread_t t[3];
	int n = 0;
	DIR *dir;

	go_thread = gate_make();
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, stays, NULL), 0);
	dir = opendir("/proc/self/task");
	ASSERT(dir);
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	EXPECT_EQ(n, 4);
	EXPECT_EQ(field(contents("/proc/self/status"), "Threads"), 4);
	for (int i = 0; i < 3; i++)
		gate_open(go_thread);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* ps and pgrep find processes so. */
TEST(proc_directory)
{
	pid_t pid = pausing();
	bool self = false, child = false;
	struct dirent *d;
	DIR *dir = opendir("/proc");

	ASSERT(dir);
	while ((d = readdir(dir))) {
		self |= atoi(d->d_name) == getpid();
		child |= atoi(d->d_name) == pid;
	}
	closedir(dir);
	EXPECT(self && child);
	ends(pid);
}
