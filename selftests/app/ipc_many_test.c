// SPDX-License-Identifier: MIT
/*
 * ipc_many_test.c - many processes that end at random, and random arguments to every call
 */
#include <pthread.h>
#include "ipc.h"

#define SERVERS	10
#define CLIENTS	90

static unsigned int next(unsigned int *seed)
{
	return (*seed = *seed * 1103515245 + 12345) >> 16;
}

/* Serves one port; may end without a word at any moment, or forget whom it owes an answer. */
static void mortal_server(int at, unsigned int seed)
{
	char *p = private_pages(2);
	struct rs_ipc m = { .port = at, .limit = RS_IPC_FOREVER, .window = (uint64_t)p, .window_len = PAGE };

	for (;;) {
		long what = rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m);

		if (what < 0) {
			EXPECT_EQ(what, -EPIPE);
			return;
		}
		if (next(&seed) % 400 == 0)
			_exit(42);
		m.word[1] = m.word[0] * 3 + (what & RS_IPC_PAGES ? *(uint64_t *)p : 0);
		if (next(&seed) % 500 == 0)
			m.reply = 0;
	}
}

static void mortal_client(const int *server_of, unsigned int seed)
{
	char *p = private_pages(2);
	int dead = 0;

	for (unsigned int i = 0; i < 120 && dead < 50; i++) {
		struct rs_ipc m = { .port = server_of[next(&seed) % SERVERS], .word = { i },
				    .limit = next(&seed) % 8 ? RS_IPC_FOREVER : 50000000 };
		long ret;

		if (next(&seed) % 2) {
			*(uint64_t *)p = i;
			m.addr = (uint64_t)p;
			m.len = PAGE;
			m.rights = RS_PAGE_WRITE;
		}
		if (next(&seed) % 300 == 0)
			_exit(42);
		/* forgotten by its server: there is a limit then, or the server's end */
		if (m.limit == RS_IPC_FOREVER)
			m.limit = 3000000000;
		ret = rs_ipc(RS_SYS_IPC_CALL, &m);
		dead += ret == -EPIPE;
		if (!ret)
			ASSERT_EQ(m.word[1], i * 3 + (m.word[0] == i && *(uint64_t *)p == i ? i : 0));
		else
			ASSERT(ret == -EPIPE || ret == -ETIMEDOUT);
		*(uint64_t *)p = 0;
	}
}

/* Everybody ends by himself, without being told: what they wait for ends first. */
TEST_FOR(many_processes_with_random_deaths, 120)
{
	int receive_at[SERVERS], send_to[SERVERS], ends[3] = { 0 };
	pid_t pid[SERVERS + CLIENTS];
	unsigned int seed = 1;

	NEEDS(RS_APP_IPC);
	for (int i = 0; i < SERVERS; i++) {
		open_port();
		receive_at[i] = port;
		send_to[i] = to;
	}
	for (int i = 0; i < SERVERS; i++)
		pid[i] = CHILD({
			for (int k = 0; k < SERVERS; k++) {
				rs_handle_close(send_to[k]);
				if (k != i)
					rs_handle_close(receive_at[k]);
			}
			mortal_server(receive_at[i], i * 31 + 7);
		});
	for (int i = 0; i < SERVERS; i++)
		rs_handle_close(receive_at[i]);
	for (int i = 0; i < CLIENTS; i++)
		pid[SERVERS + i] = CHILD({ mortal_client(send_to, i * 37 + 11); });
	for (int i = 0; i < SERVERS; i++)
		rs_handle_close(send_to[i]);
	for (int i = 0; i < 20; i++) {
		usleep(next(&seed) % 3000);
		kill(pid[next(&seed) % (SERVERS + CLIENTS)], SIGKILL);
	}
	for (int i = 0; i < SERVERS + CLIENTS; i++) {
		int status = status_of(pid[i]);

		if (status == 0)
			ends[0]++;
		else if (status == 42 << 8)
			ends[1]++;
		else if (status == SIGKILL)
			ends[2]++;
		else
			FAIL("process %d: wait status %#x", i, status);
	}
	test_note("%d ended, %d left, %d were killed", ends[0], ends[1], ends[2]);
	EXPECT(ends[0] > 0 && ends[1] + ends[2] > 0);
}

