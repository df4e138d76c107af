// SPDX-License-Identifier: MIT
/*
 * The table of system calls, expanded once, and the little that the host adds to it.
 *
 * rs_calls.def says what the arguments are. Two properties matter to the host alone and are kept
 * here: which calls may sleep (those are made through rs_host_call(), so that a signal that arrives
 * just before is not lost), and which calls policy.c has to execute because Landlock does not cover
 * them. The list of the latter is policy.c's.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy.h"
#include "table.h"

#include "ringside/ringside.h"

#define RS_GUEST(n, r, a, b, c, d, e, f) \
	[__NR_##n] = { RS_CLASS_GUEST, RS_P_IO, r, 0, 0, { a, b, c, d, e, f }, #n },
#define RS_FORWARD(n, p, r, a, b, c, d, e, f) \
	[__NR_##n] = { RS_CLASS_FORWARD, p, r, 0, 0, { a, b, c, d, e, f }, #n },
#define RS_SPECIAL	RS_FORWARD
#define RS_REFUSE(n, p) \
	[__NR_##n] = { RS_CLASS_REFUSE, p, RS_R_INT, 0, 0, { 0 }, #n },

struct rs_call_row rs_call_table[RS_TABLE_SIZE] = {
#include "rs_calls.def"
};

uint8_t rs_call_plain[RS_TABLE_SIZE];

#define RS_IOCTL(cmd, arg)	{ cmd, arg },
#define RS_FCNTL(cmd, arg)
const struct rs_cmd_row rs_ioctl_table[] = {
#include "rs_ioctls.def"
};
#undef RS_IOCTL
#undef RS_FCNTL
#define RS_IOCTL(cmd, arg)
#define RS_FCNTL(cmd, arg)	{ cmd, arg },
const struct rs_cmd_row rs_fcntl_table[] = {
#include "rs_ioctls.def"
};

const unsigned int rs_ioctl_count = sizeof(rs_ioctl_table) / sizeof(rs_ioctl_table[0]);
const unsigned int rs_fcntl_count = sizeof(rs_fcntl_table) / sizeof(rs_fcntl_table[0]);

/*
 * pread64 and its like stay out: they work on files that can seek, which do not make anybody wait
 * for an event.
 */
static const uint16_t blocking[] = {
	__NR_read,	__NR_write,    __NR_readv,	__NR_writev,  __NR_preadv2,
	__NR_pwritev2,	__NR_sendfile, __NR_splice,	__NR_tee,     __NR_copy_file_range,
	__NR_flock,	__NR_open,     __NR_openat,	__NR_creat,   __NR_fcntl,
	__NR_ioctl,	__NR_ppoll,    __NR_epoll_wait, __NR_connect, __NR_accept,
	__NR_accept4,	__NR_sendto,   __NR_recvfrom,	__NR_sendmsg, __NR_recvmsg,
	__NR_getrandom,
};

/*
 * Most calls have a descriptor and numbers, or a descriptor and a buffer. They get a short way
 * through forward.c. The kernel itself takes a 32-bit number from the lower half of its register,
 * so numbers need no conversion.
 */
static unsigned int shape(const struct rs_call_row *row, unsigned int nr)
{
	unsigned int i = 1, flags = RS_ROW_PLAIN;

	if (row->class != RS_CLASS_FORWARD || row->policy != RS_P_IO || row->ret != RS_R_INT ||
	    RS_ARG_KIND(row->args[0]) != RS_A_FD || nr == __NR_close || row->flags & RS_ROW_POLICY)
		return 0;
	if (row->args[1] == A_BUFIN(2) || row->args[1] == A_BUFOUT(2)) {
		flags = RS_ROW_BUFFER;
		i = 2;
	}
	for (; i < 6; i++) {
		switch (RS_ARG_KIND(row->args[i])) {
		case RS_A_NO:
		case RS_A_INT:
		case RS_A_LONG:
		case RS_A_UINT:
		case RS_A_HEX:
		case RS_A_FLAGS:
			continue;
		}
		return 0;
	}
	return flags;
}

void rs_table_init(void)
{
	static int done;
	unsigned int i, k;

	if (done)
		return;
	done = 1;
	for (i = 0; i < RS_TABLE_SIZE; i++) {
		struct rs_call_row *row = &rs_call_table[i];

		for (k = 6; k && RS_ARG_KIND(row->args[k - 1]) == RS_A_NO;)
			k--;
		row->nargs = k;
		if (row->class == RS_CLASS_FORWARD && rs_policy_covers(i))
			row->flags |= RS_ROW_POLICY;
		row->flags |= shape(row, i);
	}
	for (i = 0; i < sizeof(blocking) / sizeof(blocking[0]); i++)
		rs_call_table[blocking[i]].flags |= RS_ROW_BLOCKS;
	rs_call_table[__NR_open].flags |= RS_ROW_OPEN;
	rs_call_table[__NR_openat].flags |= RS_ROW_OPEN;
	rs_call_table[__NR_creat].flags |= RS_ROW_OPEN;
	for (i = 0; i < RS_TABLE_SIZE; i++)
		if (rs_call_table[i].flags & (RS_ROW_PLAIN | RS_ROW_BUFFER))
			rs_call_plain[i] = rs_call_table[i].flags;
}

