// SPDX-License-Identifier: MIT
/*
 * netlink_test.c - the netlink family: every command good and bad, what the answers say, who may do
 * what, dumps while VMs come and go, and random messages
 *
 * What pausing, ending, limits and events do is in control_test.c.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "netlink.h"
#include "testvm.h"

#define USER	1000
#define OTHER	1001

/* --- messages -------------------------------------------------------------------------------- */

/* A command with one attribute of any kind, or with none. */
struct attempt {
	const char *what;
	uint8_t cmd;
	int flags;
	bool vm;			/* with the number of a VM that exists */
	int type;			/* one more attribute; 0: none */
	size_t len;
	uint64_t value;
	int want;
};

static const struct attempt attempts[] = {
	{ "command 0", RS_CMD_UNSPEC, .want = -EOPNOTSUPP },
	{ "an answer as a command", RS_CMD_VM, .vm = true, .want = -EOPNOTSUPP },
	{ "an event as a command", RS_CMD_EVENT_CREATED, .want = -EOPNOTSUPP },
	{ "a command that is not there", RS_CMD_MAX + 1, .want = -EOPNOTSUPP },
	{ "vCPUs without a dump", RS_CMD_GET_VCPU, .vm = true, .want = -EOPNOTSUPP },
	{ "a dump of pause", RS_CMD_PAUSE, NLM_F_DUMP, true, .want = -EOPNOTSUPP },
	{ "a dump of VMs with a VM", RS_CMD_GET_VM, NLM_F_DUMP, true, .want = -EINVAL },
	{ "a flag that means nothing", RS_CMD_GET_VM, NLM_F_EXCL, true, .want = -EINVAL },

	{ "get: no VM", RS_CMD_GET_VM, .want = -EINVAL },
	{ "stats: no VM", RS_CMD_GET_STATS, .want = -EINVAL },
	{ "limits: no VM", RS_CMD_SET_LIMITS, .type = RS_A_LIMIT_EXITS, .len = 8, .want = -EINVAL },
	{ "kick: no VM", RS_CMD_KICK, .want = -EINVAL },
	{ "pause: no VM", RS_CMD_PAUSE, .want = -EINVAL },
	{ "resume: no VM", RS_CMD_RESUME, .want = -EINVAL },
	{ "end: no VM", RS_CMD_END, .want = -EINVAL },

#define NO_SUCH(c) { #c ": no such VM", c, .type = RS_A_VM_ID, .len = 4, .value = 0x7fffffff,	\
		     .want = -ENOENT },								\
		   { #c ": a number above all", c, .type = RS_A_VM_ID, .len = 4,		\
		     .value = 0xffffffff, .want = -ENOENT },					\
		   { #c ": VM 0", c, .type = RS_A_VM_ID, .len = 4, .want = -ERANGE },		\
		   { #c ": 8 bytes", c, .type = RS_A_VM_ID, .len = 8, .value = 1,		\
		     .want = -EINVAL },								\
		   { #c ": 3 bytes", c, .type = RS_A_VM_ID, .len = 3, .want = -EINVAL },	\
		   { #c ": 0 bytes", c, .type = RS_A_VM_ID, .want = -EINVAL, .len = 0 },	\
		   { #c ": unknown attribute", c, .vm = true, .type = RS_A_MAX + 1, .len = 4,	\
		     .want = -EINVAL },								\
		   { #c ": not its attribute", c, .vm = true, .type = RS_A_MEMORY, .len = 8,	\
		     .want = -EINVAL },								\
		   { #c ": padding", c, .vm = true, .type = RS_A_PAD, .len = 4, .want = -EINVAL }
	NO_SUCH(RS_CMD_GET_VM), NO_SUCH(RS_CMD_GET_STATS), NO_SUCH(RS_CMD_KICK),
	NO_SUCH(RS_CMD_PAUSE), NO_SUCH(RS_CMD_RESUME), NO_SUCH(RS_CMD_END),

	{ "limits: none", RS_CMD_SET_LIMITS, .vm = true, .want = -EINVAL },
	{ "limits: 65 vCPUs", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_VCPUS, 4, 65, -ERANGE },
	{ "limits: exits of 4 bytes", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_EXITS, 4, 5, -EINVAL },
	{ "limits: time of 16 bytes", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_CPU_TIME, 16, 5, -EINVAL },
	{ "limits: fewer vCPUs than there are", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_VCPUS, 4, 1,
	  -ERANGE },
	{ "kick: vCPU 64", RS_CMD_KICK, 0, true, RS_A_VCPU_ID, 4, 64, -ERANGE },
	{ "kick: vCPU that is not there", RS_CMD_KICK, 0, true, RS_A_VCPU_ID, 4, 7, -ENOENT },
	{ "pause: with a vCPU", RS_CMD_PAUSE, 0, true, RS_A_VCPU_ID, 4, 0, -EINVAL },
	{ "stats: vCPU that is not there", RS_CMD_GET_STATS, 0, true, RS_A_VCPU_ID, 4, 7, -ENOENT },
	{ "stats: a dump of one vCPU", RS_CMD_GET_STATS, NLM_F_DUMP, true, RS_A_VCPU_ID, 4, 0, -EINVAL },
	{ "event number: of a VM", RS_CMD_GET_EVENT_SEQ, 0, true, .want = -EINVAL },

	{ "stats of a VM", RS_CMD_GET_STATS, .vm = true },
	{ "stats of a vCPU", RS_CMD_GET_STATS, 0, true, RS_A_VCPU_ID, 4, 1, 0 },
	{ "kick one", RS_CMD_KICK, 0, true, RS_A_VCPU_ID, 4, 1, 0 },
	{ "kick all", RS_CMD_KICK, .vm = true },
	{ "resume what is not paused", RS_CMD_RESUME, .vm = true },
	{ "pause", RS_CMD_PAUSE, .vm = true },
	{ "pause again", RS_CMD_PAUSE, .vm = true },
	{ "no limit of time", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_CPU_TIME, 8, 0, 0 },
	{ "the largest limit of time", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_CPU_TIME, 8, ~0ull, 0 },
	{ "the largest limit of exits", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_EXITS, 8, ~0ull, 0 },
	{ "as many vCPUs as there are", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_VCPUS, 4, 2, 0 },
	{ "event number", RS_CMD_GET_EVENT_SEQ, .want = 0 },

	{ "end", RS_CMD_END, .vm = true },
	{ "end again", RS_CMD_END, .vm = true },
	{ "get what has ended", RS_CMD_GET_VM, .vm = true },
	{ "stats of what has ended", RS_CMD_GET_STATS, .vm = true },
	{ "pause what has ended", RS_CMD_PAUSE, .vm = true, .want = -ESHUTDOWN },
	{ "resume what has ended", RS_CMD_RESUME, .vm = true, .want = -ESHUTDOWN },
	{ "kick what has ended", RS_CMD_KICK, .vm = true, .want = -ESHUTDOWN },
	{ "limit what has ended", RS_CMD_SET_LIMITS, 0, true, RS_A_LIMIT_EXITS, 8, 9, -ESHUTDOWN },
};

TEST(messages)
{
	static const uint8_t bytes[16];
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	uint32_t id = nl_my_vm(nl);

	tcpu_new(vm, 0);
	tcpu_new(vm, 1);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		uint8_t value[16];
		struct nl_msg m;
		int got;

		nl_begin(nl, &m, a->cmd, a->flags);
		if (a->vm)
			nl_put_u32(&m, RS_A_VM_ID, id);
		memcpy(value, bytes, sizeof(value));
		memcpy(value, &a->value, sizeof(a->value));
		if (a->type)
			nl_put(&m, a->type, value, a->len);
		got = nl_talk(nl, &m);
		if (got != a->want)
			FAIL("%s: %d, wanted %d (%s)", a->what, got, a->want, nl->words);
		/* Linux has none for a command that is not there, and 6.1 loses those of a dump. */
		if (got && got != -EOPNOTSUPP && !a->flags && !nl->words[0])
			FAIL("%s: no words with %d", a->what, got);
	}
}

/* What attributes a message cannot hold: lengths that lie, bytes behind the last. */
TEST(broken_messages)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_bare(0);
	uint32_t id = nl_my_vm(nl);
	struct nlattr *a;
	struct nl_msg m;

	nl_begin(nl, &m, RS_CMD_GET_VM, 0);
	nl_put_u32(&m, RS_A_VM_ID, id);
	m.h.nlmsg_len += 4;		/* 4 bytes that are no attribute */
	EXPECT_EQ(nl_talk(nl, &m), -EINVAL);
	for (unsigned int len = 0; len < 64; len++) {
		nl_begin(nl, &m, RS_CMD_GET_VM, 0);
		nl_put_u32(&m, RS_A_VM_ID, id);
		a = (void *)(m.bytes + m.h.nlmsg_len - NLA_HDRLEN - 4);
		a->nla_len = len;
		EXPECT_EQ(!nl_talk(nl, &m), len == 8);
	}
	nl_begin(nl, &m, RS_CMD_GET_VM, 0);
	((struct genlmsghdr *)NLMSG_DATA(&m.h))->reserved = 1;
	nl_put_u32(&m, RS_A_VM_ID, id);
	EXPECT_EQ(nl_talk(nl, &m), -EINVAL);
	EXPECT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	tvm_close(vm);
	EXPECT_EQ(nl_command(nl, RS_CMD_GET_VM, id), -ENOENT);
}

/* --- what the answers say -------------------------------------------------------------------- */

static void expect_same(const struct nl_msg *m, const struct rs_stats *s)
{
	const uint64_t *field = (const uint64_t *)s;

	for (int i = RS_S_ENTRIES; i <= RS_S_MAX; i++)
		if (nl_stat(m, i) != field[i - RS_S_ENTRIES])
			FAIL("counter %d: %" PRIu64 ", not %" PRIu64, i, nl_stat(m, i),
			     field[i - RS_S_ENTRIES]);
}

TEST(answers)
{
	const struct rs_vm_config cfg = { .name = (uintptr_t)"the name" };
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_of(&cfg);
	const struct nl_msg *m;
	struct rs_stats s;
	struct tcpu *c, *d, *late;
	char comm[16];
	uint64_t age;
	FILE *f;
	uint32_t id;

	tvm_load(vm, map_aligned(G_ARENA));
	c = tcpu_new(vm, 0);
	d = tcpu_new(vm, 3);
	SYS(tvm_region_raw(vm, 1ull << 30, 3 * PAGE, NULL, RS_REGION_MMIO));
	tcpu_call(c, G_EXIT_DELTA, 17);
	id = nl_my_vm(nl);

	f = fopen("/proc/self/comm", "re");
	ASSERT(f && fscanf(f, "%15s", comm) == 1);
	fclose(f);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	ASSERT_EQ(nl->n, 1);
	m = &nl->answers[0];
	EXPECT_EQ(nl_cmd(m), RS_CMD_VM);
	EXPECT_EQ(nl_number(m, RS_A_VM_STATE), RS_VM_STATE_RUNNING);
	EXPECT_EQ(nl_number(m, RS_A_PID), getpid());
	EXPECT_EQ(nl_number(m, RS_A_UID), getuid());
	EXPECT_EQ(strcmp(nl_text(m, RS_A_NAME), "the name"), 0);
	EXPECT_EQ(strcmp(nl_text(m, RS_A_COMM), comm), 0);
	EXPECT_EQ(nl_number(m, RS_A_VCPUS), 2);
	EXPECT_EQ(nl_number(m, RS_A_VCPUS_GUEST), 0);
	EXPECT_EQ(nl_number(m, RS_A_VCPUS_HOST), 1);	/* we are not asleep */
	EXPECT_EQ(nl_number(m, RS_A_VCPUS_IDLE), 1);
	EXPECT_EQ(nl_number(m, RS_A_VCPUS_PAUSED), 0);
	EXPECT_EQ(nl_number(m, RS_A_MEMORY), G_ARENA + 3 * PAGE);
	EXPECT_EQ(nl_number(m, RS_A_NICS), 0);
	EXPECT_EQ(nl_number(m, RS_A_LIMIT_EXITS), NL_NONE);
	EXPECT_EQ(nl_number(m, RS_A_LIMIT_CPU_TIME), NL_NONE);
	EXPECT_EQ(nl_number(m, RS_A_LIMIT_VCPUS), NL_NONE);
	age = nl_number(m, RS_A_AGE);
	s = tvm_stats(vm);
	EXPECT_EQ(nl_number(m, RS_A_EXITS), s.exits);
	/* Nothing has been taken away yet but what a larger entry may have replaced. */
	EXPECT_GE(nl_number(m, RS_A_MAPPED_4K) + nl_number(m, RS_A_MAPPED_2M), 1);
	EXPECT_LE(nl_number(m, RS_A_MAPPED_4K) + nl_number(m, RS_A_MAPPED_2M), s.map_4k + s.map_2m);
	EXPECT_GE(nl_number(m, RS_A_TABLES), 2);

	ASSERT_EQ(nl_dump(nl, RS_CMD_GET_STATS, id), 0);
	EXPECT_EQ(nl->n, 3);
	EXPECT_EQ(nl_number(&nl->answers[0], RS_A_VCPU_ID), NL_NONE);
	ASSERT(nl_about(nl, id, NL_NONE) && nl_about(nl, id, 0) && nl_about(nl, id, 3));
	expect_same(nl_about(nl, id, NL_NONE), &s);
	s = tcpu_stats(c);
	expect_same(nl_about(nl, id, 0), &s);
	s = tcpu_stats(d);
	expect_same(nl_about(nl, id, 3), &s);
	EXPECT_EQ(nl_number(nl_about(nl, id, 3), RS_A_CPU_TIME), 0);
	/* The same as a command. */
	ASSERT_EQ(nl_vcpu_command(nl, RS_CMD_GET_STATS, id, 0), 0);
	s = tcpu_stats(c);
	expect_same(&nl->answers[0], &s);

	ASSERT_EQ(nl_dump(nl, RS_CMD_GET_VCPU, id), 0);
	EXPECT_EQ(nl->n, 2);
	ASSERT(nl_about(nl, id, 0) && nl_about(nl, id, 3));
	EXPECT_EQ(nl_number(nl_about(nl, id, 0), RS_A_TID), getpid());
	EXPECT_NE(nl_number(nl_about(nl, id, 0), RS_A_CPU), NL_NONE);
	EXPECT_EQ(nl_number(nl_about(nl, id, 3), RS_A_TID), NL_NONE);
	EXPECT_EQ(nl_number(nl_about(nl, id, 3), RS_A_CPU), NL_NONE);
	EXPECT_EQ(nl_number(nl_about(nl, id, 3), RS_A_VCPU_STATE), RS_VCPU_STATE_NEW);

	/* A vCPU that goes leaves its counts to the VM. */
	s = tvm_stats(vm);
	tcpu_close(c);
	late = tcpu_new(vm, 1);
	ASSERT_EQ(nl_dump(nl, RS_CMD_GET_STATS, id), 0);
	EXPECT_EQ(nl->n, 3);
	expect_same(nl_about(nl, id, NL_NONE), &s);
	ASSERT(nl_about(nl, id, 1));
	EXPECT_EQ(nl_stat(nl_about(nl, id, 1), RS_S_EXITS), 0);
	tcpu_call(late, G_NULL);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	EXPECT_GT(nl_number(&nl->answers[0], RS_A_AGE), age);
	EXPECT_EQ(nl_number(&nl->answers[0], RS_A_EXITS), tvm_stats(vm).exits);
}

/* Nested entries are counted as they come and go. */
TEST(mapped)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	uint32_t id = nl_my_vm(nl);
	uint64_t before, after;

	madvise(vm->mem, G_ARENA, MADV_NOHUGEPAGE);
	tcpu_call(c, G_LOAD, G_SCRATCH);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	before = nl_number(&nl->answers[0], RS_A_MAPPED_4K);
	for (int i = 1; i <= 20; i++)
		tcpu_call(c, G_STORE, G_SCRATCH + i * PAGE, i);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	after = nl_number(&nl->answers[0], RS_A_MAPPED_4K);
	EXPECT_EQ(after, before + 20);
	SYS(madvise(vm->mem + G_SCRATCH + PAGE, 20 * PAGE, MADV_DONTNEED));
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	EXPECT_EQ(nl_number(&nl->answers[0], RS_A_MAPPED_4K), before);
}

