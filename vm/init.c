// SPDX-License-Identifier: MIT
/*
 * PID 1 of the test VMs.
 *
 * One static program that turns a bare kernel into a place where one command runs, and reports what
 * happened over a serial line. Nothing else runs in the VM, so what a test sees is Linux, the module and
 * the command.
 *
 * The order, and why:
 *   1. mounts, hostname, loopback, random seed (no command waits for entropy, and a seeded run repeats);
 *      the CPU that is to be left to Linux is left from here on, by this program and all that it starts;
 *   2. the channel: the second serial port in raw mode, carrying frames (below). The first one belongs to
 *      the kernel console, so kernel messages never mix with what the command prints;
 *   3. the module. If it does not load, the command is not run: a test that would pass without the module
 *      is not a test;
 *   4. the command, its standard output and error on two pipes that this program forwards as frames;
 *   5. when the command is gone, everything it left behind is killed and reaped. Only then is every file
 *      of the module closed, so only then is it meaningful that the module must unload;
 *   6. the leak report (kernels with kmemleak), after the unload, when nothing of the module may be left;
 *   7. an end marker in the kernel log, the status frame, and the wait for the last bit to leave the UART.
 *      Everything printed before is on the line by then, so the host may stop the machine at once.
 *
 * A frame is one type byte, a 16-bit little-endian length and that many bytes:
 *   'O' and 'E'  what the command wrote to standard output and standard error
 *   'M'          a message of this program, for the person who runs the VM
 *   'F'          as 'M', and the run has failed whatever the command said
 *   'R'          the command is about to start
 *   'X'          the command's exit status in decimal (128+N for a signal); nothing follows
 *
 * The other way there is one byte, 'T': the time is almost over, show where things hang (QEMU only).
 *
 * The host describes the run in files of the initramfs, all optional but the first:
 *   /.vm/command  argv, each string ended by NUL     /.vm/env   environment, likewise
 *   /.vm/module   path of the module to load         /.vm/seed  32 bytes for the random pool
 *   /.vm/loglevel what the console shows from now on
 *   /.vm/spare    number of a CPU on which the command must not run
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL_TTY	"/dev/ttyS1"
#define CHANNEL_PORT	0x2f8
#define UART_LSR	5
#define UART_LSR_TEMT	0x40
#define FRAME_MAX	4096
#define STATUS_SETUP	125
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
/* Objects younger than this are not reported by kmemleak (MSECS_MIN_AGE in mm/kmemleak.c). */
#define KMEMLEAK_AGE_S	5

static int channel = -1;

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= n;
	}
}

static void frame(char type, const void *buf, size_t len)
{
	unsigned char out[3 + FRAME_MAX];

	if (channel < 0)
		return;
	if (len > FRAME_MAX)
		len = FRAME_MAX;
	out[0] = type;
	out[1] = len & 0xff;
	out[2] = len >> 8;
	memcpy(out + 3, buf, len);
	write_all(channel, out, 3 + len);
}