void rs_table_no_short_way(void)
{
	memset(rs_call_plain, 0, sizeof(rs_call_plain));
}

void rs_table_several(void)
{
	unsigned int i;

	for (i = 0; i < RS_TABLE_SIZE; i++)
		if (rs_call_plain[i])
			rs_call_plain[i] |= RS_ROW_SEVERAL;
}

const char *rs_call_name(uint64_t nr)
{
	return nr < RS_TABLE_SIZE ? rs_call_table[nr].name : NULL;
}

int rs_call_number(const char *name)
{
	unsigned int i;

	for (i = 0; i < RS_TABLE_SIZE; i++)
		if (rs_call_table[i].name && !strcmp(rs_call_table[i].name, name))
			return i;
	return -1;
}

/* Does the call belong to the named set? The sets follow strace's, as far as the table can tell. */
static int in_set(const struct rs_call_row *row, unsigned int nr, const char *set)
{
	static const uint16_t memory[] = { __NR_brk,	 __NR_mmap,    __NR_munmap, __NR_mprotect,
					   __NR_mremap,	 __NR_madvise, __NR_msync,  __NR_mlock,
					   __NR_munlock, __NR_mincore };
	static const uint16_t process[] = { __NR_execve, __NR_exit, __NR_exit_group, __NR_wait4,
					    __NR_waitid, __NR_kill, __NR_arch_prctl, __NR_clone,
					    __NR_fork,	 __NR_vfork };
	static const char *const signal_words[] = { "sig", "kill", "pause" };
	unsigned int i;

	if (!strcmp(set, "all"))
		return 1;
	if (!strcmp(set, "net"))
		return row->policy == RS_P_NET || strstr(row->name, "sock") ||
		       !strncmp(row->name, "send", 4) || !strncmp(row->name, "recv", 4) ||
		       !strcmp(row->name, "shutdown");
	if (!strcmp(set, "memory") || !strcmp(set, "process")) {
		const uint16_t *list = *set == 'm' ? memory : process;
		unsigned int n = *set == 'm' ? sizeof(memory) / 2 : sizeof(process) / 2;

		for (i = 0; i < n; i++)
			if (list[i] == nr)
				return 1;
		return 0;
	}
	if (!strcmp(set, "signal")) {
		for (i = 0; i < sizeof(signal_words) / sizeof(signal_words[0]); i++)
			if (strstr(row->name, signal_words[i]))
				return 1;
		return 0;
	}
	for (i = 0; i < 6; i++) {
		unsigned int kind = RS_ARG_KIND(row->args[i]);

		if (!strcmp(set, "file") && (kind == RS_A_PATH || kind == RS_A_PATHN))
			return 1;
		if (!strcmp(set, "desc") && (kind == RS_A_FD || kind == RS_A_DFD))
			return 1;
	}
	return 0;
}

int rs_trace_set(const char *words, uint64_t mask[8], char *bad, size_t len)
{
	static const char *const sets[] = { "all",    "file",	 "desc",  "net",
					    "memory", "process", "signal" };
	char word[64];
	unsigned int i, k;

	memset(mask, 0, 8 * sizeof(mask[0]));
	while (*words) {
		size_t n = strcspn(words, ",");
		int nr, found = 0;

		snprintf(word, sizeof(word), "%.*s",
			 n < sizeof(word) ? (int)n : (int)sizeof(word) - 1, words);
		words += n;
		words += *words == ',';
		for (k = 0; k < sizeof(sets) / sizeof(sets[0]); k++) {
			if (strcmp(word, sets[k]))
				continue;
			found = 1;
			for (i = 0; i < RS_TABLE_SIZE; i++)
				if (rs_call_table[i].name ? in_set(&rs_call_table[i], i, word) : !k)
					mask[i / 64] |= 1ull << (i % 64);
		}
		nr = rs_call_number(word);
		if (nr >= 0)
			mask[nr / 64] |= 1ull << (nr % 64);
		if (nr < 0 && !found) {
			snprintf(bad, len, "%s", word);
			return -1;
		}
	}
	return 0;
}