/* --- who sees what, who may do what ---------------------------------------------------------- */

/* What a child found out, as its exit status: its EXPECTs are in another process. */
static int in_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid = SYS(fork());
	int status;

	if (!pid)
		_exit(fn(arg));
	SYS(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct subject {
	uint32_t vm;
	struct nl *nl;			/* NULL: a socket of one's own */
	int uid;			/* 0: as we are */
	int unshare;
};

/* Bits: 1 seen in a dump, 2 seen by number, 4 could be ended (paused), 8 something odd */
static int try(void *arg)
{
	struct subject *s = arg;
	struct nl *nl = s->nl;
	int ret, got = 0;

	if (s->uid && (setgid(s->uid) || setuid(s->uid)))
		return 8;
	if (s->unshare && unshare(s->unshare))
		return 8;
	if (!nl)
		nl = nl_open();
	if (nl_dump(nl, RS_CMD_GET_VM, 0))
		return 8;
	got |= nl_about(nl, s->vm, NL_NONE) ? 1 : 0;
	/* Statistics and vCPUs are seen by whom the VM is seen. */
	if (nl_dump(nl, RS_CMD_GET_STATS, 0) || !nl_about(nl, s->vm, NL_NONE) != !(got & 1))
		got |= 8;
	ret = nl_command(nl, RS_CMD_GET_VM, s->vm);
	got |= !ret ? 2 : ret == -ENOENT ? 0 : 8;
	if (!ret != !nl_command(nl, RS_CMD_GET_STATS, s->vm))
		got |= 8;
	ret = nl_command(nl, RS_CMD_PAUSE, s->vm);
	got |= !ret ? 4 : ret == ((got & 2) ? -EPERM : -ENOENT) ? 0 : 8;
	if (!ret != !nl_command(nl, RS_CMD_RESUME, s->vm) ||
	    !ret != !nl_command(nl, RS_CMD_KICK, s->vm) ||
	    !ret != !nl_limit(nl, s->vm, RS_A_LIMIT_EXITS, 0))
		got |= 8;
	if (ret && !nl_command(nl, RS_CMD_END, s->vm))
		got |= 8;
	return got;
}

#define SEES	(1 | 2)
#define MAY	4

static int as(uint32_t vm, int uid, int spaces)
{
	struct subject s = { .vm = vm, .uid = uid, .unshare = spaces };

	return in_child(try, &s);
}

TEST(root_and_others)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_bare(0);
	uint32_t id = nl_my_vm(nl);
	struct subject passed = { .vm = id, .nl = nl, .uid = OTHER };

	EXPECT_EQ(as(id, 0, 0), SEES | MAY);
	EXPECT_EQ(as(id, USER, 0), SEES);
	/* Rights in a user namespace below are no rights over a VM above it. */
	EXPECT_EQ(as(id, USER, CLONE_NEWUSER), SEES);
	/* A socket opened with all rights, in the hands of somebody who has none. */
	EXPECT_EQ(in_child(try, &passed), SEES);
	tvm_close(vm);
}