static void __attribute__((format(printf, 2, 3))) say(char type, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		frame(type, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/*
 * Read a whole file of unknown size. Returns a NUL-terminated buffer that the caller owns and its length
 * in @len, or NULL with errno set.
 */
static char *slurp(const char *path, size_t *len)
{
	size_t have = 0, room = 4096;
	char *buf = malloc(room + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (!buf || fd < 0)
		goto fail;
	for (;;) {
		ssize_t n = read(fd, buf + have, room - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto fail;
		if (n == 0)
			break;
		have += n;
		if (have == room) {
			char *bigger = realloc(buf, 2 * room + 1);

			if (!bigger)
				goto fail;
			buf = bigger;
			room *= 2;
		}
	}
	close(fd);
	buf[have] = 0;
	*len = have;
	return buf;
fail:
	if (fd >= 0)
		close(fd);
	free(buf);
	return NULL;
}

/* A file of NUL-terminated strings as a NULL-terminated vector; NULL when the file is missing or empty. */
static char **string_vector(const char *path)
{
	size_t len, n = 0, i;
	char *buf = slurp(path, &len), **v;

	if (!buf || !len)
		return NULL;
	for (i = 0; i < len; i++)
		n += !buf[i];
	v = calloc(n + 1, sizeof(*v));
	if (!v)
		return NULL;
	for (i = 0, n = 0; i < len; i += strlen(buf + i) + 1)
		v[n++] = buf + i;
	return v;
}

static const struct {
	const char *source, *target, *type, *data;
	int needed;
} mounts[] = {
	{ "proc",	"/proc",		"proc",		NULL,		1 },
	{ "sysfs",	"/sys",			"sysfs",	NULL,		1 },
	{ "devtmpfs",	"/dev",			"devtmpfs",	NULL,		1 },
	{ "devpts",	"/dev/pts",		"devpts",	"mode=620,ptmxmode=666", 1 },
	{ "tmpfs",	"/dev/shm",		"tmpfs",	"mode=1777",	1 },
	{ "tmpfs",	"/run",			"tmpfs",	"mode=755",	1 },
	{ "debugfs",	"/sys/kernel/debug",	"debugfs",	NULL,		0 },
	{ "tracefs",	"/sys/kernel/tracing",	"tracefs",	NULL,		0 },
	{ "securityfs",	"/sys/kernel/security",	"securityfs",	NULL,		0 },
	{ "cgroup2",	"/sys/fs/cgroup",	"cgroup2",	NULL,		0 },
	{ "mqueue",	"/dev/mqueue",		"mqueue",	NULL,		0 },
};

/* /tmp is not a mount of its own: the root is a tmpfs already, and a file added by --with may lie there. */
static int mount_all(void)
{
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].target, 0755);
		if (mount(mounts[i].source, mounts[i].target, mounts[i].type, 0, mounts[i].data) &&
		    mounts[i].needed) {
			fprintf(stderr, "vm init: cannot mount %s: %m\n", mounts[i].target);
			return -1;
		}
	}
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("/proc/self/fd/0", "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", "/dev/stderr");
	return 0;
}

static int open_channel(void)
{
	struct termios t;

	channel = open(CHANNEL_TTY, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (channel < 0 || tcgetattr(channel, &t)) {
		fprintf(stderr, "vm init: cannot open %s: %m\n", CHANNEL_TTY);
		return -1;
	}
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL;
	t.c_cflag &= ~CRTSCTS;
	return tcsetattr(channel, TCSANOW, &t);
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFFLAGS, &ifr)) {
		ifr.ifr_flags |= IFF_UP | IFF_RUNNING;
		ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
	close(fd);
}

static void seed_random(void)
{
	struct {
		struct rand_pool_info info;
		char bytes[32];
	} pool = { .info = { .entropy_count = 256, .buf_size = 32 } };
	size_t len;
	char *seed = slurp("/.vm/seed", &len);
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);

	if (seed && len >= sizeof(pool.bytes) && fd >= 0) {
		memcpy(pool.bytes, seed, sizeof(pool.bytes));
		ioctl(fd, RNDADDENTROPY, &pool);
	}
	free(seed);
	if (fd >= 0)
		close(fd);
}

/*
 * Bochs holds interrupts back from a guest that was entered with RFLAGS.IF clear: with vmx_slice, a guest that
 * loops so leaves all the same. A tick is an instruction there; timer interrupts come more often than that.
 */
#define MODULE_PARAMETERS "vmx_slice=1000000"

static int load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0) {
		say('F', "cannot open the module %s: %s", path, strerror(errno));
		return -1;
	}
	ret = syscall(SYS_finit_module, fd, MODULE_PARAMETERS, 0);
	if (ret)
		say('F', "the module does not load: %s (the kernel log says more)", strerror(errno));
	close(fd);
	return ret;
}

