/* SPDX-License-Identifier: MIT */
/*
 * table.h - rs_calls.def as the host reads it: a row per system call number
 */
#ifndef RS_TABLE_H
#define RS_TABLE_H

#include <stdint.h>
#include "rs_calls.h"

#define RS_TABLE_SIZE	512	/* above every number in the table; bits of --trace's mask */

enum rs_call_class {
	RS_CLASS_NONE,		/* not in the table */
	RS_CLASS_GUEST,
	RS_CLASS_FORWARD,
	RS_CLASS_REFUSE,
};

/* rs_call_row.flags */
#define RS_ROW_BLOCKS	1	/* may sleep for long: a pending signal must get in */
#define RS_ROW_POLICY	2	/* policy.c executes it */
#define RS_ROW_OPEN	4	/* some flags send it to policy.c */
#define RS_ROW_PLAIN	8	/* a descriptor, then numbers: nothing else to check */
#define RS_ROW_BUFFER	16	/* a descriptor, buffer and length, then numbers (read, write) */
#define RS_ROW_SEVERAL	32	/* in rs_call_plain: there are several callers */

/** struct rs_call_row - @args are RS_A_* descriptors */
struct rs_call_row {
	uint8_t class;
	uint8_t policy;
	uint8_t ret;
	uint8_t flags;
	uint8_t nargs;		/* arguments after the last used one are not looked at */
	uint32_t args[6];
	const char *name;
};

/** struct rs_cmd_row - a command of ioctl or fcntl and what its argument is */
struct rs_cmd_row {
	uint32_t cmd;
	uint32_t arg;
};

/* Written once by rs_table_init(), constant from then on. */
extern struct rs_call_row rs_call_table[RS_TABLE_SIZE];
/*
 * The flags of rows with a short way through forward.c, else 0. All 0 when refusals are explained.
 */
extern uint8_t rs_call_plain[RS_TABLE_SIZE];
extern const struct rs_cmd_row rs_ioctl_table[], rs_fcntl_table[];
extern const unsigned int rs_ioctl_count, rs_fcntl_count;

/** rs_table_init() - complete the table; idempotent */
void rs_table_init(void);

/** rs_table_no_short_way() - every call takes the long way, where refusals are explained */
void rs_table_no_short_way(void);

/**
 * rs_table_several() - the short ways hold their descriptors from now on; called by the only thread
 * that makes calls
 */
void rs_table_several(void);

/** rs_call_number() - the number of a system call by name, or -1 */
int rs_call_number(const char *name);

#endif /* RS_TABLE_H */