/* A VM in a child with other credentials, until the pipe is closed. */
struct owner {
	int dev, uid, unshare;
	int ready[2], done[2];
};

static int own(void *arg)
{
	const struct rs_vm_config cfg = { 0 };
	struct owner *o = arg;
	char c = 'r';

	close(o->done[1]);
	if ((o->uid && (setgid(o->uid) || setuid(o->uid))) || (o->unshare && unshare(o->unshare)) ||
	    ioctl(o->dev, RS_CREATE_VM, &cfg) < 0)
		c = 'x';
	if (write(o->ready[1], &c, 1) != 1)
		return 1;
	return read(o->done[0], &c, 1) != 0;
}

static pid_t owner_start(struct owner *o, int uid, int spaces)
{
	pid_t pid;
	char c = 0;

	*o = (struct owner){ .dev = dev_open(), .uid = uid, .unshare = spaces };
	SYS(pipe(o->ready));
	SYS(pipe(o->done));
	pid = SYS(fork());
	if (!pid)
		_exit(own(o));
	SYS(read(o->ready[0], &c, 1));
	ASSERT_EQ(c, 'r');
	return pid;
}

static void owner_end(struct owner *o, pid_t pid)
{
	int status;

	close(o->done[1]);
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 0);
}

static uint32_t vm_of(struct nl *nl, pid_t pid)
{
	uint32_t id = 0;

	ASSERT_EQ(nl_dump(nl, RS_CMD_GET_VM, 0), 0);
	for (size_t i = 0; i < nl->n; i++)
		if (nl_number(&nl->answers[i], RS_A_PID) == (uint32_t)pid)
			id = nl_number(&nl->answers[i], RS_A_VM_ID);
	ASSERT(id);
	return id;
}