/*
 * Remove module @name after the modules that hold it. A module that the command has removed already is
 * fine; one that is still in use after every process is gone has lost a reference.
 */
static int unload_module(const char *name, int depth)
{
	char line[1024], mod[64], users[512], *save, *user;
	FILE *f = fopen("/proc/modules", "re");
	unsigned long refs = 0;
	int found = 0, ret = 0;

	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%63s %*u %lu %511s", mod, &refs, users) == 3 && !strcmp(mod, name);
	fclose(f);
	if (!found)
		return 0;
	if (strcmp(users, "-") && depth < 8)
		for (user = strtok_r(users, ",", &save); user; user = strtok_r(NULL, ",", &save))
			ret |= unload_module(user, depth + 1);
	if (ret)
		return ret;
	if (syscall(SYS_delete_module, name, O_NONBLOCK)) {
		say('F', "the module %s does not unload: %s (reference count %lu after all processes are gone)",
		    name, strerror(errno), refs);
		return -1;
	}
	return 0;
}

static void kmemleak_command(const char *command)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		write_all(fd, command, strlen(command));
		close(fd);
	}
}

/*
 * Report what kmemleak finds once the module is gone. kmemleak does not report an object before it is
 * KMEMLEAK_AGE_S old, and there is no event for getting older: this is the one place that waits for time.
 * Two scans, because an object may be referenced from a stale stack slot during the first.
 */
static void report_leaks(void)
{
	struct timespec age = { .tv_sec = KMEMLEAK_AGE_S, .tv_nsec = 100000000 };
	size_t len, off;
	char *text;

	if (access(KMEMLEAK, R_OK))
		return;
	while (nanosleep(&age, &age) && errno == EINTR)
		;
	kmemleak_command("scan");
	kmemleak_command("scan");
	text = slurp(KMEMLEAK, &len);
	if (!text)
		return;
	for (off = 0; off < len; off += FRAME_MAX)
		frame('F', text + off, len - off < FRAME_MAX ? len - off : FRAME_MAX);
	free(text);
}

