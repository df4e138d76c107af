// SPDX-License-Identifier: MIT
/*
 * util.c - output, mmap, the end
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sys.h"

int dune_printf(const char *fmt, ...)
{
	char buf[1024];
	va_list args;
	int n, done = 0;
	long ret;

	va_start(args, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	if (n < 0)
		return -EINVAL;
	if (n >= (int)sizeof(buf))
		n = sizeof(buf) - 1;
	while (done < n) {
		ret = rs_raw6(SYS_write, STDOUT_FILENO, (long)buf + done, n - done, 0, 0, 0);
		if (ret == -EINTR)
			continue;
		if (ret < 0)
			return done ? done : ret;
		done += ret;
	}
	return done;
}

void dune_die(void)
{
	for (;;)
		rs_raw6(SYS_exit_group, 1, 0, 0, 0, 0, 0);
}

void *dune_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return mmap(addr, length, prot, flags, fd, offset);
}