TEST(owners)
{
	struct nl *nl = nl_open();
	struct owner o;
	uint32_t id;
	pid_t pid;

	pid = owner_start(&o, USER, 0);
	id = vm_of(nl, pid);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	EXPECT_EQ(nl_number(&nl->answers[0], RS_A_UID), USER);
	EXPECT_EQ(as(id, USER, 0), SEES | MAY);
	EXPECT_EQ(as(id, OTHER, 0), SEES);
	EXPECT_EQ(as(id, 0, 0), SEES | MAY);
	/* Its own VM, from a user namespace in which it has another number. */
	EXPECT_EQ(as(id, USER, CLONE_NEWUSER), SEES | MAY);
	owner_end(&o, pid);
}

/* The lean kernels have none of some kinds: then there is nothing to test. */
static int can_unshare(void *arg)
{
	return unshare(*(int *)arg) ? errno : 0;
}

static void need(int spaces)
{
	int ret = in_child(can_unshare, &spaces);

	if (ret == EINVAL)
		SKIP("this kernel has no such namespaces");
	ASSERT_EQ(ret, 0);
}

TEST(network_namespaces)
{
	struct nl *nl = nl_open();
	struct owner o;
	uint64_t here;
	uint32_t id;
	pid_t pid;
	struct tvm *mine;

	need(CLONE_NEWNET);
	mine = tvm_bare(0);
	id = nl_my_vm(nl);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	here = nl_number(&nl->answers[0], RS_A_NETNS);
	/* Another namespace sees nothing, whatever rights one has there or here. */
	EXPECT_EQ(as(id, 0, CLONE_NEWNET), 0);
	EXPECT_EQ(as(id, USER, CLONE_NEWUSER | CLONE_NEWNET), 0);
	tvm_close(mine);

	/* In a network namespace and a user namespace of its own. */
	pid = owner_start(&o, USER, CLONE_NEWUSER | CLONE_NEWNET);
	id = vm_of(nl, pid);
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	EXPECT_NE(nl_number(&nl->answers[0], RS_A_NETNS), here);
	EXPECT_EQ(as(id, 0, 0), SEES | MAY);	/* the initial one, with rights over all */
	EXPECT_EQ(as(id, OTHER, 0), 0);		/* the initial one, without */
	/* The same user: it made the user namespace, and so has all rights in it, from above. */
	EXPECT_EQ(as(id, USER, 0), SEES | MAY);
	owner_end(&o, pid);

	/* Only the network namespace is another. */
	pid = owner_start(&o, 0, CLONE_NEWNET);
	id = vm_of(nl, pid);
	EXPECT_EQ(as(id, 0, 0), SEES | MAY);
	EXPECT_EQ(as(id, USER, 0), 0);
	owner_end(&o, pid);
}

