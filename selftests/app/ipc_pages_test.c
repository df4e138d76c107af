// SPDX-License-Identifier: MIT
/*
 * ipc_pages_test.c - pages that go with messages: whose they are, and what may be done with them
 */
#include "ipc.h"

#define WINDOW	4

static char *window;		/* of the server: WINDOW pages in the middle of 3 * WINDOW */

/* Word 0 says what is done with the page that has come; answers with what it found. */
enum { LOOK, WRITE, WRITE_DIES, MPROTECT, SEND_BACK, EXEC_WINDOW };

static void serve_pages(void)
{
	struct rs_ipc m = { .port = port, .limit = RS_IPC_FOREVER, .window_len = WINDOW * PAGE };
	char *all = private_pages(3 * WINDOW);
	long what;

	rs_handle_close(to);
	memset(all, 'a', 3 * WINDOW * PAGE);
	window = all + WINDOW * PAGE;
	m.window = (uint64_t)window;
	while ((what = rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m)) >= 0) {
		EXPECT_EQ(what & ~RS_IPC_PAGES, RS_IPC_CALL);
		EXPECT_EQ(!m.got_len, !(what & RS_IPC_PAGES));
		m.word[1] = window[8];
		switch (m.word[0]) {
		case WRITE: window[8] = 'S'; break;
		case WRITE_DIES: m.word[2] = dies_by(touch_write, window); break;
		case MPROTECT:
			m.word[2] = mprotect(window, PAGE, PROT_READ | PROT_WRITE) ? errno : 0;
			break;
		case EXEC_WINDOW: m.word[2] = mprotect(window, PAGE, PROT_READ | PROT_EXEC); break;
		}
		/* nothing beside the window has changed */
		for (unsigned long i = 0; i < 3 * WINDOW * PAGE; i += 512)
			if (i / PAGE / WINDOW != 1)
				EXPECT_EQ(all[i], 'a');
		m.addr = (uint64_t)window;
		m.len = m.word[0] == SEND_BACK ? m.got_len : 0;
		m.rights = RS_PAGE_WRITE;
	}
	if (what == -EMSGSIZE)
		_exit(3);
	EXPECT_EQ(what, -EPIPE);
}

static long ask(int op, void *p, size_t n, unsigned int rights, uint64_t *found, uint64_t *second)
{
	struct rs_ipc m = { .port = to, .limit = RS_IPC_FOREVER, .word = { op },
			    .addr = (uint64_t)p, .len = n * PAGE, .rights = rights };
	long ret = rs_ipc(RS_SYS_IPC_CALL, &m);

	if (found)
		*found = m.word[1];
	if (second)
		*second = m.word[2];
	return ret;
}

TEST(private_pages_are_copied)
{
	char *p = private_pages(8), *back = private_pages(2);
	uint64_t found, second;
	struct rs_ipc m;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_pages);
	p[8] = 'C';
	p[PAGE] = 'D';
	EXPECT_EQ(ask(WRITE, p, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'C');
	EXPECT_EQ(p[8], 'C');
	/* what we write does not get there either */
	p[8] = 'E';
	EXPECT_EQ(ask(LOOK, NULL, 0, 0, &found, NULL), 0);
	EXPECT_EQ(found, 'S');
	/* untouched memory is zero there, and several pages come in order */
	EXPECT_EQ(ask(LOOK, p + 4 * PAGE, 2, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 0);
	/* read only: there it is as if the receiver had closed it */
	EXPECT_EQ(ask(WRITE_DIES, p, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(found, 'E');
	EXPECT_EQ(second, SIGSEGV);
	EXPECT_EQ(ask(WRITE_DIES, p, 1, RS_PAGE_WRITE, &found, &second), 0);
	EXPECT_EQ(second, 0);
	/* moved */
	EXPECT_EQ(ask(WRITE, p, 2, RS_PAGE_WRITE | RS_PAGES_MOVE, &found, NULL), 0);
	EXPECT_EQ(found, 'E');
	EXPECT_EQ(p[8], 0);
	EXPECT_EQ(p[PAGE], 0);
	/* and back, with the answer */
	p[8] = 'B';
	m = (struct rs_ipc){ .port = to, .limit = RS_IPC_FOREVER, .word = { SEND_BACK },
			     .addr = (uint64_t)p, .len = PAGE, .rights = RS_PAGE_WRITE,
			     .window = (uint64_t)back, .window_len = 2 * PAGE };
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), RS_IPC_PAGES);
	EXPECT_EQ(m.got_len, PAGE);
	EXPECT_EQ(back[8], 'B');
	back[8] = 'x';
	EXPECT_EQ(p[8], 'B');
	/* who takes no pages: the server's answer fails, it ends, and so does the call */
	m = (struct rs_ipc){ .port = to, .limit = RS_IPC_FOREVER, .word = { SEND_BACK },
			     .addr = (uint64_t)p, .len = PAGE, .rights = RS_PAGE_WRITE };
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), -EPIPE);
	EXITS(pid, 3);
}