/* --- words only, and signals ------------------------------------------------------------------- */

static void on_signal(int sig)
{
	(void)sig;
}

/* Until nobody can send any more, or it has had enough. */
static void word_server(int at, unsigned int seed)
{
	struct rs_from from = { 0 };
	uint64_t w[4];
	long what;

	for (;;) {
		what = rs_ipc_reply_wait(at, w, &from);
		if (what == -EPIPE)
			return;
		if (next(&seed) % 60000 == 0)
			_exit(42);
		for (int i = 0; i < 4 && what == RS_IPC_CALL; i++)
			w[i] = w[i] * 3 + i;
		ASSERT(what == RS_IPC_CALL || what == -EINTR);
	}
}

static _Atomic bool *enough;	/* all of them share it */

static void word_client(const int *server_of, unsigned int seed)
{
	unsigned int dead = 0;

	for (uint64_t i = 0; !*enough && dead != 15; i++) {
		uint64_t w[4] = { i, i + 1, i << 32, -i };
		unsigned int n = next(&seed) % 4;
		long ret;

		while (dead >> n & 1)
			n = (n + 1) % 4;
		ret = rs_ipc_call(server_of[n], w, RS_IPC_FOREVER);
		if (!ret)
			ASSERT(w[0] == i * 3 && w[1] == i * 3 + 4 && w[2] == (i << 32) * 3 + 2 &&
			       w[3] == -i * 3 + 3);
		else
			ASSERT(ret == -EPIPE || ret == -EINTR);
		dead |= (ret == -EPIPE) << n;
	}
}

/* Calls that take the short way, and threads that are interrupted, stopped and killed in it. */
TEST_FOR(words_with_signals_and_random_deaths, 120)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int receive_at[4], send_to[4];
	unsigned int seed = 5;
	pid_t pid[4 + 16];

	NEEDS(RS_APP_IPC);
	enough = shared_pages(1);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < 4; i++) {
		open_port();
		receive_at[i] = port;
		send_to[i] = to;
	}
	for (int i = 0; i < 4; i++)
		pid[i] = CHILD({
			for (int k = 0; k < 4; k++) {
				rs_handle_close(send_to[k]);
				if (k != i)
					rs_handle_close(receive_at[k]);
			}
			word_server(receive_at[i], i * 31 + 7);
		});
	for (int i = 0; i < 4; i++)
		rs_handle_close(receive_at[i]);
	for (int i = 4; i < 20; i++)
		pid[i] = CHILD({ word_client(send_to, i * 37 + 11); });
	for (int i = 0; i < 4; i++)
		rs_handle_close(send_to[i]);
	for (int i = 0; i < 60; i++) {
		static const int some[] = { SIGUSR1, SIGUSR1, SIGSTOP, SIGCONT, SIGCONT };
		pid_t victim = pid[next(&seed) % 20];

		usleep(next(&seed) % 300);
		kill(victim, i % 12 == 11 ? SIGKILL : some[next(&seed) % 5]);
	}
	*enough = true;
	for (int i = 0; i < 20; i++)
		kill(pid[i], SIGCONT);
	for (int i = 0; i < 20; i++) {
		int status = status_of(pid[i]);

		if (status && status != 42 << 8 && status != SIGKILL)
			FAIL("process %d: wait status %#x", i, status);
	}
}

/* Random arguments to every call, by threads of processes that share handles and memory; they may die of it. */
#define ROUNDS	8
static int fuzz_ports[4];