/* Numbers of processes are the reader's. */
static int other_pids(void *arg)
{
	uint32_t id = *(uint32_t *)arg;
	struct nl *nl = nl_open();

	if (nl_command(nl, RS_CMD_GET_VM, id))
		return 8;
	return nl_number(&nl->answers[0], RS_A_PID);
}

static int new_pids(void *arg)
{
	if (unshare(CLONE_NEWPID))
		return 9;
	return in_child(other_pids, arg);
}

TEST(pid_namespaces)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_bare(0);
	uint32_t id = nl_my_vm(nl);

	EXPECT_EQ(in_child(other_pids, &id), getpid() & 0xff);
	need(CLONE_NEWPID);
	EXPECT_EQ(in_child(new_pids, &id), 0);
	tvm_close(vm);
}

/* --- dumps while VMs come and go ------------------------------------------------------------- */

static volatile bool churning;

static void *churn(void *arg)
{
	while (churning) {
		struct tvm *vm = tvm_bare(0);
		struct rs_vcpu_config cfg = { .id = 5 };
		int fd = SYS(ioctl(vm->fd, RS_CREATE_VCPU, &cfg));

		close(fd);
		tvm_close(vm);
	}
	return NULL;
}

TEST(dumps_while_vms_come_and_go)
{
	enum { STAYING = 40 };
	struct nl *nl = nl_open();
	unsigned int rounds = test_rounds(40);
	struct tvm *vms[STAYING];
	uint32_t ids[STAYING];
	pthread_t thread;

	for (int i = 0; i < STAYING; i++) {
		vms[i] = tvm_bare(0);
		ids[i] = nl_my_vm(nl);
	}
	churning = true;
	ASSERT_EQ(pthread_create(&thread, NULL, churn, NULL), 0);
	while (rounds--) {
		static const uint8_t cmds[] = { RS_CMD_GET_VM, RS_CMD_GET_STATS, RS_CMD_GET_VCPU };
		uint8_t cmd = cmds[rounds % 3];
		uint32_t before = 0;

		ASSERT_EQ(nl_dump(nl, cmd, 0), 0);
		for (size_t i = 0; i < nl->n; i++) {
			uint32_t id = nl_number(&nl->answers[i], RS_A_VM_ID);

			EXPECT_GE(id, before);
			before = id;
		}
		if (cmd == RS_CMD_GET_VCPU)
			continue;
		for (int i = 0; i < STAYING; i++) {
			unsigned int n = 0;

			for (size_t k = 0; k < nl->n; k++)
				n += nl_number(&nl->answers[k], RS_A_VM_ID) == ids[i];
			if (n != 1)
				FAIL("VM %u is there %u times of %zu answers", ids[i], n, nl->n);
		}
	}
	churning = false;
	pthread_join(thread, NULL);
	for (int i = 0; i < STAYING; i++)
		tvm_close(vms[i]);
}

