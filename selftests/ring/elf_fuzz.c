// SPDX-License-Identifier: MIT
/*
 * elf_fuzz.c - mutated executables, started in the ring
 *
 *	rs-elf-fuzz drive BASE COUNT SEED	outside the ring: runs the line below again and again until COUNT mutations were tried
 *	rs-elf-fuzz child BASE DIR COUNT SEED	inside: writes mutation number DIR/next of BASE to DIR, advances DIR/next, and executes it.
 *						Where execve refuses, it goes on with the next; where it does not, this process has
 *						become the mutation, and whatever it does ends this sandbox at most.
 *
 * Mutation N depends on SEED and N alone, so that a bad one can be had again (`child` with DIR/next = N). Three quarters of the mutations
 * hit the ELF header and the program headers. What must not happen: the guest kernel dies (its panic is on standard error), `ringside`
 * itself fails (status 125), no progress, or a splat of the host kernel (vm/run sees that). A mutation that runs for ever is ended after
 * five seconds, which is counted and is no failure.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BASE (4 << 20)
#define SECONDS 5

extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "rs-elf-fuzz: %s: %s\n", what, strerror(errno));
	exit(98);
}

static uint64_t next_random(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t interesting(uint64_t *s)
{
	static const uint64_t v[] = { 0, 1, 7, 0xfff, 0x1000, 0x1001, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32, 1ULL << 46, 0x7ffffffff000,
		0x7fffffffffff, 0x800000000000, 0xffff888000000000, 0xffffffff80200000, 1ULL << 63, ~0ULL, ~0ULL - 0xfff };
	uint64_t r = next_random(s);

	return r & 1 ? v[(r >> 8) % (sizeof(v) / sizeof(v[0]))] : next_random(s) >> (r >> 8) % 64;
}

static size_t mutate(unsigned char *p, size_t size, uint64_t seed, uint64_t n)
{
	uint64_t s = seed * 0x2545f4914f6cdd1d + n, r;
	size_t head = sizeof(Elf64_Ehdr) + ((Elf64_Ehdr *)p)->e_phnum * sizeof(Elf64_Phdr);

	for (int k = 1 + next_random(&s) % 4; k > 0; k--) {
		size_t span = next_random(&s) % 4 ? head : size, at = next_random(&s) % span, width;

		r = next_random(&s);
		switch (r % 4) {
		case 0:
			p[at] ^= 1 << (r >> 8) % 8;
			break;
		case 1:
			p[at] = r >> 8;
			break;
		case 2:			/* a whole field of the headers */
			width = (r >> 8) % 3 ? 8 : 4;
			at &= ~(width - 1);
			if (at + width <= size) {
				uint64_t v = interesting(&s);

				memcpy(p + at, &v, width);
			}
			break;
		default:		/* cut, rarely */
			if (!((r >> 8) % 8))
				size = next_random(&s) % size + 1;
		}
		if (head > size)
			head = size;
	}
	return size;
}

static size_t load(const char *path, unsigned char *buf)
{
	int fd = open(path, O_RDONLY);
	size_t n = 0;
	ssize_t r;

	if (fd < 0)
		die(path);
	while (n < MAX_BASE && (r = read(fd, buf + n, MAX_BASE - n)) > 0)
		n += r;
	close(fd);
	if (n < sizeof(Elf64_Ehdr) || n == MAX_BASE || memcmp(buf, ELFMAG, SELFMAG))
		errno = ENOEXEC, die(path);
	return n;
}

static void put(const char *path, const void *data, size_t n, int mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n || close(fd))
		die(path);
}

static uint64_t progress(const char *dir)
{
	char path[256], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/next", dir);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 1)
		die(path);
	close(fd);
	return strtoull(text, NULL, 10);
}

static void set_progress(const char *dir, uint64_t n)
{
	char path[256], text[32];

	snprintf(path, sizeof(path), "%s/next", dir);
	put(path, text, snprintf(text, sizeof(text), "%-20llu\n", (unsigned long long)n), 0644);
}