/* Forward what a pipe holds; returns 0 at its end. */
static int forward(int fd, char type)
{
	char buf[FRAME_MAX];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		frame(type, buf, n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static pid_t spawn(char **argv, char **envp, int out, int err, const sigset_t *mask)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	sigprocmask(SIG_SETMASK, mask, NULL);
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(out, 1);
	dup2(err, 2);
	if (chdir("/root"))
		_exit(STATUS_SETUP);
	environ = envp;
	execvp(argv[0], argv);
	fprintf(stderr, "vm init: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/*
 * The host says something. 'T': the time is almost over: put into the kernel log what the CPUs do and which tasks are
 * blocked, which is what one wants to know about a hang. Anything else only was to be an interrupt.
 */
static void host_says(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	char c;

	if (read(channel, &c, 1) == 1 && c == 'T' && fd >= 0) {
		write_all(fd, "l", 1);
		write_all(fd, "w", 1);
	}
	if (fd >= 0)
		close(fd);
}

/* Reap whatever has ended. Returns 0 when no child is left; sets @status when @pid was among them. */
static int reap(pid_t pid, int *status)
{
	int wstatus;
	pid_t gone;

	while ((gone = waitpid(-1, &wstatus, WNOHANG)) > 0) {
		if (gone != pid)
			continue;
		*status = WIFSIGNALED(wstatus) ? 128 + WTERMSIG(wstatus) : WEXITSTATUS(wstatus);
		kill(-1, SIGKILL);
	}
	return gone == 0 || errno == EINTR;
}

/*
 * Run the command and forward its output until it is gone. Its leftovers are killed then (they may hold
 * the pipes and the module's files) and reaped, and the pipes are read to their end. Returns the exit status.
 */
static int run_command(char **argv, char **envp)
{
	int out[2], err[2], status = 0, children = 1;
	struct pollfd fds[4];
	sigset_t chld, old;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		say('F', "pipe: %s", strerror(errno));
		return STATUS_SETUP;
	}
	pid = spawn(argv, envp, out[1], err[1], &old);
	close(out[1]);
	close(err[1]);
	if (pid < 0) {
		say('F', "fork: %s", strerror(errno));
		return STATUS_SETUP;
	}
	fds[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
	fds[3] = (struct pollfd){ .fd = channel, .events = POLLIN };
	while (children || fds[0].fd >= 0 || fds[1].fd >= 0) {
		struct signalfd_siginfo si;

		if (poll(fds, 4, -1) < 0)
			continue;
		if (fds[0].revents && !forward(out[0], 'O'))
			fds[0].fd = -1;
		if (fds[1].revents && !forward(err[0], 'E'))
			fds[1].fd = -1;
		if (fds[3].revents)
			host_says();
		if (!fds[2].revents)
			continue;
		while (read(fds[2].fd, &si, sizeof(si)) > 0)
			;
		children = reap(pid, &status);
	}
	close(out[0]);
	close(err[0]);
	close(fds[2].fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}

static void set_loglevel(void)
{
	size_t len;
	char *text = slurp("/.vm/loglevel", &len);

	if (text)
		klogctl(8, NULL, atoi(text));
	free(text);
}

/*
 * Keep off the CPU that the host names, with everything that inherits it: the module's KUnit suites, the
 * command, its vCPUs. -1 when it cannot be done: then the run would not be what the host asked for.
 */
static int leave_spare_cpu(void)
{
	cpu_set_t set;
	size_t len;
	char *text = slurp("/.vm/spare", &len);

	if (!text)
		return 0;
	if (sched_getaffinity(0, sizeof(set), &set))
		return -1;
	CPU_CLR(atoi(text), &set);
	free(text);
	return sched_setaffinity(0, sizeof(set), &set);
}

/*
 * The end. The marker goes through printk, behind every record before it (with a newline, or the record would
 * stay open and unprinted); the status goes through the
 * UART, and the transmitter-empty bit says that even the shift register has been sent. Only one of the
 * ways to end the machine exists on each emulator (QEMU's isa-debug-exit, Bochs' shutdown port); a write
 * to the other port goes nowhere.
 */
static void __attribute__((noreturn)) finish(int status)
{
	static const char bye[] = "Shutdown";
	int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	size_t i;

	if (kmsg >= 0)
		(void)!write(kmsg, "<0>ringside-vm: end\n", 20);
	say('X', "%d", status);
	tcdrain(channel);
	if (!iopl(3)) {
		while (channel >= 0 && !(inb(CHANNEL_PORT + UART_LSR) & UART_LSR_TEMT))
			;
		outb(0, 0xf4);
		for (i = 0; i < sizeof(bye) - 1; i++)
			outb(bye[i], 0x8900);
	}
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

int main(void)
{
	char **argv, **envp, *module;
	int status = STATUS_SETUP;
	size_t len;

	if (getpid() != 1) {
		fprintf(stderr, "vm init: this is PID 1 of a test VM, not a command\n");
		return 1;
	}
	if (mount_all() || open_channel())
		finish(status);
	(void)!sethostname("ringside", 8);
	loopback_up();
	seed_random();
	set_loglevel();
	if (leave_spare_cpu()) {
		say('F', "cannot leave the CPU that the host wants spared: %s", strerror(errno));
		finish(status);
	}
	argv = string_vector("/.vm/command");
	envp = string_vector("/.vm/env");
	module = slurp("/.vm/module", &len);
	if (!argv || !envp) {
		say('F', "the image has no command or no environment");
		finish(status);
	}
	kmemleak_command("clear");
	if (!module || !load_module(module)) {
		clearenv();
		frame('R', "", 0);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		status = run_command(argv, envp);
		if (module)
			unload_module("ringside", 0);
		report_leaks();
	}
	finish(status);
}