/* --- anything -------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % below;
}

static void random_attr(struct nl_msg *m, uint32_t id)
{
	static const uint8_t likely[] = { RS_A_VM_ID, RS_A_VM_ID, RS_A_VM_ID, RS_A_VCPU_ID,
					  RS_A_LIMIT_CPU_TIME, RS_A_LIMIT_EXITS, RS_A_LIMIT_VCPUS };
	int type = rnd(4) ? likely[rnd(sizeof(likely))] : rnd(RS_A_MAX + 4);
	uint8_t data[64];
	uint64_t value;
	size_t len = 4;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = rnd(256);
	switch (rnd(4)) {
	case 0:
		value = id;
		break;
	case 1:
		value = rnd(70);
		break;
	case 2:
		value = ~0ull >> rnd(64);
		break;
	default:
		memcpy(&value, data, sizeof(value));
	}
	memcpy(data, &value, sizeof(value));
	if (type == RS_A_LIMIT_CPU_TIME || type == RS_A_LIMIT_EXITS)
		len = 8;
	if (!rnd(8))
		len = rnd(sizeof(data));
	nl_put(m, type | (rnd(32) ? 0 : rnd(4) << 14), data, len);
}

/*
 * Random messages, most of them nearly right, to a VM that runs. The kernel must answer each, and
 * afterwards work as before. RS_NETLINK_FUZZ: how many; RS_SEED: which.
 */