TEST(shared_pages_are_shared)
{
	char *p = shared_pages(4);
	uint64_t found, second;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_pages);
	/* not by the fork: that memory is newer */
	p = shared_pages(4);
	p[PAGE + 8] = 'C';
	EXPECT_EQ(ask(WRITE, p + PAGE, 2, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'C');
	EXPECT_EQ(p[PAGE + 8], 'S');
	p[PAGE + 8] = 'T';
	EXPECT_EQ(ask(LOOK, NULL, 0, 0, &found, NULL), 0);
	EXPECT_EQ(found, 'T');
	EXPECT_EQ(ask(WRITE_DIES, p + PAGE, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(second, SIGSEGV);
	EXPECT_EQ(ask(MPROTECT, p + PAGE, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(second, EACCES);
	p[PAGE + 8] = 'U';
	EXPECT_EQ(ask(LOOK, NULL, 0, 0, &found, NULL), 0);
	EXPECT_EQ(found, 'U');
	/* private again */
	p = private_pages(1);
	p[8] = 'P';
	EXPECT_EQ(ask(WRITE, p, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'P');
	EXPECT_EQ(p[8], 'P');
	rs_handle_close(to);
	EXITS(pid, 0);
}

TEST(rights_of_pages_and_files)
{
	char *p = private_pages(4), *s = shared_pages(2), *f;
	uint64_t found, second;
	int fd, ro;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_pages);
	memset(p, 'p', 4 * PAGE);
	SYS(mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(ask(LOOK, p, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(ask(LOOK, p, 1, RS_PAGE_READ, NULL, NULL), 0);
	SYS(mprotect(p, PAGE, PROT_NONE));
	EXPECT_EQ(ask(LOOK, p, 1, RS_PAGE_READ, NULL, NULL), -EFAULT);
	EXPECT_EQ(rs_page_protect(p + PAGE, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(ask(LOOK, p + PAGE, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(rs_page_protect(p + PAGE, PAGE, RS_PAGE_NONE), 0);
	EXPECT_EQ(ask(LOOK, p + PAGE, 1, RS_PAGE_READ, NULL, NULL), -EFAULT);
	EXPECT_EQ(ask(LOOK, p, WINDOW + 1, RS_PAGE_READ, NULL, NULL), -EMSGSIZE);
	EXPECT_EQ(ask(LOOK, s, 1, RS_PAGE_WRITE | RS_PAGES_MOVE, NULL, NULL), -EINVAL);
	EXPECT_EQ(ask(LOOK, p + 2 * PAGE, 1, 4, NULL, NULL), -EINVAL);
	SYS(munmap(p + 3 * PAGE, PAGE));
	EXPECT_EQ(ask(LOOK, p + 2 * PAGE, 2, RS_PAGE_READ, NULL, NULL), -EFAULT);
	EXPECT_EQ(ask(LOOK, (void *)RS_PT_BASE, 1, RS_PAGE_READ, NULL, NULL), -EINVAL);
	EXPECT_EQ(ask(LOOK, (void *)0x7ffffffff000, 1, RS_PAGE_READ, NULL, NULL), -EINVAL);
	/* a file that may not be written, by its descriptor */
	fd = scratch_file("0123456789abcdef", 16);
	SYS(ftruncate(fd, PAGE));
	f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(f != MAP_FAILED);
	EXPECT_EQ(ask(WRITE, f, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, '8');
	EXPECT_EQ(f[8], 'S');
	ro = SYS(open("/proc/self/exe", O_RDONLY));
	f = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT(f != MAP_FAILED);
	EXPECT_EQ(ask(LOOK, f, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(ask(MPROTECT, f, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(found, f[8]);
	EXPECT_EQ(second, EACCES);
	/* a private mapping's pages are a copy, which is not the file's */
	f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	EXPECT_EQ(ask(WRITE, f, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'S');
	EXPECT_EQ(f[9], '9');
	/* code that is not writable stays so, and is no code there */
	f = (char *)((uintptr_t)serve_pages & -PAGE);
	EXPECT_EQ(ask(LOOK, f, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(ask(EXEC_WINDOW, p + 2 * PAGE, 1, RS_PAGE_WRITE, NULL, NULL), 0);
	EXPECT_EQ(ask(WRITE_DIES, p + 2 * PAGE, 1, RS_PAGE_WRITE, NULL, &second), 0);
	EXPECT_EQ(second, 0);
	rs_handle_close(to);
	EXITS(pid, 0);
}