static void *fuzz(void *arg)
{
	char *p = private_pages(8), *s = shared_pages(8);
	unsigned int seed = (uintptr_t)arg;
	const uint64_t value[] = {
		0, 1, 2, 3, 4, 5, 7, 8, PAGE, 2 * PAGE, -1ul, -PAGE, 1ul << 47, (1ul << 47) - PAGE, 1ul << 63, 513 * PAGE,
		(uint64_t)p, (uint64_t)s, (uint64_t)p + 3 * PAGE, (uint64_t)s + 3 * PAGE, (uint64_t)p + 8, RS_PT_BASE, 1 << 16, 20000,
	};
	const int n = sizeof(value) / sizeof(value[0]);
#define ANY	value[next(&seed) % n]
#define FEW	(next(&seed) % 16)

	for (unsigned int i = fuzz_calls() / (ROUNDS * 4 * 3); i; i--) {
		struct rs_ipc *m = (struct rs_ipc *)(next(&seed) % 16 ? p : (char *)ANY);
		struct rs_from from = { .reply = next(&seed) % 2 ? ANY : 0 };
		uint64_t w[4] = { ANY, ANY, ANY, ANY };

		if (m == (void *)p)
			*m = (struct rs_ipc){
				.word = { ANY }, .limit = next(&seed) % 20000, .reply = next(&seed) % 2 ? from.reply : 0,
				.addr = ANY, .len = next(&seed) % 4 ? FEW % 4 * PAGE : ANY, .window = ANY,
				.window_len = FEW % 4 * PAGE, .port = FEW, .flags = next(&seed) % 2 ? RS_IPC_HANDLE : FEW,
				.rights = FEW % 4, .handle = FEW, .handle_rights = FEW % 8, .zero = next(&seed) % 64 == 0,
			};
		switch (next(&seed) % 12) {
		case 0: rs_app_call(RS_SYS_PORT, FEW ? 0 : ANY, 0, 0, 0); break;
		case 1:
		case 2: rs_app_call(RS_SYS_HANDLE, FEW % 6, FEW, FEW, FEW % 3); break;
		case 3: rs_app_call(RS_SYS_HANDLE, ANY, ANY, ANY, ANY); break;
		case 4: rs_app_call(RS_SYS_PAGER, ANY, FEW * PAGE, FEW, 20000); break;
		case 5: rs_ipc_call(FEW, w, next(&seed) % 20000); break;
		case 6: rs_ipc_send(FEW, w, next(&seed) % 20000); break;
		case 7: rs_ipc_reply(next(&seed) % 2 ? from.reply : ANY, w); break;
		case 8: rs_app_call(RS_SYS_IPC, ANY, ANY, 0, 0); break;
		default:
			rs_app_call(RS_SYS_IPC, RS_SYS_IPC_CALL + next(&seed) % 3, (long)m, 0, 0);
		}
		if (next(&seed) % 16 == 0)
			s[next(&seed) % (8 * PAGE)]++;
	}
	return NULL;
}

TEST_FOR(random_ipc_calls, 200)
{
	NEEDS(RS_APP_IPC);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		pid_t pid[4];

		for (int i = 0; i < 4; i++)
			fuzz_ports[i] = rs_port_create(0);
		for (unsigned int i = 0; i < 4; i++)
			pid[i] = CHILD({
				pthread_t t[2];

				/* a fault in what has become somebody else's window is a fair end */
				for (unsigned int k = 0; k < 2; k++)
					pthread_create(&t[k], NULL, fuzz, (void *)(uintptr_t)(round * 100 + i * 10 + k + 1));
				fuzz((void *)(uintptr_t)(round * 100 + i * 10 + 9));
				_exit(0);
			});
		for (int i = 0; i < 4; i++) {
			int status = status_of(pid[i]);

			if (status && !WIFSIGNALED(status))
				FAIL("round %u: wait status %#x", round, status);
		}
		for (int i = 0; i < 4; i++)
			rs_handle_close(fuzz_ports[i]);
	}
}