TEST_FOR(random_messages, 3600)
{
	const char *count = getenv("RS_NETLINK_FUZZ"), *seed = getenv("RS_SEED");
	unsigned long n = count ? strtoul(count, NULL, 0) : test_rounds(2000), good = 0;
	struct nl *nl = nl_open();
	struct tvm *vm = NULL;
	struct tcpu *c = NULL;
	uint32_t id = 0;

	random_state = seed ? strtoull(seed, NULL, 0) : 20260101;
	for (unsigned long i = 0; i < n; i++) {
		struct nl_msg m;
		uint8_t cmd = rnd(8) ? RS_CMD_GET_VM + rnd(RS_CMD_GET_EVENT_SEQ) : rnd(256);
		int ret;

		if (!vm) {
			vm = tvm_new(0);
			c = tcpu_new(vm, 0);
			tcpu_call(c, G_NULL);
			id = nl_my_vm(nl);
		}
		nl_begin(nl, &m, cmd, rnd(4) ? 0 : rnd(8) ? NLM_F_DUMP : rnd(0x1000) & ~NLM_F_ACK);
		m.h.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
		/* half of them begin as they should */
		if (rnd(2))
			nl_put_u32(&m, RS_A_VM_ID, id);
		for (int k = rnd(4); k > 0; k--)
			random_attr(&m, id);
		if (!rnd(16))	/* a byte somewhere behind the netlink header */
			m.bytes[NLMSG_HDRLEN + rnd(m.h.nlmsg_len - NLMSG_HDRLEN)] ^= 1 << rnd(8);
		ret = nl_talk(nl, &m);
		good += !ret;
		if (ret > 0 || ret < -4095)
			FAIL("message %lu: %d", i, ret);
		/* Ended by chance, or paused: then another. */
		ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
		if (nl_number(&nl->answers[0], RS_A_VM_STATE) == RS_VM_STATE_ENDED || i % 64 == 63) {
			tcpu_close(c);
			tvm_close(vm);
			vm = NULL;
		}
	}
	test_note("%lu messages, %lu of them good", n, good);
	EXPECT_GT(good, n / 50);
	if (vm) {
		tcpu_close(c);
		tvm_close(vm);
	}
	vm = tvm_new(0);
	c = tcpu_new(vm, 0);
	tcpu_call(c, G_NULL);
	EXPECT_EQ(nl_command(nl, RS_CMD_END, nl_my_vm(nl)), 0);
}