static int child(const char *base, const char *dir, uint64_t count, uint64_t seed)
{
	static unsigned char pristine[MAX_BASE], copy[MAX_BASE];
	size_t size = load(base, pristine), cut;
	char path[256];
	char *args[] = { path, NULL }, *env[] = { "A=1", NULL };

	snprintf(path, sizeof(path), "%s/victim", dir);
	for (uint64_t n = progress(dir); n < count; n++) {
		memcpy(copy, pristine, size);
		cut = mutate(copy, size, seed, n);
		unlink(path);
		put(path, copy, cut, 0755);
		set_progress(dir, n + 1);
		execve(path, args, env);
		/* ENOENT is right when it is the interpreter, named by mutated bytes, that is not there. */
		if (errno == ENOSYS || errno == EPERM || (errno == ENOENT && access(path, F_OK)))
			die("execve answers what it cannot mean");
	}
	return 96;		/* all refused to the end */
}

static int drive(const char *self, const char *base, const char *count_text, const char *seed)
{
	char dir[] = "/tmp/elf-fuzz-XXXXXX", log[64];
	char *args[] = { "ringside", "run", "--memory", "64M", "--rw", dir, "--ro", (char *)base, "--ro", (char *)self, "--", (char *)self, "child",
			 (char *)base, dir, (char *)count_text, (char *)seed, NULL };
	uint64_t count = strtoull(count_text, NULL, 10), last = 0, now;
	unsigned long starts = 0, endless = 0, by_signal = 0;

	if (!mkdtemp(dir))
		die(dir);
	set_progress(dir, 0);
	snprintf(log, sizeof(log), "%s.log", dir);
	while (last < count) {
		posix_spawn_file_actions_t fa;
		siginfo_t si;
		static char text[65536];
		int status, killed = 0, fd;
		ssize_t n;
		pid_t pid;
		struct pollfd pfd;

		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
		posix_spawn_file_actions_addopen(&fa, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		errno = posix_spawnp(&pid, args[0], &fa, NULL, args, environ);
		posix_spawn_file_actions_destroy(&fa);
		if (errno)
			die("ringside");
		pfd.fd = syscall(SYS_pidfd_open, pid, 0);
		pfd.events = POLLIN;
		do {		/* as long as it gets on, it may take its time */
			now = progress(dir);
			if (pfd.fd < 0)
				die("pidfd_open");
			if (poll(&pfd, 1, SECONDS * 1000) == 1)
				break;
			/* Before its first mutation it has only been slow: a start that never ends is the VM's time limit. */
			killed = now > last && progress(dir) == now;
		} while (!killed);
		if (killed)
			kill(pid, SIGKILL);
		close(pfd.fd);
		if (waitid(P_PID, pid, &si, WEXITED | WNOWAIT) || waitpid(pid, &status, 0) != pid)
			die("wait");
		now = progress(dir);
		fd = open(log, O_RDONLY);
		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n < 0 ? 0 : n] = 0;
		starts++;
		endless += killed;
		by_signal += !killed && WIFEXITED(status) && WEXITSTATUS(status) > 128;
		if (n < 0 || now <= last || strstr(text, "panic") ||
		    (!killed && (!WIFEXITED(status) || WEXITSTATUS(status) == 125 || WEXITSTATUS(status) == 98))) {
			printf("not ok 1 mutation %llu of seed %s: wait status %#x\n%s\n", (unsigned long long)now - 1, seed, status, text);
			return 1;
		}
		last = now;
	}
	printf("TAP version 13\n1..1\n"
	       "# %llu mutations, %lu of them started, %lu ended by a signal, %lu endless\n"
	       "ok 1 no mutation harms more than its process\n",
	       (unsigned long long)count, starts, by_signal, endless);
	unlink(log);
	return 0;
}

int main(int argc, char **argv)
{
	char self[256] = "";

	if (argc == 5 && !strcmp(argv[1], "drive")) {
		if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
			die("/proc/self/exe");
		return drive(self, argv[2], argv[3], argv[4]);
	}
	if (argc == 6 && !strcmp(argv[1], "child"))
		return child(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
	fprintf(stderr, "usage: rs-elf-fuzz drive BASE COUNT SEED\n");
	return 2;
}
