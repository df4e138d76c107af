// SPDX-License-Identifier: MIT
/*
 * ipc_many_test.c - messages without memory, and among many
 *
 * Many processes call each other, answer late or never, are stopped, interrupted and killed, and
 * exit: every call must end, with the answer to this very call or with an error that fits, and
 * nothing may be left.
 *
 * usage: ipc_many_test [SEED]
 */
#include "ipc_world.h"

static int tells(u64 word)
{
	return (int)tell(to, word, RS_IPC_FOREVER);
}

/* --- memory that is not there ----------------------------------------------------------------- */

static long everything(void)
{
	struct rs_ipc i = { .limit = 0 };
	long p = R(PORT, 0), h = -ENOMEM, pid = -ENOMEM, ret = p, k;
	int status;

	if (p > 0) {
		ret = h = R(HANDLE, RS_HANDLE_COPY, (u64)p, 7, 0);
		for (k = 0; k < 20 && ret > 0; k++)
			ret = R(HANDLE, RS_HANDLE_COPY, (u64)p, 1, 0);
	}
	if (ret > 0) {
		i.port = (u32)p;
		ret = R(IPC, RS_SYS_IPC_CALL, P(&i));
		if (ret == -EAGAIN)
			ret = pid = call(__NR_clone, (u64[6]){ SIGCHLD }, tells, 1);
	}
	floor_fail_in = -1;
	for (k = 1; k < 40; k++)
		R(HANDLE, RS_HANDLE_CLOSE, (u64)k);
	if (pid > 0)
		K(wait4, (u64)pid, P(&status), 0, 0);
	return ret;
}

static int everything_without_memory(u64 arg)
{
	long n, failed = 0, ret;

	(void)arg;
	to = 999;
	for (n = 0;; n++) {
		floor_fail_in = n;
		ret = everything();
		CHECK(ret > 0 || ret == -ENOMEM);
		failed += ret < 0;
		if (ret > 0 && n > 40)
			break;
	}
	CHECK(failed >= 6);
	return 0;
}

static void t_no_memory(void)
{
	spawn(everything_without_memory, 0);
	EQ(wait_for(-1), 0);
}

/* --- many ------------------------------------------------------------------------------------- */

#define MANY	60u
#define PORTS	6u

static struct {
	u64 port[PORTS], to[PORTS];
	u32 left;			/* steps until all go home */
	u64 asked, answered, given_up, ended;
} many;

/* Is a server of one port for a while: late, early, in another order, or never. */
static void be_server(u64 n)
{
	struct msg open[4];
	u32 nopen = 0;

	while (n-- && many.left) {
		struct msg m = { { 0 } };
		struct rs_ipc i = { .port = (u32)many.port[n % PORTS], .limit = 2 * MS };
		long what = R(IPC, RS_SYS_IPC_REPLY_WAIT, P(&i));

		CHECK(what == RS_IPC_CALL || what == 0 || what == -ETIMEDOUT || what == -EINTR ||
		      what == -EPIPE || what == -EBADF);
		if (what == RS_IPC_CALL) {
			memcpy(m.w, i.word, sizeof(m.w));
			m.reply = i.reply;
			EQ(m.w[3], ~m.w[0]);
			open[nopen++] = m;
		}
		if (nopen == 4 || (nopen && !below(3))) {
			u32 k = (u32)below(nopen);
			long ret;

			open[k].w[1]++;
			ret = reply_wait(0, &open[k]);
			CHECK(ret == 0 || ret == -ESRCH);
			if (!ret)
				many.answered++;
			open[k] = open[--nopen];
		}
	}
	if (below(2))
		while (nopen) {
			open[--nopen].w[1]++;
			if (!reply_wait(0, &open[nopen]))
				many.answered++;
		}
}

static u64 asked_so_far;

