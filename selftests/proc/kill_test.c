// SPDX-License-Identifier: MIT
/*
 * kill_test.c - sandboxes that are killed with SIGKILL at any moment: nothing of them may stay
 *
 * Called by a first word that begins with "@", as the programs of limit_test.c:
 *	@busy		for ever, in a sandbox: forks that write to shared and copied memory, threads, a pipe, sleeps
 *	@kill N SEED	in the test VM: N times `ringside run -- rs-proc-test @busy` with 1, 2 or 4 vCPUs in turn. Every fourth is
 *			killed while it starts, the others a random time after their program has said its first word. Each time
 *			the host process must be gone at once, and with it its VM; at the end the machine has its memory back.
 */
#include <dirent.h>
#include <pthread.h>
#include "proc.h"

#define VMS		"/sys/kernel/debug/ringside"
#define ROUNDS_TO_WARM	10	/* what Linux and the module keep for the next time */
#define SLACK_KIB	8192	/* of what a machine that does something else has free at two moments */

/* --- inside ----------------------------------------------------------------------------------- */

static void *writes(void *page)
{
	for (int i = 0; i < 4096; i += 64)
		((volatile char *)page)[i] = (char)i;
	return NULL;
}

static void child(char *shared, char *private, int fd)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, writes, i ? shared : private))
			_exit(1);
	for (size_t i = 0; i < 64 * 4096; i += 4096)
		private[i]++;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	_exit(write(fd, "c", 1) != 1);
}

static int prog_busy(void)
{
	char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *private = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd[2], status;
	char c[4];

	if (shared == MAP_FAILED || private == MAP_FAILED || pipe(fd))
		return 1;
	for (;;) {
		for (int i = 0; i < 4; i++) {
			pid_t pid = fork();

			if (pid < 0)
				return 1;
			if (!pid)
				child(shared, private, fd[1]);
		}
		for (int i = 0; i < 4; i++)
			if (read(fd[0], c, 1) != 1 || wait(&status) < 0 || status)
				return 1;
		usleep(200);
		if (write(1, ".", 1) != 1)
			return 1;
	}
}

/* --- outside ---------------------------------------------------------------------------------- */

static long available_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	long kib = -1;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static int count_vms(void)
{
	DIR *dir = opendir(VMS);
	struct dirent *e;
	int n = 0;

	if (!dir)
		return -1;
	while ((e = readdir(dir)))
		n += !strncmp(e->d_name, "vm", 2);
	closedir(dir);
	return n;
}

static pid_t start(int cpus, int out)
{
	char number[12];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", cpus);
	pid = fork();
	if (!pid) {
		dup2(out, 1);
		execlp("ringside", "ringside", "run", "--cpus", number, "--", "rs-proc-test", "@busy", NULL);
		_exit(126);
	}
	return pid;
}

static int prog_kill(int rounds, unsigned int seed)
{
	long before = 0, after;
	int fd[2], status, starting = 0, n;
	char c;

	for (int i = 0; i < rounds + ROUNDS_TO_WARM; i++) {
		pid_t pid;

		if (i == ROUNDS_TO_WARM)
			before = available_kib();
		if (pipe2(fd, O_CLOEXEC))
			return say("pipe");
		pid = start(1 << i % 3, fd[1]);
		close(fd[1]);
		if (pid < 0)
			return say("fork");
		if (i % 4 == 3) {
			usleep(rand_r(&seed) % 150000);
			starting++;
		} else {
			if (read(fd[0], &c, 1) != 1)
				return say("the sandbox ended by itself");
			usleep(rand_r(&seed) % 20000);
		}
		SYS(kill(pid, SIGKILL));
		SYS(waitpid(pid, &status, 0));
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			return printf("wait status %#x, ", status), say("it had ended before");
		while (read(fd[0], &c, 1) > 0)
			;	/* what it had written; and nobody has the other end any more */
		close(fd[0]);
		n = count_vms();
		if (n)
			return printf("%d, ", n), say("VMs are left");
	}
	after = available_kib();
	printf("%d killed, %d of them while they started; %ld KiB available, before %ld\n", rounds, starting, after, before);
	return before < 0 || after < before - SLACK_KIB;
}

__attribute__((constructor)) static void program(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "@busy"))
		exit(prog_busy());
	if (argc == 4 && !strcmp(argv[1], "@kill"))
		exit(prog_kill(atoi(argv[2]), (unsigned int)atoi(argv[3])));
}