static void be_client(u64 n)
{
	while (n-- && many.left) {
		u64 id = ++asked_so_far, limit = below(3) ? RS_IPC_FOREVER : below(4) * MS;
		struct msg m = { { id, id * 3, id * 5, ~id } };
		long ret;

		many.left--;
		ret = ipc(many.to[below(PORTS)], &m, limit == RS_IPC_FOREVER && below(8) ? 3 * MS :
			  limit);
		CHECK(ret == 0 || ret == -ETIMEDOUT || ret == -EINTR || ret == -EPIPE ||
		      ret == -EAGAIN || ret == -EBADF);
		many.asked++;
		if (ret == 0) {
			EQ(m.w[0], id);
			EQ(m.w[1], id * 3 + 1);
			EQ(m.w[2], id * 5);
			many.ended++;
		} else {
			many.given_up++;
		}
		if (!below(8))
			tell(many.to[below(PORTS)], id, below(2) * MS);
	}
}

static int one_of_many(u64 arg)
{
	catch(10);
	if (!below(4))
		spawn_thread(one_of_many, arg);
	while (many.left) {
		u32 i = (u32)below(PORTS);

		if (!below(10))
			R(HANDLE, RS_HANDLE_CLOSE, below(2) ? many.port[i] : many.to[i]);
		if (below(2))
			be_server(1 + below(6));
		else
			be_client(1 + below(6));
	}
	return 0;
}

static void t_many(void)
{
	u32 alive = 0, killed = 0;
	int status;

	memset(&many, 0, sizeof(many));
	many.left = 20000;
	for (u32 i = 0; i < PORTS; i++) {
		many.port[i] = (u64)R(PORT, 0);
		many.to[i] = (u64)R(HANDLE, RS_HANDLE_COPY, many.port[i], 1, i + 1);
	}
	while (many.left || alive) {
		while (many.left && alive < MANY) {
			spawn(one_of_many, 0);
			alive++;
		}
		for (struct process *p = process_next(NULL); p; p = process_next(p)) {
			if (p == current_proc() || below(12))
				continue;
			switch (below(6)) {
			case 0:
				K(kill, p->pid, SIGKILL);
				killed++;
				break;
			case 1: K(kill, p->pid, SIGSTOP); break;
			case 2:
			case 3: K(kill, p->pid, 10); break;
			default: K(kill, p->pid, SIGCONT);
			}
		}
		if (!many.left)
			for (struct process *p = process_next(NULL); p; p = process_next(p))
				if (p != current_proc())
					K(kill, p->pid, SIGCONT);
		sleep_ms(1);
		while (alive && K(wait4, (u64)-1, P(&status), 1, 0) > 0)
			alive--;
	}
	printf("# %lu calls: %lu answered, %lu given up; %u killed\n", (unsigned long)many.asked,
	       (unsigned long)many.ended, (unsigned long)many.given_up, killed);
	/* who is killed right after an answer does not count it */
	CHECK(many.ended > 100 && many.answered + killed >= many.ended);
	CHECK(many.given_up > 100 && killed > 20);
	for (u32 i = 0; i < PORTS; i++) {
		EQ(R(HANDLE, RS_HANDLE_CLOSE, many.port[i]), 0);
		EQ(R(HANDLE, RS_HANDLE_CLOSE, many.to[i]), 0);
	}
}

/* --- the frame -------------------------------------------------------------------------------- */

static void all_tests(void)
{
	long objects;

	/* what the first process keeps once it has had handles */
	for (u32 i = 0; i < 20; i++)
		CHECK(R(PORT, 0) > 0);
	for (u32 i = 1; i <= 20; i++)
		EQ(R(HANDLE, RS_HANDLE_CLOSE, i), 0);
	catch(10);
	objects = live_objects;
	t_no_memory();
	EQ(live_objects, objects);
	printf("ok 1 - no memory, at each place in turn\n");
	t_many();
	EQ(process_count(), 1);
	EQ(live_objects, objects);
	EQ(floor_pages(), 0);
	printf("ok 2 - many\n1..2\n");
}
